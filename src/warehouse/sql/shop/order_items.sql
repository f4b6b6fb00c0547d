-- Lines of orders: of all versions of a line the newest counts. A line whose order is not there waits for it.

-- Where a file's keys ascend, as they mostly do, no line is there twice.
create temp table item_last as
select
  i.line, i.order_item_id, i.order_item_order_id, i.order_item_product_id, i.order_item_quantity, i.subtotal_cents,
  i.price_cents
from stage_order_items as i
where not (select has_repeats from stage_shop_file)
union all
select
  n.line, n.order_item_id, n.order_item_order_id, n.order_item_product_id, n.order_item_quantity, n.subtotal_cents,
  n.price_cents
from (
  select *, row_number() over (partition by order_item_id order by line desc) as nth
  from stage_order_items
  where (select has_repeats from stage_shop_file)
) as n
where n.nth = 1;

-- By key and one by one, whatever the planner thinks of it: the cost is that of the lines in the file, not of the table.
--pg set local enable_hashjoin = off;
--pg set local enable_mergejoin = off;
--pg create temp table item_day as
--pg select d.order_item_id, d.order_date
--pg from item_last as i
--pg join raw.order_line_day as d on d.order_item_id = i.order_item_id;
create temp table item_known as
select
  l.order_item_id, l.order_id, l.order_date, l.product_id, l.quantity, l.unit_price, l.line_amount,
  l.order_status_key, l.version_at, l.file, l.generation, l.line, false as is_waiting,
  cast(null as timestamptz) as waiting_since
from base.fct_order_line as l
--pg join item_day as d on d.order_date = l.order_date and d.order_item_id = l.order_item_id
--no-pg where l.order_item_id in (select order_item_id from item_last)
union all
select
  w.order_item_id, w.order_id, cast(null as date), w.product_id, w.quantity, w.unit_price, w.line_amount,
  cast(null as bigint), w.version_at, w.file, w.generation, w.line, true as is_waiting, w.waiting_since
from raw.waiting_order_line as w
join item_last as i on i.order_item_id = w.order_item_id;

create temp table line_order as
select o.order_id, o.order_date, o.ordered_at, o.customer_id, o.customer_key, o.order_status_key
from (select distinct order_item_order_id from stage_order_items) as i
join base.fct_order as o on o.order_id = i.order_item_order_id;
--pg set local enable_hashjoin = on;
--pg set local enable_mergejoin = on;

create temp table shop_outcome as
select
  l.line,
  case
    when k.order_item_id is not null and k.order_id = l.order_item_order_id
      and k.product_id = l.order_item_product_id and k.quantity = l.order_item_quantity
      and k.line_amount = cast(l.subtotal_cents * 0.01 as decimal(14, 2))
      and k.unit_price = cast(l.price_cents * 0.01 as decimal(12, 2)) then 'unchanged'
    when k.order_item_id is not null
      and not {after(
        f.version_at, f.source_file, f.source_generation, l.line; k.version_at, k.file, k.generation, k.line
      )}
      then 'unchanged'
    when o.order_id is null then 'waiting'
    when k.order_item_id is null then 'inserted'
    else 'updated'
  end as outcome
from item_last as l
cross join stage_shop_file as f
left join item_known as k on k.order_item_id = l.order_item_id
left join line_order as o on o.order_id = l.order_item_order_id
union all
select
  s.line,
  case
    when s.order_item_order_id = l.order_item_order_id and s.order_item_product_id = l.order_item_product_id
      and s.order_item_quantity = l.order_item_quantity and s.subtotal_cents = l.subtotal_cents
      and s.price_cents = l.price_cents then 'duplicate'
    else 'conflict'
  end
from (select * from stage_order_items where (select has_repeats from stage_shop_file)) as s
join item_last as l on l.order_item_id = s.order_item_id and l.line <> s.line;

insert into raw.retail_order_items
select
  i.order_item_id, i.order_item_order_id, i.order_item_product_id, i.order_item_quantity,
  cast(i.subtotal_cents * 0.01 as decimal(14, 2)), cast(i.price_cents * 0.01 as decimal(12, 2)),
  f.version_at, f.source_file, f.source_generation, i.line
from stage_order_items as i
cross join stage_shop_file as f;

-- Also for lines that wait, or do not count in the end.
insert into base.dim_product (
  product_key, product_id, product_name, product_description, image_url, list_price, category_id, category_name,
  department_id, department_name, valid_from, valid_to, is_current, is_inferred
)
select
  {version_key(i.order_item_product_id, cast('1900-01-01 00:00:00+00' as timestamptz))},
  i.order_item_product_id, 'Unknown product ' || cast(i.order_item_product_id as {string}),
  cast(null as {string}), cast(null as {string}), cast(null as decimal(12, 2)),
  cast(null as integer), cast(null as {string}), cast(null as integer), cast(null as {string}),
  cast('1900-01-01 00:00:00+00' as timestamptz), cast('9999-01-01 00:00:00+00' as timestamptz), true, true
from (select distinct order_item_product_id from stage_order_items) as i
left join base.dim_product as k on k.product_id = i.order_item_product_id
where k.product_id is null;

create temp table line_put as
select
  i.order_item_id,
  i.order_item_order_id as order_id,
  i.order_item_product_id as product_id,
  i.order_item_quantity as quantity,
  cast(i.price_cents * 0.01 as decimal(12, 2)) as unit_price,
  cast(i.subtotal_cents * 0.01 as decimal(14, 2)) as line_amount,
  f.version_at, f.source_file as file, f.source_generation as generation, i.line, k.waiting_since
from item_last as i
cross join stage_shop_file as f
left join item_known as k on k.order_item_id = i.order_item_id
where k.order_item_id is null
  or {after(f.version_at, f.source_file, f.source_generation, i.line; k.version_at, k.file, k.generation, k.line)};

create temp table line_before as
select
  k.order_item_id, k.order_date, k.product_id, k.order_id, k.quantity, k.unit_price, k.line_amount, k.order_status_key
from item_known as k
join line_put as p on p.order_item_id = k.order_item_id
where not k.is_waiting;
