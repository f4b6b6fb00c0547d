//! The mover that proves freshness from outside: posts a signed canary at the public door, and looks for it in the facts.
//!
//! Metrics of the movers say how long they took for what they saw; only a canary says that what comes in at the door can
//! be queried. One that is refused, or not found in time, is counted as what it is: never as fresh.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::aftership::canary::{self, ID_PREFIX};
use crate::aftership::signature::{TRACKING_HEADER, sign};
use crate::ops::health::Health;
use crate::ops::http;
use crate::ops::metrics;
use crate::warehouse::{Cell, Warehouse, WarehouseError, literal};

/// The component's name in readiness.
const COMPONENT: &str = "canary";

/// How canaries go.
#[derive(Debug, Clone)]
pub struct CanarySettings {
    /// The public door: `http(s)://…/webhooks/aftership`.
    pub url: String,
    /// Tells those of several senders apart: lower-case letters and digits.
    pub name: String,
    /// How often one is posted.
    pub every: Duration,
    /// How often the facts are asked while one is on its way.
    pub look_every: Duration,
    /// How long the door may take to answer.
    pub answer_max: Duration,
    /// When one that is not found counts as lost.
    pub lost_after: Duration,
}

impl CanarySettings {
    /// What suits a target of freshness.
    pub fn new(url: String, name: String, freshness: Duration) -> CanarySettings {
        CanarySettings {
            url,
            name,
            every: Duration::from_secs(60).max(freshness / 4),
            look_every: (freshness / 60).clamp(Duration::from_secs(1), Duration::from_secs(60)),
            answer_max: Duration::from_secs(10),
            lost_after: Duration::from_secs(300).max(freshness * 2),
        }
    }
}

/// What became of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// In the facts, after so long.
    Found(Duration),
    /// Not acknowledged at the door.
    Refused,
    /// Acknowledged, and not in the facts in time.
    Lost,
    /// The process ends.
    Stopped,
}

/// The mover.
pub struct Canary {
    /// How.
    pub settings: CanarySettings,
    /// Gives the secret that counts now.
    pub secret: Arc<dyn Fn() -> String + Send + Sync>,
    /// Where the facts are.
    pub warehouse: Arc<dyn Warehouse>,
    /// Where a lost canary is told.
    pub health: Health,
}

impl Canary {
    /// Posts one after another, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        metrics::canary_begins();
        let client = match http::client(self.settings.url.starts_with("https:"), self.settings.answer_max, 1)
        {
            Ok(client) => client,
            Err(error) => {
                warn!(%error, "no canaries: cannot prepare TLS");
                return self.health.set_degraded(COMPONENT, "cannot prepare TLS");
            }
        };
        let mut tick = tokio::time::interval(self.settings.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            self.tell(self.send_one(&client, &stop).await);
            if stop.is_cancelled() {
                return;
            }
        }
    }

    fn tell(&self, fate: Fate) {
        match fate {
            Fate::Found(took) => {
                metrics::canary("found", took);
                metrics::mover_last_success("canary", Timestamp::now());
                self.health.set_ready(COMPONENT, Ok(()));
            }
            Fate::Refused => {
                metrics::canary("refused", self.settings.answer_max);
                warn!(url = %self.settings.url, "a canary was not acknowledged at the public door");
                self.health
                    .set_degraded(COMPONENT, "the last canary was not acknowledged at the public door");
            }
            Fate::Lost => {
                metrics::canary("lost", self.settings.lost_after);
                warn!(after = ?self.settings.lost_after, "a canary was acknowledged and is not in the facts");
                self.health
                    .set_degraded(COMPONENT, "the last canary was acknowledged and is not in the facts yet");
            }
            Fate::Stopped => {}
        }
    }

    /// Posts one and waits for its fate.
    pub async fn send_one(&self, client: &http::Client, stop: &CancellationToken) -> Fate {
        let posted_at = crate::event::truncate_to_micros(Timestamp::now());
        let began = Instant::now();
        let posting = tokio::time::timeout(self.settings.answer_max, self.post(client, posted_at));
        let is_acknowledged = tokio::select! {
            outcome = posting => outcome.unwrap_or(None).is_some(),
            () = stop.cancelled() => return Fate::Stopped,
        };
        if !is_acknowledged {
            return Fate::Refused;
        }
        loop {
            // A warehouse that is away now makes a canary late, and in the end lost.
            if self.is_found(posted_at).await.unwrap_or(false) {
                return Fate::Found(began.elapsed());
            }
            if began.elapsed() >= self.settings.lost_after {
                return Fate::Lost;
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings.look_every) => {}
                () = stop.cancelled() => return Fate::Stopped,
            }
        }
    }

    /// `None`: not acknowledged.
    async fn post(&self, client: &http::Client, at: Timestamp) -> Option<()> {
        let body = canary::body(&self.settings.name, &Uuid::new_v4().to_string(), at);
        let signature = sign(&(self.secret)(), &body);
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::USER_AGENT, HeaderValue::from_static("waybill-canary")),
            (HeaderName::from_static(TRACKING_HEADER), HeaderValue::from_str(&signature).ok()?),
        ]);
        let uri = self.settings.url.parse::<Uri>().ok()?;
        let status = http::post(client, &uri, headers, Bytes::from(body)).await?;
        status.is_success().then_some(())
    }

    async fn is_found(&self, posted_at: Timestamp) -> Result<bool, WarehouseError> {
        let id = format!("{ID_PREFIX}{}", self.settings.name);
        let sql =
            format!("select updated_at from base.fct_shipment_tracking where tracking_id = {}", literal(&id));
        let answer = self.warehouse.query(&sql).await?;
        Ok(answer.rows.iter().flatten().any(|cell| matches!(cell, Cell::Instant(at) if *at >= posted_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_as_patient_as_the_target_asks() {
        let of = |freshness| CanarySettings::new("http://x".to_owned(), "a".to_owned(), freshness);

        let fast = of(Duration::from_secs(60));
        assert_eq!((fast.every, fast.look_every), (Duration::from_secs(60), Duration::from_secs(1)));
        assert_eq!(fast.lost_after, Duration::from_secs(300));
        let cheap = of(Duration::from_secs(3600));
        assert_eq!((cheap.every, cheap.look_every), (Duration::from_secs(900), Duration::from_secs(60)));
        assert_eq!(cheap.lost_after, Duration::from_secs(7200));
    }
}
