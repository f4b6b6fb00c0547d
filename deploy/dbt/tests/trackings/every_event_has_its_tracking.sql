-- Events whose tracking is no fact, neither under their own id nor under the id that took it over.
select e.event_key, e.tracking_id
from {{ source('raw', 'tracking_event') }} as e
left join {{ source('raw', 'tracking_alias') }} as a on a.legacy_id = e.tracking_id
left join {{ source('base', 'fct_shipment_tracking') }} as t on t.tracking_id = coalesce(a.tracking_id, e.tracking_id)
where t.tracking_id is null
