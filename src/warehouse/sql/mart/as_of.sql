-- The last complete day: orders of it have been seen, and files of both datasets bring it to its end. Null when there
-- is none. Spelled out, since both engines take the least of a day and nothing for that day.
select
  case
    when ordered is null or orders_close is null or items_close is null then null
    else least(ordered, orders_close, items_close)
  end as as_of
from (
  select
    (select max(order_date) from base.fct_order) as ordered,
    (
      select max(closes_on) from raw.loaded_file where dataset = 'orders' and status in ('loaded', 'superseded')
    ) as orders_close,
    (
      select max(closes_on) from raw.loaded_file where dataset = 'order_items' and status in ('loaded', 'superseded')
    ) as items_close
) as known
