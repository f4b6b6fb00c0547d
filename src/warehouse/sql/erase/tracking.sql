-- Trackings whose courier's words go, wherever rows of them stand. Erasing twice changes nothing.

create temp table checkpoint_known as
select true as is_winner, tracking_id, tracking_key, source_tracking_id, {checkpoint_columns}
from base.fct_tracking_checkpoint
where source_tracking_id in (select source_tracking_id from stage_erased)
union all
select false as is_winner, tracking_id, tracking_key, source_tracking_id, {checkpoint_columns}
from raw.superseded_checkpoint
where source_tracking_id in (select source_tracking_id from stage_erased);

-- Without its words a checkpoint has another key; of those that are now the same the first stays.
create temp table checkpoint_erased as
with
named as (
  select
    is_winner, tracking_id, tracking_key, source_tracking_id, {erased_checkpoint_key} as checkpoint_key, position,
    checkpoint_at, checkpoint_time_text, created_at, courier, tag, subtag, subtag_message, raw_tag,
    cast(null as {string}) as message, cast(null as {string}) as location, cast(null as {string}) as city,
    cast(null as {string}) as state, cast(null as {string}) as postal_code, country, source, cast(null as {string}) as hash,
    is_test
  from {erased_from}
),
numbered as (
  select *, row_number() over (partition by source_tracking_id, checkpoint_key order by position) as nth
  from named
)
select * from numbered where nth = 1;

delete from base.fct_tracking_checkpoint where source_tracking_id in (select source_tracking_id from stage_erased);
delete from raw.superseded_checkpoint where source_tracking_id in (select source_tracking_id from stage_erased);

insert into base.fct_tracking_checkpoint (tracking_id, tracking_key, source_tracking_id, {checkpoint_columns})
select tracking_id, tracking_key, source_tracking_id, {checkpoint_columns}
from checkpoint_erased
where is_winner;

insert into raw.superseded_checkpoint (tracking_id, tracking_key, source_tracking_id, {checkpoint_columns})
select tracking_id, tracking_key, source_tracking_id, {checkpoint_columns}
from checkpoint_erased
where not is_winner;

create temp table checkpoint_counted as
select source_tracking_id, cast(count(*) as integer) as checkpoint_count
from checkpoint_erased
group by source_tracking_id;

update base.fct_shipment_tracking
set checkpoint_count = c.checkpoint_count
from checkpoint_counted as c
where c.source_tracking_id = fct_shipment_tracking.source_tracking_id
  and c.checkpoint_count <> fct_shipment_tracking.checkpoint_count;

update raw.superseded_tracking
set checkpoint_count = c.checkpoint_count
from checkpoint_counted as c
where c.source_tracking_id = superseded_tracking.source_tracking_id
  and c.checkpoint_count <> superseded_tracking.checkpoint_count;

-- Of custom_fields nothing stays.
update base.fct_shipment_tracking set order_item_ids = null
where order_item_ids is not null and source_tracking_id in (select source_tracking_id from stage_erased);

update raw.superseded_tracking set order_item_ids = null
where order_item_ids is not null and source_tracking_id in (select source_tracking_id from stage_erased);

-- A tracking without an id of its own is known by courier and number: those stay.
update base.fct_shipment_tracking
set tracking_number = null, order_id = null, order_number = null
where source_tracking_id in (select source_tracking_id from stage_erased where with_numbers)
  and source_tracking_id <> coalesce(courier || '/' || tracking_number, '');

update raw.superseded_tracking
set tracking_number = null, order_id = null, order_number = null
where source_tracking_id in (select source_tracking_id from stage_erased where with_numbers)
  and source_tracking_id <> coalesce(courier || '/' || tracking_number, '');
