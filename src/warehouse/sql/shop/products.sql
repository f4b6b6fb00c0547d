-- Products by version (SCD2): the chain of each product touched is made anew from all that ever landed of it, so that
-- files may come in any order. A category that is not there yet becomes an inferred member.

create temp table product_last as
select *
from (
  select *, row_number() over (partition by product_id order by line desc) as nth from stage_products
) as numbered
where nth = 1;

create temp table shop_outcome as
select
  s.line,
  case
    when s.line <> l.line and s.product_category_id = l.product_category_id and s.product_name = l.product_name
      and {same(s.product_description, l.product_description)}
      and s.price_cents = l.price_cents and {same(s.product_image, l.product_image)} then 'duplicate'
    when s.line <> l.line then 'conflict'
    when k.product_id is null or k.is_inferred then 'inserted'
    when k.category_id = s.product_category_id and k.product_name = s.product_name
      and {same(k.product_description, s.product_description)}
      and k.list_price = cast(s.price_cents * 0.01 as decimal(12, 2))
      and {same(k.image_url, s.product_image)} then 'unchanged'
    else 'updated'
  end as outcome
from stage_products as s
join product_last as l on l.product_id = s.product_id
cross join stage_shop_file as f
left join base.dim_product as k
  on k.product_id = s.product_id and k.valid_from <= f.version_at and k.valid_to > f.version_at;

insert into raw.retail_products
select
  p.product_id, p.product_category_id, p.product_name, p.product_description,
  cast(p.price_cents * 0.01 as decimal(12, 2)), p.product_image,
  f.version_at, f.source_file, f.source_generation, p.line
from stage_products as p
cross join stage_shop_file as f;

-- The last row of each product and version, and of those only the ones that differ from the one before.
create temp table product_change as
select *
from (
  select
    *,
    row_number() over (partition by product_id order by version_at) as nth_version,
    lag(product_category_id) over (partition by product_id order by version_at) as category_before,
    lag(product_name) over (partition by product_id order by version_at) as name_before,
    lag(product_description) over (partition by product_id order by version_at) as description_before,
    lag(product_price) over (partition by product_id order by version_at) as price_before,
    lag(product_image) over (partition by product_id order by version_at) as image_before
  from (
    select
      *,
      row_number() over (partition by product_id, version_at order by file desc, generation desc, line desc) as nth
    from raw.retail_products
    where product_id in (select product_id from product_last)
  ) as numbered
  where nth = 1
) as compared
where nth_version = 1
  or product_category_id <> category_before
  or product_name <> name_before
  or {differs(product_description, description_before)}
  or product_price <> price_before
  or {differs(product_image, image_before)};

create temp table product_chain as
select
  product_id, product_category_id, product_name, product_description, product_price, product_image,
  case when nth_version = 1 then cast('1900-01-01 00:00:00+00' as timestamptz) else version_at end as valid_from,
  coalesce(
    lead(version_at) over (partition by product_id order by version_at), cast('9999-01-01 00:00:00+00' as timestamptz)
  ) as valid_to,
  lag(product_price) over (partition by product_id order by version_at) as price_before
from product_change;

insert into base.dim_category (category_id, category_name, department_id, is_inferred)
select distinct c.product_category_id, 'Unknown category ' || cast(c.product_category_id as {string}), cast(null as integer), true
from stage_products as c
left join base.dim_category as k on k.category_id = c.product_category_id
where k.category_id is null;

-- Whose sales now belong to another version, and from when on.
create temp table product_rekey as
select product_id, min(valid_from) as changed_from
from (
  select n.product_id, n.valid_from
  from product_chain as n
  left join base.dim_product as o on o.product_id = n.product_id and o.valid_from = n.valid_from
  where o.product_id is null
  union all
  select o.product_id, o.valid_from
  from base.dim_product as o
  left join product_chain as n on n.product_id = o.product_id and n.valid_from = o.valid_from
  where o.product_id in (select product_id from product_last) and n.product_id is null
) as differs
where valid_from > cast('1900-01-01 00:00:00+00' as timestamptz)
group by product_id;

delete from base.dim_product where product_id in (select product_id from product_last);
insert into base.dim_product (
  product_key, product_id, product_name, product_description, image_url, list_price, category_id, category_name,
  department_id, department_name, valid_from, valid_to, is_current, is_inferred
)
select
  {version_key(c.product_id, c.valid_from)},
  c.product_id, c.product_name, c.product_description, c.product_image, c.product_price,
  c.product_category_id, k.category_name, k.department_id, d.department_name,
  c.valid_from, c.valid_to, c.valid_to = cast('9999-01-01 00:00:00+00' as timestamptz), false
from product_chain as c
left join base.dim_category as k on k.category_id = c.product_category_id
left join base.dim_department as d on d.department_id = k.department_id;

delete from base.fct_price_change where product_id in (select product_id from product_last);
insert into base.fct_price_change (
  product_id, changed_at, old_price, new_price, price_difference, product_key_before, product_key_after
)
select c.product_id, c.valid_from, c.price_before, c.product_price, c.product_price - c.price_before,
  b.product_key, a.product_key
from product_chain as c
join base.dim_product as a on a.product_id = c.product_id and a.valid_from = c.valid_from
join base.dim_product as b on b.product_id = c.product_id and b.valid_to = c.valid_from
where c.product_price <> c.price_before;

update base.fct_order_line
set product_key = p.product_key
from (
  select d.product_id, d.product_key, d.valid_from, d.valid_to, r.changed_from
  from base.dim_product as d
  join product_rekey as r on r.product_id = d.product_id
  where d.valid_to > r.changed_from
) as p
where p.product_id = fct_order_line.product_id
  -- The first bound is for partitions, the second for each product.
  and fct_order_line.order_date
    >= cast((select min(changed_from) from product_rekey) at time zone 'UTC' as date)
  and fct_order_line.ordered_at >= p.changed_from at time zone 'UTC'
  and p.valid_from <= fct_order_line.ordered_at at time zone 'UTC'
  and p.valid_to > fct_order_line.ordered_at at time zone 'UTC'
  and fct_order_line.product_key <> p.product_key;
