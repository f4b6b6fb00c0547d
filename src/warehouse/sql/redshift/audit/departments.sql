-- Of the departments. All must be 0.

select 'department twice' as rule, count(*) as found
from (
  select department_id from base.dim_department
  group by department_id having count(*) > 1
) as twice
