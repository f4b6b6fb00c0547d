-- One row per ISO week of the order, product category and courier: what was sold, and how much of it came late.
-- A line counts for the courier of its order's first parcel, so that amounts add up over any slice.
with
line as (
  select
    cast(date_trunc('week', cast(l.order_date as timestamp)) as date) as week_start,
    l.product_id, l.order_id, l.quantity, l.line_amount, s.is_revenue,
    coalesce(o.courier, case when o.parcels > 0 then '(unknown)' else '(no parcel)' end) as courier,
    o.parcels, o.is_delivered, o.is_late
  from {{ source('base', 'fct_order_line') }} as l
  join {{ source('base', 'dim_order_status') }} as s on s.order_status_key = l.order_status_key and s.is_sale
  join {{ ref('order_delivery') }} as o on o.order_id = l.order_id
),

-- By its newest category, as the marts of the program have it.
categorised as (
  select line.*, p.category_id, p.category_name
  from line
  join {{ source('base', 'dim_product') }} as p on p.product_id = line.product_id and p.is_current
),

summed as (
  select
    week_start,
    coalesce(category_id, -1) as category_id,
    coalesce(max(category_name), '(unknown)') as category_name,
    courier,
    count(distinct order_id) as orders,
    count(distinct case when parcels > 0 then order_id end) as orders_shipped,
    count(distinct case when is_delivered then order_id end) as orders_delivered,
    count(distinct case when is_late is not null then order_id end) as orders_judged,
    count(distinct case when is_late then order_id end) as orders_late,
    sum(quantity) as units,
    sum(line_amount) as sales_amount,
    sum(case when is_revenue then line_amount else 0 end) as revenue_amount,
    sum(case when is_late then line_amount else 0 end) as sales_amount_late
  from categorised
  group by week_start, coalesce(category_id, -1), courier
)

select
  week_start,
  category_id,
  category_name,
  courier,
  cast(orders as integer) as orders,
  cast(orders_shipped as integer) as orders_shipped,
  cast(orders_delivered as integer) as orders_delivered,
  cast(orders_judged as integer) as orders_judged,
  cast(orders_late as integer) as orders_late,
  cast(units as bigint) as units,
  cast(sales_amount as decimal(16, 2)) as sales_amount,
  cast(revenue_amount as decimal(16, 2)) as revenue_amount,
  cast(sales_amount_late as decimal(16, 2)) as sales_amount_late,
  -- By way of a decimal: the engines round floats each in their own way.
  cast(
    round(cast(100.0 * orders_late / nullif(orders_judged, 0) as decimal(24, 6)), 2) as decimal(5, 2)
  ) as late_percent
from summed
