-- The published day, unless there is one at most and it is the least of the newest order's day and the days that files
-- of orders and of lines bring to their end. Not looked at while a file has been loaded since the refresh.
with
known as (
  select
    (select max(order_date) from {{ source('base', 'fct_order') }}) as ordered,
    (
      select max(closes_on) from {{ source('raw', 'loaded_file') }}
      where dataset = 'orders' and status in ('loaded', 'superseded')
    ) as orders_close,
    (
      select max(closes_on) from {{ source('raw', 'loaded_file') }}
      where dataset = 'order_items' and status in ('loaded', 'superseded')
    ) as items_close
)
select p.as_of
from {{ source('mart', 'published') }} as p
cross join known as k
where not exists (
    select 1 from {{ source('raw', 'loaded_file') }} as f
    where f.dataset <> 'tracking' and f.loaded_at > p.refreshed_at
  )
  and (p.as_of <> least(k.ordered, k.orders_close, k.items_close) or k.orders_close is null or k.items_close is null)
union all
select max(as_of)
from {{ source('mart', 'published') }}
having count(*) > 1
