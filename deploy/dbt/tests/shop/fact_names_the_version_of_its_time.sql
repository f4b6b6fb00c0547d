-- Lines and orders whose version of product or customer is of another one, or was not valid when it was ordered. The
-- shop's clock is read as UTC.
select 'product' as of_what, l.order_item_id as id
from {{ source('base', 'fct_order_line') }} as l
join {{ source('base', 'dim_product') }} as p on p.product_key = l.product_key
where p.product_id <> l.product_id
  or p.valid_from > l.ordered_at at time zone 'UTC' or p.valid_to <= l.ordered_at at time zone 'UTC'
union all
select 'customer', o.order_id
from {{ source('base', 'fct_order') }} as o
join {{ source('base', 'dim_customer') }} as c on c.customer_key = o.customer_key
where c.customer_id <> o.customer_id
  or c.valid_from > o.ordered_at at time zone 'UTC' or c.valid_to <= o.ordered_at at time zone 'UTC'
