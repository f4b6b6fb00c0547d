//! Operating a service: how it reaches AWS, how it retries. Knows nothing of parcels.

pub mod aws;
pub mod retry;
