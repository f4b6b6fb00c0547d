//! Work that is finished even if nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that goes on by itself when it is dropped half-way: a client that goes away must not leave a send half
/// done. Cheaper than a task for each, since hardly any client goes away.
pub(super) struct Finishing<T: Send + 'static> {
    /// `None` once finished, or handed on.
    work: Option<Work<T>>,
    others: TaskTracker,
    runtime: Handle,
}

impl<T: Send + 'static> Finishing<T> {
    /// `others` tracks what goes on by itself. To be called inside a runtime, where that will run.
    pub(super) fn new(others: &TaskTracker, work: impl Future<Output = T> + Send + 'static) -> Self {
        Finishing { work: Some(Box::pin(work)), others: others.clone(), runtime: Handle::current() }
    }
}

impl<T: Send + 'static> Future for Finishing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else {
            // Finished already; nobody polls a future again after that.
            return Poll::Pending;
        };
        let outcome = work.as_mut().poll(cx);
        if outcome.is_ready() {
            self.work = None;
        }
        outcome
    }
}

impl<T: Send + 'static> Drop for Finishing<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.others.spawn_on(
                async move {
                    work.await;
                },
                &self.runtime,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn work_that_is_dropped_half_way_goes_on() {
        let others = TaskTracker::new();
        let (gate, done) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
        let work = {
            let (gate, done) = (Arc::clone(&gate), Arc::clone(&done));
            async move {
                gate.notified().await;
                done.fetch_add(1, Ordering::Relaxed)
            }
        };

        let outcome = tokio::time::timeout(Duration::from_millis(1), Finishing::new(&others, work)).await;
        assert!(outcome.is_err(), "the gate is closed");
        assert_eq!(others.len(), 1);
        gate.notify_one();
        others.close();
        others.wait().await;

        assert_eq!(done.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn work_that_nobody_ever_polled_is_done_too() {
        let others = TaskTracker::new();
        let done = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&done);

        drop(Finishing::new(&others, async move { told.fetch_add(1, Ordering::Relaxed) }));
        others.close();
        others.wait().await;

        assert_eq!(done.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn finished_work_leaves_nothing_behind() {
        let others = TaskTracker::new();

        assert_eq!(Finishing::new(&others, async { 7 }).await, 7);
        assert!(others.is_empty());
    }
}
