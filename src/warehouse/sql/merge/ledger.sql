-- One row per object: what became of its lines.

insert into raw.rejected_row (file, line, reason, text, dataset, rejected_at)
select file, line, reason, text, 'tracking', {now} from stage_rejected;

insert into raw.loaded_file (
  file, dataset, status, lines, inserted, updated, unchanged, duplicate, conflict, waiting, rejected, landed_at, loaded_at
)
select
  f.file,
  'tracking',
  case when f.is_readable then 'loaded' else 'rejected' end,
  f.lines,
  coalesce(e.inserted, 0), 0, 0, coalesce(e.duplicate, 0), coalesce(e.conflict, 0), 0,
  coalesce(r.rejected, 0),
  f.landed_at,
  {now}
from stage_file as f
left join (
  select
    file,
    sum(case when outcome = 'inserted' then 1 else 0 end) as inserted,
    sum(case when outcome = 'duplicate' then 1 else 0 end) as duplicate,
    sum(case when outcome = 'conflict' then 1 else 0 end) as conflict
  from event_outcome
  group by file
) as e on e.file = f.file
left join (
  select file, count(*) as rejected from stage_rejected where line > 0 group by file
) as r on r.file = f.file;
