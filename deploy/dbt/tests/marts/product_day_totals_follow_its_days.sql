-- Days whose own figures are not those of mart.agg_product_day, or whose totals and windows are not those of the days
-- before them.
with
anew as (
  select
    p.date, p.product_id,
    sum(p.units_sold) over to_date as items_sold_to_date,
    sum(p.sales_amount) over to_date as sales_amount_to_date,
    sum(case when p.has_sale then 1 else 0 end) over last_7 as days_with_sales_7d,
    sum(case when p.has_sale then 1 else 0 end) over last_60 as days_with_sales_60d,
    sum(p.units_sold) over last_60 as units_sold_60d,
    max(case when p.has_sale then p.date end) over to_date as last_sale_date
  from {{ source('mart', 'product_day') }} as p
  window
    to_date as (partition by p.product_id order by p.date rows between unbounded preceding and current row),
    last_7 as (partition by p.product_id order by p.date rows between 6 preceding and current row),
    last_60 as (partition by p.product_id order by p.date rows between 59 preceding and current row)
)
select p.product_id, p.date
from {{ source('mart', 'product_day') }} as p
join anew as n on n.product_id = p.product_id and n.date = p.date
left join {{ source('mart', 'agg_product_day') }} as a on a.product_id = p.product_id and a.date = p.date
where p.units_sold <> coalesce(a.units_sold, 0) or p.units_gross <> coalesce(a.units_gross, 0)
  or p.units_returned <> coalesce(a.units_returned, 0) or p.sales_amount <> coalesce(a.sales_amount, 0)
  or p.revenue_amount <> coalesce(a.revenue_amount, 0) or p.orders <> coalesce(a.orders, 0)
  or p.items_sold_to_date <> n.items_sold_to_date or p.sales_amount_to_date <> n.sales_amount_to_date
  or p.days_with_sales_7d <> n.days_with_sales_7d or p.days_with_sales_60d <> n.days_with_sales_60d
  or p.units_sold_60d <> n.units_sold_60d or p.last_sale_date <> n.last_sale_date
  or p.ceased_on <> p.last_sale_date + 7
