-- Of the absences of the rows that the file touches. All must be 0.

select 'absence twice' as rule, count(*) as found
from (
  select id, absent_from from base.absence
  where dataset in (select dataset from stage_shop_file) and id in (select id from absence_id)
  group by id, absent_from having count(*) > 1
) as twice
union all
select 'absence that ends before it begins' as rule, count(*) as found
from base.absence
where dataset in (select dataset from stage_shop_file) and id in (select id from absence_id)
  and absent_until <= absent_from
union all
select 'absence without its snapshot' as rule, count(*) as found
from base.absence as a
left join raw.loaded_file as l
  on l.file = a.file and l.generation = a.generation and l.dataset = a.dataset and l.version_at = a.absent_from
  and l.is_full and l.status = 'loaded'
where a.dataset in (select dataset from stage_shop_file) and a.id in (select id from absence_id) and l.file is null
