-- Of the categories. All must be 0.

select 'file twice in the ledger' as rule, count(*) as found
from (
  select file, generation from raw.loaded_file
  where file in (select file from stage_shop_file)
  group by file, generation having count(*) > 1
) as twice
union all
select 'outcomes do not add up' as rule, count(*) as found
from raw.loaded_file
where file in (select file from stage_shop_file)
  and lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected
union all
select 'category twice' as rule, count(*) as found
from (
  select category_id from base.dim_category
  group by category_id having count(*) > 1
) as twice
union all
select 'department twice' as rule, count(*) as found
from (
  select department_id from base.dim_department
  group by department_id having count(*) > 1
) as twice
union all
select 'category without its department' as rule, count(*) as found
from base.dim_category as c
left join base.dim_department as d on d.department_id = c.department_id
where c.department_id is not null and d.department_id is null
