-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.

create schema if not exists "raw";

create schema if not exists base;

create schema if not exists mart;

create table if not exists "raw".load_lock (
  unused integer
)
diststyle all;

begin;

lock "raw".load_lock;

select count(*) from information_schema.tables where table_schema = 'raw' and table_name = 'schema_version';

create table "raw".schema_version (
  version integer not null,
  applied_at timestamptz not null
)
diststyle all;

create table "raw".loaded_file (
  file varchar(65535) not null,
  dataset varchar(65535) not null,
  status varchar(65535) not null,
  lines bigint not null,
  inserted bigint not null,
  updated bigint not null,
  unchanged bigint not null,
  duplicate bigint not null,
  conflict bigint not null,
  waiting bigint not null,
  rejected bigint not null,
  landed_at timestamptz,
  loaded_at timestamptz not null
)
distkey (file) sortkey (dataset, landed_at);

create table "raw".rejected_row (
  file varchar(65535) not null,
  line bigint not null,
  reason varchar(65535) not null,
  text varchar(65535),
  dataset varchar(65535) not null,
  rejected_at timestamptz not null
)
distkey (file) sortkey (rejected_at);

create table "raw".tracking_event (
  event_key varchar(65535) not null,
  event_id varchar(65535),
  event varchar(65535),
  tracking_id varchar(65535) not null,
  source varchar(65535) not null,
  received_at timestamptz not null,
  replay_id varchar(65535),
  body_sha256 varchar(65535) not null,
  event_date date,
  is_test boolean not null,
  file varchar(65535) not null,
  line bigint not null
)
distkey (event_key) sortkey (received_at);

create table "raw".tracking_event_conflict (
  event_key varchar(65535) not null,
  event_id varchar(65535),
  event varchar(65535),
  tracking_id varchar(65535) not null,
  source varchar(65535) not null,
  received_at timestamptz not null,
  replay_id varchar(65535),
  body_sha256 varchar(65535) not null,
  event_date date,
  is_test boolean not null,
  file varchar(65535) not null,
  line bigint not null
)
distkey (event_key) sortkey (received_at);

create table "raw".tracking_alias (
  legacy_id varchar(65535) not null,
  tracking_id varchar(65535) not null,
  tracking_key bigint not null
)
distkey (tracking_id);

create table base.fct_shipment_tracking (
  tracking_id varchar(65535) not null,
  source_tracking_id varchar(65535) not null,
  tracking_key bigint not null,
  legacy_id varchar(65535),
  tracking_number varchar(65535),
  courier varchar(65535),
  "tag" varchar(65535),
  subtag varchar(65535),
  subtag_message varchar(65535),
  order_id varchar(65535),
  order_number varchar(65535),
  shipment_type varchar(65535),
  origin_country varchar(65535),
  destination_country varchar(65535),
  created_at timestamptz,
  updated_at timestamptz,
  event_at timestamptz,
  body_sha256 varchar(65535) not null,
  info_received_at timestamptz,
  in_transit_at timestamptz,
  out_for_delivery_at timestamptz,
  first_attempt_at timestamptz,
  available_for_pickup_at timestamptz,
  delivered_at timestamptz,
  exception_at timestamptz,
  last_checkpoint_at timestamptz,
  estimated_delivery_text varchar(65535),
  estimated_delivery_source varchar(65535),
  estimated_delivery_at timestamptz,
  promised_delivery_text varchar(65535),
  promised_delivery_at timestamptz,
  on_time_status varchar(65535),
  on_time_difference_days integer,
  is_active boolean,
  is_return_to_sender boolean,
  is_test boolean not null,
  checkpoint_count integer not null
)
distkey (tracking_id) sortkey (updated_at);

create table base.fct_tracking_checkpoint (
  tracking_id varchar(65535) not null,
  tracking_key bigint not null,
  source_tracking_id varchar(65535) not null,
  checkpoint_key varchar(65535) not null,
  position integer not null,
  checkpoint_at timestamptz,
  checkpoint_time_text varchar(65535),
  created_at timestamptz,
  courier varchar(65535),
  "tag" varchar(65535),
  subtag varchar(65535),
  subtag_message varchar(65535),
  raw_tag varchar(65535),
  message varchar(65535),
  location varchar(65535),
  city varchar(65535),
  state varchar(65535),
  postal_code varchar(65535),
  country varchar(65535),
  source varchar(65535),
  hash varchar(65535),
  is_test boolean not null
)
distkey (tracking_id) sortkey (checkpoint_at);

create table "raw".superseded_tracking (
  tracking_id varchar(65535) not null,
  source_tracking_id varchar(65535) not null,
  tracking_key bigint not null,
  legacy_id varchar(65535),
  tracking_number varchar(65535),
  courier varchar(65535),
  "tag" varchar(65535),
  subtag varchar(65535),
  subtag_message varchar(65535),
  order_id varchar(65535),
  order_number varchar(65535),
  shipment_type varchar(65535),
  origin_country varchar(65535),
  destination_country varchar(65535),
  created_at timestamptz,
  updated_at timestamptz,
  event_at timestamptz,
  body_sha256 varchar(65535) not null,
  info_received_at timestamptz,
  in_transit_at timestamptz,
  out_for_delivery_at timestamptz,
  first_attempt_at timestamptz,
  available_for_pickup_at timestamptz,
  delivered_at timestamptz,
  exception_at timestamptz,
  last_checkpoint_at timestamptz,
  estimated_delivery_text varchar(65535),
  estimated_delivery_source varchar(65535),
  estimated_delivery_at timestamptz,
  promised_delivery_text varchar(65535),
  promised_delivery_at timestamptz,
  on_time_status varchar(65535),
  on_time_difference_days integer,
  is_active boolean,
  is_return_to_sender boolean,
  is_test boolean not null,
  checkpoint_count integer not null
)
distkey (tracking_id);

create table "raw".superseded_checkpoint (
  tracking_id varchar(65535) not null,
  tracking_key bigint not null,
  source_tracking_id varchar(65535) not null,
  checkpoint_key varchar(65535) not null,
  position integer not null,
  checkpoint_at timestamptz,
  checkpoint_time_text varchar(65535),
  created_at timestamptz,
  courier varchar(65535),
  "tag" varchar(65535),
  subtag varchar(65535),
  subtag_message varchar(65535),
  raw_tag varchar(65535),
  message varchar(65535),
  location varchar(65535),
  city varchar(65535),
  state varchar(65535),
  postal_code varchar(65535),
  country varchar(65535),
  source varchar(65535),
  hash varchar(65535),
  is_test boolean not null
)
distkey (tracking_id);

alter table "raw".loaded_file add column generation integer default 0;

alter table "raw".loaded_file add column sha256 varchar(65535);

alter table "raw".loaded_file add column bytes bigint;

alter table "raw".loaded_file add column modified_at timestamptz;

alter table "raw".loaded_file add column version_at timestamptz;

alter table "raw".loaded_file add column closes_on date;

alter table "raw".loaded_file add column money_total decimal(18, 2);

alter table "raw".rejected_row add column generation integer default 0;

alter table "raw".rejected_row add column byte_offset bigint;

alter table "raw".rejected_row add column column_name varchar(65535);

alter table "raw".rejected_row add column detail varchar(65535);

alter table "raw".rejected_row add column raw_base64 varchar(65535);

alter table "raw".rejected_row add column status varchar(65535) default 'open';

alter table "raw".rejected_row add column resolved_at timestamptz;

create table "raw".finding (
  file varchar(65535) not null,
  generation integer not null,
  dataset varchar(65535) not null,
  rule varchar(65535) not null,
  severity varchar(65535) not null,
  column_name varchar(65535),
  occurrences bigint not null,
  first_line bigint,
  examples varchar(65535),
  found_at timestamptz not null
)
diststyle even;

create table "raw".retail_departments (
  department_id integer not null,
  department_name varchar(65535) not null,
  version_at timestamptz not null,
  file varchar(65535) not null,
  generation integer not null,
  line bigint not null
)
diststyle all;

create table "raw".retail_categories (
  category_id integer not null,
  category_department_id integer not null,
  category_name varchar(65535) not null,
  version_at timestamptz not null,
  file varchar(65535) not null,
  generation integer not null,
  line bigint not null
)
diststyle all;

create table "raw".retail_products (
  product_id integer not null,
  product_category_id integer not null,
  product_name varchar(65535) not null,
  product_description varchar(65535),
  product_price decimal(12, 2) not null,
  product_image varchar(65535),
  version_at timestamptz not null,
  file varchar(65535) not null,
  generation integer not null,
  line bigint not null
)
diststyle even sortkey (version_at);

create table "raw".retail_customers (
  customer_id integer not null,
  customer_fname varchar(65535),
  customer_lname varchar(65535),
  customer_street varchar(65535),
  customer_city varchar(65535),
  customer_state varchar(65535),
  customer_zipcode varchar(65535),
  version_at timestamptz not null,
  file varchar(65535) not null,
  generation integer not null,
  line bigint not null
)
distkey (customer_id) sortkey (version_at);

create table "raw".retail_orders (
  order_id bigint not null,
  order_date timestamp not null,
  order_customer_id integer not null,
  order_status varchar(65535) not null,
  version_at timestamptz not null,
  file varchar(65535) not null,
  generation integer not null,
  line bigint not null
)
distkey (order_id) sortkey (version_at);

create table "raw".retail_order_items (
  order_item_id bigint not null,
  order_item_order_id bigint not null,
  order_item_product_id integer not null,
  order_item_quantity integer not null,
  order_item_subtotal decimal(14, 2) not null,
  order_item_product_price decimal(12, 2) not null,
  version_at timestamptz not null,
  file varchar(65535) not null,
  generation integer not null,
  line bigint not null
)
distkey (order_item_order_id) sortkey (version_at);

create table "raw".waiting_order_line (
  order_item_id bigint not null,
  order_id bigint not null,
  product_id integer not null,
  quantity integer not null,
  unit_price decimal(12, 2) not null,
  line_amount decimal(14, 2) not null,
  version_at timestamptz not null,
  file varchar(65535) not null,
  generation integer not null,
  line bigint not null,
  waiting_since timestamptz not null
)
distkey (order_id);

create table base.dim_date (
  date date not null,
  year integer not null,
  quarter integer not null,
  month integer not null,
  day_of_month integer not null,
  iso_year integer not null,
  iso_week integer not null,
  iso_day_of_week integer not null,
  is_weekend boolean not null,
  month_start date not null
)
diststyle all sortkey (date);

insert into base.dim_date
select
  date,
  cast(extract(year from d) as integer), cast(extract(quarter from d) as integer),
  cast(extract(month from d) as integer), cast(extract(day from d) as integer),
  cast(extract(year from thursday) as integer),
  cast(floor((extract(doy from thursday) - 1) / 7) as integer) + 1,
  iso_day_of_week,
  iso_day_of_week >= 6,
  cast(date_trunc('month', d) as date)
from (
  select
    d,
    cast(d as date) as date,
    date_trunc('week', d) + interval '3 days' as thursday,
    cast(cast(d as date) - cast(date_trunc('week', d) as date) + 1 as integer) as iso_day_of_week
  from (with digit as (
  select 0 as n union all select 1 union all select 2 union all select 3 union all select 4
  union all select 5 union all select 6 union all select 7 union all select 8 union all select 9
)
select cast(date '2009-01-01' + nth as timestamp) as d
from (
  select a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n as nth
  from digit as a cross join digit as b cross join digit as c cross join digit as d cross join digit as e
) as counted
where date '2009-01-01' + nth <= date '2040-12-31') as days
) as placed;

create table base.dim_order_status (
  order_status_key bigint not null,
  order_status varchar(65535) not null,
  is_sale boolean not null,
  is_revenue boolean not null,
  is_cancelled boolean not null,
  is_final boolean not null,
  is_inferred boolean not null
)
diststyle all;

insert into base.dim_order_status (order_status_key, order_status, is_sale, is_revenue, is_cancelled, is_final, is_inferred)
select strtol(substring(md5(s.order_status), 1, 15), 16), s.order_status, s.is_sale, s.is_revenue, s.is_cancelled, s.is_final, false
from (
  select cast('CANCELED' as varchar(65535)) as order_status,
    false as is_sale, false as is_revenue, true as is_cancelled, true as is_final
  union all select 'CLOSED', true, true, false, true
  union all select 'COMPLETE', true, true, false, true
  union all select 'ON_HOLD', true, false, false, false
  union all select 'PAYMENT_REVIEW', true, false, false, false
  union all select 'PENDING', true, false, false, false
  union all select 'PENDING_PAYMENT', true, false, false, false
  union all select 'PROCESSING', true, false, false, false
  union all select 'SUSPECTED_FRAUD', false, false, true, false
) as s;

create table base.dim_department (
  department_id integer not null,
  department_name varchar(65535) not null,
  is_inferred boolean not null
)
diststyle all;

create table base.dim_category (
  category_id integer not null,
  category_name varchar(65535) not null,
  department_id integer,
  is_inferred boolean not null
)
diststyle all;

create table base.dim_product (
  product_key bigint not null,
  product_id integer not null,
  product_name varchar(65535) not null,
  product_description varchar(65535),
  image_url varchar(65535),
  list_price decimal(12, 2),
  category_id integer,
  category_name varchar(65535),
  department_id integer,
  department_name varchar(65535),
  valid_from timestamptz not null,
  valid_to timestamptz not null,
  is_current boolean not null,
  is_inferred boolean not null
)
diststyle all sortkey (product_id, valid_from);

create table base.dim_customer (
  customer_key bigint not null,
  customer_id integer not null,
  city varchar(65535),
  state varchar(65535),
  zipcode varchar(65535),
  valid_from timestamptz not null,
  valid_to timestamptz not null,
  is_current boolean not null,
  is_inferred boolean not null
)
diststyle all sortkey (customer_id, valid_from);

create table base.customer_pii (
  customer_id integer not null,
  first_name varchar(65535),
  last_name varchar(65535),
  street varchar(65535)
)
distkey (customer_id);

create table base.fct_order (
  order_id bigint not null,
  ordered_at timestamp not null,
  order_date date not null,
  customer_id integer not null,
  customer_key bigint not null,
  order_status_key bigint not null,
  version_at timestamptz not null,
  file varchar(65535) not null,
  generation integer not null,
  line bigint not null
)
distkey (order_id) sortkey (order_date);

create table base.fct_order_line (
  order_item_id bigint not null,
  order_id bigint not null,
  order_date date not null,
  ordered_at timestamp not null,
  product_id integer not null,
  product_key bigint not null,
  customer_id integer not null,
  customer_key bigint not null,
  order_status_key bigint not null,
  quantity integer not null,
  unit_price decimal(12, 2) not null,
  line_amount decimal(14, 2) not null,
  version_at timestamptz not null,
  file varchar(65535) not null,
  generation integer not null,
  line bigint not null
)
distkey (order_id) sortkey (order_date);

create table base.fct_price_change (
  product_id integer not null,
  changed_at timestamptz not null,
  old_price decimal(12, 2) not null,
  new_price decimal(12, 2) not null,
  price_difference decimal(12, 2) not null,
  product_key_before bigint not null,
  product_key_after bigint not null
)
diststyle all;

create table mart.changed_product_day (
  product_id integer not null,
  date date not null
)
diststyle even;

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
  min_unit_price decimal(12, 2),
  max_unit_price decimal(12, 2)
)
diststyle even sortkey (date, product_id);

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
  ceased_on date
)
diststyle even sortkey (date, product_id);

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

create table mart.published (
  as_of date not null,
  refreshed_at timestamptz not null
)
diststyle all;

create view mart.ceased_selling as
select date, product_id, items_sold_to_date, days_with_sales_60d, days_since_last_sale
from mart.product_day
where has_ceased_selling and date = (select max(as_of) from mart.published);

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

create view base.dim_courier as
select courier, count(*) as trackings, min(created_at) as first_seen_at
from base.fct_shipment_tracking
where courier is not null and not is_test
group by courier;

create view mart.data_quality as
select f.rule, f.severity, f.dataset, f.column_name, cast(sum(f.occurrences) as bigint) as occurrences, min(f.examples) as examples
from "raw".finding as f
join "raw".loaded_file as l on l.file = f.file and l.generation = f.generation and l.status = 'loaded'
group by f.rule, f.severity, f.dataset, f.column_name
union all
select 'inferred_member', 'warn', 'departments', cast(null as varchar(65535)), count(*), cast(min(department_id) as varchar(65535))
from base.dim_department where is_inferred having count(*) > 0
union all
select 'inferred_member', 'warn', 'categories', cast(null as varchar(65535)), count(*), cast(min(category_id) as varchar(65535))
from base.dim_category where is_inferred having count(*) > 0
union all
select 'inferred_member', 'warn', 'products', cast(null as varchar(65535)), count(*), cast(min(product_id) as varchar(65535))
from base.dim_product where is_inferred having count(*) > 0
union all
select 'inferred_member', 'warn', 'customers', cast(null as varchar(65535)), count(*), cast(min(customer_id) as varchar(65535))
from base.dim_customer where is_inferred having count(*) > 0
union all
select 'inferred_member', 'warn', 'order_statuses', cast(null as varchar(65535)), count(*), min(order_status)
from base.dim_order_status where is_inferred having count(*) > 0
union all
select 'category_without_products', 'info', 'categories', cast(null as varchar(65535)), count(*), cast(min(c.category_id) as varchar(65535))
from base.dim_category as c
where not exists (select 1 from base.dim_product as p where p.category_id = c.category_id)
having count(*) > 0
union all
select 'customer_without_orders', 'info', 'customers', cast(null as varchar(65535)), count(*), cast(min(c.customer_id) as varchar(65535))
from base.dim_customer as c
where c.is_current and not exists (select 1 from base.fct_order as o where o.customer_id = c.customer_id)
having count(*) > 0
union all
select 'order_without_lines', 'warn', 'orders', cast(null as varchar(65535)), count(*), cast(min(o.order_id) as varchar(65535))
from base.fct_order as o
where not exists (select 1 from base.fct_order_line as l where l.order_id = o.order_id)
having count(*) > 0
union all
select 'line_without_order', 'warn', 'order_items', cast(null as varchar(65535)), count(*), cast(min(order_item_id) as varchar(65535))
from "raw".waiting_order_line having count(*) > 0
union all
select 'product_never_sold', 'info', 'products', cast(null as varchar(65535)), count(*), cast(min(p.product_id) as varchar(65535))
from base.dim_product as p
where p.is_current and not exists (select 1 from base.fct_order_line as l where l.product_id = p.product_id)
having count(*) > 0;

create table base.business (
  time_zone varchar(65535) not null
)
diststyle all;

create table "raw".erased_customer (
  customer_id integer not null,
  erased_at timestamptz not null,
  reason varchar(65535)
)
diststyle all;

alter table base.dim_date add column hours decimal(4, 2) default 24;

alter table base.dim_date add column is_clock_change boolean default false;

alter table base.fct_shipment_tracking add column order_item_ids varchar(65535);

alter table "raw".superseded_tracking add column order_item_ids varchar(65535);

drop view if exists mart.courier_performance;

drop view if exists mart.delivery_performance;

drop view if exists mart.unlinked_tracking;

drop view if exists mart.unshipped_order_line;

drop view if exists base.bridge_order_line_tracking;

create view base.bridge_order_line_tracking as
select
  l.order_item_id, l.order_id, t.tracking_id, t.tracking_key,
  case when t.order_item_ids is not null then 'custom_fields' else t.link_source end as link_source
from (
  select
    b.tracking_id, b.tracking_key, b.order_item_ids, coalesce(i.order_id, n.order_id) as order_id,
    case when i.order_id is not null then 'order_id' else 'order_number' end as link_source
  from base.fct_shipment_tracking as b
  left join base.fct_order as i on cast(i.order_id as varchar(65535)) = b.order_id
  left join base.fct_order as n on cast(n.order_id as varchar(65535)) = replace(b.order_number, '#', '')
  where not b.is_test
) as t
join base.fct_order_line as l on l.order_id = t.order_id
where t.order_item_ids is null
  or ',' || t.order_item_ids || ',' like '%,' || cast(l.order_item_id as varchar(65535)) || ',%';

create view mart.unlinked_tracking as
select t.tracking_id, t.tracking_number, t.courier, t.order_id, t.order_number, t."tag", t.updated_at
from base.fct_shipment_tracking as t
left join base.bridge_order_line_tracking as b on b.tracking_key = t.tracking_key and b.tracking_id = t.tracking_id
where b.tracking_id is null and not t.is_test;

create view mart.unshipped_order_line as
select l.order_item_id, l.order_id, l.order_date, l.product_id, l.quantity
from base.fct_order_line as l
join base.dim_order_status as s on s.order_status_key = l.order_status_key and s.is_sale
left join base.bridge_order_line_tracking as b on b.order_item_id = l.order_item_id
where b.order_item_id is null;

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

alter table "raw".loaded_file add column is_full boolean default false;

delete from "raw".loaded_file where status = 'duplicate' and sha256 is not null;

create table base.absence (
  dataset varchar(65535) not null,
  id integer not null,
  absent_from timestamptz not null,
  absent_until timestamptz not null,
  file varchar(65535) not null,
  generation integer not null
)
diststyle even sortkey (dataset, id);

create or replace view mart.delivery_performance as
select
  order_item_id, order_id, tracking_id, order_date, product_id, customer_id, quantity, line_amount, courier, "tag",
  link_source, ordered_at, shipped_at, delivered_at, due_at, due_on, delivered_on,
  cast(delivered_on - order_date as integer) as days_to_deliver,
  case
    when due_on is null then null
    when delivered_on is not null then delivered_on > due_on
    when "tag" = 'Delivered' and on_time_status = 'late' then true
    when "tag" = 'Delivered' and on_time_status = 'on-time' then false
    when "tag" = 'Delivered' then null
    else cast(cast(sysdate as timestamptz) at time zone 'UTC' as date) > due_on
  end as is_late
from (
  select
    b.order_item_id, b.order_id, b.tracking_id, l.order_date, l.product_id, l.customer_id, l.quantity, l.line_amount,
    t.courier, t."tag", t.on_time_status, b.link_source, l.ordered_at,
    coalesce(t.in_transit_at, t.out_for_delivery_at, t.delivered_at) as shipped_at,
    t.delivered_at,
    coalesce(t.promised_delivery_at, t.estimated_delivery_at) as due_at,
    coalesce(
      d.date, cast(coalesce(t.promised_delivery_at, t.estimated_delivery_at) at time zone 'UTC' as date)
    ) as due_on,
    cast(t.delivered_at at time zone 'UTC' as date) as delivered_on
  from base.bridge_order_line_tracking as b
  join base.fct_order_line as l on l.order_item_id = b.order_item_id and l.order_id = b.order_id
  join base.fct_shipment_tracking as t on t.tracking_key = b.tracking_key and t.tracking_id = b.tracking_id
  left join base.dim_date as d
    on cast(d.year as varchar(65535)) || '-' || lpad(cast(d.month as varchar(65535)), 2, '0') || '-'
      || lpad(cast(d.day_of_month as varchar(65535)), 2, '0')
    = substring(coalesce(t.promised_delivery_text, t.estimated_delivery_text), 1, 10)
) as delivery;

create or replace view mart.courier_performance as
select
  courier,
  count(distinct tracking_id) as parcels,
  count(distinct case when delivered_on is not null or "tag" = 'Delivered' then tracking_id end) as delivered,
  count(distinct case when is_late then tracking_id end) as late,
  cast(
    round(cast(avg(cast(days_to_deliver as decimal(24, 6))) as decimal(24, 6)), 2) as decimal(12, 2)
  ) as days_to_deliver
from mart.delivery_performance
group by courier;

delete from base.business;

insert into base.business (time_zone) values ('UTC');

update base.dim_date set hours = 24, is_clock_change = false where is_clock_change;

insert into "raw".schema_version (version, applied_at) values (4, cast(sysdate as timestamptz));

commit;
