-- Orders: of all versions of an order the newest counts. Its lines follow it, and those that waited for it come in.

create temp table order_last as
select *
from (
  select *, row_number() over (partition by order_id order by line desc) as nth from stage_orders
) as numbered
where nth = 1;

create temp table order_known as
select * from base.fct_order where order_id in (select order_id from order_last);

create temp table shop_outcome as
select
  s.line,
  case
    when s.line <> l.line and s.order_date = l.order_date and s.order_customer_id = l.order_customer_id
      and s.order_status = l.order_status then 'duplicate'
    when s.line <> l.line then 'conflict'
    when k.order_id is null then 'inserted'
    when k.ordered_at = s.order_date at time zone 'UTC' and k.customer_id = s.order_customer_id
      and k.order_status_key = {key(s.order_status)} then 'unchanged'
    when (f.version_at, f.source_file, f.source_generation, s.line) > (k.version_at, k.file, k.generation, k.line)
      then 'updated'
    -- Older than what is known.
    else 'unchanged'
  end as outcome
from stage_orders as s
join order_last as l on l.order_id = s.order_id
cross join stage_shop_file as f
left join order_known as k on k.order_id = s.order_id;

insert into raw.retail_orders
select o.order_id, o.order_date at time zone 'UTC', o.order_customer_id, o.order_status,
  f.version_at, f.source_file, f.source_generation, o.line
from stage_orders as o
cross join stage_shop_file as f;

-- Members are inferred from every line, also from one that does not count in the end: which of them is older may come
-- out later, and the tables must not depend on it.
insert into base.dim_order_status (
  order_status_key, order_status, is_sale, is_revenue, is_cancelled, is_final, is_inferred
)
select distinct {key(o.order_status)}, o.order_status, false, false, false, false, true
from stage_orders as o
left join base.dim_order_status as k on k.order_status = o.order_status
where k.order_status is null;

insert into base.dim_customer (
  customer_key, customer_id, city, state, zipcode, valid_from, valid_to, is_current, is_inferred
)
select distinct
  {key(concat(o.order_customer_id, '|', cast({micros(timestamptz '1900-01-01 00:00:00+00')} as bigint)))},
  o.order_customer_id, cast(null as text), cast(null as text), cast(null as text),
  timestamptz '1900-01-01 00:00:00+00', timestamptz '9999-01-01 00:00:00+00', true, true
from stage_orders as o
left join base.dim_customer as k on k.customer_id = o.order_customer_id
where k.customer_id is null;

-- What takes the place of what is known.
create temp table order_put as
select
  o.order_id,
  o.order_date at time zone 'UTC' as ordered_at,
  cast(o.order_date at time zone 'UTC' as date) as order_date,
  o.order_customer_id as customer_id,
  {key(o.order_status)} as order_status_key,
  f.version_at, f.source_file as file, f.source_generation as generation, o.line,
  k.order_id is not null
    and k.ordered_at = o.order_date at time zone 'UTC' and k.customer_id = o.order_customer_id
    and k.order_status_key = {key(o.order_status)} as is_same
from order_last as o
cross join stage_shop_file as f
left join order_known as k on k.order_id = o.order_id
where k.order_id is null
  or (f.version_at, f.source_file, f.source_generation, o.line) > (k.version_at, k.file, k.generation, k.line);

delete from base.fct_order where order_id in (select order_id from order_put);
insert into base.fct_order (
  order_id, ordered_at, order_date, customer_id, customer_key, order_status_key, version_at, file, generation, line
)
select
  o.order_id, o.ordered_at, o.order_date, o.customer_id, c.customer_key, o.order_status_key,
  o.version_at, o.file, o.generation, o.line
from order_put as o
join base.dim_customer as c
  on c.customer_id = o.customer_id
  and c.valid_from <= o.ordered_at at time zone 'UTC' and c.valid_to > o.ordered_at at time zone 'UTC';

-- Lines of orders that changed, and lines that waited.
create temp table line_put as
select order_item_id, order_id, product_id, quantity, unit_price, line_amount, version_at, file, generation, line
from base.fct_order_line
where order_id in (select order_id from order_put where not is_same)
union all
select order_item_id, order_id, product_id, quantity, unit_price, line_amount, version_at, file, generation, line
from raw.waiting_order_line
where order_id in (select order_id from order_put);
