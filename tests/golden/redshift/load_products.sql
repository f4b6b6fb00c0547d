-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.

begin;

lock "raw".load_lock;

select coalesce(max(version), 0) from "raw".schema_version;

with known as (select * from "raw".loaded_file where dataset = 'products' and (file = 'products/2026-07-09.csv' or sha256 = '71121ba267f69607b2cf1eaf76b2d22850d65a43939fb73a42509eb77ef220e9')), parted as (select distinct k.file, k.generation from known as k join "raw".loaded_file as b on b.dataset = k.dataset and b.status in ('loaded', 'superseded') and (((b.version_at > k.version_at or (b.version_at = k.version_at and b.file > k.file)) and (cast('2026-07-09 00:00:00.000000+00' as timestamptz) > b.version_at or (cast('2026-07-09 00:00:00.000000+00' as timestamptz) = b.version_at and 'products/2026-07-09.csv' > b.file))) or ((b.version_at > cast('2026-07-09 00:00:00.000000+00' as timestamptz) or (b.version_at = cast('2026-07-09 00:00:00.000000+00' as timestamptz) and b.file > 'products/2026-07-09.csv')) and (k.version_at > b.version_at or (k.version_at = b.version_at and k.file > b.file))))) select k.generation, coalesce(k.sha256, ''), p.file is null and k.version_at <= cast('2026-07-09 00:00:00.000000+00' as timestamptz) and k.is_full = false, k.file, k.status, k.lines, k.inserted, k.updated, k.unchanged, k.duplicate, k.conflict, k.waiting, k.rejected from known as k left join parted as p on p.file = k.file and p.generation = k.generation;

select count(*) from "raw".loaded_file where dataset = 'products' and is_full;

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

create temp table stage_products (line bigint, product_id integer, product_category_id integer, product_name varchar(65535), product_description varchar(65535), price_cents bigint, product_image varchar(65535));

copy stage_products
from 's3://bucket/staging/load-1/stage_products.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_products;

create temp table product_last as
select *
from (
  select *, row_number() over (partition by product_id order by line desc) as nth from stage_products
) as numbered
where nth = 1;

create temp table shop_outcome as
select
  s.line,
  case
    when s.line <> l.line and s.product_category_id = l.product_category_id and s.product_name = l.product_name
      and (case when s.product_description is null and l.product_description is null then 0 when s.product_description is null or l.product_description is null then 1 when s.product_description = l.product_description then 0 else 1 end = 0)
      and s.price_cents = l.price_cents and (case when s.product_image is null and l.product_image is null then 0 when s.product_image is null or l.product_image is null then 1 when s.product_image = l.product_image then 0 else 1 end = 0) then 'duplicate'
    when s.line <> l.line then 'conflict'
    when k.product_id is null or k.is_inferred then 'inserted'
    when k.category_id = s.product_category_id and k.product_name = s.product_name
      and (case when k.product_description is null and s.product_description is null then 0 when k.product_description is null or s.product_description is null then 1 when k.product_description = s.product_description then 0 else 1 end = 0)
      and k.list_price = cast(s.price_cents * 0.01 as decimal(12, 2))
      and (case when k.image_url is null and s.product_image is null then 0 when k.image_url is null or s.product_image is null then 1 when k.image_url = s.product_image then 0 else 1 end = 0) then 'unchanged'
    else 'updated'
  end as outcome
from stage_products as s
join product_last as l on l.product_id = s.product_id
cross join stage_shop_file as f
left join base.dim_product as k
  on k.product_id = s.product_id and k.valid_from <= f.version_at and k.valid_to > f.version_at;

insert into "raw".retail_products
select
  p.product_id, p.product_category_id, p.product_name, p.product_description,
  cast(p.price_cents * 0.01 as decimal(12, 2)), p.product_image,
  f.version_at, f.source_file, f.source_generation, p.line
from stage_products as p
cross join stage_shop_file as f;

create temp table product_change as
select *
from (
  select
    *,
    row_number() over (partition by product_id order by version_at) as nth_version,
    lag(product_category_id) over (partition by product_id order by version_at) as category_before,
    lag(product_name) over (partition by product_id order by version_at) as name_before,
    lag(product_description) over (partition by product_id order by version_at) as description_before,
    lag(product_price) over (partition by product_id order by version_at) as price_before,
    lag(product_image) over (partition by product_id order by version_at) as image_before
  from (
    select
      *,
      row_number() over (partition by product_id, version_at order by file desc, generation desc, line desc) as nth
    from "raw".retail_products
    where product_id in (select product_id from product_last)
  ) as numbered
  where nth = 1
) as compared
where nth_version = 1
  or product_category_id <> category_before
  or product_name <> name_before
  or (case when product_description is null and description_before is null then 0 when product_description is null or description_before is null then 1 when product_description = description_before then 0 else 1 end = 1)
  or product_price <> price_before
  or (case when product_image is null and image_before is null then 0 when product_image is null or image_before is null then 1 when product_image = image_before then 0 else 1 end = 1);

create temp table product_chain as
select
  product_id, product_category_id, product_name, product_description, product_price, product_image,
  case when nth_version = 1 then cast('1900-01-01 00:00:00+00' as timestamptz) else version_at end as valid_from,
  coalesce(
    lead(version_at) over (partition by product_id order by version_at), cast('9999-01-01 00:00:00+00' as timestamptz)
  ) as valid_to,
  lag(product_price) over (partition by product_id order by version_at) as price_before
from product_change;

insert into base.dim_category (category_id, category_name, department_id, is_inferred)
select distinct c.product_category_id, 'Unknown category ' || cast(c.product_category_id as varchar(65535)), cast(null as integer), true
from stage_products as c
left join base.dim_category as k on k.category_id = c.product_category_id
where k.category_id is null;

create temp table product_rekey as
select product_id, min(valid_from) as changed_from
from (
  select n.product_id, n.valid_from
  from product_chain as n
  left join base.dim_product as o on o.product_id = n.product_id and o.valid_from = n.valid_from
  where o.product_id is null
  union all
  select o.product_id, o.valid_from
  from base.dim_product as o
  left join product_chain as n on n.product_id = o.product_id and n.valid_from = o.valid_from
  where o.product_id in (select product_id from product_last) and n.product_id is null
) as differs
where valid_from > cast('1900-01-01 00:00:00+00' as timestamptz)
group by product_id;

delete from base.dim_product where product_id in (select product_id from product_last);

insert into base.dim_product (
  product_key, product_id, product_name, product_description, image_url, list_price, category_id, category_name,
  department_id, department_name, valid_from, valid_to, is_current, is_inferred
)
select
  strtol(substring(md5(cast(c.product_id as varchar(65535)) || '|' || cast(cast(datediff(microsecond, timestamp '1970-01-01 00:00:00', c.valid_from at time zone 'UTC') as bigint) as varchar(65535))), 1, 15), 16),
  c.product_id, c.product_name, c.product_description, c.product_image, c.product_price,
  c.product_category_id, k.category_name, k.department_id, d.department_name,
  c.valid_from, c.valid_to, c.valid_to = cast('9999-01-01 00:00:00+00' as timestamptz), false
from product_chain as c
left join base.dim_category as k on k.category_id = c.product_category_id
left join base.dim_department as d on d.department_id = k.department_id;

delete from base.fct_price_change where product_id in (select product_id from product_last);

insert into base.fct_price_change (
  product_id, changed_at, old_price, new_price, price_difference, product_key_before, product_key_after
)
select c.product_id, c.valid_from, c.price_before, c.product_price, c.product_price - c.price_before,
  b.product_key, a.product_key
from product_chain as c
join base.dim_product as a on a.product_id = c.product_id and a.valid_from = c.valid_from
join base.dim_product as b on b.product_id = c.product_id and b.valid_to = c.valid_from
where c.product_price <> c.price_before;

update base.fct_order_line
set product_key = p.product_key
from (
  select d.product_id, d.product_key, d.valid_from, d.valid_to, r.changed_from
  from base.dim_product as d
  join product_rekey as r on r.product_id = d.product_id
  where d.valid_to > r.changed_from
) as p
where p.product_id = fct_order_line.product_id
  and fct_order_line.order_date
    >= cast((select min(changed_from) from product_rekey) at time zone 'UTC' as date)
  and fct_order_line.ordered_at >= p.changed_from at time zone 'UTC'
  and p.valid_from <= fct_order_line.ordered_at at time zone 'UTC'
  and p.valid_to > fct_order_line.ordered_at at time zone 'UTC'
  and fct_order_line.product_key <> p.product_key;

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
select 'product version twice' as rule, count(*) as found
from (
  select product_id, valid_from from base.dim_product
  group by product_id, valid_from having count(*) > 1
) as twice
union all
select 'product key twice' as rule, count(*) as found
from (
  select product_key from base.dim_product
  group by product_key having count(*) > 1
) as twice
union all
select 'product current twice' as rule, count(*) as found
from (
  select product_id from base.dim_product
  where is_current
  group by product_id having count(*) > 1
) as twice
union all
select 'category twice' as rule, count(*) as found
from (
  select category_id from base.dim_category
  group by category_id having count(*) > 1
) as twice
union all
select 'price change twice' as rule, count(*) as found
from (
  select product_id, changed_at from base.fct_price_change
  group by product_id, changed_at having count(*) > 1
) as twice
union all
select 'line without its product' as rule, count(*) as found
from base.fct_order_line as l
left join base.dim_product as p on p.product_key = l.product_key
where l.product_id in (select product_id from product_rekey) and p.product_key is null;

select l.file, l.status, l.lines, l.inserted, l.updated, l.unchanged, l.duplicate, l.conflict, l.waiting, l.rejected from "raw".loaded_file l join stage_shop_file s on s.file = l.file and s.generation = l.generation;

drop table stage_shop_file, stage_shop_reject, stage_finding, stage_products, product_last, shop_outcome, product_change, product_chain, product_rekey;

commit;
