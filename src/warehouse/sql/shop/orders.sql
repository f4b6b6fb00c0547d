-- Orders: of all versions of an order the newest counts. Its lines follow it, and those that waited for it come in.

-- Where a file's keys ascend, as they mostly do, no order is there twice.
create temp table order_last as
select o.line, o.order_id, o.order_date, o.order_customer_id, o.order_status
from stage_orders as o
where not (select has_repeats from stage_shop_file)
union all
select n.line, n.order_id, n.order_date, n.order_customer_id, n.order_status
from (
  select *, row_number() over (partition by order_id order by line desc) as nth
  from stage_orders
  where (select has_repeats from stage_shop_file)
) as n
where n.nth = 1;

-- By key and one by one, whatever the planner thinks of it: the cost is that of the orders in the file, not of the table.
--pg set local enable_hashjoin = off;
--pg set local enable_mergejoin = off;
create temp table order_known as
select k.*
from order_last as o
join base.fct_order as k on k.order_id = o.order_id;
--pg set local enable_hashjoin = on;
--pg set local enable_mergejoin = on;

create temp table shop_outcome as
select
  l.line,
  case
    when k.order_id is null then 'inserted'
    when k.ordered_at = l.order_date at time zone 'UTC' and k.customer_id = l.order_customer_id
      and k.order_status_key = {key(l.order_status)} then 'unchanged'
    when {after(f.version_at, f.source_file, f.source_generation, l.line; k.version_at, k.file, k.generation, k.line)}
      then 'updated'
    -- Older than what is known.
    else 'unchanged'
  end as outcome
from order_last as l
cross join stage_shop_file as f
left join order_known as k on k.order_id = l.order_id
union all
select
  s.line,
  case
    when s.order_date = l.order_date and s.order_customer_id = l.order_customer_id
      and s.order_status = l.order_status then 'duplicate'
    else 'conflict'
  end
from (select * from stage_orders where (select has_repeats from stage_shop_file)) as s
join order_last as l on l.order_id = s.order_id and l.line <> s.line;

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
select {key(o.order_status)}, o.order_status, false, false, false, false, true
from (select distinct order_status from stage_orders) as o
left join base.dim_order_status as k on k.order_status = o.order_status
where k.order_status is null;

insert into base.dim_customer (
  customer_key, customer_id, city, state, zipcode, valid_from, valid_to, is_current, is_inferred
)
select
  {version_key(o.order_customer_id, cast('1900-01-01 00:00:00+00' as timestamptz))},
  o.order_customer_id, cast(null as {string}), cast(null as {string}), cast(null as {string}),
  cast('1900-01-01 00:00:00+00' as timestamptz), cast('9999-01-01 00:00:00+00' as timestamptz), true, true
from (select distinct order_customer_id from stage_orders) as o
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
  or {after(f.version_at, f.source_file, f.source_generation, o.line; k.version_at, k.file, k.generation, k.line)};

create temp table order_replaced as
select k.order_id, k.order_date, p.is_same
from order_known as k
join order_put as p on p.order_id = k.order_id;

--no-pg delete from base.fct_order where order_id in (select order_id from order_replaced);
--pg set local enable_hashjoin = off;
--pg set local enable_mergejoin = off;
--pg delete from base.fct_order as o using order_replaced as r where o.order_id = r.order_id;
--pg set local enable_hashjoin = on;
--pg set local enable_mergejoin = on;
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

-- Lines of orders that changed, and lines that waited. A line stands on the day of its order.
create temp table order_changed as
select order_id, order_date from order_replaced where not is_same;

--pg set local enable_hashjoin = off;
--pg set local enable_mergejoin = off;
create temp table order_line_known as
select l.*
from order_changed as c
join base.fct_order_line as l on l.order_id = c.order_id and l.order_date = c.order_date;

create temp table line_order as
select o.order_id, o.order_date, o.ordered_at, o.customer_id, o.customer_key, o.order_status_key
from order_put as p
join base.fct_order as o on o.order_id = p.order_id;
--pg set local enable_hashjoin = on;
--pg set local enable_mergejoin = on;

create temp table line_put as
select
  order_item_id, order_id, product_id, quantity, unit_price, line_amount, version_at, file, generation, line,
  cast(null as timestamptz) as waiting_since
from order_line_known
union all
select
  w.order_item_id, w.order_id, w.product_id, w.quantity, w.unit_price, w.line_amount, w.version_at, w.file,
  w.generation, w.line, w.waiting_since
from raw.waiting_order_line as w
join order_put as p on p.order_id = w.order_id;

create temp table line_before as
select order_item_id, order_date, product_id, order_id, quantity, unit_price, line_amount, order_status_key
from order_line_known;
