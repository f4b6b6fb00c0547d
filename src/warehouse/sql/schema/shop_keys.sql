-- Version 3 of the schema, on both engines.

--pg -- The day of each line in base.fct_order_line: it names the partition, which a line's number alone does not. Without
--pg -- it every line of a file would be looked for in the partitions of all months.
--pg create table raw.order_line_day (
--pg   order_item_id bigint not null primary key,
--pg   order_date date not null
--pg );
--pg insert into raw.order_line_day (order_item_id, order_date)
--pg select order_item_id, order_date from base.fct_order_line order by order_item_id;
--pg drop index base.fct_order_line_order_item_id_idx;

-- The zone in which the shop's clock goes: one row.
create table base.business (
  time_zone {text} not null
)
--rs diststyle all
;

-- Customers whose names are erased, and stay so whatever file comes again.
create table raw.erased_customer (
  customer_id integer not null,
  erased_at timestamptz not null,
  --pg primary key (customer_id),
  reason {text}
)
--rs diststyle all
;

-- Days on which the shop's clock was changed are not 24 hours long: what sold on them compares with other days only so.
alter table base.dim_date add column hours decimal(4, 2) default 24;
alter table base.dim_date add column is_clock_change boolean default false;

-- Lines of the order in a parcel, from `custom_fields`: numbers with commas between. Empty for what landed before.
alter table base.fct_shipment_tracking add column order_item_ids {text};
alter table raw.superseded_tracking add column order_item_ids {text};

drop view if exists mart.courier_performance;
drop view if exists mart.delivery_performance;
drop view if exists mart.unlinked_tracking;
drop view if exists mart.unshipped_order_line;
drop view if exists base.bridge_order_line_tracking;

-- Which parcels carry which lines: by AfterShip's order id, else by its order number, with or without a `#` before it;
-- of that order the lines that the shop named in `custom_fields`, or all when it named none.
-- A view, so that either side may come first, and whatever comes late joins by itself. Parcels and lines are n to m.
-- AfterShip's documentation sample belongs to no order.
create view base.bridge_order_line_tracking as
select
  l.order_item_id, l.order_id, t.tracking_id, t.tracking_key,
  case when t.order_item_ids is not null then 'custom_fields' else t.link_source end as link_source
from (
  select
    b.tracking_id, b.tracking_key, b.order_item_ids, coalesce(i.order_id, n.order_id) as order_id,
    case when i.order_id is not null then 'order_id' else 'order_number' end as link_source
  from base.fct_shipment_tracking as b
  left join base.fct_order as i on cast(i.order_id as {string}) = b.order_id
  left join base.fct_order as n on cast(n.order_id as {string}) = replace(b.order_number, '#', '')
  where not b.is_test
) as t
join base.fct_order_line as l on l.order_id = t.order_id
where t.order_item_ids is null
  or ',' || t.order_item_ids || ',' like '%,' || cast(l.order_item_id as {string}) || ',%';

-- Parcels of an order that is not there, and lines of orders that are sales and have no parcel yet.
create view mart.unlinked_tracking as
select t.tracking_id, t.tracking_number, t.courier, t.order_id, t.order_number, t.tag, t.updated_at
from base.fct_shipment_tracking as t
left join base.bridge_order_line_tracking as b on b.tracking_key = t.tracking_key and b.tracking_id = t.tracking_id
where b.tracking_id is null and not t.is_test;

create view mart.unshipped_order_line as
select l.order_item_id, l.order_id, l.order_date, l.product_id, l.quantity
from base.fct_order_line as l
join base.dim_order_status as s on s.order_status_key = l.order_status_key and s.is_sale
left join base.bridge_order_line_tracking as b on b.order_item_id = l.order_item_id
where b.order_item_id is null;

-- One row per change of a list price: how far it went, and how many units a day sold in the 28 days before the day of
-- the change and in the 28 from it on. Days before the first sale and after the published day do not count, so
-- `days_before` and `days_after` say how much there is to go by. A change is of the day that its file is
-- about, which versions begin with in UTC.
create or replace view mart.price_change as
select
  c.product_id, p.product_name, c.changed_at, c.old_price, c.new_price, c.price_difference,
  cast(
    round(cast(100.0 * c.price_difference / nullif(c.old_price, 0) as decimal(24, 6)), 2) as decimal(20, 2)
  ) as percent_change,
  c.days_before, c.days_after,
  cast(
    round(cast(1.0 * c.units_before / nullif(c.days_before, 0) as decimal(24, 6)), 2) as decimal(20, 2)
  ) as units_per_day_before,
  cast(
    round(cast(1.0 * c.units_after / nullif(c.days_after, 0) as decimal(24, 6)), 2) as decimal(20, 2)
  ) as units_per_day_after
from (
  select
    k.product_id, k.changed_at, k.old_price, k.new_price, k.price_difference,
    count(case when d.date < cast(k.changed_at at time zone 'UTC' as date) then 1 end) as days_before,
    count(case when d.date >= cast(k.changed_at at time zone 'UTC' as date) then 1 end) as days_after,
    cast(sum(case when d.date < cast(k.changed_at at time zone 'UTC' as date) then d.units_sold end) as bigint) as units_before,
    cast(sum(case when d.date >= cast(k.changed_at at time zone 'UTC' as date) then d.units_sold end) as bigint) as units_after
  from base.fct_price_change as k
  left join mart.product_day as d
    on d.product_id = k.product_id
    and d.date between cast(k.changed_at at time zone 'UTC' as date) - 28 and cast(k.changed_at at time zone 'UTC' as date) + 27
  group by k.product_id, k.changed_at, k.old_price, k.new_price, k.price_difference
) as c
left join base.dim_product as p on p.product_id = c.product_id and p.is_current;

-- One row per month with lines of orders. Orders are counted in their own table: with those that have no lines, without
-- cancelled ones, and as new as the last load where the rest is as new as the last refresh. By the calendar, so that one
-- month is read where one is asked for.
create or replace view mart.revenue_by_month as
select
  a.month_start, a.products, coalesce(o.orders, 0) as orders,
  a.units_sold, a.units_returned, a.units_cancelled, a.sales_amount, a.revenue_amount
from (
  select
    d.month_start,
    count(distinct case when p.units_gross > 0 then p.product_id end) as products,
    cast(sum(p.units_sold) as bigint) as units_sold,
    cast(sum(p.units_returned) as bigint) as units_returned,
    cast(sum(p.units_cancelled) as bigint) as units_cancelled,
    cast(sum(p.sales_amount) as decimal(18, 2)) as sales_amount,
    cast(sum(p.revenue_amount) as decimal(18, 2)) as revenue_amount
  from mart.agg_product_day as p
  join base.dim_date as d on d.date = p.date
  group by d.month_start
) as a
left join (
  select d.month_start, count(*) as orders
  from base.fct_order as f
  join base.dim_date as d on d.date = f.order_date
  join base.dim_order_status as s on s.order_status_key = f.order_status_key
  where s.is_sale
  group by d.month_start
) as o on o.month_start = a.month_start;

-- One row per customer with an order that is not cancelled, straight from the facts. Orders are counted in their own table,
-- which costs less than telling those of lines apart.
create view mart.revenue_by_customer as
select
  o.customer_id, o.orders, o.first_order_date, o.last_order_date, coalesce(l.units_sold, 0) as units_sold,
  coalesce(l.sales_amount, 0) as sales_amount, coalesce(l.revenue_amount, 0) as revenue_amount
from (
  select f.customer_id, count(*) as orders, min(f.order_date) as first_order_date, max(f.order_date) as last_order_date
  from base.fct_order as f
  join base.dim_order_status as s on s.order_status_key = f.order_status_key
  where s.is_sale
  group by f.customer_id
) as o
left join (
  select
    f.customer_id,
    cast(sum(f.quantity) as bigint) as units_sold,
    cast(sum(f.line_amount) as decimal(18, 2)) as sales_amount,
    cast(sum(case when s.is_revenue then f.line_amount else 0 end) as decimal(18, 2)) as revenue_amount
  from base.fct_order_line as f
  join base.dim_order_status as s on s.order_status_key = f.order_status_key
  where s.is_sale
  group by f.customer_id
) as l on l.customer_id = o.customer_id;
