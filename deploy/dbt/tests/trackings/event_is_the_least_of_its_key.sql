-- Conflicts that came before the event of their key: the event is the least (received_at, body_sha256).
select e.event_key
from {{ source('raw', 'tracking_event') }} as e
join {{ source('raw', 'tracking_event_conflict') }} as c on c.event_key = e.event_key
where c.received_at < e.received_at or (c.received_at = e.received_at and c.body_sha256 < e.body_sha256)
