//! The receipts of a process that takes events in: what it took in each minute, written to the lake for `reconcile`.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::event::Source;
use crate::lake::Lake;
use crate::lake::receipt::ReceiptBook;
use crate::settings::Settings;

/// A book, and who keeps it.
#[derive(Default)]
pub(super) struct Receipts {
    pub(super) book: Option<ReceiptBook>,
    keeping: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Receipts {
    /// Begins a book in this lake, unless receipts are off.
    pub(super) fn begin(settings: &Settings, source: Source, lake: &Arc<dyn Lake>) -> Receipts {
        if !settings.receipts {
            info!(
                "no receipts are written, as WAYBILL_RECEIPTS says: `reconcile` can only compare what has landed"
            );
            return Receipts::default();
        }
        let book = ReceiptBook::new(source);
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(book.clone().keep(Arc::clone(lake), stop.clone()));
        Receipts { book: Some(book), keeping: Some(keeping), stop }
    }

    /// The same for a process that needs no lake for anything else.
    pub(super) fn begin_if_lake(
        settings: &Settings,
        source: Source,
        lake: Option<&Arc<dyn Lake>>,
    ) -> Receipts {
        let Some(lake) = lake else {
            info!(
                "no receipts are written: set WAYBILL_LAKE here too, and `reconcile` can prove what was acknowledged"
            );
            return Receipts::default();
        };
        Receipts::begin(settings, source, lake)
    }

    /// Writes what is left.
    pub(super) async fn end(self) {
        self.stop.cancel();
        if let Some(keeping) = self.keeping {
            let _ = keeping.await;
        }
    }
}
