-- Per file and generation that loaded: as many rejected lines as the ledger says. A rejected file keeps samples only;
-- line 0 stands for the file as a whole.
with
kept as (
  select file, coalesce(generation, 0) as generation, count(*) as lines
  from {{ source('raw', 'rejected_row') }}
  where line > 0
  group by 1, 2
)
select l.file, l.generation, l.rejected, k.lines
from {{ source('raw', 'loaded_file') }} as l
left join kept as k on k.file = l.file and k.generation = coalesce(l.generation, 0)
where l.status in ('loaded', 'superseded') and l.rejected <> coalesce(k.lines, 0)
