-- Puts the winners and the others in the place of what is known of them, as merge/tracking_write.sql does, but the
-- winners by MERGE. Staging has made them unique: one winner per tracking.

-- Ids that were there before: a new one has nothing to remove.
create temp table tracking_replaced as
select c.source_tracking_id
from tracking_change as c
where c.source_tracking_id in (select source_tracking_id from tracking_known);

create temp table tracking_put as
select tracking_id, source_tracking_id, tracking_key, {fact_columns}
from tracking_final
where is_winner and source_tracking_id in (select source_tracking_id from tracking_change);

delete from base.fct_tracking_checkpoint where source_tracking_id in (select source_tracking_id from tracking_replaced);
delete from raw.superseded_checkpoint where source_tracking_id in (select source_tracking_id from tracking_replaced);
delete from raw.superseded_tracking where source_tracking_id in (select source_tracking_id from tracking_replaced);

-- Of those in base, a winner that has a follower is left for it: MERGE writes over it.
delete from base.fct_shipment_tracking
where source_tracking_id in (select source_tracking_id from tracking_replaced)
  and tracking_id not in (select tracking_id from tracking_put);

merge into base.fct_shipment_tracking
using tracking_put
on fct_shipment_tracking.tracking_id = tracking_put.tracking_id
when matched then update set
  source_tracking_id = tracking_put.source_tracking_id, tracking_key = tracking_put.tracking_key, {set_fact_columns}
when not matched then insert (tracking_id, source_tracking_id, tracking_key, {fact_columns})
values (tracking_put.tracking_id, tracking_put.source_tracking_id, tracking_put.tracking_key, {put.fact_columns});

insert into raw.superseded_tracking (tracking_id, source_tracking_id, tracking_key, {fact_columns})
select tracking_id, source_tracking_id, tracking_key, {fact_columns}
from tracking_final
where not is_winner and source_tracking_id in (select source_tracking_id from tracking_change);
