-- Version 2 of the schema, on all engines: the shop's own data beside the trackings. Lines that begin with `--pg` are for
-- PostgreSQL only: keys, indexes and partitions, which DuckDB is better off without (docs/decisions/0003). Those that
-- begin with `--rs` are for Redshift only: on which node a row lies, and in which order rows are stored.

-- The ledger also knows shop files: what they were, which day they bring to its end, and how much money they hold.
-- A file whose bytes were replaced has several rows; all but the last are superseded.
alter table raw.loaded_file add column generation integer default 0;
alter table raw.loaded_file add column sha256 {text};
alter table raw.loaded_file add column bytes bigint;
alter table raw.loaded_file add column modified_at timestamptz;
alter table raw.loaded_file add column version_at timestamptz;
alter table raw.loaded_file add column closes_on date;
alter table raw.loaded_file add column money_total decimal(18, 2);
--pg alter table raw.loaded_file alter column generation set not null;
--pg alter table raw.loaded_file drop constraint loaded_file_pkey;
--pg alter table raw.loaded_file add primary key (file, generation);
--pg create index on raw.loaded_file (dataset, sha256);

-- A rejected line of a shop file says where it is wrong, keeps its bytes, and can be replayed once it is repaired.
alter table raw.rejected_row add column generation integer default 0;
alter table raw.rejected_row add column byte_offset bigint;
alter table raw.rejected_row add column column_name {text};
alter table raw.rejected_row add column detail {text};
alter table raw.rejected_row add column raw_base64 {text};
alter table raw.rejected_row add column status {text} default 'open';
alter table raw.rejected_row add column resolved_at timestamptz;
--pg create index on raw.rejected_row (file, line);

-- What is odd and loads all the same: one row per rule, column and file, with the keys of the first few.
-- Redshift: spread evenly, being small and joined to nothing.
create table raw.finding (
  file {text} not null,
  generation integer not null,
  dataset {text} not null,
  rule {text} not null,
  severity {text} not null,
  column_name {text},
  occurrences bigint not null,
  first_line bigint,
  examples {text},
  found_at timestamptz not null
)
--rs diststyle even
;

-- What landed, as it came: every accepted line of every file, in the columns of the shop's tables. `version_at`,
-- `file`, `generation` (which of the bytes that this name had) and `line` order the versions of a key.
-- Redshift: on every node, being a few rows that are joined to everything above them.
create table raw.retail_departments (
  department_id integer not null,
  department_name {text} not null,
  version_at timestamptz not null,
  file {text} not null,
  generation integer not null,
  line bigint not null
)
--rs diststyle all
;

create table raw.retail_categories (
  category_id integer not null,
  category_department_id integer not null,
  category_name {text} not null,
  version_at timestamptz not null,
  file {text} not null,
  generation integer not null,
  line bigint not null
)
--rs diststyle all
;

-- Redshift: evenly, since nothing is ever spread by product; by version, as it lands.
create table raw.retail_products (
  product_id integer not null,
  product_category_id integer not null,
  product_name {text} not null,
  product_description {text},
  product_price decimal(12, 2) not null,
  product_image {text},
  version_at timestamptz not null,
  file {text} not null,
  generation integer not null,
  line bigint not null
)
--rs diststyle even sortkey (version_at)
;

-- Passwords are never loaded, and masked e-mail addresses say nothing.
-- Redshift: by customer, of whom each has a few rows; by version, as it lands.
create table raw.retail_customers (
  customer_id integer not null,
  customer_fname {text},
  customer_lname {text},
  customer_street {text},
  customer_city {text},
  customer_state {text},
  customer_zipcode {text},
  version_at timestamptz not null,
  file {text} not null,
  generation integer not null,
  line bigint not null
)
--rs distkey (customer_id) sortkey (version_at)
;

-- Redshift: by order, as its lines and facts are; by version, as it lands, so that nothing has to be sorted again.
create table raw.retail_orders (
  order_id bigint not null,
  order_date timestamp not null,
  order_customer_id integer not null,
  order_status {text} not null,
  version_at timestamptz not null,
  file {text} not null,
  generation integer not null,
  line bigint not null
)
--rs distkey (order_id) sortkey (version_at)
;

-- Redshift: as raw.retail_orders, beside their order.
create table raw.retail_order_items (
  order_item_id bigint not null,
  order_item_order_id bigint not null,
  order_item_product_id integer not null,
  order_item_quantity integer not null,
  order_item_subtotal decimal(14, 2) not null,
  order_item_product_price decimal(12, 2) not null,
  version_at timestamptz not null,
  file {text} not null,
  generation integer not null,
  line bigint not null
)
--rs distkey (order_item_order_id) sortkey (version_at)
;

--pg create index on raw.retail_products (product_id);
--pg create index on raw.retail_customers (customer_id);
--pg create index on raw.retail_orders using brin (version_at);
--pg create index on raw.retail_order_items using brin (version_at);

-- Lines whose order is not there yet; they become facts when it comes.
-- Redshift: by order, where the order will be when it comes.
create table raw.waiting_order_line (
  order_item_id bigint not null,
  order_id bigint not null,
  product_id integer not null,
  quantity integer not null,
  unit_price decimal(12, 2) not null,
  line_amount decimal(14, 2) not null,
  version_at timestamptz not null,
  file {text} not null,
  generation integer not null,
  line bigint not null,
  --pg primary key (order_item_id),
  waiting_since timestamptz not null
)
--rs distkey (order_id)
;
--pg create index on raw.waiting_order_line (order_id);

-- One row per day, without holes.
-- Redshift: dimensions are on every node, so that no join to one moves rows.
create table base.dim_date (
  date date not null,
  year integer not null,
  quarter integer not null,
  month integer not null,
  day_of_month integer not null,
  iso_year integer not null,
  iso_week integer not null,
  iso_day_of_week integer not null,
  --pg primary key (date),
  is_weekend boolean not null,
  month_start date not null
)
--rs diststyle all sortkey (date)
;
insert into base.dim_date
select
  date,
  cast(extract(year from d) as integer), cast(extract(quarter from d) as integer),
  cast(extract(month from d) as integer), cast(extract(day from d) as integer),
  -- A week belongs to the year that its Thursday is in.
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
  from ({series}) as days
) as placed;

-- What an order's status means: the policy of what counts as a sale and as revenue is data, and may be changed here
-- (then run `waybill rebuild-marts`).
create table base.dim_order_status (
  order_status_key bigint not null,
  order_status {text} not null,
  is_sale boolean not null,
  is_revenue boolean not null,
  is_cancelled boolean not null,
  is_final boolean not null,
  --pg primary key (order_status_key),
  --pg unique (order_status),
  is_inferred boolean not null
)
--rs diststyle all
;
insert into base.dim_order_status (order_status_key, order_status, is_sale, is_revenue, is_cancelled, is_final, is_inferred)
select {key(s.order_status)}, s.order_status, s.is_sale, s.is_revenue, s.is_cancelled, s.is_final, false
from (
  select cast('CANCELED' as {string}) as order_status,
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

-- Type 1: a department or category is called what its newest version says. Inferred: named by others, not seen yet.
create table base.dim_department (
  department_id integer not null,
  department_name {text} not null,
  --pg primary key (department_id),
  is_inferred boolean not null
)
--rs diststyle all
;

create table base.dim_category (
  category_id integer not null,
  category_name {text} not null,
  department_id integer,
  --pg primary key (category_id),
  is_inferred boolean not null
)
--rs diststyle all
;

-- SCD2: one row per version of a product; category and department are flattened in, by their newest names.
-- Redshift: on every node; the versions of a product lie together.
create table base.dim_product (
  product_key bigint not null,
  product_id integer not null,
  product_name {text} not null,
  product_description {text},
  image_url {text},
  list_price decimal(12, 2),
  category_id integer,
  category_name {text},
  department_id integer,
  department_name {text},
  valid_from timestamptz not null,
  valid_to timestamptz not null,
  is_current boolean not null,
  --pg primary key (product_key),
  --pg unique (product_id, valid_from),
  is_inferred boolean not null
)
--rs diststyle all sortkey (product_id, valid_from)
;
--pg create unique index on base.dim_product (product_id) where is_current;

-- SCD2 on where customers live; who they are stands apart.
-- Redshift: on every node; the versions of a customer lie together. Beyond some ten million customers, by customer.
create table base.dim_customer (
  customer_key bigint not null,
  customer_id integer not null,
  city {text},
  state {text},
  zipcode {text},
  valid_from timestamptz not null,
  valid_to timestamptz not null,
  is_current boolean not null,
  --pg primary key (customer_key),
  --pg unique (customer_id, valid_from),
  is_inferred boolean not null
)
--rs diststyle all sortkey (customer_id, valid_from)
;
--pg create unique index on base.dim_customer (customer_id) where is_current;

-- Personal data, type 1 and erasable.
-- Redshift: by customer, once, since nothing is joined to it but one person at a time.
create table base.customer_pii (
  customer_id integer not null,
  first_name {text},
  last_name {text},
  --pg primary key (customer_id),
  street {text}
)
--rs distkey (customer_id)
;

-- One row per order. `ordered_at` is the shop's own clock, without a zone.
-- Redshift: by order, so that an order and its lines meet without moving; by day, which every question names.
create table base.fct_order (
  order_id bigint not null,
  ordered_at timestamp not null,
  order_date date not null,
  customer_id integer not null,
  customer_key bigint not null,
  order_status_key bigint not null,
  version_at timestamptz not null,
  file {text} not null,
  generation integer not null,
  --pg primary key (order_id),
  line bigint not null
)
--rs distkey (order_id) sortkey (order_date)
;
--pg create index on base.fct_order (order_date);
--pg create index on base.fct_order (customer_id, order_date);

-- One row per line of an order: the grain of sales. `product_id` and `customer_id` are for good, the keys beside them
-- name the version at the time of the order.
-- Redshift: as base.fct_order. Never by product: eight products hold 85 % of the lines, and one node would hold them.
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
  file {text} not null,
  generation integer not null,
  --pg primary key (order_date, order_item_id),
  line bigint not null
)
--pg partition by range (order_date)
--rs distkey (order_id) sortkey (order_date)
;
--pg create index on base.fct_order_line (order_item_id);
--pg create index on base.fct_order_line (order_id);
--pg create index on base.fct_order_line (product_id, order_date) include (quantity, order_status_key);
--pg create index on base.fct_order_line (customer_id, order_date);

-- One row per change of a product's list price.
-- Redshift: on every node, being small.
create table base.fct_price_change (
  product_id integer not null,
  changed_at timestamptz not null,
  old_price decimal(12, 2) not null,
  new_price decimal(12, 2) not null,
  price_difference decimal(12, 2) not null,
  product_key_before bigint not null,
  --pg primary key (product_id, changed_at),
  product_key_after bigint not null
)
--rs diststyle all
;

-- Days of products whose sales have changed since the marts were last brought up to date.
-- Redshift: evenly: it is emptied by each refresh.
create table mart.changed_product_day (
  product_id integer not null,
  date date not null
)
--rs diststyle even
;
