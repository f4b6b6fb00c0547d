-- The checkpoints that go with the trackings that were written.

insert into base.fct_tracking_checkpoint (tracking_id, tracking_key, source_tracking_id, {checkpoint_columns})
select tracking_id, tracking_key, source_tracking_id, {checkpoint_columns}
from checkpoint_final
where is_winner;

insert into raw.superseded_checkpoint (tracking_id, tracking_key, source_tracking_id, {checkpoint_columns})
select tracking_id, tracking_key, source_tracking_id, {checkpoint_columns}
from checkpoint_final
where not is_winner;
