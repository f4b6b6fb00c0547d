-- Older ids that are facts of their own though another tracking took them over.
select a.legacy_id, a.tracking_id
from {{ source('raw', 'tracking_alias') }} as a
join {{ source('base', 'fct_shipment_tracking') }} as t on t.tracking_id = a.legacy_id
where a.legacy_id <> a.tracking_id
  -- One step only: a tracking that takes over others may itself have been taken over.
  and not exists (select 1 from {{ source('raw', 'tracking_alias') }} as o where o.tracking_id = a.legacy_id)
