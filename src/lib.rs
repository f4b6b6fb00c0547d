//! Waybill takes AfterShip tracking updates to the warehouse, each exactly once.
//!
//! # The path of an event
//!
//! Data rests in three places ([`queue`], [`lake`], [`warehouse`]) and is carried between them by movers:
//!
//! 1. [`receive`] checks AfterShip's signature ([`aftership::signature`]), wraps the body unchanged as an
//!    [`event::Event`], and answers 200 once the [`queue`] has it durably.
//! 2. [`batch`] leases messages, groups them by the minute of arrival, and writes each group as one object of the
//!    [`lake`]; then the manifest; then it deletes the messages. What is no event becomes a dead letter.
//! 3. [`load`] takes the objects that the ledger lacks, parses them ([`aftership::tracking`]) and merges events,
//!    facts and ledger into the [`warehouse`] in one transaction.
//! 4. [`replay`] takes dead letters back to the queue.
//! 5. [`forget`] erases a person wherever an event of theirs rests, and sees to it that nothing brings them back.
//!
//! 6. [`poll`] asks AfterShip's REST API for what has changed, into the same queue; [`reconcile`] compares all places
//!    with each other and with AfterShip's own list; [`canary`] shows how long the whole path takes.
//!
//! One rule holds everywhere: **make the next copy durable, then let go of the last.** A crash leaves at most a
//! duplicate, and the warehouse absorbs it by the event's key.
//!
//! A mover may use places, the provider and the event; a place may use the event; no mover uses a mover and no
//! place a place. [`app`] alone knows everything; [`ops`] knows nothing of ours.

pub mod event;

pub mod aftership;

pub mod retail;

pub mod queue;

pub mod lake;

pub mod warehouse;

pub mod receive;

pub mod poll;

pub mod batch;

pub mod load;

pub mod replay;

pub mod reconcile;

pub mod forget;

pub mod canary;

pub mod console;

pub mod ops;

pub mod failpoint;

pub mod app;
pub mod cli;
pub mod settings;
