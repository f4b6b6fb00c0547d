-- The marts of the shop: what sold, product by product and day by day, and views on it and on the facts. The tables are
-- kept by mart/refresh.sql and mart/rebuild.sql and hold nothing that the facts do not.

-- One row per product and day that has lines of any status. Units, amounts and lines add up over any slice. Orders add
-- up over the days of one product, not over products: an order may hold several.
-- Redshift: evenly, since by product one node would do most of the work, and by day only one would answer; by day, then product.
create table mart.agg_product_day (
  product_id integer not null,
  date date not null,
  units_sold bigint not null,
  units_gross bigint not null,
  units_returned bigint not null,
  units_cancelled bigint not null,
  sales_amount decimal(16, 2) not null,
  revenue_amount decimal(16, 2) not null,
  orders integer not null,
  lines integer not null,
  --pg primary key (product_id, date),
  min_unit_price decimal(12, 2),
  max_unit_price decimal(12, 2)
)
--rs diststyle even sortkey (date, product_id)
;
--pg create index on mart.agg_product_day (date);

-- One row per product and day, without holes, from the first day on which the product sold to the last complete day.
-- Redshift: as mart.agg_product_day.
create table mart.product_day (
  date date not null,
  product_id integer not null,
  units_sold bigint not null,
  units_gross bigint not null,
  units_returned bigint not null,
  sales_amount decimal(16, 2) not null,
  revenue_amount decimal(16, 2) not null,
  orders integer not null,
  has_sale boolean not null,
  items_sold_to_date bigint not null,
  sales_amount_to_date decimal(18, 2) not null,
  days_with_sales_7d integer not null,
  days_with_sales_60d integer not null,
  units_sold_60d bigint not null,
  first_sale_date date not null,
  last_sale_date date not null,
  days_since_last_sale integer not null,
  has_ceased_selling boolean not null,
  --pg primary key (date, product_id),
  ceased_on date
)
--rs diststyle even sortkey (date, product_id)
;
--pg create index on mart.product_day (product_id, date);
--pg create index on mart.product_day (date, product_id) where has_ceased_selling;

comment on column mart.agg_product_day.units_sold is 'Units of sales less returns, without cancelled orders';
comment on column mart.agg_product_day.orders is 'Orders with this product: never sum over products';
comment on column mart.agg_product_day.min_unit_price is
  'Of units sold: null on a day of returns and cancelled orders only';
comment on column mart.agg_product_day.max_unit_price is
  'Of units sold: null on a day of returns and cancelled orders only';
comment on column mart.product_day.units_sold is 'Units of sales less returns, without cancelled orders';
comment on column mart.product_day.orders is 'Orders with this product: never sum over products';
comment on column mart.product_day.has_sale is 'Units were sold, whatever came back';
comment on column mart.product_day.items_sold_to_date is
  'From the first sale to this day, less returns: never sum over days';
comment on column mart.product_day.sales_amount_to_date is
  'From the first sale to this day, less returns: never sum over days';
comment on column mart.product_day.days_with_sales_7d is 'Of this day and the 6 before it: never sum over days';
comment on column mart.product_day.days_with_sales_60d is 'Of this day and the 59 before it: never sum over days';
comment on column mart.product_day.units_sold_60d is
  'Of this day and the 59 before it, less returns: never sum over days';
comment on column mart.product_day.days_since_last_sale is
  'Whole days without a sale, up to and with this day: never sum over days';
comment on column mart.product_day.has_ceased_selling is
  'Sold on more than 30 of 60 days, on none of the last 7: never count over days, see ceased_on';
comment on column mart.product_day.ceased_on is
  'The 7th day without a sale, while has_ceased_selling: one value for each time that a product ceases';

-- One row once there is a complete day: the day that the marts show.
create table mart.published (
  as_of date not null,
  refreshed_at timestamptz not null
)
--rs diststyle all
;

-- Products that sold on more than 30 of the last 60 days and on none of the last 7. One row per product, of the
-- published day: nothing is left to filter or to group.
create view mart.ceased_selling as
select date, product_id, items_sold_to_date, days_with_sales_60d, days_since_last_sale
from mart.product_day
where has_ceased_selling and date = (select max(as_of) from mart.published);

-- One row per product that was ever ordered, under its newest name. With the days after the published one.
create view mart.revenue_by_product as
select
  a.product_id, p.product_name, p.category_name, p.department_name,
  a.orders, a.units_sold, a.units_returned, a.units_cancelled, a.sales_amount, a.revenue_amount,
  a.first_sale_date, a.last_sale_date
from (
  select
    product_id,
    cast(sum(orders) as bigint) as orders,
    cast(sum(units_sold) as bigint) as units_sold,
    cast(sum(units_returned) as bigint) as units_returned,
    cast(sum(units_cancelled) as bigint) as units_cancelled,
    cast(sum(sales_amount) as decimal(18, 2)) as sales_amount,
    cast(sum(revenue_amount) as decimal(18, 2)) as revenue_amount,
    min(case when units_gross > 0 then date end) as first_sale_date,
    max(case when units_gross > 0 then date end) as last_sale_date
  from mart.agg_product_day
  group by product_id
) as a
left join base.dim_product as p on p.product_id = a.product_id and p.is_current;

-- One row per customer and month with an order that is not cancelled, straight from the facts: what a customer bought,
-- less what came back.
create view mart.customer_month as
select
  f.customer_id,
  cast(date_trunc('month', cast(f.order_date as timestamp)) as date) as month_start,
  count(distinct f.order_id) as orders,
  cast(sum(f.quantity) as bigint) as units,
  cast(sum(f.line_amount) as decimal(18, 2)) as sales_amount,
  cast(sum(case when s.is_revenue then f.line_amount else 0 end) as decimal(18, 2)) as revenue_amount
from base.fct_order_line as f
join base.dim_order_status as s on s.order_status_key = f.order_status_key
where s.is_sale
group by 1, 2;

--pg create index on base.fct_order (cast(order_id as {string}));

-- Couriers that parcels went by.
create view base.dim_courier as
select courier, count(*) as trackings, min(created_at) as first_seen_at
from base.fct_shipment_tracking
where courier is not null and not is_test
group by courier;

-- What is wrong between the tables, and in the content, by rule: the report that somebody should read now and then.
create view mart.data_quality as
select f.rule, f.severity, f.dataset, f.column_name, cast(sum(f.occurrences) as bigint) as occurrences, min(f.examples) as examples
from raw.finding as f
join raw.loaded_file as l on l.file = f.file and l.generation = f.generation and l.status = 'loaded'
group by f.rule, f.severity, f.dataset, f.column_name
union all
select 'inferred_member', 'warn', 'departments', cast(null as {string}), count(*), cast(min(department_id) as {string})
from base.dim_department where is_inferred having count(*) > 0
union all
select 'inferred_member', 'warn', 'categories', cast(null as {string}), count(*), cast(min(category_id) as {string})
from base.dim_category where is_inferred having count(*) > 0
union all
select 'inferred_member', 'warn', 'products', cast(null as {string}), count(*), cast(min(product_id) as {string})
from base.dim_product where is_inferred having count(*) > 0
union all
select 'inferred_member', 'warn', 'customers', cast(null as {string}), count(*), cast(min(customer_id) as {string})
from base.dim_customer where is_inferred having count(*) > 0
union all
select 'inferred_member', 'warn', 'order_statuses', cast(null as {string}), count(*), min(order_status)
from base.dim_order_status where is_inferred having count(*) > 0
union all
select 'category_without_products', 'info', 'categories', cast(null as {string}), count(*), cast(min(c.category_id) as {string})
from base.dim_category as c
where not exists (select 1 from base.dim_product as p where p.category_id = c.category_id)
having count(*) > 0
union all
select 'customer_without_orders', 'info', 'customers', cast(null as {string}), count(*), cast(min(c.customer_id) as {string})
from base.dim_customer as c
where c.is_current and not exists (select 1 from base.fct_order as o where o.customer_id = c.customer_id)
having count(*) > 0
union all
select 'order_without_lines', 'warn', 'orders', cast(null as {string}), count(*), cast(min(o.order_id) as {string})
from base.fct_order as o
where not exists (select 1 from base.fct_order_line as l where l.order_id = o.order_id)
having count(*) > 0
union all
select 'line_without_order', 'warn', 'order_items', cast(null as {string}), count(*), cast(min(order_item_id) as {string})
from raw.waiting_order_line having count(*) > 0
union all
select 'product_never_sold', 'info', 'products', cast(null as {string}), count(*), cast(min(p.product_id) as {string})
from base.dim_product as p
where p.is_current and not exists (select 1 from base.fct_order_line as l where l.product_id = p.product_id)
having count(*) > 0;
