-- Parcels that are in both or in neither: joined to lines of an order, and listed as unlinked. AfterShip's sample is in
-- neither.
select t.tracking_id
from {{ source('base', 'fct_shipment_tracking') }} as t
left join (
  select distinct tracking_id from {{ source('base', 'bridge_order_line_tracking') }}
) as b on b.tracking_id = t.tracking_id
left join {{ source('mart', 'unlinked_tracking') }} as u on u.tracking_id = t.tracking_id
where case when b.tracking_id is null then 0 else 1 end + case when u.tracking_id is null then 0 else 1 end
  <> case when t.is_test then 0 else 1 end
