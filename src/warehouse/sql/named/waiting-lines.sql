-- One row per order line that waits for its order, the first of them first.
select
  order_id,
  order_item_id,
  product_id,
  quantity,
  line_amount,
  waiting_since,
  round(cast({elapsed({now}, waiting_since)} / 86400.0 as decimal(12, 4)), 1) as days_waiting,
  file,
  line
from raw.waiting_order_line
order by waiting_since, order_id, order_item_id
limit 1000
