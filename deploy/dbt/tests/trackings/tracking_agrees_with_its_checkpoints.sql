-- Trackings whose count, last instant or milestones are not those of their checkpoints, which come from the same
-- snapshot.
{% set milestones = {
  'info_received_at': 'InfoReceived', 'in_transit_at': 'InTransit', 'out_for_delivery_at': 'OutForDelivery',
  'first_attempt_at': 'AttemptFail', 'available_for_pickup_at': 'AvailableForPickup', 'delivered_at': 'Delivered',
  'exception_at': 'Exception',
} %}
with
summed as (
  select
    tracking_id,
    count(*) as checkpoints,
    max(checkpoint_at) as last_checkpoint_at
    {% for column, tag in milestones.items() %}
    , min(case when tag = '{{ tag }}' then checkpoint_at end) as {{ column }}
    {% endfor %}
  from {{ source('base', 'fct_tracking_checkpoint') }}
  group by tracking_id
)
select t.tracking_id
from {{ source('base', 'fct_shipment_tracking') }} as t
left join summed as s on s.tracking_id = t.tracking_id
where t.checkpoint_count <> coalesce(s.checkpoints, 0)
  or t.last_checkpoint_at is distinct from s.last_checkpoint_at
  {% for column in milestones %}
  or t.{{ column }} is distinct from s.{{ column }}
  {% endfor %}
