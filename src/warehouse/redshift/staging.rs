//! Where rows wait for COPY: gzipped text, and manifests that name it.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tracing::warn;

use crate::warehouse::WarehouseError;
use crate::warehouse::plan::{Cell, Stage};

use super::copy;
use super::sql::{self, Filled};

/// Text of one object before it is packed: COPY reads the objects of a manifest side by side.
const PART: usize = 64 * 1024 * 1024;

/// An object store that the cluster can read.
#[async_trait]
pub trait Staging: Send + Sync + 'static {
    /// Writes an object below the staging prefix; its URL, as COPY takes it.
    async fn put(&self, name: &str, body: Bytes) -> Result<String, WarehouseError>;

    /// The whole object. Only a lab reads what it has written.
    async fn get(&self, url: &str) -> Result<Bytes, WarehouseError>;

    /// Lets go of an object; one that is not there is no failure.
    async fn remove(&self, url: &str) -> Result<(), WarehouseError>;
}

/// Rows of one stage table, packed.
pub(super) struct Packed {
    pub(super) stage: &'static Stage,
    pub(super) rows: u64,
    parts: Vec<Bytes>,
    text: String,
}

impl Packed {
    pub(super) fn new(stage: &'static Stage) -> Packed {
        Packed { stage, rows: 0, parts: Vec::new(), text: String::new() }
    }

    pub(super) fn push(&mut self, cells: &[Cell<'_>]) {
        copy::write_row(&mut self.text, cells);
        self.rows += 1;
        if self.text.len() >= PART {
            self.close_part();
        }
    }

    pub(super) fn of(stage: &'static Stage, rows: &[Vec<Cell<'_>>]) -> Packed {
        let mut packed = Packed::new(stage);
        rows.iter().for_each(|cells| packed.push(cells));
        packed
    }

    fn close_part(&mut self) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory cannot fail.
        let written = encoder.write_all(self.text.as_bytes()).and_then(|()| encoder.finish());
        self.parts.push(Bytes::from(written.unwrap_or_default()));
        self.text.clear();
    }
}

/// Objects of one load; they go when it has ended, well or not.
pub(super) struct Staged {
    staging: Arc<dyn Staging>,
    load: String,
    urls: Vec<String>,
    /// Rows of each stage table.
    pub(super) rows: HashMap<&'static str, u64>,
}

impl Staged {
    pub(super) fn new(staging: Arc<dyn Staging>) -> Staged {
        Staged { staging, load: uuid::Uuid::now_v7().to_string(), urls: Vec::new(), rows: HashMap::new() }
    }

    /// Writes what was packed, the manifest last.
    pub(super) async fn put(&mut self, mut packed: Packed) -> Result<Filled, WarehouseError> {
        if !packed.text.is_empty() {
            packed.close_part();
        }
        let table = packed.stage.table;
        self.rows.insert(table, packed.rows);
        if packed.parts.is_empty() {
            return Ok(Filled { stage: packed.stage, manifest: None });
        }
        let mut urls = Vec::new();
        for (number, part) in packed.parts.into_iter().enumerate() {
            urls.push(self.staging.put(&format!("{}/{table}-{number}.gz", self.load), part).await?);
            self.urls.extend(urls.last().cloned());
        }
        let manifest = Bytes::from(sql::manifest(&urls));
        let url = self.staging.put(&format!("{}/{table}.manifest", self.load), manifest).await?;
        self.urls.push(url.clone());
        Ok(Filled { stage: packed.stage, manifest: Some(url) })
    }

    /// Lets go of all. What cannot be removed expires by the bucket's own rule, if it has one: so it is said.
    pub(super) async fn remove(self) {
        for url in self.urls {
            if let Err(error) = self.staging.remove(&url).await {
                warn!(key = %url, %error, "cannot remove {url}, whose rows are loaded or given up: it stays in the staging bucket");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use crate::warehouse::plan::STAGES;

    use super::*;

    /// Takes everything, and lets go of nothing that is a manifest.
    struct Clinging(Mutex<Vec<String>>);

    #[async_trait]
    impl Staging for Clinging {
        async fn put(&self, name: &str, _: Bytes) -> Result<String, WarehouseError> {
            Ok(format!("s3://bucket/{name}"))
        }

        async fn get(&self, url: &str) -> Result<Bytes, WarehouseError> {
            Err(WarehouseError::Unavailable(format!("cannot read {url}")))
        }

        async fn remove(&self, url: &str) -> Result<(), WarehouseError> {
            self.0.lock().expect("no test panics with it").push(url.to_owned());
            if url.ends_with(".manifest") {
                return Err(WarehouseError::Unavailable("S3 answered AccessDenied".into()));
            }
            Ok(())
        }
    }

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no test panics with it").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_cannot_be_removed_is_said_by_its_key_and_the_rest_goes() {
        let log = Log::default();
        let written = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || written.clone()).with_ansi(false).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let staging = Arc::new(Clinging(Mutex::default()));
        let mut staged = Staged::new(Arc::clone(&staging) as Arc<dyn Staging>);
        let cells: Vec<Cell<'_>> = STAGES[0].columns.iter().map(|_| Cell::Text("planted-row")).collect();
        staged.put(Packed::of(STAGES[0], &[cells])).await.expect("staged");
        let manifest = staged.urls.last().cloned().expect("a manifest");

        staged.remove().await;

        assert_eq!(staging.0.lock().expect("no test panics with it").len(), 2, "all were tried");
        let log = String::from_utf8(log.0.lock().expect("no test panics with it").clone()).expect("UTF-8");
        assert_eq!(log.matches(" WARN ").count(), 1, "{log}");
        assert!(log.contains(&format!("key={manifest}")) && log.contains("AccessDenied"), "{log}");
        assert!(!log.contains("planted-row"), "{log}");
    }
}
