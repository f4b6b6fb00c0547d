//! The provider: everything we know about AfterShip's tracking webhooks, and a stand-in that sends them.
//!
//! [`signature`] says whether AfterShip signed a body, [`webhook`] what the body's envelope is, [`tracking`] what
//! the parcel's snapshot in it says, whatever version AfterShip sent it in, [`personal`] what of it tells of a person,
//! and the body without that. These are pure: no clock, no I/O.
//! [`api`] says how its REST API is asked and what its answers mean, [`canary`] what an update of no parcel looks like; both
//! are pure, too. [`client`] asks the REST API.
//! [`simulator`] plays AfterShip's side: realistic journeys of parcels, signed and repeated as AfterShip does.

pub mod api;
pub mod canary;
pub mod client;
pub mod personal;
pub mod signature;
pub mod simulator;
pub mod time;
pub mod tracking;
pub mod webhook;
