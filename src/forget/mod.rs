//! The mover that erases a person wherever an event of theirs rests.
//!
//! In this order: a record; the list of who is erased ([`crate::lake::suppressed`]), from where on nothing of the
//! person comes to rest any more; the warehouse, which people query; the lake's objects and dead letters; a second look
//! at everything; a record. Each step can be repeated, so an erasure that was killed goes on when it is asked for again.
//! Nothing that is written down names the person: keyed hashes stand for them.
//!
//! Lines and rows stay, so that every count stays; what tells of the person goes out of them ([`look`]).

mod look;
mod scan;
pub mod subject;

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

use crate::aftership::personal::pseudonym;
use crate::failpoint::failpoint;
use crate::lake::audit::{self, Action, Audit};
use crate::lake::suppressed::{self, Entry, Latest, ListError, Suppressed};
use crate::lake::{Lake, LakeError};
use crate::warehouse::{Erasure, Warehouse, WarehouseError};

use look::Wanted;
use scan::Found;
use subject::{Kind, Subject, Words};

/// Looks at everything; each but the last one found something.
const PASSES_MAX: usize = 20;

/// The mover.
pub struct Forget {
    /// Where lines and letters are.
    pub lake: Arc<dyn Lake>,
    /// Where rows are.
    pub warehouse: Arc<dyn Warehouse>,
    /// Who is erased already; has the key.
    pub suppressed: Latest,
}

/// What an operator asks for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whom to erase; `None`: once more everybody on the list.
    pub subject: Option<Subject>,
    /// Numbers of parcel and order go too.
    pub with_numbers: bool,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// The operator's name on the machine.
    pub who: Option<String>,
}

/// What was found, or done.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The erasure; `None` when nothing was done.
    pub erasure_id: Option<String>,
    /// Trackings it is about, older ids counted too.
    pub trackings: usize,
    /// Lines of the lake with something to erase.
    pub lines: u64,
    /// Objects that they are in.
    pub objects: usize,
    /// Dead letters.
    pub letters: usize,
    /// Objects and letters that nobody can look into.
    pub unreadable: u64,
    /// False when it was interrupted: ask again, and it goes on.
    pub is_over: bool,
}

/// Why it stopped. What was done until then stays done; asked again it goes on.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The lake.
    #[error("cannot erase in the lake")]
    Lake(#[from] LakeError),
    /// The list of who is erased.
    #[error("cannot tell who is erased")]
    List(#[from] ListError),
    /// The warehouse.
    #[error("cannot erase in the warehouse")]
    Warehouse(#[from] WarehouseError),
    /// More comes as fast as it is erased.
    #[error("after {PASSES_MAX} looks there is still something new to erase")]
    Restless,
}

/// An erasure under way.
struct Run<'a> {
    order: &'a Order,
    id: String,
    at: Timestamp,
    words: Words,
}

impl Forget {
    /// Looks, and does nothing.
    pub async fn preview(
        &self,
        order: &Order,
        stop: &CancellationToken,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<Report, ForgetError> {
        let words = Words::of(order.subject.as_ref());
        let mut run = Run { order, id: String::new(), at: now(), words };
        let mut list = self.suppressed.refresh(self.lake.as_ref()).await?;
        for _ in 0..PASSES_MAX {
            let wanted = run.wanted(Arc::clone(&list));
            let Some(mut found) = scan::find(&self.lake, &wanted, stop, &mut progress).await? else {
                return Ok(Report::default());
            };
            run.words.add(std::mem::take(&mut found.seen.words));
            let trackings = self.known_as(&run, &found).await?;
            let hashed = |(id, numbers): &(String, bool)| (pseudonym(id, list.key()), *numbers);
            let more: Vec<_> = trackings.iter().map(hashed).collect();
            let is_known = more.iter().all(|(hash, numbers)| list.has_tracking(hash, *numbers));
            if is_known && run.words == wanted.words {
                return Ok(Report {
                    erasure_id: None,
                    trackings: trackings.len(),
                    lines: found.seen.lines,
                    objects: found.objects.len(),
                    letters: found.letters.len(),
                    unreadable: found.unreadable,
                    is_over: true,
                });
            }
            // Other events of what was found need not name the person, and what quotes them need not be an event.
            list = Arc::new(list.plus(more));
        }
        Err(ForgetError::Restless)
    }

    /// Erases, until a look at everything finds nothing more.
    pub async fn forget(
        &self,
        order: &Order,
        stop: &CancellationToken,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<Report, ForgetError> {
        let mut run = self.begin(order).await?;
        let mut report = Report { erasure_id: Some(run.id.clone()), ..Report::default() };
        for _ in 0..PASSES_MAX {
            let list = self.suppressed.refresh(self.lake.as_ref()).await?;
            let wanted = run.wanted(Arc::clone(&list));
            let Some(mut found) = scan::find(&self.lake, &wanted, stop, &mut progress).await? else {
                return Ok(report);
            };
            run.words.add(std::mem::take(&mut found.seen.words));
            let trackings = self.known_as(&run, &found).await?;
            report.trackings = trackings.len();
            report.unreadable = found.unreadable;
            let is_new = self.remember(&run, &list, &trackings).await?;

            failpoint!("forget.before_warehouse");
            let erasure = Erasure { trackings, words: run.words.to_vec() };
            self.warehouse.erase(erasure).await?;
            failpoint!("forget.after_warehouse");

            if !is_new && found.objects.is_empty() && found.letters.is_empty() {
                self.end(&run, &report).await?;
                report.is_over = true;
                return Ok(report);
            }
            let list = self.suppressed.refresh(self.lake.as_ref()).await?;
            if !self.erase(&run.wanted(list), &found, run.at, stop, &mut report).await? {
                return Ok(report);
            }
        }
        Err(ForgetError::Restless)
    }

    /// Writes down what is about to be done and who it is about; or takes up what was begun before.
    async fn begin<'a>(&self, order: &'a Order) -> Result<Run<'a>, ForgetError> {
        let list = self.suppressed.refresh(self.lake.as_ref()).await?;
        let begun = order.subject.as_ref().and_then(|subject| {
            list.open()
                .find(|open| open.subject == subject.hashed() && open.with_numbers == order.with_numbers)
        });
        let run = Run {
            order,
            id: begun.map_or_else(|| Uuid::now_v7().to_string(), |open| open.id.clone()),
            at: begun.map_or_else(now, |open| open.at),
            words: Words::of(order.subject.as_ref()),
        };
        self.record(&run, Action::Forget, 0).await?;
        failpoint!("forget.after_audit");
        if let (Some(subject), None) = (&order.subject, begun) {
            let named = vec![subject.pseudonym().to_owned()];
            let (people, trackings) = match subject.kind() {
                Kind::Customer => (named, Vec::new()),
                Kind::Tracking => (Vec::new(), named),
            };
            let subject = Some(subject.hashed());
            let entry = Entry { subject, people, ..run.entry(&list, trackings, order.with_numbers) };
            suppressed::put(self.lake.as_ref(), &entry).await?;
        }
        failpoint!("forget.after_suppressed");
        Ok(run)
    }

    /// All ids of what was found, also those that only the warehouse knows; each with whether its numbers go too.
    async fn known_as(&self, run: &Run<'_>, found: &Found) -> Result<Vec<(String, bool)>, ForgetError> {
        let mut all = found.seen.trackings.clone();
        let number = run.order.subject.as_ref().filter(|subject| subject.kind() == Kind::Tracking);
        let number = number.map(|subject| subject.text().to_owned());
        for with_numbers in [false, true] {
            let of = found.seen.trackings.iter().filter(|(_, numbers)| **numbers == with_numbers);
            let mut ids: Vec<String> = of.map(|(id, _)| id.clone()).collect();
            let number = number.clone().filter(|_| with_numbers == run.order.with_numbers);
            ids.extend(number.clone());
            if ids.is_empty() {
                continue;
            }
            for id in self.warehouse.known_as(ids, number).await? {
                *all.entry(id).or_default() |= with_numbers;
            }
        }
        Ok(all.into_iter().collect())
    }

    /// Adds trackings to the list that are not on it yet; false when all are.
    async fn remember(
        &self,
        run: &Run<'_>,
        list: &Suppressed,
        trackings: &[(String, bool)],
    ) -> Result<bool, ForgetError> {
        let mut is_new = false;
        for with_numbers in [false, true] {
            let hashes: Vec<String> = trackings
                .iter()
                .filter(|(_, numbers)| *numbers == with_numbers)
                .map(|(id, _)| pseudonym(id, list.key()))
                .filter(|hash| !list.has_tracking(hash, with_numbers))
                .collect();
            if !hashes.is_empty() {
                is_new = true;
                suppressed::put(self.lake.as_ref(), &run.entry(list, hashes, with_numbers)).await?;
                failpoint!("forget.after_found");
            }
        }
        Ok(is_new)
    }

    /// False when it was told to stop.
    async fn erase(
        &self,
        wanted: &Wanted,
        found: &Found,
        at: Timestamp,
        stop: &CancellationToken,
        report: &mut Report,
    ) -> Result<bool, ForgetError> {
        let lake = self.lake.as_ref();
        for key in &found.objects {
            if stop.is_cancelled() {
                return Ok(false);
            }
            let lines = scan::erase_object(lake, wanted, key).await?;
            report.lines += lines;
            report.objects += usize::from(lines > 0);
        }
        for key in &found.letters {
            if stop.is_cancelled() {
                return Ok(false);
            }
            scan::erase_letter(lake, key, at).await?;
            report.letters += 1;
        }
        Ok(true)
    }

    async fn end(&self, run: &Run<'_>, report: &Report) -> Result<(), ForgetError> {
        failpoint!("forget.before_audit");
        let count = usize::try_from(report.lines).unwrap_or(usize::MAX).saturating_add(report.letters);
        self.record(run, Action::Forgotten, count).await?;
        failpoint!("forget.before_over");
        if let Some(subject) = &run.order.subject {
            // Those that were begun before and asked for no more are over with this one.
            let list = self.suppressed.refresh(self.lake.as_ref()).await?;
            let covered = |numbers: bool| run.order.with_numbers || !numbers;
            for open in
                list.open().filter(|open| open.subject == subject.hashed() && covered(open.with_numbers))
            {
                suppressed::close(self.lake.as_ref(), &open.id).await?;
            }
        }
        info!(
            forget.erasure = %run.id, forget.lines = report.lines, forget.letters = report.letters,
            "erased {} lines in {} objects and {} dead letters", report.lines, report.objects, report.letters
        );
        Ok(())
    }

    async fn record(&self, run: &Run<'_>, action: Action, count: usize) -> Result<(), ForgetError> {
        let audit = Audit {
            v: 1,
            at: now(),
            action,
            who: run.order.who.clone(),
            filter: run.order.subject.as_ref().map_or_else(|| "sweep".to_owned(), Subject::hashed),
            count,
            ids: vec![run.id.clone()],
            reason: run.order.reason.clone(),
            replay_id: None,
        };
        Ok(audit::record(self.lake.as_ref(), &audit).await?)
    }
}

impl Run<'_> {
    fn wanted(&self, suppressed: Arc<Suppressed>) -> Wanted {
        Wanted {
            suppressed,
            subject: self.order.subject.clone(),
            until: self.at,
            with_numbers: self.order.with_numbers,
            words: self.words.clone(),
        }
    }

    fn entry(&self, list: &Suppressed, trackings: Vec<String>, with_numbers: bool) -> Entry {
        Entry {
            v: 1,
            id: self.id.clone(),
            at: self.at,
            key_id: list.key_id().to_owned(),
            subject: None,
            people: Vec::new(),
            trackings,
            with_numbers,
        }
    }
}

fn now() -> Timestamp {
    crate::event::truncate_to_micros(Timestamp::now())
}
