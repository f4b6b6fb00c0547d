-- Lines that do not say of their order what the order says of itself.
select l.order_item_id
from {{ source('base', 'fct_order_line') }} as l
left join {{ source('base', 'fct_order') }} as o on o.order_id = l.order_id
where o.order_id is null
  or l.order_date <> o.order_date or l.ordered_at <> o.ordered_at
  or l.customer_id <> o.customer_id or l.customer_key <> o.customer_key
  or l.order_status_key <> o.order_status_key
