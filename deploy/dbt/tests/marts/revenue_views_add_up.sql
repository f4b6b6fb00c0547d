-- Sums over products and over months, unless they are the same.
with
product as (
  select coalesce(sum(units_sold), 0) as units, coalesce(sum(sales_amount), 0) as sales,
    coalesce(sum(revenue_amount), 0) as revenue
  from {{ source('mart', 'revenue_by_product') }}
),
month as (
  select coalesce(sum(units_sold), 0) as units, coalesce(sum(sales_amount), 0) as sales,
    coalesce(sum(revenue_amount), 0) as revenue
  from {{ source('mart', 'revenue_by_month') }}
)
select p.units, p.sales, p.revenue, m.units as month_units, m.sales as month_sales, m.revenue as month_revenue
from product as p
cross join month as m
where p.units <> m.units or p.sales <> m.sales or p.revenue <> m.revenue
