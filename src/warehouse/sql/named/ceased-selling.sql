-- Products that sold on more than 30 of the 60 days up to the last complete day and on none of the last 7, straight
-- from the facts. The 60 days come first, the whole history (from the calendar's first day on, and the product's first
-- sale) is read for the few products that qualify.
with
sale_day as (
  select f.product_id, f.order_date
  from base.fct_order_line as f
  join base.dim_order_status as s on s.order_status_key = f.order_status_key
  where s.is_sale and f.quantity > 0 and f.product_id <> -1
    and f.order_date > {as_of} - 60 and f.order_date <= {as_of}
  group by f.product_id, f.order_date
),
ceased as (
  select product_id, count(*) as days_with_sales_60d, max(order_date) as last_sale_date
  from sale_day
  group by product_id
  having count(*) > 30 and max(order_date) <= {as_of} - 7
),
history as (
  select
    f.product_id, f.quantity, f.order_date,
    min(case when f.quantity > 0 then f.order_date end) over (partition by f.product_id) as first_sale_date
  from base.fct_order_line as f
  join base.dim_order_status as s on s.order_status_key = f.order_status_key
  where s.is_sale and f.product_id in (select product_id from ceased)
    and f.order_date <= {as_of} and f.order_date >= (select min(date) from base.dim_date)
)
select
  {as_of} as date,
  c.product_id,
  cast(sum(h.quantity) as bigint) as items_sold_to_date,
  cast(c.days_with_sales_60d as integer) as days_with_sales_60d,
  cast({as_of} - c.last_sale_date as integer) as days_since_last_sale
from ceased as c
join history as h on h.product_id = c.product_id
where h.order_date >= h.first_sale_date
group by c.product_id, c.days_with_sales_60d, c.last_sale_date
order by c.product_id
