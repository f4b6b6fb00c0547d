-- Of the departments. All must be 0.

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
select 'department twice' as rule, count(*) as found
from (
  select department_id from base.dim_department
  group by department_id having count(*) > 1
) as twice
