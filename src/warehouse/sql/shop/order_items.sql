-- Lines of orders: of all versions of a line the newest counts. A line whose order is not there waits for it.

create temp table item_last as
select *
from (
  select *, row_number() over (partition by order_item_id order by line desc) as nth from stage_order_items
) as numbered
where nth = 1;

create temp table item_known as
select order_item_id, order_id, product_id, quantity, unit_price, line_amount, version_at, file, generation, line,
  false as is_waiting
from base.fct_order_line
where order_item_id in (select order_item_id from item_last)
union all
select order_item_id, order_id, product_id, quantity, unit_price, line_amount, version_at, file, generation, line,
  true as is_waiting
from raw.waiting_order_line
where order_item_id in (select order_item_id from item_last);

create temp table shop_outcome as
select
  s.line,
  case
    when s.line <> l.line and s.order_item_order_id = l.order_item_order_id
      and s.order_item_product_id = l.order_item_product_id and s.order_item_quantity = l.order_item_quantity
      and s.subtotal_cents = l.subtotal_cents and s.price_cents = l.price_cents then 'duplicate'
    when s.line <> l.line then 'conflict'
    when k.order_item_id is not null and k.order_id = s.order_item_order_id
      and k.product_id = s.order_item_product_id and k.quantity = s.order_item_quantity
      and k.line_amount = cast(s.subtotal_cents * 0.01 as decimal(14, 2))
      and k.unit_price = cast(s.price_cents * 0.01 as decimal(12, 2)) then 'unchanged'
    when k.order_item_id is not null
      and (f.version_at, f.source_file, f.source_generation, s.line) <= (k.version_at, k.file, k.generation, k.line)
      then 'unchanged'
    when o.order_id is null then 'waiting'
    when k.order_item_id is null then 'inserted'
    else 'updated'
  end as outcome
from stage_order_items as s
join item_last as l on l.order_item_id = s.order_item_id
cross join stage_shop_file as f
left join item_known as k on k.order_item_id = s.order_item_id
left join base.fct_order as o on o.order_id = s.order_item_order_id;

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
select distinct
  {key(concat(i.order_item_product_id, '|', cast({micros(timestamptz '1900-01-01 00:00:00+00')} as bigint)))},
  i.order_item_product_id, concat('Unknown product ', i.order_item_product_id), cast(null as text), cast(null as text),
  cast(null as decimal(12, 2)), cast(null as integer), cast(null as text), cast(null as integer), cast(null as text),
  timestamptz '1900-01-01 00:00:00+00', timestamptz '9999-01-01 00:00:00+00', true, true
from stage_order_items as i
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
  f.version_at, f.source_file as file, f.source_generation as generation, i.line
from item_last as i
cross join stage_shop_file as f
left join item_known as k on k.order_item_id = i.order_item_id
where k.order_item_id is null
  or (f.version_at, f.source_file, f.source_generation, i.line) > (k.version_at, k.file, k.generation, k.line);
