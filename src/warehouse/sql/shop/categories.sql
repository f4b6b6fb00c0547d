-- Categories are what their newest version says. A department that is not there yet becomes an inferred member.

create temp table category_last as
select line, category_id, category_department_id, category_name
from (
  select *, row_number() over (partition by category_id order by line desc) as nth from stage_categories
) as numbered
where nth = 1;

create temp table shop_outcome as
select
  s.line,
  case
    when s.line <> l.line and s.category_name = l.category_name
      and s.category_department_id = l.category_department_id then 'duplicate'
    when s.line <> l.line then 'conflict'
    when k.category_id is null or k.is_inferred then 'inserted'
    when k.category_name = s.category_name and k.department_id = s.category_department_id then 'unchanged'
    else 'updated'
  end as outcome
from stage_categories as s
join category_last as l on l.category_id = s.category_id
left join base.dim_category as k on k.category_id = s.category_id;

insert into raw.retail_categories
select c.category_id, c.category_department_id, c.category_name, f.version_at, f.source_file, f.source_generation, c.line
from stage_categories as c
cross join stage_shop_file as f;

create temp table category_new as
select category_id, category_department_id, category_name
from (
  select
    r.category_id, r.category_department_id, r.category_name,
    row_number() over (
      partition by r.category_id order by r.version_at desc, r.file desc, r.generation desc, r.line desc
    ) as nth
  from raw.retail_categories as r
  where r.category_id in (select category_id from category_last)
) as numbered
where nth = 1;

delete from base.dim_category where category_id in (select category_id from category_new);
insert into base.dim_category (category_id, category_name, department_id, is_inferred)
select category_id, category_name, category_department_id, false from category_new;

insert into base.dim_department (department_id, department_name, is_inferred)
select distinct c.category_department_id, 'Unknown department ' || cast(c.category_department_id as {string}), true
from stage_categories as c
left join base.dim_department as d on d.department_id = c.category_department_id
where d.department_id is null;

update base.dim_product
set category_name = n.category_name, department_id = n.department_id, department_name = n.department_name
from (
  select c.category_id, c.category_name, c.department_id, d.department_name
  from base.dim_category as c
  join base.dim_department as d on d.department_id = c.department_id
  where c.category_id in (select category_id from category_new)
) as n
where dim_product.category_id = n.category_id;
