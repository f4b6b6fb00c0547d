//! One parcel, found by whatever names it: its facts, and every line in the lake that they come from.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::lake::dead_letter::{Filter, Listed};

use super::Console;
use super::ask::{Given, Row, Rows, ask, sought};
use super::fault::Fault;
use super::letters;

/// Parcels that one search finds.
const FOUND_MAX: u64 = 20;
/// Events of a parcel that are shown, newest first.
pub(super) const EVENTS_MAX: u64 = 50;
/// Checkpoints of a parcel that are shown.
const CHECKPOINTS_MAX: u64 = 200;
/// Lines of its order that are shown.
const LINES_MAX: u64 = 100;

/// How far back an event's dead letters are looked for.
const LETTER_DAYS: i64 = 30;

const PARCELS: &str = "
select
  t.tracking_id, t.source_tracking_id, t.legacy_id, t.tracking_number, t.courier, t.tag, t.subtag, t.subtag_message,
  t.order_id, t.order_number, t.origin_country, t.destination_country, t.created_at, t.updated_at, t.event_at,
  t.body_sha256, t.delivered_at, t.last_checkpoint_at, t.estimated_delivery_text, t.promised_delivery_text,
  t.on_time_status, t.checkpoint_count, t.is_test
from base.fct_shipment_tracking as t
where {which}
order by t.updated_at desc, t.tracking_id
limit {limit}";

/// By anything that names a parcel or its order.
const BY_NAME: &str = "t.tracking_id = {find} or t.source_tracking_id = {find} or t.tracking_number = {find}
  or t.order_id = {find} or t.order_number = {find} or t.order_number = {number}
  or t.tracking_id in (select a.tracking_id from raw.tracking_alias as a where a.legacy_id = {find})";

/// By the parcel that an event is about, under whatever id it carries.
const BY_EVENT: &str = "t.tracking_id = {id} or t.source_tracking_id = {id}
  or t.tracking_id in (select a.tracking_id from raw.tracking_alias as a where a.legacy_id = {id})";

/// Parcels of the same order.
const BY_ORDER: &str =
    "(t.order_id = {order_id} or t.order_number = {order_number}) and t.tracking_id <> {id}";

const EVENT: &str = "
select e.event_key, e.tracking_id from raw.tracking_event as e
where e.event_key = {key} or e.event_id = {find}
limit 1";

const CHECKPOINTS: &str = "
select
  c.position, c.checkpoint_at, c.checkpoint_time_text, c.courier, c.tag, c.subtag, c.subtag_message, c.message,
  c.location
from base.fct_tracking_checkpoint as c
where c.tracking_id = {id}
order by c.position
limit {limit}";

const LINES: &str = "
select
  b.order_item_id, b.order_id, b.link_source, l.order_date, l.quantity, l.unit_price, l.line_amount, l.product_id,
  p.product_name, s.order_status
from base.bridge_order_line_tracking as b
join base.fct_order_line as l on l.order_item_id = b.order_item_id and l.order_id = b.order_id
left join base.dim_product as p on p.product_key = l.product_key
left join base.dim_order_status as s on s.order_status_key = l.order_status_key
where b.tracking_id = {id}
order by b.order_item_id
limit {limit}";

/// Every line in the lake that a row stands for, with what the ledger says of its object.
const EVENTS: &str = "
select
  e.event_key, e.event_id, e.event, e.source, e.received_at, e.replay_id, e.body_sha256, e.file, e.line, e.is_conflict,
  f.status, f.landed_at, f.loaded_at
from (
  select event_key, event_id, event, source, received_at, replay_id, body_sha256, file, line, tracking_id,
    false as is_conflict
  from raw.tracking_event
  union all
  select event_key, event_id, event, source, received_at, replay_id, body_sha256, file, line, tracking_id,
    true as is_conflict
  from raw.tracking_event_conflict
) as e
left join raw.loaded_file as f on f.file = e.file and f.dataset = 'tracking'
where e.tracking_id = {id} or e.tracking_id = {source_id}
  or e.tracking_id in (select a.legacy_id from raw.tracking_alias as a where a.tracking_id = {id})
order by e.received_at desc, e.event_key
limit {limit}";

/// What a search comes to.
pub(super) struct Found {
    /// The events that were asked for by their own id.
    pub(super) event_key: Option<String>,
    pub(super) parcels: Rows,
    /// Of the one parcel that was found.
    pub(super) detail: Option<Detail>,
    /// Dead letters of the event that was asked for.
    pub(super) letters: Vec<Listed>,
}

/// All about one parcel.
pub(super) struct Detail {
    pub(super) checkpoints: Rows,
    pub(super) lines: Rows,
    pub(super) others: Rows,
    pub(super) events: Rows,
}

/// Looks for it.
pub(super) async fn search(console: &Console, find: &str) -> Result<Found, Fault> {
    let find = sought(find)?;
    let number = format!("#{find}");
    let named = PARCELS.replace("{which}", BY_NAME);
    let values =
        [("find", Given::Text(find)), ("number", Given::Text(&number)), ("limit", Given::Whole(FOUND_MAX))];
    let mut parcels = ask(console, &named, &values).await?;
    let mut event_key = None;
    let mut letters = Vec::new();
    if parcels.is_empty() {
        // Keys of events are in lower case; AfterShip's ids are as it writes them.
        let key = find.to_ascii_lowercase();
        let events = ask(console, EVENT, &[("key", Given::Text(&key)), ("find", Given::Text(find))]).await?;
        if let Some(event) = events.first() {
            event_key = Some(event.text("event_key"));
            let id = event.text("tracking_id");
            let values = [("id", Given::Text(&id)), ("limit", Given::Whole(FOUND_MAX))];
            parcels = ask(console, &PARCELS.replace("{which}", BY_EVENT), &values).await?;
        }
        letters = dead(console, &key).await;
    }
    let detail = match (parcels.len(), parcels.first()) {
        (1, Some(parcel)) => Some(detail(console, &parcel).await?),
        _ => None,
    };
    Ok(Found { event_key, parcels, detail, letters })
}

async fn detail(console: &Console, parcel: &Row<'_>) -> Result<Detail, Fault> {
    let (id, source_id) = (parcel.text("tracking_id"), parcel.text("source_tracking_id"));
    let (order_id, order_number) = (parcel.text("order_id"), parcel.text("order_number"));
    let id_of = ("id", Given::Text(&id));
    let checkpoints = ask(console, CHECKPOINTS, &[id_of, ("limit", Given::Whole(CHECKPOINTS_MAX))]).await?;
    let lines = ask(console, LINES, &[id_of, ("limit", Given::Whole(LINES_MAX))]).await?;
    let others = if order_id.is_empty() && order_number.is_empty() {
        Rows::default()
    } else {
        // An absent one is no text that any parcel has.
        let given = |text: &str| if text.is_empty() { "(none)".to_owned() } else { text.to_owned() };
        let (order_id, order_number) = (given(&order_id), given(&order_number));
        let values = [
            id_of,
            ("order_id", Given::Text(&order_id)),
            ("order_number", Given::Text(&order_number)),
            ("limit", Given::Whole(FOUND_MAX)),
        ];
        ask(console, &PARCELS.replace("{which}", BY_ORDER), &values).await?
    };
    let values = [id_of, ("source_id", Given::Text(&source_id)), ("limit", Given::Whole(EVENTS_MAX))];
    let events = ask(console, EVENTS, &values).await?;
    Ok(Detail { checkpoints, lines, others, events })
}

/// Dead letters with this key. A lake that is away or large must not hide what the warehouse knows.
async fn dead(console: &Console, key: &str) -> Vec<Listed> {
    if console.parts().lake.is_none() {
        return Vec::new();
    }
    let since = Timestamp::now().checked_sub(SignedDuration::from_hours(24 * LETTER_DAYS)).ok();
    let filter = Filter { since, ..Filter::default() };
    let mut listed = letters::list(console, &filter, true).await.unwrap_or_default();
    listed.retain(|listed| listed.letter.event_key.as_deref() == Some(key));
    listed
}

/// The same for programs.
pub(super) async fn json(console: &Console, find: &str) -> Result<Value, Fault> {
    let found = search(console, find).await?;
    let detail = found.detail.as_ref();
    let letters: Vec<Value> = found.letters.iter().map(letters::summary).collect();
    Ok(json!({
        "find": find,
        "event_key": found.event_key,
        "trackings": found.parcels.to_json(),
        "checkpoints": detail.map(|detail| detail.checkpoints.to_json()),
        "order_lines": detail.map(|detail| detail.lines.to_json()),
        "other_trackings": detail.map(|detail| detail.others.to_json()),
        "events": detail.map(|detail| detail.events.to_json()),
        "dead_letters": letters,
    }))
}

/// Parcels with the latest news: something to look at before anything is looked for.
pub(super) async fn latest(console: &Console) -> Result<Rows, Fault> {
    let sql = PARCELS.replace("{which}", "not t.is_test");
    ask(console, &sql, &[("limit", Given::Whole(FOUND_MAX))]).await
}
