-- One row per file, or per bytes of a file that was replaced: what became of its lines.

update raw.loaded_file set status = 'superseded'
where dataset in (select dataset from stage_shop_file) and status in ('loaded', 'rejected', 'duplicate')
  and file in (select file from stage_shop_file)
  and generation < (select generation from stage_shop_file);

-- What was wrong with the bytes that were replaced is nobody's work any more.
update raw.rejected_row set status = 'superseded', resolved_at = now()
where status = 'open' and dataset in (select dataset from stage_shop_file)
  and file in (select file from stage_shop_file)
  and generation < (select generation from stage_shop_file);

insert into raw.loaded_file (
  file, generation, dataset, status, lines, inserted, updated, unchanged, duplicate, conflict, waiting, rejected,
  landed_at, loaded_at, sha256, bytes, modified_at, version_at, closes_on, money_total
)
select
  s.file, s.generation, s.dataset, s.status, s.lines,
  coalesce(o.inserted, 0), coalesce(o.updated, 0), coalesce(o.unchanged, 0), coalesce(o.duplicate, 0),
  coalesce(o.conflict, 0), coalesce(o.waiting, 0), s.rejected,
  s.modified_at, now(), s.sha256, s.bytes, s.modified_at, s.version_at, s.closes_on,
  cast(s.money_cents * 0.01 as decimal(18, 2))
from stage_shop_file as s
cross join (
  select
    sum(case when outcome = 'inserted' then 1 else 0 end) as inserted,
    sum(case when outcome = 'updated' then 1 else 0 end) as updated,
    sum(case when outcome = 'unchanged' then 1 else 0 end) as unchanged,
    sum(case when outcome = 'duplicate' then 1 else 0 end) as duplicate,
    sum(case when outcome = 'conflict' then 1 else 0 end) as conflict,
    sum(case when outcome = 'waiting' then 1 else 0 end) as waiting
  from shop_outcome
) as o;
