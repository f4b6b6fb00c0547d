-- The same body of the same key twice, among the events and their conflicts together.
select event_key, body_sha256, count(*) as row_count
from (
  select event_key, body_sha256 from {{ source('raw', 'tracking_event') }}
  union all
  select event_key, body_sha256 from {{ source('raw', 'tracking_event_conflict') }}
) as every_body
group by event_key, body_sha256
having count(*) > 1
