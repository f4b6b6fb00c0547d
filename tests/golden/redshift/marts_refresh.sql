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

create temp table mart_changed as
select distinct product_id, date
from mart.changed_product_day;

delete from mart.changed_product_day
where exists (
  select 1 from mart_changed as c
  where c.product_id = changed_product_day.product_id and c.date = changed_product_day.date
);

create temp table mart_aggregate as
select
  f.product_id,
  f.order_date as date,
  cast(sum(case when s.is_sale then f.quantity else 0 end) as bigint) as units_sold,
  cast(sum(case when s.is_sale and f.quantity > 0 then f.quantity else 0 end) as bigint) as units_gross,
  cast(-sum(case when s.is_sale and f.quantity < 0 then f.quantity else 0 end) as bigint) as units_returned,
  cast(sum(case when s.is_cancelled and f.quantity > 0 then f.quantity else 0 end) as bigint) as units_cancelled,
  cast(sum(case when s.is_sale then f.line_amount else 0 end) as decimal(16, 2)) as sales_amount,
  cast(sum(case when s.is_revenue then f.line_amount else 0 end) as decimal(16, 2)) as revenue_amount,
  cast(count(distinct case when s.is_sale then f.order_id end) as integer) as orders,
  cast(count(*) as integer) as lines,
  min(case when s.is_sale and f.quantity > 0 then f.unit_price end) as min_unit_price,
  max(case when s.is_sale and f.quantity > 0 then f.unit_price end) as max_unit_price
from mart_changed as c
join base.fct_order_line as f on f.product_id = c.product_id and f.order_date = c.date
join base.dim_order_status as s on s.order_status_key = f.order_status_key
where f.order_date >= (select min(date) from mart_changed)
  and f.order_date <= (select max(date) from mart_changed)
group by f.product_id, f.order_date;

create temp table mart_change as
select
  c.product_id,
  c.date,
  coalesce(n.units_sold, 0) as units_sold,
  coalesce(n.units_gross, 0) as units_gross,
  coalesce(n.units_returned, 0) as units_returned,
  coalesce(n.units_cancelled, 0) as units_cancelled,
  coalesce(n.sales_amount, 0) as sales_amount,
  coalesce(n.revenue_amount, 0) as revenue_amount,
  coalesce(n.orders, 0) as orders,
  n.lines,
  n.min_unit_price,
  n.max_unit_price,
  coalesce(n.units_sold, 0) <> coalesce(o.units_sold, 0)
    or coalesce(n.sales_amount, 0) <> coalesce(o.sales_amount, 0)
    or (coalesce(n.units_gross, 0) > 0) <> (coalesce(o.units_gross, 0) > 0) as moves_totals,
  coalesce(n.units_gross, 0) <> coalesce(o.units_gross, 0)
    or coalesce(n.units_returned, 0) <> coalesce(o.units_returned, 0)
    or coalesce(n.revenue_amount, 0) <> coalesce(o.revenue_amount, 0)
    or coalesce(n.orders, 0) <> coalesce(o.orders, 0) as changes_day
from mart_changed as c
left join mart_aggregate as n on n.product_id = c.product_id and n.date = c.date
left join mart.agg_product_day as o on o.product_id = c.product_id and o.date = c.date
where (case when n.units_sold is null and o.units_sold is null then 0 when n.units_sold is null or o.units_sold is null then 1 when n.units_sold = o.units_sold then 0 else 1 end = 1)
  or (case when n.units_gross is null and o.units_gross is null then 0 when n.units_gross is null or o.units_gross is null then 1 when n.units_gross = o.units_gross then 0 else 1 end = 1)
  or (case when n.units_returned is null and o.units_returned is null then 0 when n.units_returned is null or o.units_returned is null then 1 when n.units_returned = o.units_returned then 0 else 1 end = 1)
  or (case when n.units_cancelled is null and o.units_cancelled is null then 0 when n.units_cancelled is null or o.units_cancelled is null then 1 when n.units_cancelled = o.units_cancelled then 0 else 1 end = 1)
  or (case when n.sales_amount is null and o.sales_amount is null then 0 when n.sales_amount is null or o.sales_amount is null then 1 when n.sales_amount = o.sales_amount then 0 else 1 end = 1)
  or (case when n.revenue_amount is null and o.revenue_amount is null then 0 when n.revenue_amount is null or o.revenue_amount is null then 1 when n.revenue_amount = o.revenue_amount then 0 else 1 end = 1)
  or (case when n.orders is null and o.orders is null then 0 when n.orders is null or o.orders is null then 1 when n.orders = o.orders then 0 else 1 end = 1)
  or (case when n.lines is null and o.lines is null then 0 when n.lines is null or o.lines is null then 1 when n.lines = o.lines then 0 else 1 end = 1)
  or (case when n.min_unit_price is null and o.min_unit_price is null then 0 when n.min_unit_price is null or o.min_unit_price is null then 1 when n.min_unit_price = o.min_unit_price then 0 else 1 end = 1)
  or (case when n.max_unit_price is null and o.max_unit_price is null then 0 when n.max_unit_price is null or o.max_unit_price is null then 1 when n.max_unit_price = o.max_unit_price then 0 else 1 end = 1);

delete from mart.agg_product_day
where exists (
  select 1 from mart_change as c where c.product_id = agg_product_day.product_id and c.date = agg_product_day.date
);

insert into mart.agg_product_day (
  product_id, date, units_sold, units_gross, units_returned, units_cancelled, sales_amount, revenue_amount,
  orders, lines, min_unit_price, max_unit_price
)
select
  product_id, date, units_sold, units_gross, units_returned, units_cancelled, sales_amount, revenue_amount,
  orders, lines, min_unit_price, max_unit_price
from mart_change
where lines is not null;

delete from mart.product_day where date > date '2026-07-09';

create temp table mart_shown as
select coalesce((select least(as_of, date '2026-07-09') from mart.published), date '1000-01-01') as date;

create temp table mart_from as
select product_id, min(date) as date
from (
  select product_id, date
  from mart_change
  where moves_totals and date <= date '2026-07-09'
  union all
  select p.product_id, p.date + 1 as date
  from mart.product_day as p
  where p.date = (select date from mart_shown) and p.date < date '2026-07-09'
  union all
  select a.product_id, s.date + 1 as date
  from mart_shown as s
  join mart.agg_product_day as a on a.date > s.date
  where a.date <= date '2026-07-09' and a.units_gross > 0
) as reason
where product_id <> -1
group by product_id;

delete from mart.product_day using mart_from
where product_day.date >= (select min(date) from mart_from)
  and mart_from.product_id = product_day.product_id and product_day.date >= mart_from.date;

create temp table mart_start as
select
  f.product_id,
  f.date as from_date,
  coalesce(p.first_sale_date, a.first_sale_date) as first_sale_date,
  p.last_sale_date,
  coalesce(p.items_sold_to_date, 0) as items_sold_to_date,
  coalesce(p.sales_amount_to_date, 0) as sales_amount_to_date
from mart_from as f
left join mart.product_day as p on p.product_id = f.product_id and p.date = f.date - 1
left join (
  select g.product_id, min(g.date) as first_sale_date
  from mart_from as c
  join mart.agg_product_day as g on g.product_id = c.product_id and g.date >= c.date
  where g.units_gross > 0 and g.date <= date '2026-07-09'
    and g.date >= (select min(date) from base.dim_date) and g.date >= (select min(date) from mart_from)
  group by g.product_id
) as a on a.product_id = f.product_id
where p.product_id is not null or a.product_id is not null;

insert into mart.product_day (
  date, product_id, units_sold, units_gross, units_returned, sales_amount, revenue_amount, orders, has_sale,
  items_sold_to_date, sales_amount_to_date, days_with_sales_7d, days_with_sales_60d, units_sold_60d,
  first_sale_date, last_sale_date, days_since_last_sale, has_ceased_selling, ceased_on
)
with
spine as (
  select
    d.date, s.product_id, s.first_sale_date, s.last_sale_date, s.items_sold_to_date, s.sales_amount_to_date,
    d.date >= s.from_date as is_new,
    coalesce(a.units_sold, 0) as units_sold,
    coalesce(a.units_gross, 0) as units_gross,
    coalesce(a.units_returned, 0) as units_returned,
    coalesce(a.sales_amount, 0) as sales_amount,
    coalesce(a.revenue_amount, 0) as revenue_amount,
    coalesce(a.orders, 0) as orders,
    coalesce(a.units_gross, 0) > 0 as has_sale
  from mart_start as s
  join base.dim_date as d on d.date >= greatest(s.first_sale_date, s.from_date - 59) and d.date <= date '2026-07-09'
  left join (
    select * from mart.agg_product_day where date >= (select min(from_date) - 59 from mart_start)
  ) as a on a.product_id = s.product_id and a.date = d.date
),
summed as (
  select
    date, product_id, units_sold, units_gross, units_returned, sales_amount, revenue_amount, orders, has_sale, is_new,
    items_sold_to_date + sum(case when is_new then units_sold else 0 end) over (partition by product_id order by date rows between unbounded preceding and current row) as items_sold_to_date,
    sales_amount_to_date + sum(case when is_new then sales_amount else 0 end) over (partition by product_id order by date rows between unbounded preceding and current row) as sales_amount_to_date,
    sum(case when has_sale then 1 else 0 end) over (partition by product_id order by date rows between 6 preceding and current row) as days_with_sales_7d,
    sum(case when has_sale then 1 else 0 end) over (partition by product_id order by date rows between 59 preceding and current row) as days_with_sales_60d,
    sum(units_sold) over (partition by product_id order by date rows between 59 preceding and current row) as units_sold_60d,
    first_sale_date,
    coalesce(max(case when has_sale then date end) over (
        partition by product_id order by date rows between unbounded preceding and current row
      ), last_sale_date) as last_sale_date
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
where is_new
order by date, product_id;

update mart.product_day
set
  units_gross = c.units_gross,
  units_returned = c.units_returned,
  revenue_amount = c.revenue_amount,
  orders = c.orders
from (
  select m.*
  from mart_change as m
  left join mart_from as f on f.product_id = m.product_id and f.date <= m.date
  where m.changes_day and not m.moves_totals and f.product_id is null
) as c
where product_day.product_id = c.product_id and product_day.date = c.date;

delete from mart.published;

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

drop table mart_changed, mart_aggregate, mart_change, mart_shown, mart_from, mart_start;

commit;
