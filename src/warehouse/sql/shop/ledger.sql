-- One row per file, or per bytes of a file that was replaced: what became of its lines. Only bytes that are loaded take
-- the place of others: a rejected upload leaves in effect what was there.

update raw.loaded_file set status = 'superseded'
where status = 'loaded' and dataset in (select dataset from stage_shop_file)
  and file in (select file from stage_shop_file where status = 'loaded')
  and generation < (select generation from stage_shop_file);

-- What was wrong with the bytes that were replaced is nobody's work any more.
update raw.rejected_row set status = 'superseded', resolved_at = {now}
where status = 'open' and dataset in (select dataset from stage_shop_file)
  and file in (select file from stage_shop_file where status = 'loaded')
  and generation < (select generation from stage_shop_file);

-- A duplicate changes nothing as long as nothing else comes between it and its twin. Now something has: it is forgotten,
-- found again by the next look at the files, and loaded.
delete from raw.loaded_file
where status = 'duplicate' and dataset in (select dataset from stage_shop_file where status = 'loaded')
  and exists (
    select 1
    from raw.loaded_file as d
    join raw.loaded_file as t
      on t.dataset = d.dataset and t.sha256 = d.sha256 and t.is_full = d.is_full and t.status in ('loaded', 'superseded')
    cross join stage_shop_file as s
    where d.file = loaded_file.file and d.generation = loaded_file.generation
      and d.status = 'duplicate' and d.dataset = s.dataset
      and (
        ({after(s.version_at, s.file; d.version_at, d.file)} and {after(t.version_at, t.file; s.version_at, s.file)})
        or ({after(s.version_at, s.file; t.version_at, t.file)} and {after(d.version_at, d.file; s.version_at, s.file)})
        -- Or its twin is replaced.
        or t.file = s.file
      )
  );

insert into raw.loaded_file (
  file, generation, dataset, status, lines, inserted, updated, unchanged, duplicate, conflict, waiting, rejected,
  landed_at, loaded_at, sha256, bytes, modified_at, version_at, closes_on, money_total, is_full
)
select
  s.file, s.generation, s.dataset, s.status, s.lines,
  coalesce(o.inserted, 0), coalesce(o.updated, 0), coalesce(o.unchanged, 0), coalesce(o.duplicate, 0),
  coalesce(o.conflict, 0), coalesce(o.waiting, 0), s.rejected,
  s.modified_at, {now}, s.sha256, s.bytes, s.modified_at, s.version_at, s.closes_on,
  cast(s.money_cents * 0.01 as decimal(18, 2)),
  -- Repaired lines are not all of their file.
  s.is_full and s.file = s.source_file
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
