//! Compares with AfterShip's own list: names trackings whose newest state we do not have, and sends that state through the
//! queue when asked to.
//!
//! A webhook that was refused for good, or never sent, leaves no trace with us; AfterShip's list is the only one that
//! knows. It knows states, not events: what was between two states stays unknown.

mod heal;
mod standing;

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use crate::aftership::api::{self, ListQuery, Next, Snapshot};
use crate::aftership::client::{Api, ApiError};
use crate::warehouse::Warehouse;

pub use heal::{HealOrder, Healed, heal};

use super::report::{Difference, Kind};
use super::rows::{instant_literal, text};
use super::{Reconcile, ReconcileError, Report};

use standing::{Standing, standing, states};

/// How often a list begins again, since AfterShip no longer knew where it was.
const RESTARTS_MAX: u32 = 3;
/// Trackings that AfterShip does not list, and that are asked for one by one.
const ASKED_MAX: usize = 100;
/// Characters of an id before version 2024-07, by which the API no longer finds anything.
const OLD_ID_CHARS: usize = 24;

/// A tracking whose newest state we do not have. The state itself is not kept: all of them may be more than fits into
/// memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// AfterShip's id.
    pub id: String,
    /// When AfterShip changed it last.
    pub updated_at: Option<Timestamp>,
    /// Ours is of the same second and says something else.
    pub is_same_second: bool,
}

/// What AfterShip's list says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Trackings in the list.
    pub listed: u64,
    /// Those whose newest state we do not have.
    pub behind: Vec<Behind>,
    /// Trackings that AfterShip has no more.
    pub deleted: Vec<String>,
    /// There are more than were asked for.
    pub is_more_deleted: bool,
    /// Entries of the list that nobody can read.
    pub unreadable: u64,
    /// Trackings that we have, and of which AfterShip does not say when it changed them.
    pub undated: u64,
}

/// What may still be on its way, and is not behind for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnItsWay {
    /// What AfterShip changed at or after this instant.
    since: Timestamp,
}

impl OnItsWay {
    /// All that changed less than `grace` before `now`, or before the first minute of which events wait in the queue.
    pub fn of(report: &Report, now: Timestamp, grace: SignedDuration) -> OnItsWay {
        let waits = |one: &&Difference| one.kind == Kind::Waiting && one.is_explained;
        let waiting = report.differences.iter().filter(waits).filter_map(|one| one.minute).min();
        let first = waiting.map_or(now, |minute| minute.min(now));
        OnItsWay { since: first.checked_sub(grace).unwrap_or(Timestamp::MIN) }
    }

    fn has(self, behind: &Behind) -> bool {
        behind.updated_at.is_some_and(|at| at >= self.since)
    }
}

impl Sweep {
    /// As differences. `healed`: the states were just sent to the queue.
    pub fn differences(&self, healed: bool, on_its_way: OnItsWay) -> Vec<Difference> {
        let behind = |fits: &dyn Fn(&Behind) -> bool| -> Vec<String> {
            self.behind.iter().filter(|&one| fits(one)).map(|one| one.id.clone()).collect()
        };
        let young = behind(&|one: &Behind| on_its_way.has(one));
        let older = behind(&|one: &Behind| !on_its_way.has(one) && !one.is_same_second);
        let tied = behind(&|one: &Behind| !on_its_way.has(one) && one.is_same_second);
        let healed_text = "AfterShip had newer states of these trackings; they were sent to the queue and are loaded like \
                           any other";
        let mut differences = Vec::new();
        for (ids, is_explained, text) in [
            (
                young,
                true,
                if healed {
                    healed_text
                } else {
                    "AfterShip has newer states of these trackings, so young that they may still be on their way"
                },
            ),
            (
                older,
                healed,
                if healed {
                    healed_text
                } else {
                    "AfterShip has newer states of these trackings, or we have none: their webhooks were refused, or never \
                     came; `--heal` fetches them"
                },
            ),
            (
                tied,
                healed,
                if healed {
                    healed_text
                } else {
                    "AfterShip changed these trackings more than once within a second, and its status or number of \
                     checkpoints is not ours. `--heal` fetches them, but a webhook of the same second counts as the newer \
                     state: then only the next change brings them right"
                },
            ),
        ] {
            if !ids.is_empty() {
                let difference = Difference::of(Kind::BehindAftership, ids, text);
                differences.push(if is_explained { difference.explained() } else { difference });
            }
        }
        if !self.deleted.is_empty() {
            let least = if self.is_more_deleted {
                format!("at least so many, as no more than {ASKED_MAX} are asked for: ")
            } else {
                String::new()
            };
            let text = "AfterShip has these trackings no more: they were deleted there; here they stay";
            let difference =
                Difference::of(Kind::DeletedAtAftership, self.deleted.clone(), format!("{least}{text}"));
            differences.push(difference.explained());
        }
        differences
    }

    /// What could not be compared.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unreadable > 0 {
            notes.push(format!(
                "{} trackings of AfterShip's list cannot be read, and were not compared",
                self.unreadable
            ));
        }
        if self.undated > 0 {
            notes.push(format!(
                "of {} trackings AfterShip does not say when it changed them last: nobody can tell whether ours are older",
                self.undated
            ));
        }
        notes
    }
}

impl Reconcile {
    /// Compares AfterShip's list of what changed from one instant to another with the facts. `progress` gets (done, of)
    /// in trackings.
    pub async fn sweep(
        &self,
        api: &Api,
        from: Timestamp,
        until: Timestamp,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Sweep, ReconcileError> {
        let warehouse = self.warehouse.as_ref();
        let first = ListQuery {
            updated_from: Some(from),
            updated_until: Some(until),
            limit: api::LIMIT_MAX,
            ..ListQuery::default()
        };
        let mut sweep = Sweep::default();
        let (mut seen, mut behind) = (HashSet::new(), BTreeMap::new());
        let mut asked: HashSet<Next> = HashSet::new();
        let mut query = first.clone();
        let mut restarts = 0;
        loop {
            let page = match api.list(&query).await {
                Ok((page, _)) => page,
                // Pages that were read already are read again, which changes nothing.
                Err(ApiError::CursorExpired) if restarts < RESTARTS_MAX => {
                    restarts += 1;
                    asked.clear();
                    sweep.unreadable = 0;
                    query = first.clone();
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let ids: Vec<String> = page.trackings.iter().map(|snapshot| snapshot.id.clone()).collect();
            let states = states(warehouse, &ids).await?;
            sweep.unreadable += page.unreadable.len() as u64;
            for snapshot in page.trackings {
                let is_new = seen.insert(snapshot.id.clone());
                match standing(&snapshot, states.get(&snapshot.id)) {
                    Standing::Here => {}
                    Standing::Unknown => sweep.undated += u64::from(is_new),
                    Standing::Behind { is_same_second } => {
                        let Snapshot { id, updated_at, .. } = snapshot;
                        behind.insert(id.clone(), Behind { id, updated_at, is_same_second });
                    }
                }
            }
            let done = seen.len() as u64;
            progress(done, page.total.unwrap_or(done).max(done));
            match page.next {
                // Else it would never end.
                Some(next) if !asked.insert(next.clone()) => {
                    let text = "the list leads in a circle: it names a page that was read already";
                    return Err(ApiError::Unreadable(text.to_owned()).into());
                }
                Some(next) => query = ListQuery { next: Some(next), ..first.clone() },
                None => break,
            }
        }
        sweep.listed = seen.len() as u64;
        sweep.behind = behind.into_values().collect();
        (sweep.deleted, sweep.is_more_deleted) = deleted(api, warehouse, from, until, &seen).await?;
        Ok(sweep)
    }
}

/// Trackings that changed in the span as far as we know, that AfterShip does not list, and that it has no more. What
/// changed again since is not listed either, so each is asked for. The second: whether there were more than are asked for.
async fn deleted(
    api: &Api,
    warehouse: &dyn Warehouse,
    from: Timestamp,
    until: Timestamp,
    seen: &HashSet<String>,
) -> Result<(Vec<String>, bool), ReconcileError> {
    let sql = format!(
        "select f.source_tracking_id, f.tracking_id from base.fct_shipment_tracking as f
         where f.updated_at >= {} and f.updated_at < {} and not f.is_test
         order by f.updated_at desc",
        instant_literal(from),
        instant_literal(until)
    );
    let mut unlisted = Vec::new();
    for row in &warehouse.query(&sql).await?.rows {
        let (id, tracking) = (text(row, 0)?, text(row, 1)?);
        let can_be_asked_for = !id.contains('/') && id.len() != OLD_ID_CHARS;
        if can_be_asked_for && !seen.contains(&id) && !seen.contains(&tracking) {
            unlisted.push(id);
        }
    }
    let is_more = unlisted.len() > ASKED_MAX;
    if is_more {
        let more = unlisted.len() - ASKED_MAX;
        warn!(more, "AfterShip does not list {} trackings: only {ASKED_MAX} are asked for", unlisted.len());
        unlisted.truncate(ASKED_MAX);
    }
    let mut deleted = Vec::new();
    for id in unlisted {
        match api.get(&id).await {
            Ok(Some(_)) => {}
            Ok(None) => deleted.push(id),
            // An id of another kind than this version of the API takes says nothing about the others.
            Err(error @ ApiError::Refused { .. }) => {
                warn!(%error, "AfterShip cannot be asked for a tracking")
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((deleted, is_more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn behind(id: &str, updated_at: &str, is_same_second: bool) -> Behind {
        Behind { id: id.to_owned(), updated_at: Some(at(updated_at)), is_same_second }
    }

    fn nothing() -> OnItsWay {
        OnItsWay { since: Timestamp::MAX }
    }

    fn report(differences: Vec<Difference>) -> Report {
        let now = at("2026-07-09T12:00:00Z");
        Report { from: now, until: now, made_at: now, minutes: Vec::new(), differences, notes: Vec::new() }
    }

    #[test]
    fn what_was_healed_is_explained_and_a_deletion_is_no_fault() {
        let noon = "2026-07-09T12:00:00Z";
        let sweep = Sweep {
            listed: 2,
            behind: vec![behind("b", noon, false), behind("a", noon, false), behind("c", noon, true)],
            deleted: vec!["d".to_owned()],
            unreadable: 3,
            ..Sweep::default()
        };

        let kinds: Vec<(Kind, bool)> =
            sweep.differences(false, nothing()).iter().map(|one| (one.kind, one.is_explained)).collect();
        let open = (Kind::BehindAftership, false);
        assert_eq!(kinds, [open, open, (Kind::DeletedAtAftership, true)]);
        let after = sweep.differences(true, nothing());
        assert!(after.iter().all(|one| one.is_explained));
        assert_eq!(
            (&after[0].ids, &after[1].ids),
            (&vec!["a".to_owned(), "b".to_owned()], &vec!["c".to_owned()])
        );
        assert!(sweep.notes()[0].starts_with("3 trackings"), "{:?}", sweep.notes());
        assert_eq!(Sweep::default().differences(false, nothing()), []);
        assert_eq!(Sweep::default().notes(), [""; 0]);
    }

    #[test]
    fn what_may_be_on_its_way_is_not_behind() {
        let now = at("2026-07-09T12:00:00Z");
        let grace = SignedDuration::from_mins(10);
        let sweep = Sweep {
            behind: vec![
                behind("old", "2026-07-09T11:39:59Z", false),
                behind("waits", "2026-07-09T11:40:00Z", false),
                behind("young", "2026-07-09T11:50:00Z", false),
            ],
            ..Sweep::default()
        };
        let explained = |report: &Report| -> Vec<String> {
            let differences = sweep.differences(false, OnItsWay::of(report, now, grace));
            differences.into_iter().filter(|one| one.is_explained).flat_map(|one| one.ids).collect()
        };
        let waiting =
            Difference::of(Kind::Waiting, vec!["k".to_owned()], "waits").at(at("2026-07-09T11:50:00Z"));

        assert_eq!(explained(&report(Vec::new())), ["young"]);
        assert_eq!(explained(&report(vec![waiting.clone()])), ["young"], "overdue messages explain nothing");
        assert_eq!(explained(&report(vec![waiting.explained()])), ["waits", "young"]);
    }
}
