-- One row of base.absence per row and span in which full snapshots of the dataset did not have it, made anew for the rows
-- that a file touches: a snapshot touches all rows of its dataset. Behind the ledger, which says what is in effect, and
-- behind the rejects.

-- The files that rows have come from, in the order of their versions, each with how many snapshots there are up to it. A
-- snapshot counts while it is in effect and no line of it is kept out: what it lacks may stand on that line.
create temp table absence_file as
select
  file, generation, version_at, is_snapshot, is_own,
  row_number() over (order by version_at, file, generation) as position,
  count(case when is_snapshot then 1 end) over (
    order by version_at, file, generation rows between unbounded preceding and current row
  ) as snapshots
from (
  select
    l.file, l.generation, l.version_at,
    l.is_full and l.status = 'loaded' and r.file is null as is_snapshot,
    l.file = s.source_file and l.generation = s.source_generation as is_own
  from raw.loaded_file as l
  cross join stage_shop_file as s
  left join (
    select distinct file, generation from raw.rejected_row
    where dataset = '{dataset}' and status <> 'replayed'
      -- Through the index by file: there may be many of others.
      and file in (select file from raw.loaded_file where dataset = '{dataset}' and is_full and status = 'loaded')
  ) as r on r.file = l.file and r.generation = l.generation
  where l.dataset = '{dataset}' and l.status in ('loaded', 'superseded')
) as landed;

-- Whom the file concerns: the rows in it. Of a snapshot, all that it lacks, all that were absent, and those that it is now
-- the first to have: the others were there before and are there now.
create temp table absence_id as
select {id} as id from stage_{dataset}
where not exists (select 1 from stage_shop_file where is_full)
union
select id from base.absence
where dataset = '{dataset}' and exists (select 1 from stage_shop_file where is_full)
union
select r.{id} as id
from raw.retail_{dataset} as r
join absence_file as f on f.file = r.file and f.generation = r.generation
where exists (select 1 from stage_shop_file where is_full)
group by r.{id}
having coalesce(min(case when f.is_own then f.position end), min(f.position)) = min(f.position);

delete from base.absence where dataset = '{dataset}' and id in (select id from absence_id);

-- From each time that a row was there to the next: the first snapshot in between begins an absence. Of one version the
-- greater name counts, so that an absence may end before it has begun.
insert into base.absence (dataset, id, absent_from, absent_until, file, generation)
select '{dataset}', t.id, s.version_at, t.until_at, s.file, s.generation
from (
  select
    r.{id} as id,
    f.snapshots,
    lead(case when f.is_snapshot then f.snapshots - 1 else f.snapshots end) over (
      partition by r.{id} order by f.position
    ) as snapshots_until,
    coalesce(
      lead(f.version_at) over (partition by r.{id} order by f.position),
      cast('9999-01-01 00:00:00+00' as timestamptz)
    ) as until_at
  from raw.retail_{dataset} as r
  join absence_file as f on f.file = r.file and f.generation = r.generation
  where r.{id} in (select id from absence_id)
) as t
join absence_file as s on s.is_snapshot and s.snapshots = t.snapshots + 1
-- Of who is erased nothing more is kept.
left join raw.erased_customer as e on e.customer_id = t.id and '{dataset}' = 'customers'
where coalesce(t.snapshots_until, s.snapshots) >= s.snapshots and s.version_at < t.until_at and e.customer_id is null;
