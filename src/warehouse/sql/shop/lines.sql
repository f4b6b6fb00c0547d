-- Puts lines (`line_put`) in the place of what is known of them (`line_before`, and what waits): as facts when their
-- order is there (`line_order`), else among those that wait.

-- In two steps, or DuckDB, which takes the products for few, compares every order with every product.
create temp table line_fact as
with
line_ordered as {materialized} (
  select
    l.order_item_id, l.order_id, o.order_date, o.ordered_at, l.product_id, o.customer_id, o.customer_key,
    o.order_status_key, l.quantity, l.unit_price, l.line_amount, l.version_at, l.file, l.generation, l.line
  from line_put as l
  join line_order as o on o.order_id = l.order_id
)
select
  l.order_item_id, l.order_id, l.order_date, l.ordered_at, l.product_id, p.product_key, l.customer_id, l.customer_key,
  l.order_status_key, l.quantity, l.unit_price, l.line_amount, l.version_at, l.file, l.generation, l.line
from line_ordered as l
join base.dim_product as p
  on p.product_id = l.product_id
  and p.valid_from <= l.ordered_at at time zone 'UTC' and p.valid_to > l.ordered_at at time zone 'UTC';

-- The days of products whose sales change: as they were, and as they are now.
insert into mart.changed_product_day (product_id, date)
select b.product_id, b.order_date
from line_before as b
left join line_fact as n on n.order_item_id = b.order_item_id
where n.order_item_id is null or n.order_date <> b.order_date or n.product_id <> b.product_id
  or n.order_id <> b.order_id or n.quantity <> b.quantity or n.unit_price <> b.unit_price
  or n.line_amount <> b.line_amount or n.order_status_key <> b.order_status_key
union
select n.product_id, n.order_date
from line_fact as n
left join line_before as b on b.order_item_id = n.order_item_id
where b.order_item_id is null or n.order_date <> b.order_date or n.product_id <> b.product_id
  or n.order_id <> b.order_id or n.quantity <> b.quantity or n.unit_price <> b.unit_price
  or n.line_amount <> b.line_amount or n.order_status_key <> b.order_status_key;

--no-pg delete from base.fct_order_line where order_item_id in (select order_item_id from line_before);
--pg set local enable_hashjoin = off;
--pg set local enable_mergejoin = off;
--pg delete from base.fct_order_line as l
--pg using line_before as b
--pg where l.order_date = b.order_date and l.order_item_id = b.order_item_id;
--pg set local enable_hashjoin = on;
--pg set local enable_mergejoin = on;
--pg delete from raw.order_line_day
--pg where order_item_id in (
--pg   select b.order_item_id
--pg   from line_before as b
--pg   left join line_fact as n on n.order_item_id = b.order_item_id and n.order_date = b.order_date
--pg   where n.order_item_id is null
--pg );
delete from raw.waiting_order_line where order_item_id in (select order_item_id from line_put);

insert into base.fct_order_line (
  order_item_id, order_id, order_date, ordered_at, product_id, product_key, customer_id, customer_key,
  order_status_key, quantity, unit_price, line_amount, version_at, file, generation, line
)
select
  order_item_id, order_id, order_date, ordered_at, product_id, product_key, customer_id, customer_key,
  order_status_key, quantity, unit_price, line_amount, version_at, file, generation, line
from line_fact
order by order_date, order_item_id;
--pg insert into raw.order_line_day (order_item_id, order_date)
--pg select n.order_item_id, n.order_date
--pg from line_fact as n
--pg left join line_before as b on b.order_item_id = n.order_item_id and b.order_date = n.order_date
--pg where b.order_item_id is null
--pg order by n.order_item_id;

insert into raw.waiting_order_line (
  order_item_id, order_id, product_id, quantity, unit_price, line_amount, version_at, file, generation, line,
  waiting_since
)
select
  l.order_item_id, l.order_id, l.product_id, l.quantity, l.unit_price, l.line_amount, l.version_at, l.file,
  l.generation, l.line,
  -- The first time counts: a newer version of a line that waits has not made it wait any less.
  coalesce(l.waiting_since, {now})
from line_put as l
left join line_fact as n on n.order_item_id = l.order_item_id
where n.order_item_id is null;
