-- Of the categories. All must be 0.

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
