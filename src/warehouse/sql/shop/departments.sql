-- Departments are called what their newest version says.

create temp table department_last as
select line, department_id, department_name
from (
  select *, row_number() over (partition by department_id order by line desc) as nth from stage_departments
) as numbered
where nth = 1;

create temp table shop_outcome as
select
  s.line,
  case
    when s.line <> l.line and s.department_name = l.department_name then 'duplicate'
    when s.line <> l.line then 'conflict'
    when k.department_id is null or k.is_inferred then 'inserted'
    when k.department_name = s.department_name then 'unchanged'
    else 'updated'
  end as outcome
from stage_departments as s
join department_last as l on l.department_id = s.department_id
left join base.dim_department as k on k.department_id = s.department_id;

insert into raw.retail_departments
select d.department_id, d.department_name, f.version_at, f.source_file, f.source_generation, d.line
from stage_departments as d
cross join stage_shop_file as f;

create temp table department_new as
select department_id, department_name
from (
  select
    r.department_id, r.department_name,
    row_number() over (
      partition by r.department_id order by r.version_at desc, r.file desc, r.generation desc, r.line desc
    ) as nth
  from raw.retail_departments as r
  where r.department_id in (select department_id from department_last)
) as numbered
where nth = 1;

delete from base.dim_department where department_id in (select department_id from department_new);
insert into base.dim_department (department_id, department_name, is_inferred)
select department_id, department_name, false from department_new;

update base.dim_product
set department_name = n.department_name
from department_new as n
where dim_product.department_id = n.department_id
  and {differs(dim_product.department_name, n.department_name)};
