//! Sends AfterShip's states through the queue, as a poll would have.

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::aftership::api;
use crate::aftership::client::Api;
use crate::event::{Event, format_instant, line, truncate_to_micros};
use crate::lake::Lake;
use crate::lake::audit::{self, Action, Audit};
use crate::ops::traces;
use crate::queue::{Queue, SendError};
use crate::reconcile::ReconcileError;

use super::Sweep;

/// Messages sent together.
const SENT_TOGETHER: usize = 100;

/// Why and by whom.
#[derive(Debug, Clone, Default)]
pub struct HealOrder {
    /// For the audit record.
    pub reason: Option<String>,
    /// The operator's name on the machine.
    pub who: Option<String>,
}

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Healed {
    /// Ties the audit record and the events together; `None`: there was nothing to send.
    pub replay_id: Option<String>,
    /// States that were to be sent.
    pub chosen: u64,
    /// In the queue.
    pub sent: u64,
    /// Over what the queue takes.
    pub too_large: u64,
    /// AfterShip has them no more.
    pub gone: u64,
}

impl Healed {
    /// Is every state in the queue that there still is?
    pub fn is_whole(&self) -> bool {
        self.sent + self.gone == self.chosen
    }
}

/// Fetches the states that we do not have and sends them to the queue, as a poll would have, after writing down that it
/// will. Asked again it changes nothing: the same state is the same event.
pub async fn heal(
    api: &Api,
    lake: &dyn Lake,
    queue: &dyn Queue,
    sweep: &Sweep,
    order: &HealOrder,
    stop: &CancellationToken,
    mut progress: impl FnMut(u64, u64),
) -> Result<Healed, ReconcileError> {
    let of = sweep.behind.len() as u64;
    let mut healed = Healed { chosen: of, ..Healed::default() };
    if sweep.behind.is_empty() {
        return Ok(healed);
    }
    let replay_id = format!("heal-{}", Uuid::now_v7());
    let at = truncate_to_micros(Timestamp::now());
    let audit = Audit {
        v: 1,
        at,
        action: Action::Heal,
        who: order.who.clone(),
        filter: format!("newer at AfterShip than here, at {}", format_instant(at)),
        count: sweep.behind.len(),
        ids: sweep.behind.iter().map(|behind| behind.id.clone()).collect(),
        reason: order.reason.clone(),
        replay_id: Some(replay_id.clone()),
    };
    audit::record(lake, &audit).await?;
    healed.replay_id = Some(replay_id.clone());

    let mut done = 0;
    for some in sweep.behind.chunks(SENT_TOGETHER) {
        let mut events = Vec::new();
        for behind in some {
            if stop.is_cancelled() {
                break;
            }
            match api.get(&behind.id).await? {
                Some(snapshot) => {
                    let event = api::event(&snapshot, Timestamp::now());
                    events.push(Event { replay_id: Some(replay_id.clone()), ..event });
                }
                None => healed.gone += 1,
            }
            done += 1;
            progress(done, of);
        }
        send(queue, &events, &mut healed).await?;
        if stop.is_cancelled() {
            break;
        }
    }
    Ok(healed)
}

async fn send(queue: &dyn Queue, events: &[Event], healed: &mut Healed) -> Result<(), ReconcileError> {
    let messages: Vec<String> = events.iter().map(|event| line::to_message(&line::encode(event))).collect();
    if messages.is_empty() {
        return Ok(());
    }
    for (event, fate) in events.iter().zip(queue.send(messages).await) {
        match fate {
            Ok(_enqueued) => {
                healed.sent += 1;
                trace(event);
            }
            Err(SendError::TooLarge { bytes, limit }) => {
                warn!(bytes, limit, "a state is over the queue's limit and was not sent");
                healed.too_large += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn trace(event: &Event) {
    if traces::is_on() {
        traces::record(traces::Span {
            key: event.event_key.as_str().to_owned(),
            name: "heal",
            is_root: true,
            from: event.received_at,
            until: Timestamp::now(),
            attributes: vec![("source", event.source.as_str().to_owned())],
        });
    }
}
