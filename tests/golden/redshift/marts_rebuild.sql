-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.

begin;

lock "raw".load_lock;

select coalesce(max(version), 0) from "raw".schema_version;

select to_char(as_of, 'YYYY-MM-DD') from (select
  case
    when ordered is null or orders_close is null or items_close is null then null
    else least(ordered, orders_close, items_close)
  end as as_of
from (
  select
    (select max(order_date) from base.fct_order) as ordered,
    (
      select max(closes_on) from "raw".loaded_file where dataset = 'orders' and status in ('loaded', 'superseded')
    ) as orders_close,
    (
      select max(closes_on) from "raw".loaded_file where dataset = 'order_items' and status in ('loaded', 'superseded')
    ) as items_close
) as known) as complete;

select waiting, to_char(published, 'YYYY-MM-DD') from (select (select count(*) from (select 1 from mart.changed_product_day limit 1) as few), (select max(as_of) from mart.published)) as state (waiting, published);

delete from mart.changed_product_day;

delete from mart.published;

delete from mart.product_day;

delete from mart.agg_product_day;

insert into mart.agg_product_day (
  product_id, date, units_sold, units_gross, units_returned, units_cancelled, sales_amount, revenue_amount,
  orders, lines, min_unit_price, max_unit_price
)
select
  f.product_id,
  f.order_date,
  sum(case when s.is_sale then f.quantity else 0 end),
  sum(case when s.is_sale and f.quantity > 0 then f.quantity else 0 end),
  -sum(case when s.is_sale and f.quantity < 0 then f.quantity else 0 end),
  sum(case when s.is_cancelled and f.quantity > 0 then f.quantity else 0 end),
  sum(case when s.is_sale then f.line_amount else 0 end),
  sum(case when s.is_revenue then f.line_amount else 0 end),
  count(distinct case when s.is_sale then f.order_id end),
  count(*),
  min(case when s.is_sale and f.quantity > 0 then f.unit_price end),
  max(case when s.is_sale and f.quantity > 0 then f.unit_price end)
from base.fct_order_line as f
join base.dim_order_status as s on s.order_status_key = f.order_status_key
group by f.product_id, f.order_date;

insert into mart.product_day (
  date, product_id, units_sold, units_gross, units_returned, sales_amount, revenue_amount, orders, has_sale,
  items_sold_to_date, sales_amount_to_date, days_with_sales_7d, days_with_sales_60d, units_sold_60d,
  first_sale_date, last_sale_date, days_since_last_sale, has_ceased_selling, ceased_on
)
with
first_sale as (
  select product_id, min(date) as first_sale_date
  from mart.agg_product_day
  where units_gross > 0 and product_id <> -1
    and date <= date '2026-07-09' and date >= (select min(date) from base.dim_date)
  group by product_id
),
spine as (
  select
    d.date, s.product_id, s.first_sale_date,
    coalesce(a.units_sold, 0) as units_sold,
    coalesce(a.units_gross, 0) as units_gross,
    coalesce(a.units_returned, 0) as units_returned,
    coalesce(a.sales_amount, 0) as sales_amount,
    coalesce(a.revenue_amount, 0) as revenue_amount,
    coalesce(a.orders, 0) as orders,
    coalesce(a.units_gross, 0) > 0 as has_sale
  from first_sale as s
  join base.dim_date as d on d.date >= s.first_sale_date and d.date <= date '2026-07-09'
  left join mart.agg_product_day as a on a.product_id = s.product_id and a.date = d.date
),
summed as (
  select
    date, product_id, units_sold, units_gross, units_returned, sales_amount, revenue_amount, orders, has_sale,
    sum(units_sold) over (partition by product_id order by date rows between unbounded preceding and current row) as items_sold_to_date,
    sum(sales_amount) over (partition by product_id order by date rows between unbounded preceding and current row) as sales_amount_to_date,
    sum(case when has_sale then 1 else 0 end) over (partition by product_id order by date rows between 6 preceding and current row) as days_with_sales_7d,
    sum(case when has_sale then 1 else 0 end) over (partition by product_id order by date rows between 59 preceding and current row) as days_with_sales_60d,
    sum(units_sold) over (partition by product_id order by date rows between 59 preceding and current row) as units_sold_60d,
    first_sale_date,
    max(case when has_sale then date end) over (partition by product_id order by date rows between unbounded preceding and current row) as last_sale_date
  from spine
)
select
  date, product_id, units_sold, units_gross, units_returned, sales_amount, revenue_amount, orders, has_sale,
  cast(items_sold_to_date as bigint),
  cast(sales_amount_to_date as decimal(18, 2)),
  cast(days_with_sales_7d as integer),
  cast(days_with_sales_60d as integer),
  cast(units_sold_60d as bigint),
  first_sale_date,
  last_sale_date,
  cast(date - last_sale_date as integer),
  days_with_sales_60d > 30 and days_with_sales_7d = 0,
  case when days_with_sales_60d > 30 and days_with_sales_7d = 0 then last_sale_date + 7 end
from summed
order by date, product_id;

insert into mart.published (as_of, refreshed_at)
values (date '2026-07-09', cast(sysdate as timestamptz));

select 'product and day twice' as rule, count(*) as found
from (
  select product_id, date from mart.agg_product_day
  group by product_id, date having count(*) > 1
) as twice
union all
select 'day of a product twice' as rule, count(*) as found
from (
  select date, product_id from mart.product_day
  group by date, product_id having count(*) > 1
) as twice
union all
select 'published more than once' as rule, count(*) as found
from mart.published
having count(*) > 1;

commit;
