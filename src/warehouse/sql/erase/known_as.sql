-- One row per id under which trackings are known: their own, their older ones, and those that took them over.
with
wanted as (
  {wanted}
),
named as (
  select t.source_tracking_id as id from base.fct_shipment_tracking as t join wanted as w on w.name = t.source_tracking_id
  union
  select t.source_tracking_id from base.fct_shipment_tracking as t join wanted as w on w.name = t.tracking_id
  union
  select t.source_tracking_id from base.fct_shipment_tracking as t join wanted as w on w.name = t.legacy_id
  union
  select t.source_tracking_id
  from base.fct_shipment_tracking as t
  join wanted as w on w.name = t.tracking_number and w.is_number
  union
  select t.source_tracking_id from raw.superseded_tracking as t join wanted as w on w.name = t.source_tracking_id
  union
  select t.source_tracking_id from raw.superseded_tracking as t join wanted as w on w.name = t.tracking_id
  union
  select t.source_tracking_id
  from raw.superseded_tracking as t
  join wanted as w on w.name = t.tracking_number and w.is_number
  union
  select e.tracking_id from raw.tracking_event as e join wanted as w on w.name = e.tracking_id
  union
  select e.tracking_id from raw.tracking_event_conflict as e join wanted as w on w.name = e.tracking_id
  union
  select a.tracking_id from raw.tracking_alias as a join wanted as w on w.name = a.legacy_id
),
taken_over as (
  select id from named
  union
  select a.tracking_id from raw.tracking_alias as a join named as n on n.id = a.legacy_id
)
select id from taken_over
union
select a.legacy_id from raw.tracking_alias as a join taken_over as t on t.id = a.tracking_id
order by id
