-- One row per legacy id that any snapshot ever claimed: of all claims the least tracking id takes it over.

create temp table alias_change as
with
claim as (
  select legacy_id, tracking_id, tracking_key from stage_claim
  union all
  select legacy_id, tracking_id, tracking_key from raw.tracking_alias
  where legacy_id in (select legacy_id from stage_claim)
),
first_claim as (
  select legacy_id, tracking_id, tracking_key, row_number() over (partition by legacy_id order by tracking_id) as nth
  from claim
)
select n.legacy_id, n.tracking_id, n.tracking_key, o.tracking_id as old_tracking_id
from first_claim as n
left join raw.tracking_alias as o on o.legacy_id = n.legacy_id
where n.nth = 1 and (o.tracking_id is null or o.tracking_id <> n.tracking_id);

delete from raw.tracking_alias where legacy_id in (select legacy_id from alias_change);

insert into raw.tracking_alias (legacy_id, tracking_id, tracking_key)
select legacy_id, tracking_id, tracking_key from alias_change;
