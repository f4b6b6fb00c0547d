-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.

begin;

lock "raw".load_lock;

select coalesce(max(version), 0) from "raw".schema_version;

with known as (select * from "raw".loaded_file where dataset = 'customers' and (file = 'customers/2026-07-09.csv' or sha256 = 'ff672aa1751277f1609414a3551cca0661de3d2b8c51e4add52e552b3922b488')), parted as (select distinct k.file, k.generation from known as k join "raw".loaded_file as b on b.dataset = k.dataset and b.status in ('loaded', 'superseded') and (((b.version_at > k.version_at or (b.version_at = k.version_at and b.file > k.file)) and (cast('2026-07-09 00:00:00.000000+00' as timestamptz) > b.version_at or (cast('2026-07-09 00:00:00.000000+00' as timestamptz) = b.version_at and 'customers/2026-07-09.csv' > b.file))) or ((b.version_at > cast('2026-07-09 00:00:00.000000+00' as timestamptz) or (b.version_at = cast('2026-07-09 00:00:00.000000+00' as timestamptz) and b.file > 'customers/2026-07-09.csv')) and (k.version_at > b.version_at or (k.version_at = b.version_at and k.file > b.file))))) select k.generation, coalesce(k.sha256, ''), p.file is null and k.version_at <= cast('2026-07-09 00:00:00.000000+00' as timestamptz) and k.is_full = false, k.file, k.status, k.lines, k.inserted, k.updated, k.unchanged, k.duplicate, k.conflict, k.waiting, k.rejected from known as k left join parted as p on p.file = k.file and p.generation = k.generation;

select count(*) from "raw".loaded_file where dataset = 'customers' and is_full;

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

copy stage_finding
from 's3://bucket/staging/load-1/stage_finding.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_finding;

create temp table stage_customers (line bigint, customer_id integer, customer_fname varchar(65535), customer_lname varchar(65535), customer_street varchar(65535), customer_city varchar(65535), customer_state varchar(65535), customer_zipcode varchar(65535));

copy stage_customers
from 's3://bucket/staging/load-1/stage_customers.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_customers;

update stage_customers set customer_fname = null, customer_lname = null, customer_street = null
where customer_id in (select customer_id from "raw".erased_customer);

create temp table customer_last as
select *
from (
  select *, row_number() over (partition by customer_id order by line desc) as nth from stage_customers
) as numbered
where nth = 1;

create temp table customer_known as
select *
from (
  select
    *,
    row_number() over (
      partition by customer_id order by version_at desc, file desc, generation desc, line desc
    ) as nth
  from "raw".retail_customers
  where customer_id in (select customer_id from customer_last)
) as numbered
where nth = 1;

create temp table shop_outcome as
select
  s.line,
  case
    when s.line <> l.line and (case when s.customer_fname is null and l.customer_fname is null then 0 when s.customer_fname is null or l.customer_fname is null then 1 when s.customer_fname = l.customer_fname then 0 else 1 end = 0)
      and (case when s.customer_lname is null and l.customer_lname is null then 0 when s.customer_lname is null or l.customer_lname is null then 1 when s.customer_lname = l.customer_lname then 0 else 1 end = 0)
      and (case when s.customer_street is null and l.customer_street is null then 0 when s.customer_street is null or l.customer_street is null then 1 when s.customer_street = l.customer_street then 0 else 1 end = 0)
      and (case when s.customer_city is null and l.customer_city is null then 0 when s.customer_city is null or l.customer_city is null then 1 when s.customer_city = l.customer_city then 0 else 1 end = 0)
      and (case when s.customer_state is null and l.customer_state is null then 0 when s.customer_state is null or l.customer_state is null then 1 when s.customer_state = l.customer_state then 0 else 1 end = 0)
      and (case when s.customer_zipcode is null and l.customer_zipcode is null then 0 when s.customer_zipcode is null or l.customer_zipcode is null then 1 when s.customer_zipcode = l.customer_zipcode then 0 else 1 end = 0) then 'duplicate'
    when s.line <> l.line then 'conflict'
    when k.customer_id is null then 'inserted'
    when (case when s.customer_fname is null and k.customer_fname is null then 0 when s.customer_fname is null or k.customer_fname is null then 1 when s.customer_fname = k.customer_fname then 0 else 1 end = 0)
      and (case when s.customer_lname is null and k.customer_lname is null then 0 when s.customer_lname is null or k.customer_lname is null then 1 when s.customer_lname = k.customer_lname then 0 else 1 end = 0)
      and (case when s.customer_street is null and k.customer_street is null then 0 when s.customer_street is null or k.customer_street is null then 1 when s.customer_street = k.customer_street then 0 else 1 end = 0)
      and (case when s.customer_city is null and k.customer_city is null then 0 when s.customer_city is null or k.customer_city is null then 1 when s.customer_city = k.customer_city then 0 else 1 end = 0)
      and (case when s.customer_state is null and k.customer_state is null then 0 when s.customer_state is null or k.customer_state is null then 1 when s.customer_state = k.customer_state then 0 else 1 end = 0)
      and (case when s.customer_zipcode is null and k.customer_zipcode is null then 0 when s.customer_zipcode is null or k.customer_zipcode is null then 1 when s.customer_zipcode = k.customer_zipcode then 0 else 1 end = 0) then 'unchanged'
    else 'updated'
  end as outcome
from stage_customers as s
join customer_last as l on l.customer_id = s.customer_id
left join customer_known as k on k.customer_id = s.customer_id;

insert into "raw".retail_customers
select
  c.customer_id, c.customer_fname, c.customer_lname, c.customer_street, c.customer_city, c.customer_state,
  c.customer_zipcode, f.version_at, f.source_file, f.source_generation, c.line
from stage_customers as c
cross join stage_shop_file as f;

create temp table customer_change as
select *
from (
  select
    *,
    row_number() over (partition by customer_id order by version_at) as nth_version,
    row_number() over (partition by customer_id order by version_at desc) as nth_newest,
    lag(customer_city) over (partition by customer_id order by version_at) as city_before,
    lag(customer_state) over (partition by customer_id order by version_at) as state_before,
    lag(customer_zipcode) over (partition by customer_id order by version_at) as zipcode_before
  from (
    select
      *,
      row_number() over (partition by customer_id, version_at order by file desc, generation desc, line desc) as nth
    from "raw".retail_customers
    where customer_id in (select customer_id from customer_last)
  ) as numbered
  where nth = 1
) as compared;

create temp table customer_chain as
select
  customer_id, customer_city, customer_state, customer_zipcode,
  case when nth_version = 1 then cast('1900-01-01 00:00:00+00' as timestamptz) else version_at end as valid_from,
  coalesce(
    lead(version_at) over (partition by customer_id order by version_at), cast('9999-01-01 00:00:00+00' as timestamptz)
  ) as valid_to
from customer_change
where nth_version = 1
  or (case when customer_city is null and city_before is null then 0 when customer_city is null or city_before is null then 1 when customer_city = city_before then 0 else 1 end = 1)
  or (case when customer_state is null and state_before is null then 0 when customer_state is null or state_before is null then 1 when customer_state = state_before then 0 else 1 end = 1)
  or (case when customer_zipcode is null and zipcode_before is null then 0 when customer_zipcode is null or zipcode_before is null then 1 when customer_zipcode = zipcode_before then 0 else 1 end = 1);

create temp table customer_rekey as
select customer_id, min(valid_from) as changed_from
from (
  select n.customer_id, n.valid_from
  from customer_chain as n
  left join base.dim_customer as o on o.customer_id = n.customer_id and o.valid_from = n.valid_from
  where o.customer_id is null
  union all
  select o.customer_id, o.valid_from
  from base.dim_customer as o
  left join customer_chain as n on n.customer_id = o.customer_id and n.valid_from = o.valid_from
  where o.customer_id in (select customer_id from customer_last) and n.customer_id is null
) as differs
where valid_from > cast('1900-01-01 00:00:00+00' as timestamptz)
group by customer_id;

delete from base.dim_customer where customer_id in (select customer_id from customer_last);

insert into base.dim_customer (
  customer_key, customer_id, city, state, zipcode, valid_from, valid_to, is_current, is_inferred
)
select
  strtol(substring(md5(cast(c.customer_id as varchar(65535)) || '|' || cast(cast(datediff(microsecond, timestamp '1970-01-01 00:00:00', c.valid_from at time zone 'UTC') as bigint) as varchar(65535))), 1, 15), 16),
  c.customer_id, c.customer_city, c.customer_state, c.customer_zipcode, c.valid_from, c.valid_to,
  c.valid_to = cast('9999-01-01 00:00:00+00' as timestamptz), false
from customer_chain as c;

delete from base.customer_pii where customer_id in (select customer_id from customer_last);

insert into base.customer_pii (customer_id, first_name, last_name, street)
select customer_id, customer_fname, customer_lname, customer_street from customer_change
where nth_newest = 1 and customer_id not in (select customer_id from "raw".erased_customer);

update base.fct_order
set customer_key = c.customer_key
from (
  select d.customer_id, d.customer_key, d.valid_from, d.valid_to, r.changed_from
  from base.dim_customer as d
  join customer_rekey as r on r.customer_id = d.customer_id
  where d.valid_to > r.changed_from
) as c
where c.customer_id = fct_order.customer_id
  and fct_order.order_date >= cast((select min(changed_from) from customer_rekey) at time zone 'UTC' as date)
  and fct_order.ordered_at >= c.changed_from at time zone 'UTC'
  and c.valid_from <= fct_order.ordered_at at time zone 'UTC'
  and c.valid_to > fct_order.ordered_at at time zone 'UTC'
  and fct_order.customer_key <> c.customer_key;

update base.fct_order_line
set customer_key = c.customer_key
from (
  select d.customer_id, d.customer_key, d.valid_from, d.valid_to, r.changed_from
  from base.dim_customer as d
  join customer_rekey as r on r.customer_id = d.customer_id
  where d.valid_to > r.changed_from
) as c
where c.customer_id = fct_order_line.customer_id
  and fct_order_line.order_date >= cast((select min(changed_from) from customer_rekey) at time zone 'UTC' as date)
  and fct_order_line.ordered_at >= c.changed_from at time zone 'UTC'
  and c.valid_from <= fct_order_line.ordered_at at time zone 'UTC'
  and c.valid_to > fct_order_line.ordered_at at time zone 'UTC'
  and fct_order_line.customer_key <> c.customer_key;

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
  and lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected
union all
select 'customer version twice' as rule, count(*) as found
from (
  select customer_id, valid_from from base.dim_customer
  group by customer_id, valid_from having count(*) > 1
) as twice
union all
select 'customer key twice' as rule, count(*) as found
from (
  select customer_key from base.dim_customer
  group by customer_key having count(*) > 1
) as twice
union all
select 'customer current twice' as rule, count(*) as found
from (
  select customer_id from base.dim_customer
  where is_current
  group by customer_id having count(*) > 1
) as twice
union all
select 'person twice' as rule, count(*) as found
from (
  select customer_id from base.customer_pii
  group by customer_id having count(*) > 1
) as twice
union all
select 'order without its customer' as rule, count(*) as found
from base.fct_order as o
left join base.dim_customer as c on c.customer_key = o.customer_key
where o.customer_id in (select customer_id from customer_rekey) and c.customer_key is null
union all
select 'line without its customer' as rule, count(*) as found
from base.fct_order_line as l
left join base.dim_customer as c on c.customer_key = l.customer_key
where l.customer_id in (select customer_id from customer_rekey) and c.customer_key is null;

select l.file, l.status, l.lines, l.inserted, l.updated, l.unchanged, l.duplicate, l.conflict, l.waiting, l.rejected from "raw".loaded_file l join stage_shop_file s on s.file = l.file and s.generation = l.generation;

drop table stage_shop_file, stage_shop_reject, stage_finding, stage_customers, customer_last, customer_known, shop_outcome, customer_change, customer_chain, customer_rekey;

commit;
