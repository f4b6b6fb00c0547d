-- One row per tracking from its newest snapshot, and that snapshot's checkpoints. Of every id that a snapshot
-- carried the newest one is kept: the winner of its tracking in base, the others (only legacy ids have them) in raw.

-- Trackings whose winner may change: of the staged snapshots, and of both sides of a takeover.
create temp table touched_tracking as
with
named as (
  select source_tracking_id as id from stage_tracking
  union select tracking_id from alias_change
  union select old_tracking_id from alias_change where old_tracking_id is not null
  union select legacy_id from alias_change
)
select id as tracking_id from named
union
select a.tracking_id from named as n join raw.tracking_alias as a on a.legacy_id = n.id;

-- All ids that belong to them.
create temp table touched_source as
select t.tracking_id as source_tracking_id, t.tracking_id, cast(null as bigint) as tracking_key
from touched_tracking as t
left join raw.tracking_alias as a on a.legacy_id = t.tracking_id
where a.legacy_id is null
union all
select a.legacy_id, a.tracking_id, a.tracking_key
from raw.tracking_alias as a
where a.tracking_id in (select tracking_id from touched_tracking);

create temp table tracking_known as
select tracking_id, source_tracking_id, tracking_key, {fact_columns}, true as is_winner
from base.fct_shipment_tracking
where source_tracking_id in (select source_tracking_id from touched_source)
union all
select tracking_id, source_tracking_id, tracking_key, {fact_columns}, false as is_winner
from raw.superseded_tracking
where source_tracking_id in (select source_tracking_id from touched_source);

-- The newest of each id, known ones first among equals; then the newest of each tracking.
create temp table tracking_final as
with
every_snapshot as (
  select source_tracking_id, tracking_key, {fact_columns}, true as is_staged, cast(null as {string}) as old_tracking_id, false as was_winner
  from stage_tracking
  union all
  select source_tracking_id, tracking_key, {fact_columns}, false as is_staged, tracking_id as old_tracking_id, is_winner as was_winner
  from tracking_known
),
numbered as (
  select
    *,
    row_number() over (
      partition by source_tracking_id
      order by updated_at desc nulls last, event_at desc nulls last, body_sha256 desc, is_staged
    ) as nth
  from every_snapshot
)
select
  t.tracking_id,
  c.source_tracking_id,
  coalesce(t.tracking_key, c.tracking_key) as tracking_key,
  {c.fact_columns},
  c.is_staged,
  c.old_tracking_id,
  c.was_winner,
  row_number() over (
    partition by t.tracking_id
    order by c.updated_at desc nulls last, c.event_at desc nulls last, c.body_sha256 desc, c.source_tracking_id
  ) = 1 as is_winner
from numbered as c
join touched_source as t on t.source_tracking_id = c.source_tracking_id
where c.nth = 1;

create temp table tracking_change as
select source_tracking_id, tracking_id, tracking_key, is_winner, is_staged
from tracking_final
where is_staged or is_winner <> was_winner or tracking_id <> old_tracking_id;

-- The checkpoints that go with them, before their rows are removed.
create temp table checkpoint_final as
select f.tracking_id, f.tracking_key, f.is_winner, c.source_tracking_id, {c.checkpoint_columns}
from tracking_change as f
join stage_checkpoint as c on c.source_tracking_id = f.source_tracking_id
where f.is_staged
union all
select f.tracking_id, f.tracking_key, f.is_winner, c.source_tracking_id, {c.checkpoint_columns}
from tracking_change as f
join base.fct_tracking_checkpoint as c on c.source_tracking_id = f.source_tracking_id
where not f.is_staged
union all
select f.tracking_id, f.tracking_key, f.is_winner, c.source_tracking_id, {c.checkpoint_columns}
from tracking_change as f
join raw.superseded_checkpoint as c on c.source_tracking_id = f.source_tracking_id
where not f.is_staged;
