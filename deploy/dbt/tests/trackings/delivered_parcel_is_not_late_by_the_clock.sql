-- Parcels that have come, at an hour that their courier did not say with its offset: the clock cannot tell whether they
-- were late, so it must be AfterShip's word that they were.
select distinct d.tracking_id
from {{ source('mart', 'delivery_performance') }} as d
join {{ source('base', 'fct_shipment_tracking') }} as t on t.tracking_id = d.tracking_id
where d.tag = 'Delivered' and d.delivered_at is null and d.is_late is not null
  and coalesce(t.on_time_status, '') <> case when d.is_late then 'late' else 'on-time' end
