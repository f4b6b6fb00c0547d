-- Puts the winners and the others in the place of what is known of them. On Redshift: redshift/tracking_write.sql.

-- Ids that were there before: a new one has nothing to remove.
create temp table tracking_replaced as
select c.source_tracking_id
from tracking_change as c
where c.source_tracking_id in (select source_tracking_id from tracking_known);

delete from base.fct_tracking_checkpoint where source_tracking_id in (select source_tracking_id from tracking_replaced);
delete from raw.superseded_checkpoint where source_tracking_id in (select source_tracking_id from tracking_replaced);
delete from base.fct_shipment_tracking where source_tracking_id in (select source_tracking_id from tracking_replaced);
delete from raw.superseded_tracking where source_tracking_id in (select source_tracking_id from tracking_replaced);

insert into base.fct_shipment_tracking (tracking_id, source_tracking_id, tracking_key, {fact_columns})
select tracking_id, source_tracking_id, tracking_key, {fact_columns}
from tracking_final
where is_winner and source_tracking_id in (select source_tracking_id from tracking_change);

insert into raw.superseded_tracking (tracking_id, source_tracking_id, tracking_key, {fact_columns})
select tracking_id, source_tracking_id, tracking_key, {fact_columns}
from tracking_final
where not is_winner and source_tracking_id in (select source_tracking_id from tracking_change);
