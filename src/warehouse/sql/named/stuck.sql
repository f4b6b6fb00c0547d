-- One row per parcel that is under way and has been silent for three days.
select tracking_number, courier, tag, subtag_message, order_number, last_checkpoint_at, updated_at
from base.fct_shipment_tracking
where not is_test
  and tag in ('InfoReceived', 'InTransit', 'OutForDelivery', 'AttemptFail', 'Exception')
  and updated_at < {now} - interval '3 days'
order by updated_at
limit 100
