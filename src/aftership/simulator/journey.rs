//! One parcel's life: its scans, and the moments at which AfterShip tells us of them.
//!
//! Laid out whole when the parcel is made, so that every event is a look at the same story at another time.
//! Distribution: section 10 of the reference this was built from; suggestions, not measurements.

use std::ops::RangeInclusive;

use fastrand::Rng;

use super::versions::Version;
use super::vocabulary::{
    ABSENT, ACCEPTED, ARRIVED, CLEARED, COLLECTED, COURIERS, CUSTOMS, Courier, DELAYED, DELIVERED, DEPARTED,
    EXPIRED, FAILED, HELD, IN_COUNTRY, INFO, LOST, NEIGHBOR, OUT, PENDING, PICKUP, PROCESSING, Place,
    RESOLVED, RETURNED, RETURNING, SIGNED, Status,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// AfterShip gives a parcel up after this long without a scan.
const EXPIRES_AFTER: i64 = 30 * DAY;

/// The customer asked to be told of a parcel without a scan after this long.
const PENDING_AFTER: i64 = 2 * DAY;

/// How far back a parcel's last event may lie.
const AGE_MAX: i64 = 3 * DAY;

/// One scan. Times are seconds since 1970.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) status: &'static Status,
    pub(super) courier: &'static Courier,
    pub(super) place: Option<&'static Place>,
    pub(super) at: i64,
    /// When AfterShip asked the courier; often the same for several scans.
    pub(super) learned_at: i64,
    pub(super) hash: String,
}

/// One event: what AfterShip sends, and how much of the story it knows by then.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) event: &'static str,
    pub(super) is_first_tag: bool,
    pub(super) status: &'static Status,
    /// Scans known.
    pub(super) known: usize,
    pub(super) updated_at: i64,
    pub(super) ts: i64,
    /// When the parcel is expected by then.
    pub(super) estimated_at: i64,
    /// How often the expectation was changed.
    pub(super) revisions: usize,
}

/// A parcel.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) id: String,
    pub(super) legacy_id: String,
    pub(super) tracking_number: String,
    pub(super) order_id: u32,
    pub(super) courier: &'static Courier,
    /// The courier of the last leg, when it is another one.
    pub(super) last_mile: Option<&'static Courier>,
    /// When the customer ordered.
    pub(super) ordered_at: i64,
    pub(super) created_at: i64,
    pub(super) promised_at: i64,
    /// The account uses every feature; else most optional members are null.
    pub(super) is_full: bool,
    /// Which of the three forms of time the delivery date has.
    pub(super) date_form: u8,
    pub(super) weight_grams: u32,
    pub(super) scans: Vec<Scan>,
    pub(super) moments: Vec<Moment>,
    version: Version,
    /// AfterShip moves the URL to this version half-way.
    upgrade: Option<Version>,
}

impl Parcel {
    /// Makes a parcel whose last event lies before `clock` (seconds since 1970).
    pub(super) fn new(rng: &mut Rng, version: Version, clock: i64, orders: RangeInclusive<u32>) -> Self {
        let courier = any(rng, &COURIERS);
        let last_mile = (rng.u32(0..100) < 15)
            .then(|| any(rng, &COURIERS))
            .filter(|other| other.country != courier.country);
        let route = route(rng, last_mile.is_some());
        let is_pending = rng.u32(0..100) == 0;
        let first_at = if is_pending { PENDING_AFTER + HOUR } else { HOUR };
        let mut scans = scans(rng, &route, first_at, (courier, last_mile));
        let mut moments = moments(rng, &mut scans, is_pending);
        let last = moments.last().map_or(0, |moment| moment.ts);
        let base = clock - last - rng.i64(0..AGE_MAX);
        shift(&mut scans, &mut moments, base);
        let is_mixed = version == Version::Mixed;
        let version = if is_mixed { *any(rng, &Version::ALL) } else { version };
        let is_upgraded = is_mixed && version < Version::V2024_07 && rng.u32(0..5) == 0;
        let digits = rng.u64(0..10_000_000_000_000);
        let promised_after = rng.i64(3..8) * DAY;
        Parcel {
            id: format!("{:032x}", rng.u128(..)),
            legacy_id: (0..24).map(|_| rng.digit(36)).collect(),
            tracking_number: format!("{}{digits:013}", courier.number_prefix),
            order_id: rng.u32(orders),
            courier,
            last_mile,
            ordered_at: base - HOUR,
            created_at: base,
            promised_at: base + promised_after,
            is_full: rng.bool(),
            date_form: rng.u8(0..3),
            weight_grams: rng.u32(100..12_000),
            scans,
            moments,
            version,
            upgrade: is_upgraded.then_some(Version::V2026_07),
        }
    }

    /// The version of the body of one of the moments.
    pub(super) fn version_at(&self, index: usize) -> Version {
        match self.upgrade {
            Some(upgrade) if index * 2 >= self.moments.len() => upgrade,
            _ => self.version,
        }
    }

    /// Makes it another parcel of the same order, unless that was ordered later than this one was sent.
    pub(super) fn join_order_of(&mut self, other: &Parcel) {
        if other.ordered_at < self.created_at {
            self.order_id = other.order_id;
            self.ordered_at = other.ordered_at;
        }
    }

    /// Moves the whole story so that its first event happens at `now` and all others are still to come.
    pub(super) fn begin_at(&mut self, now: i64) {
        let by = self.moments.first().map_or(0, |first| now - first.updated_at);
        shift(&mut self.scans, &mut self.moments, by);
        self.ordered_at += by;
        self.created_at += by;
        self.promised_at += by;
    }

    /// The earliest second at which event `index` can happen after the one before it, with its new scans at seconds
    /// of their own.
    pub(super) fn ready_at(&self, index: usize) -> i64 {
        let (known, scanned_at, updated_at) = self.before(index);
        let new = self.moments[index].known.saturating_sub(known);
        (updated_at + 1).max(scanned_at.saturating_add_unsigned(new as u64))
    }

    /// Lets event `index` happen at `now`, or as soon after that as it can: the newest scan is of that second, the
    /// others that are new lie between it and what is known. What was told before stays.
    pub(super) fn happen_at(&mut self, index: usize, now: i64) {
        let now = now.max(self.ready_at(index));
        let (known, scanned_at, _) = self.before(index);
        let moment = &mut self.moments[index];
        moment.updated_at = now;
        moment.ts = now;
        let new = self.scans.get_mut(known..moment.known).unwrap_or_default();
        let steps = new.len().max(1) as i64;
        for (step, scan) in (1..).zip(new) {
            scan.at = scanned_at + (now - scanned_at) * step / steps;
            scan.learned_at = now;
        }
    }

    /// What is known before event `index`: the number of scans, the time of the newest, and of the event before.
    fn before(&self, index: usize) -> (usize, i64, i64) {
        let Some(before) = index.checked_sub(1).map(|before| &self.moments[before]) else {
            return (0, self.created_at, self.created_at);
        };
        let newest = before.known.checked_sub(1).map(|newest| &self.scans[newest]);
        (before.known, newest.map_or(self.created_at, |scan| scan.at), before.updated_at)
    }
}

/// The statuses a parcel goes through.
fn route(rng: &mut Rng, is_international: bool) -> Vec<&'static Status> {
    let mut route = vec![&INFO, &ACCEPTED];
    // One in a hundred wanders through many facilities.
    let legs = if rng.u32(0..100) == 0 { rng.usize(44..60) } else { rng.usize(8..=14) };
    transit(&mut route, legs);
    if is_international {
        route.extend([&IN_COUNTRY, &CUSTOMS, &CLEARED]);
        transit(&mut route, 2);
    }
    if rng.u32(0..100) < 6 {
        let trouble = if is_international { [&HELD, &DELAYED] } else { [&DELAYED, &PROCESSING] };
        route.extend([trouble[rng.usize(0..2)], &RESOLVED]);
    }
    let delivered = match rng.u32(0..100) {
        0..50 => &DELIVERED,
        50..85 => &SIGNED,
        _ => &NEIGHBOR,
    };
    match rng.u32(0..1000) {
        0..10 => route.push(&LOST),
        // Never scanned again: expires.
        10..30 => route.truncate(2),
        30..50 => route.extend([&OUT, &ABSENT, &RETURNING, &DEPARTED, &ARRIVED, &RETURNED]),
        50..110 => route.extend([&OUT, &ABSENT, &PICKUP, &COLLECTED]),
        110..135 => route.extend([&OUT, &FAILED, &OUT, delivered]),
        135..160 => route.extend([&OUT, &ABSENT, &OUT, delivered]),
        // A scan of an older stage after a newer one: the status goes backwards.
        160..175 => route.extend([&OUT, &ARRIVED, &OUT, delivered]),
        _ => route.extend([&OUT, delivered]),
    }
    route
}

fn transit(route: &mut Vec<&'static Status>, legs: usize) {
    route.extend((0..legs).map(|leg| if leg % 2 == 0 { &ARRIVED } else { &DEPARTED }));
}

fn scans(
    rng: &mut Rng,
    route: &[&'static Status],
    first_at: i64,
    (courier, last_mile): (&'static Courier, Option<&'static Courier>),
) -> Vec<Scan> {
    let mut at = first_at;
    let mut leg = courier;
    let mut place = any(rng, courier.places);
    let mut scans = Vec::with_capacity(route.len());
    for &status in route {
        if status.subtag == IN_COUNTRY.subtag {
            leg = last_mile.unwrap_or(courier);
        }
        // A parcel leaves from where it arrived.
        if status.subtag != DEPARTED.subtag {
            place = any(rng, leg.places);
        }
        scans.push(Scan {
            status,
            courier: leg,
            place: (status.tag != INFO.tag).then_some(place),
            at,
            learned_at: at,
            hash: format!("{:032x}{:08x}", rng.u128(..), rng.u32(..)),
        });
        at += match status.tag {
            "InfoReceived" => rng.i64(2 * HOUR..20 * HOUR),
            "OutForDelivery" => rng.i64(HOUR..7 * HOUR),
            "AttemptFail" | "Exception" => rng.i64(12 * HOUR..40 * HOUR),
            "AvailableForPickup" => rng.i64(5 * HOUR..60 * HOUR),
            _ => rng.i64(2 * HOUR..14 * HOUR),
        };
    }
    scans
}

/// When AfterShip tells us: at each change of status, now and then in between, and when the expectation changes.
/// Notes in the scans when AfterShip learned of them.
fn moments(rng: &mut Rng, scans: &mut [Scan], is_pending: bool) -> Vec<Moment> {
    let last_at = scans.last().map_or(HOUR, |scan| scan.at);
    let mut teller =
        Teller { moments: Vec::new(), tags: Vec::new(), estimated_at: last_at + rng.i64(-DAY..DAY) };
    if is_pending {
        teller.tell(rng, "tracking_pending_time", &PENDING, 0, PENDING_AFTER);
    }
    // Half the parcels are first looked at when their journey has begun.
    let first = usize::from(rng.bool());
    let mut unlearned = 0;
    for index in first..scans.len() {
        let status = scans[index].status;
        let is_change = index == first || scans[index - 1].status.tag != status.tag;
        if !is_change && index + 1 < scans.len() && rng.u32(0..100) >= 35 {
            continue;
        }
        let looked_at = scans[index].at + rng.i64(2 * MINUTE..90 * MINUTE);
        let updated_at = teller.tell(rng, "tracking_update", status, index + 1, looked_at);
        for scan in &mut scans[unlearned..=index] {
            scan.learned_at = updated_at;
        }
        unlearned = index + 1;
        let is_revised = status.tag == "InTransit" && teller.revisions() < 3 && rng.u32(0..100) < 20;
        if is_revised {
            teller.estimated_at += if rng.bool() { DAY } else { -DAY };
            let later = updated_at + rng.i64(1..30 * MINUTE);
            teller.tell(rng, "edd_revise", status, index + 1, later);
        }
    }
    if scans.len() == 2 {
        teller.tell(rng, "tracking_update", &EXPIRED, 2, last_at + EXPIRES_AFTER);
    }
    teller.moments
}

struct Teller {
    moments: Vec<Moment>,
    tags: Vec<&'static str>,
    estimated_at: i64,
}

impl Teller {
    /// Adds an event, not before the one before it, and gives its time.
    fn tell(
        &mut self,
        rng: &mut Rng,
        event: &'static str,
        status: &'static Status,
        known: usize,
        at: i64,
    ) -> i64 {
        let updated_at = self.moments.last().map_or(at, |before| at.max(before.ts));
        let is_first_tag = event == "tracking_update" && !self.tags.contains(&status.tag);
        if is_first_tag {
            self.tags.push(status.tag);
        }
        let revisions = self.revisions() + usize::from(event == "edd_revise");
        self.moments.push(Moment {
            event,
            is_first_tag,
            status,
            known,
            updated_at,
            ts: updated_at + rng.i64(0..=1),
            estimated_at: self.estimated_at,
            revisions,
        });
        updated_at
    }

    fn revisions(&self) -> usize {
        self.moments.last().map_or(0, |moment| moment.revisions)
    }
}

fn shift(scans: &mut [Scan], moments: &mut [Moment], base: i64) {
    for scan in scans {
        scan.at += base;
        scan.learned_at += base;
    }
    for moment in moments {
        moment.updated_at += base;
        moment.ts += base;
        moment.estimated_at += base;
    }
}

/// One of a list that is never empty.
fn any<'l, T>(rng: &mut Rng, list: &'l [T]) -> &'l T {
    &list[rng.usize(0..list.len())]
}
