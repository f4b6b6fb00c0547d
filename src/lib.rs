//! Waybill takes AfterShip tracking updates to the warehouse, each exactly once.

pub mod event;
pub mod ops;
pub mod queue;
