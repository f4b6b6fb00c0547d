//! What is about a span as a whole, at the end of the walk.

use std::collections::BTreeMap;

use crate::reconcile::ReconcileError;
use crate::reconcile::fates::{Travel, fates};
use crate::reconcile::minutes::{Cover, Place, SOURCES};
use crate::reconcile::report::{Difference, Kind, Report, settle};
use crate::reconcile::rows::FACTS_MAX;

use super::Walk;

impl Walk<'_> {
    /// What is about the span as a whole, and the report.
    pub(in crate::reconcile) async fn finish(mut self) -> Result<Report, ReconcileError> {
        self.facts().await?;
        self.receipts();
        let travel = Travel { now: self.now, max: self.reconcile.settings.travel_max };
        self.differences.extend(fates(std::mem::take(&mut self.missing), self.waiting, travel));
        for difference in self.differences.iter().filter(|difference| difference.kind == Kind::Waiting) {
            for minute in &mut self.minutes {
                if difference.minute == Some(minute.minute) && difference.source == Some(minute.source) {
                    minute.waiting += difference.count;
                }
            }
        }
        for source in SOURCES.map(|source| source.as_str()) {
            let unproven = self.minutes.iter().filter(|minute| {
                minute.source == source
                    && minute.landed.count > 0
                    && self.coverage.of((minute.minute, source)) == Cover::None
            });
            let count = unproven.count();
            if count > 0 {
                self.notes.push(format!(
                    "{count} minutes with events have no receipts of {source}: nobody can tell what was acknowledged in them \
                     (a receiver writes receipts when it has WAYBILL_LAKE and WAYBILL_RECEIPTS is on)"
                ));
            }
        }
        settle(&mut self.minutes, &mut self.differences);
        Ok(Report {
            from: self.span.from,
            until: self.span.until,
            made_at: crate::event::truncate_to_micros(self.now),
            minutes: self.minutes,
            differences: self.differences,
            notes: self.notes,
        })
    }

    async fn facts(&mut self) -> Result<(), ReconcileError> {
        let facts = self.tables.facts(self.span).await?;
        // A row without its event is the event's difference, named already.
        let forged = facts.forged.into_iter().filter(|(_, source)| !self.rowless.contains(source));
        let forged: Vec<String> = forged.map(|(tracking, _)| tracking).collect();
        for (kind, ids, is_more, text) in [
            (
                Kind::FactMissing,
                facts.missing,
                facts.is_more_touched,
                "these trackings have events and no row in base.fct_shipment_tracking: delete their rows in \
                 base.fct_tracking_checkpoint, then their objects from \
                 raw.loaded_file, and load again",
            ),
            (
                Kind::FactMissing,
                facts.miscounted,
                facts.is_more_touched,
                "these trackings have another number of checkpoints than their rows say: delete their rows there \
                 and in base.fct_shipment_tracking, then their objects from \
                 raw.loaded_file, and load again",
            ),
            (
                Kind::FactForged,
                forged,
                facts.is_more_forged,
                "these rows of base.fct_shipment_tracking are of no event that was loaded: somebody wrote or changed them; \
                 delete them, and `--rebuild` shows what else differs",
            ),
            (
                Kind::FactForged,
                facts.doubled,
                facts.is_more_doubled,
                "these trackings have more than one row in base.fct_shipment_tracking, which the loader never writes: delete \
                 all of them, and those of their objects from raw.loaded_file, and load again",
            ),
        ] {
            if !ids.is_empty() {
                let least = if is_more {
                    format!("at least so many, as no more than {FACTS_MAX} are looked for: ")
                } else {
                    String::new()
                };
                self.differences.push(Difference::of(kind, ids, format!("{least}{text}")));
            }
        }
        Ok(())
    }

    /// Receipts that are gone, and writers that died.
    fn receipts(&mut self) {
        let mut holes: BTreeMap<Place, Vec<String>> = BTreeMap::new();
        for hole in &self.coverage.holes {
            holes.entry((hole.minute, hole.source)).or_default().push(hole.writer.clone());
        }
        for ((minute, source), writers) in holes {
            let text = "these writers' receipts of the minute, or parts of them, are gone, and later ones are there: somebody \
                        deleted them, or their retention is over; what was acknowledged then cannot be proven";
            let difference = Difference::of(Kind::ReceiptMissing, writers, text);
            self.differences.push(difference.at(minute).in_source(source));
        }
        for dead in &self.coverage.dead {
            let count = self.explained_by_death.get(dead.source).copied().unwrap_or(0);
            let text = format!(
                "this writer of receipts left none from this minute on, and no word of its end: it was killed, or cannot \
                 reach the lake. {count} events of {source} landed around then without a receipt; that is no loss, and no \
                 proof either that there was none",
                source = dead.source
            );
            let difference = Difference::of(Kind::ReceiverDied, vec![dead.writer.clone()], text);
            self.differences.push(difference.at(dead.since).in_source(dead.source).explained());
        }
    }
}
