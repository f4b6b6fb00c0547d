//! Where acknowledged events may wait: the queue, its dead-letter queue, and the spool of this machine.

use std::sync::Arc;

use tracing::warn;

use crate::app::places;
use crate::queue::Queue;
use crate::queue::disk::{DiskOptions, DiskQueue};
use crate::settings::{QueueAddress, Settings};

/// The queue, to see how full it is: a folder that is not there is not made, and an SQS that is away is no reason not to
/// compare the rest. `is_needed`: to send to it. The second: messages in its own dead-letter queue.
pub(super) async fn queue(
    settings: &Settings,
    is_needed: bool,
) -> anyhow::Result<(Option<Arc<dyn Queue>>, u64)> {
    match &settings.queue {
        None => return Ok((None, 0)),
        Some(QueueAddress::File(dir)) if !dir.is_dir() && !is_needed => return Ok((None, 0)),
        Some(_) => {}
    }
    // The spool belongs to the receiver.
    let settings = settings.without_spool();
    let queues = match places::queues(&settings).await {
        Ok(queues) => Ok(queues),
        Err(error) => {
            warn!(error = %format!("{error:#}"), "going on without the queue's dead-letter queue");
            places::queue(&settings).await
        }
    };
    match queues {
        Ok(queues) => {
            let set_aside = set_aside(queues.dead_letters.as_deref()).await;
            Ok((Some(queues.main), set_aside))
        }
        Err(error) if !is_needed => {
            warn!(%error, "cannot open the queue: going on without it");
            Ok((None, 0))
        }
        Err(error) => Err(error),
    }
}

/// Messages that SQS itself has set aside, and that batch makes dead letters of.
async fn set_aside(dead_letters: Option<&dyn Queue>) -> u64 {
    let Some(queue) = dead_letters else { return 0 };
    let depth = queue.depth().await;
    queue.close().await;
    match depth {
        Ok(depth) => depth.ready + depth.leased,
        Err(error) => {
            warn!(%error, "cannot look into the dead-letter queue: what lies there counts as lost");
            0
        }
    }
}

/// Messages in the spool, if a receiver on this machine has one.
pub(super) async fn spooled(settings: &Settings) -> u64 {
    let Some(dir) = settings.spool.as_ref().filter(|dir| dir.is_dir()) else { return 0 };
    match DiskQueue::open(dir, DiskOptions::default()) {
        Ok(spool) => {
            let depth = spool.depth().await;
            spool.close().await;
            depth.map_or(0, |depth| depth.ready + depth.leased)
        }
        Err(error) => {
            warn!(%error, "cannot look into the spool: what waits there counts as lost");
            0
        }
    }
}
