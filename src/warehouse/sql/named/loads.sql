-- One row per UTC day of loading and status.
select
  cast(loaded_at as date) as day,
  status,
  count(*) as files,
  sum(lines) as lines,
  sum(inserted) as inserted,
  sum(duplicate) as duplicate,
  sum(conflict) as conflict,
  sum(rejected) as rejected
from raw.loaded_file
group by 1, 2
order by 1 desc, 2
