//! Operating a service: health, metrics, logging, shutdown, retry, an HTTP client. Knows nothing of parcels.

pub mod aws;
pub mod clock;
pub mod file_system;
pub mod health;
pub mod http;
pub mod listener;
pub mod logging;
pub mod metrics;
pub mod oldest;
pub mod retry;
pub mod shutdown;
pub mod traces;
