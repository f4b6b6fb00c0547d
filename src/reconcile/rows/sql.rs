//! The questions as SQL, and how each engine writes what is in them. Pure.

use jiff::Timestamp;

use crate::reconcile::Span;
use crate::warehouse::literal_of;

use super::FACTS_MAX;

/// The hash of a bag of keys from SQL: of each key's SHA-256 the first four quarters of 32 bits, each added up.
pub(super) fn bags_sql(kind: &str, span: Span) -> String {
    let (minute, digits): (&str, &str) = match kind {
        "duckdb" => ("epoch_us(received_at) // 60000000", "sha256(event_key)"),
        "redshift" => (
            "datediff(microsecond, timestamp '1970-01-01 00:00:00', received_at at time zone 'UTC') / 60000000",
            "sha2(event_key, 256)",
        ),
        _ => (
            "cast(floor(extract(epoch from received_at) / 60) as bigint)",
            "encode(sha256(convert_to(event_key, 'UTF8')), 'hex')",
        ),
    };
    let sums: Vec<String> = [1, 9, 17, 25]
        .iter()
        .map(|start| {
            let quarter = match kind {
                "duckdb" => format!("cast('0x' || substr(digits, {start}, 8) as bigint)"),
                "redshift" => format!("strtol(substring(digits, {start}, 8), 16)"),
                // Filled up on the left: the highest of 64 bits is the sign.
                _ => format!("('x' || lpad(substr(digits, {start}, 8), 16, '0'))::bit(64)::bigint"),
            };
            format!("sum({quarter}) as from_{start}")
        })
        .collect();
    format!(
        "select nth_minute, source, count(*) as events, {} from (\
         select {minute} as nth_minute, source, {digits} as digits from raw.tracking_event where {}\
         ) as hashed group by nth_minute, source",
        sums.join(", "),
        received_in("received_at", span)
    )
}

/// Trackings with events in a span whose row is missing, or has another number of checkpoints than it says.
pub(super) fn touched_sql(span: Span) -> String {
    format!(
        "with touched as (
           select distinct coalesce(a.tracking_id, e.tracking_id) as tracking_id
           from raw.tracking_event as e
           left join raw.tracking_alias as a on a.legacy_id = e.tracking_id
           where {}
         ),
         counted as (
           select c.tracking_id, count(*) as checkpoints
           from base.fct_tracking_checkpoint as c
           where c.tracking_id in (select tracking_id from touched)
           group by c.tracking_id
         )
         select t.tracking_id, f.tracking_id as fact_id
         from touched as t
         left join base.fct_shipment_tracking as f on f.tracking_id = t.tracking_id
         left join counted as c on c.tracking_id = t.tracking_id
         where f.tracking_id is null or f.checkpoint_count <> coalesce(c.checkpoints, 0)
         order by t.tracking_id
         limit {}",
        received_in("e.received_at", span),
        FACTS_MAX + 1
    )
}

/// Rows of facts whose snapshot is no event's body.
pub(super) fn forged_sql() -> String {
    format!(
        "select f.tracking_id, f.source_tracking_id
         from base.fct_shipment_tracking as f
         where not exists (
             select 1 from raw.tracking_event as e
             where e.tracking_id = f.source_tracking_id and e.body_sha256 = f.body_sha256
           )
           and not exists (
             select 1 from raw.tracking_event_conflict as c
             where c.tracking_id = f.source_tracking_id and c.body_sha256 = f.body_sha256
           )
         order by f.tracking_id
         limit {}",
        FACTS_MAX + 1
    )
}

/// Trackings with more than one row: nothing but the merge keeps them unique on DuckDB and Redshift.
pub(super) fn doubled_sql() -> String {
    format!(
        "select tracking_id from base.fct_shipment_tracking
         group by tracking_id having count(*) > 1
         order by tracking_id
         limit {}",
        FACTS_MAX + 1
    )
}

pub(super) fn received_in(column: &str, span: Span) -> String {
    format!("{column} >= {} and {column} < {}", instant_literal(span.from), instant_literal(span.until))
}

/// An instant as all engines write it.
pub(in crate::reconcile) fn instant_literal(at: Timestamp) -> String {
    format!("cast('{}' as timestamptz)", at.strftime("%Y-%m-%d %H:%M:%S.%6f+00"))
}

/// Texts as a list of an engine's literals; one at least.
pub(in crate::reconcile) fn list(kind: &str, texts: &[String]) -> String {
    texts.iter().map(|text| literal_of(kind, text)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_is_written_as_each_engine_needs_it() {
        let texts = [r"a\b".to_owned(), "it's".to_owned()];

        assert_eq!(list("duckdb", &texts), r"'a\b', 'it''s'");
        assert_eq!(list("redshift", &texts), "('a' || chr(92) || 'b'), 'it''s'");
    }
}
