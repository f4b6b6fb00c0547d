-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.

begin;

lock "raw".load_lock;

select coalesce(max(version), 0) from "raw".schema_version;

with known as (select * from "raw".loaded_file where dataset = 'orders' and (file = 'orders/2026-07-09.csv' or sha256 = 'db6cc8df53f91a7f769d927fd788f45d03ebdec90b9958e54383dd8632f11baf')), parted as (select distinct k.file, k.generation from known as k join "raw".loaded_file as b on b.dataset = k.dataset and b.status in ('loaded', 'superseded') and (((b.version_at > k.version_at or (b.version_at = k.version_at and b.file > k.file)) and (cast('2026-07-09 00:00:00.000000+00' as timestamptz) > b.version_at or (cast('2026-07-09 00:00:00.000000+00' as timestamptz) = b.version_at and 'orders/2026-07-09.csv' > b.file))) or ((b.version_at > cast('2026-07-09 00:00:00.000000+00' as timestamptz) or (b.version_at = cast('2026-07-09 00:00:00.000000+00' as timestamptz) and b.file > 'orders/2026-07-09.csv')) and (k.version_at > b.version_at or (k.version_at = b.version_at and k.file > b.file))))) select k.generation, coalesce(k.sha256, ''), p.file is null and k.version_at <= cast('2026-07-09 00:00:00.000000+00' as timestamptz) and k.is_full = false, k.file, k.status, k.lines, k.inserted, k.updated, k.unchanged, k.duplicate, k.conflict, k.waiting, k.rejected from known as k left join parted as p on p.file = k.file and p.generation = k.generation;

create temp table stage_shop_file (file varchar(65535), source_file varchar(65535), generation integer, source_generation integer, dataset varchar(65535), status varchar(65535), lines bigint, rejected bigint, sha256 varchar(65535), bytes bigint, modified_at timestamptz, version_at timestamptz, closes_on date, money_cents bigint, has_repeats boolean, is_full boolean);

copy stage_shop_file
from 's3://bucket/staging/load-1/stage_shop_file.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_shop_file;

create temp table stage_shop_reject (line bigint, reason varchar(65535), text varchar(65535), byte_offset bigint, column_name varchar(65535), detail varchar(65535), raw_base64 varchar(65535));

copy stage_shop_reject
from 's3://bucket/staging/load-1/stage_shop_reject.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_shop_reject;

create temp table stage_finding (rule varchar(65535), severity varchar(65535), column_name varchar(65535), occurrences bigint, first_line bigint, examples varchar(65535));

create temp table shop_outcome as
select nth as line, cast('duplicate' as varchar(65535)) as outcome from (
with digit as (
  select 0 as n union all select 1 union all select 2 union all select 3 union all select 4
  union all select 5 union all select 6 union all select 7 union all select 8 union all select 9
)
select nth from (select 1 + 1 * d0.n as nth from digit as d0) as series where nth <= 0
) as counted;

insert into "raw".rejected_row (
  file, generation, line, reason, text, dataset, rejected_at, byte_offset, column_name, detail, raw_base64, status
)
select s.file, s.generation, r.line, r.reason, r.text, s.dataset, cast(sysdate as timestamptz), r.byte_offset, r.column_name, r.detail,
  r.raw_base64, 'open'
from stage_shop_reject as r
cross join stage_shop_file as s;

insert into "raw".finding (file, generation, dataset, rule, severity, column_name, occurrences, first_line, examples, found_at)
select s.file, s.generation, s.dataset, f.rule, f.severity, f.column_name, f.occurrences, f.first_line, f.examples, cast(sysdate as timestamptz)
from stage_finding as f
cross join stage_shop_file as s;

update "raw".rejected_row set text = null, raw_base64 = null, detail = null
where dataset = 'customers' and file in (select source_file from stage_shop_file)
  and replace(split_part(text, ',', 1), '"', '') in (select cast(customer_id as varchar(65535)) from "raw".erased_customer);

update "raw".loaded_file set status = 'superseded'
where status = 'loaded' and dataset in (select dataset from stage_shop_file)
  and file in (select file from stage_shop_file where status = 'loaded')
  and generation < (select generation from stage_shop_file);

update "raw".rejected_row set status = 'superseded', resolved_at = cast(sysdate as timestamptz)
where status = 'open' and dataset in (select dataset from stage_shop_file)
  and file in (select file from stage_shop_file where status = 'loaded')
  and generation < (select generation from stage_shop_file);

delete from "raw".loaded_file
where status = 'duplicate' and dataset in (select dataset from stage_shop_file where status = 'loaded')
  and exists (
    select 1
    from "raw".loaded_file as d
    join "raw".loaded_file as t
      on t.dataset = d.dataset and t.sha256 = d.sha256 and t.is_full = d.is_full and t.status in ('loaded', 'superseded')
    cross join stage_shop_file as s
    where d.file = loaded_file.file and d.generation = loaded_file.generation
      and d.status = 'duplicate' and d.dataset = s.dataset
      and (
        ((s.version_at > d.version_at or (s.version_at = d.version_at and s.file > d.file)) and (t.version_at > s.version_at or (t.version_at = s.version_at and t.file > s.file)))
        or ((s.version_at > t.version_at or (s.version_at = t.version_at and s.file > t.file)) and (d.version_at > s.version_at or (d.version_at = s.version_at and d.file > s.file)))
        or t.file = s.file
      )
  );

insert into "raw".loaded_file (
  file, generation, dataset, status, lines, inserted, updated, unchanged, duplicate, conflict, waiting, rejected,
  landed_at, loaded_at, sha256, bytes, modified_at, version_at, closes_on, money_total, is_full
)
select
  s.file, s.generation, s.dataset, s.status, s.lines,
  coalesce(o.inserted, 0), coalesce(o.updated, 0), coalesce(o.unchanged, 0), coalesce(o.duplicate, 0),
  coalesce(o.conflict, 0), coalesce(o.waiting, 0), s.rejected,
  s.modified_at, cast(sysdate as timestamptz), s.sha256, s.bytes, s.modified_at, s.version_at, s.closes_on,
  cast(s.money_cents * 0.01 as decimal(18, 2)),
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

select 'file twice in the ledger' as rule, count(*) as found
from (
  select file, generation from "raw".loaded_file
  where file in (select file from stage_shop_file)
  group by file, generation having count(*) > 1
) as twice
union all
select 'outcomes do not add up' as rule, count(*) as found
from "raw".loaded_file
where file in (select file from stage_shop_file)
  and lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected;

select l.file, l.status, l.lines, l.inserted, l.updated, l.unchanged, l.duplicate, l.conflict, l.waiting, l.rejected from "raw".loaded_file l join stage_shop_file s on s.file = l.file and s.generation = l.generation;

drop table stage_shop_file, stage_shop_reject, stage_finding, shop_outcome;

commit;
