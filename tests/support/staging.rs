//! A staging prefix in memory, for Redshift's statements in a lab.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use waybill::warehouse::WarehouseError;
use waybill::warehouse::redshift::Staging;

/// Objects by URL.
#[derive(Debug, Default)]
pub struct MemoryStaging(Mutex<HashMap<String, Bytes>>);

impl MemoryStaging {
    /// How many objects are there.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[async_trait]
impl Staging for MemoryStaging {
    async fn put(&self, name: &str, body: Bytes) -> Result<String, WarehouseError> {
        let url = format!("s3://memory/{name}");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(url.clone(), body);
        Ok(url)
    }

    async fn get(&self, url: &str) -> Result<Bytes, WarehouseError> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned();
        found.ok_or_else(|| WarehouseError::Refused(format!("no object {url}")))
    }

    async fn remove(&self, url: &str) -> Result<(), WarehouseError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(url);
        Ok(())
    }
}
