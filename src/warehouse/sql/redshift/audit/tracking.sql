-- What keys and checks would have refused, among the rows that a load of trackings has touched. All must be 0.

select 'file twice in the ledger' as rule, count(*) as found
from (
  select file, generation from raw.loaded_file
  where file in (select file from stage_file)
  group by file, generation having count(*) > 1
) as twice
union all
select 'outcomes do not add up' as rule, count(*) as found
from raw.loaded_file
where file in (select file from stage_file)
  and lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected
union all
select 'event key twice' as rule, count(*) as found
from (
  select event_key from raw.tracking_event
  where event_key in (select event_key from event_final)
  group by event_key having count(*) > 1
) as twice
union all
select 'conflicting body twice' as rule, count(*) as found
from (
  select event_key, body_sha256 from raw.tracking_event_conflict
  where event_key in (select event_key from event_final)
  group by event_key, body_sha256 having count(*) > 1
) as twice
union all
select 'body both chosen and in conflict' as rule, count(*) as found
from raw.tracking_event as e
join raw.tracking_event_conflict as c on c.event_key = e.event_key and c.body_sha256 = e.body_sha256
where e.event_key in (select event_key from event_final)
union all
select 'event without its file in the ledger' as rule, count(*) as found
from raw.tracking_event as e
join event_change as c on c.event_key = e.event_key
left join raw.loaded_file as l on l.file = e.file
where l.file is null
union all
select 'legacy id twice' as rule, count(*) as found
from (
  select legacy_id from raw.tracking_alias
  where legacy_id in (select legacy_id from alias_change)
  group by legacy_id having count(*) > 1
) as twice
union all
select 'tracking twice' as rule, count(*) as found
from (
  select tracking_id from base.fct_shipment_tracking
  where tracking_id in (select tracking_id from tracking_final)
  group by tracking_id having count(*) > 1
) as twice
union all
select 'id both winner and superseded' as rule, count(*) as found
from base.fct_shipment_tracking as t
join raw.superseded_tracking as s on s.source_tracking_id = t.source_tracking_id
where t.tracking_id in (select tracking_id from tracking_final)
union all
select 'superseded id twice' as rule, count(*) as found
from (
  select source_tracking_id from raw.superseded_tracking
  where source_tracking_id in (select source_tracking_id from tracking_final)
  group by source_tracking_id having count(*) > 1
) as twice
union all
select 'checkpoint twice' as rule, count(*) as found
from (
  select tracking_id, checkpoint_key from base.fct_tracking_checkpoint
  where tracking_id in (select tracking_id from tracking_final)
  group by tracking_id, checkpoint_key having count(*) > 1
) as twice
union all
select 'superseded checkpoint twice' as rule, count(*) as found
from (
  select source_tracking_id, checkpoint_key from raw.superseded_checkpoint
  where source_tracking_id in (select source_tracking_id from tracking_final)
  group by source_tracking_id, checkpoint_key having count(*) > 1
) as twice
union all
select 'checkpoint without its tracking' as rule, count(*) as found
from base.fct_tracking_checkpoint as c
join checkpoint_final as f on f.tracking_id = c.tracking_id and f.checkpoint_key = c.checkpoint_key
left join base.fct_shipment_tracking as t
  on t.tracking_id = c.tracking_id and t.source_tracking_id = c.source_tracking_id
where t.tracking_id is null
