-- Products that stopped selling by the mart and not by the facts, or the other way round, or with other figures. Left
-- out are products with changes since the last refresh.
with
published as (select max(as_of) as as_of from {{ source('mart', 'published') }}),
sale as (
  select f.product_id, f.order_date, sum(f.quantity) as units, max(f.quantity) > 0 as has_sale
  from {{ source('base', 'fct_order_line') }} as f
  join {{ source('base', 'dim_order_status') }} as s on s.order_status_key = f.order_status_key
  cross join published as u
  where s.is_sale and f.product_id <> -1 and f.order_date <= u.as_of
    and f.order_date >= (select min(date) from {{ source('base', 'dim_date') }})
  group by f.product_id, f.order_date
),
history as (
  select *, min(case when has_sale then order_date end) over (partition by product_id) as first_sale_date
  from sale
),
facts as (
  select
    h.product_id,
    sum(h.units) as items_sold_to_date,
    sum(case when h.has_sale and h.order_date > u.as_of - 60 then 1 else 0 end) as days_with_sales_60d,
    max(u.as_of) - max(case when h.has_sale then h.order_date end) as days_since_last_sale
  from history as h
  cross join published as u
  where h.order_date >= h.first_sale_date
  group by h.product_id
)
select coalesce(f.product_id, m.product_id) as product_id
from (select * from facts where days_with_sales_60d > 30 and days_since_last_sale >= 7) as f
full join {{ source('mart', 'ceased_selling') }} as m on m.product_id = f.product_id
where coalesce(f.product_id, m.product_id) not in (
    select product_id from {{ source('mart', 'changed_product_day') }}
  )
  and (
    f.product_id is null or m.product_id is null
    or m.items_sold_to_date <> f.items_sold_to_date or m.days_with_sales_60d <> f.days_with_sales_60d
    or m.days_since_last_sale <> f.days_since_last_sale
  )
