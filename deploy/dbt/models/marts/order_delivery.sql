-- One row per order that is a sale and has lines: what it sold, which parcels carry it, and whether it came in time.
-- Made anew each time: parcels are replaced, taken over and erased, and an incremental table would keep what is gone.
with
sale as (
  select
    l.order_id,
    min(l.order_date) as order_date,
    min(l.customer_id) as customer_id,
    count(*) as lines,
    sum(l.quantity) as units,
    sum(l.line_amount) as sales_amount,
    sum(case when s.is_revenue then l.line_amount else 0 end) as revenue_amount
  from {{ source('base', 'fct_order_line') }} as l
  join {{ source('base', 'dim_order_status') }} as s on s.order_status_key = l.order_status_key
  where s.is_sale
  group by l.order_id
),

-- A row per line and parcel becomes one per order and parcel. Late is what the program says is late; in time is only what
-- has come.
order_parcel as (
  select distinct
    d.order_id, d.tracking_id, t.courier, t.created_at, t.delivered_at,
    coalesce(t.tag = 'Delivered', false) as is_delivered,
    case when d.is_late or t.tag = 'Delivered' then d.is_late end as is_late
  from {{ source('mart', 'delivery_performance') }} as d
  join {{ source('base', 'fct_shipment_tracking') }} as t on t.tracking_id = d.tracking_id
),

numbered as (
  select *, row_number() over (partition by order_id order by created_at nulls last, tracking_id) as nth
  from order_parcel
),

parcel as (
  select
    order_id,
    count(*) as parcels,
    sum(case when is_delivered then 1 else 0 end) as parcels_delivered,
    sum(case when is_late then 1 else 0 end) as parcels_late,
    sum(case when is_late is null then 0 else 1 end) as parcels_judged,
    max(case when nth = 1 then courier end) as courier,
    max(delivered_at) as last_delivered_at
  from numbered
  group by order_id
)

select
  s.order_id,
  s.order_date,
  s.customer_id,
  cast(s.lines as integer) as lines,
  cast(s.units as bigint) as units,
  cast(s.sales_amount as decimal(16, 2)) as sales_amount,
  cast(s.revenue_amount as decimal(16, 2)) as revenue_amount,
  cast(coalesce(p.parcels, 0) as integer) as parcels,
  p.courier,
  p.last_delivered_at,
  coalesce(p.parcels_delivered = p.parcels, false) as is_delivered,
  case
    when p.parcels_late > 0 then true
    when p.parcels_judged = p.parcels then false
  end as is_late
from sale as s
left join parcel as p on p.order_id = s.order_id
