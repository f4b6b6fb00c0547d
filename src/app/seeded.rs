//! Mistakes on purpose, put around the three places: only with the feature `failpoints`, and only the one that a test
//! asks for (see [`crate::failpoint::BUGS`]). A proof that finds none of them proves nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::event::{Event, line};
use crate::failpoint::seeded_bug;
use crate::lake::{Lake, LakeError, Object, Put, layout};
use crate::queue::{Delivery, Depth, Enqueued, Lease, Queue, QueueError, SendError};
use crate::retail::read::ShopFile;
use crate::warehouse::rows::{FileOutcome, LoadSet};
use crate::warehouse::{
    Answer, Cell, Erasure, MartState, SchemaState, ShopEntry, ShopOutcome, Told, WaitingLines, Warehouse,
    WarehouseError,
};

/// Puts a mistake around a queue.
pub(super) fn queue(inner: Arc<dyn Queue>) -> Arc<dyn Queue> {
    Arc::new(Seeded(inner))
}

/// Puts a mistake around a lake.
pub(super) fn lake(inner: Arc<dyn Lake>) -> Arc<dyn Lake> {
    Arc::new(Seeded(inner))
}

/// Puts a mistake around a warehouse.
pub(super) fn warehouse(inner: Arc<dyn Warehouse>) -> Arc<dyn Warehouse> {
    Arc::new(SeededWarehouse(inner))
}

struct Seeded<T: ?Sized>(Arc<T>);

#[async_trait]
impl Queue for Seeded<dyn Queue> {
    async fn send(&self, messages: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
        if seeded_bug!("ack_before_durable") {
            let count = messages.len();
            let inner = Arc::clone(&self.0);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(250)).await;
                let _ = inner.send(messages).await;
            });
            return (0..count).map(|_| Ok(Enqueued::forged())).collect();
        }
        let messages = if seeded_bug!("body_rewritten") {
            messages.iter().map(|message| rewritten(message).unwrap_or_else(|| message.clone())).collect()
        } else {
            messages
        };
        let fates = self.0.send(messages).await;
        if seeded_bug!("failed_entries_are_sent") {
            return fates.into_iter().map(|_| Ok(Enqueued::forged())).collect();
        }
        fates
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let received = self.0.receive(max, wait, lease).await?;
        if seeded_bug!("delete_before_put") {
            let leases: Vec<Lease> = received.iter().map(|delivery| delivery.lease.clone()).collect();
            let _ = self.0.delete(&leases).await;
        }
        Ok(received)
    }

    async fn extend(&self, leases: &[Lease], lease: Duration) -> Vec<Result<(), QueueError>> {
        if seeded_bug!("deletes_what_failed_to_land") && lease.is_zero() {
            return self.0.delete(leases).await;
        }
        self.0.extend(leases, lease).await
    }

    async fn delete(&self, leases: &[Lease]) -> Vec<Result<(), QueueError>> {
        self.0.delete(leases).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.0.depth().await
    }

    async fn probe(&self) -> Result<(), QueueError> {
        self.0.probe().await
    }

    fn message_bytes_max(&self) -> usize {
        self.0.message_bytes_max()
    }

    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// The same event, its body written again by a JSON library.
fn rewritten(message: &str) -> Option<String> {
    let event = line::decode(&line::from_message(message).ok()?).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&event.body).ok()?;
    let body = Bytes::from(serde_json::to_vec(&value).ok()?);
    let again = Event::received(body, event.event_id, false, event.received_at);
    Some(line::to_message(&line::encode(&again)))
}

#[async_trait]
impl Lake for Seeded<dyn Lake> {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<Put, LakeError> {
        if key.starts_with(layout::DEAD_LETTERS) {
            if seeded_bug!("poison_dropped") {
                return Ok(Put::Created);
            }
            if seeded_bug!("poison_changed") {
                return self.0.put_new(key, changed(&body)).await;
            }
        }
        if key.starts_with(layout::EVENTS) {
            if seeded_bug!("object_named_by_minute") {
                return self.0.put_new(&named_by_minute(key), body).await;
            }
            if seeded_bug!("object_cut_short") {
                return self.0.put_new(key, without_last_line(key, &body)).await;
            }
        }
        self.0.put_new(key, body).await
    }

    async fn replace(&self, key: &str, body: Bytes) -> Result<(), LakeError> {
        self.0.replace(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, LakeError> {
        if seeded_bug!("object_named_by_minute") && key.starts_with(layout::EVENTS) {
            return self.0.get(&named_by_minute(key)).await;
        }
        self.0.get(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Object>, LakeError> {
        self.0.list(prefix, after).await
    }

    async fn probe(&self) -> Result<(), LakeError> {
        self.0.probe().await
    }

    fn kind(&self) -> &'static str {
        self.0.kind()
    }
}

fn named_by_minute(key: &str) -> String {
    let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
    let suffix = name.split_once('.').map_or("", |(_, suffix)| suffix);
    format!("{folder}/{}.{suffix}", "0".repeat(64))
}

fn without_last_line(key: &str, body: &Bytes) -> Bytes {
    let Ok(text) = crate::lake::object::unpack(key, body, usize::MAX) else { return body.clone() };
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let Some(compression) = layout::compression_of(key) else { return body.clone() };
    let mut packer = crate::lake::object::Packer::new(compression);
    for line in &lines[..lines.len().saturating_sub(1)] {
        packer.append(line);
    }
    Bytes::from(packer.finish())
}

fn changed(letter: &Bytes) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(letter) else { return letter.clone() };
    value["body_base64"] = serde_json::Value::String("AAAA".to_owned());
    serde_json::to_vec(&value).map_or_else(|_| letter.clone(), Bytes::from)
}

struct SeededWarehouse(Arc<dyn Warehouse>);

#[async_trait]
impl Warehouse for SeededWarehouse {
    async fn waiting_lines(&self) -> Result<WaitingLines, WarehouseError> {
        self.0.waiting_lines().await
    }

    async fn query_together(
        &self,
        statements: Vec<String>,
        told: Told,
    ) -> Result<Vec<Answer>, WarehouseError> {
        self.0.query_together(statements, told).await
    }

    async fn migrate(&self) -> Result<i32, WarehouseError> {
        self.0.migrate().await
    }

    async fn schema_state(&self) -> Result<SchemaState, WarehouseError> {
        self.0.schema_state().await
    }

    async fn unloaded(&self, files: Vec<String>) -> Result<Vec<String>, WarehouseError> {
        let unloaded = self.0.unloaded(files).await?;
        if !seeded_bug!("loads_by_watermark") {
            return Ok(unloaded);
        }
        let answer = self.0.query("select max(file) as newest from raw.loaded_file").await?;
        let newest = match answer.rows.first().and_then(|row| row.first()) {
            Some(Cell::Text(newest)) => newest.clone(),
            _ => String::new(),
        };
        Ok(unloaded.into_iter().filter(|file| *file > newest).collect())
    }

    async fn landed_until(&self) -> Result<Option<Timestamp>, WarehouseError> {
        self.0.landed_until().await
    }

    async fn load(&self, set: LoadSet) -> Result<Vec<FileOutcome>, WarehouseError> {
        if seeded_bug!("ledger_apart") {
            let _committed = self.0.load(ledger_alone(&set)).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            return self.0.load(under_other_names(set)).await;
        }
        self.0.load(set).await
    }

    async fn use_time_zone(&self, zone: &jiff::tz::TimeZone) -> Result<bool, WarehouseError> {
        self.0.use_time_zone(zone).await
    }

    async fn erase_customer(&self, customer_id: i32, reason: &str) -> Result<(), WarehouseError> {
        self.0.erase_customer(customer_id, reason).await
    }

    async fn hold(&self) -> Result<Box<dyn Send>, WarehouseError> {
        self.0.hold().await
    }

    async fn shop_ledger(&self) -> Result<Vec<ShopEntry>, WarehouseError> {
        self.0.shop_ledger().await
    }

    async fn load_shop(&self, file: Arc<ShopFile>, is_dry: bool) -> Result<ShopOutcome, WarehouseError> {
        self.0.load_shop(file, is_dry).await
    }

    async fn refresh_marts(&self, is_rebuild: bool) -> Result<MartState, WarehouseError> {
        self.0.refresh_marts(is_rebuild).await
    }

    async fn known_as(
        &self,
        ids: Vec<String>,
        number: Option<String>,
    ) -> Result<Vec<String>, WarehouseError> {
        self.0.known_as(ids, number).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), WarehouseError> {
        self.0.erase(erasure).await
    }

    async fn query(&self, sql: &str) -> Result<Answer, WarehouseError> {
        self.0.query(sql).await
    }

    async fn probe(&self) -> Result<(), WarehouseError> {
        self.0.probe().await
    }

    fn kind(&self) -> &'static str {
        self.0.kind()
    }
}

/// The ledger's rows, and nothing that the files hold.
fn ledger_alone(set: &LoadSet) -> LoadSet {
    let mut ledger = set.clone();
    ledger.snapshots.clear();
    ledger.claims.clear();
    for file in &mut ledger.files {
        file.lines = 0;
        file.events.clear();
        file.rejects.clear();
    }
    ledger
}

/// What the files hold, past the ledger that knows them already.
fn under_other_names(mut set: LoadSet) -> LoadSet {
    for file in &mut set.files {
        file.file.push('~');
    }
    set
}
