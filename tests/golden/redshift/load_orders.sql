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

copy stage_finding
from 's3://bucket/staging/load-1/stage_finding.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_finding;

create temp table stage_orders (line bigint, order_id bigint, order_date timestamptz, order_customer_id integer, order_status varchar(65535));

copy stage_orders
from 's3://bucket/staging/load-1/stage_orders.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate on;

select count(*) from stage_orders;

create temp table order_last as
select o.line, o.order_id, o.order_date, o.order_customer_id, o.order_status
from stage_orders as o
where not (select has_repeats from stage_shop_file)
union all
select n.line, n.order_id, n.order_date, n.order_customer_id, n.order_status
from (
  select *, row_number() over (partition by order_id order by line desc) as nth
  from stage_orders
  where (select has_repeats from stage_shop_file)
) as n
where n.nth = 1;

create temp table order_known as
select k.*
from order_last as o
join base.fct_order as k on k.order_id = o.order_id;

create temp table shop_outcome as
select
  l.line,
  case
    when k.order_id is null then 'inserted'
    when k.ordered_at = l.order_date at time zone 'UTC' and k.customer_id = l.order_customer_id
      and k.order_status_key = strtol(substring(md5(l.order_status), 1, 15), 16) then 'unchanged'
    when (f.version_at > k.version_at or (f.version_at = k.version_at and (f.source_file > k.file or (f.source_file = k.file and (f.source_generation > k.generation or (f.source_generation = k.generation and l.line > k.line))))))
      then 'updated'
    else 'unchanged'
  end as outcome
from order_last as l
cross join stage_shop_file as f
left join order_known as k on k.order_id = l.order_id
union all
select
  s.line,
  case
    when s.order_date = l.order_date and s.order_customer_id = l.order_customer_id
      and s.order_status = l.order_status then 'duplicate'
    else 'conflict'
  end
from (select * from stage_orders where (select has_repeats from stage_shop_file)) as s
join order_last as l on l.order_id = s.order_id and l.line <> s.line;

insert into "raw".retail_orders
select o.order_id, o.order_date at time zone 'UTC', o.order_customer_id, o.order_status,
  f.version_at, f.source_file, f.source_generation, o.line
from stage_orders as o
cross join stage_shop_file as f;

insert into base.dim_order_status (
  order_status_key, order_status, is_sale, is_revenue, is_cancelled, is_final, is_inferred
)
select strtol(substring(md5(o.order_status), 1, 15), 16), o.order_status, false, false, false, false, true
from (select distinct order_status from stage_orders) as o
left join base.dim_order_status as k on k.order_status = o.order_status
where k.order_status is null;

insert into base.dim_customer (
  customer_key, customer_id, city, state, zipcode, valid_from, valid_to, is_current, is_inferred
)
select
  strtol(substring(md5(cast(o.order_customer_id as varchar(65535)) || '|' || cast(cast(datediff(microsecond, timestamp '1970-01-01 00:00:00', cast('1900-01-01 00:00:00+00' as timestamptz) at time zone 'UTC') as bigint) as varchar(65535))), 1, 15), 16),
  o.order_customer_id, cast(null as varchar(65535)), cast(null as varchar(65535)), cast(null as varchar(65535)),
  cast('1900-01-01 00:00:00+00' as timestamptz), cast('9999-01-01 00:00:00+00' as timestamptz), true, true
from (select distinct order_customer_id from stage_orders) as o
left join base.dim_customer as k on k.customer_id = o.order_customer_id
where k.customer_id is null;

create temp table order_put as
select
  o.order_id,
  o.order_date at time zone 'UTC' as ordered_at,
  cast(o.order_date at time zone 'UTC' as date) as order_date,
  o.order_customer_id as customer_id,
  strtol(substring(md5(o.order_status), 1, 15), 16) as order_status_key,
  f.version_at, f.source_file as file, f.source_generation as generation, o.line,
  k.order_id is not null
    and k.ordered_at = o.order_date at time zone 'UTC' and k.customer_id = o.order_customer_id
    and k.order_status_key = strtol(substring(md5(o.order_status), 1, 15), 16) as is_same
from order_last as o
cross join stage_shop_file as f
left join order_known as k on k.order_id = o.order_id
where k.order_id is null
  or (f.version_at > k.version_at or (f.version_at = k.version_at and (f.source_file > k.file or (f.source_file = k.file and (f.source_generation > k.generation or (f.source_generation = k.generation and o.line > k.line))))));

create temp table order_replaced as
select k.order_id, k.order_date, p.is_same
from order_known as k
join order_put as p on p.order_id = k.order_id;

delete from base.fct_order where order_id in (select order_id from order_replaced);

insert into base.fct_order (
  order_id, ordered_at, order_date, customer_id, customer_key, order_status_key, version_at, file, generation, line
)
select
  o.order_id, o.ordered_at, o.order_date, o.customer_id, c.customer_key, o.order_status_key,
  o.version_at, o.file, o.generation, o.line
from order_put as o
join base.dim_customer as c
  on c.customer_id = o.customer_id
  and c.valid_from <= o.ordered_at at time zone 'UTC' and c.valid_to > o.ordered_at at time zone 'UTC';

create temp table order_changed as
select order_id, order_date from order_replaced where not is_same;

create temp table order_line_known as
select l.*
from order_changed as c
join base.fct_order_line as l on l.order_id = c.order_id and l.order_date = c.order_date;

create temp table line_order as
select o.order_id, o.order_date, o.ordered_at, o.customer_id, o.customer_key, o.order_status_key
from order_put as p
join base.fct_order as o on o.order_id = p.order_id;

create temp table line_put as
select
  order_item_id, order_id, product_id, quantity, unit_price, line_amount, version_at, file, generation, line,
  cast(null as timestamptz) as waiting_since
from order_line_known
union all
select
  w.order_item_id, w.order_id, w.product_id, w.quantity, w.unit_price, w.line_amount, w.version_at, w.file,
  w.generation, w.line, w.waiting_since
from "raw".waiting_order_line as w
join order_put as p on p.order_id = w.order_id;

create temp table line_before as
select order_item_id, order_date, product_id, order_id, quantity, unit_price, line_amount, order_status_key
from order_line_known;

create temp table line_fact as
with
line_ordered as  (
  select
    l.order_item_id, l.order_id, o.order_date, o.ordered_at, l.product_id, o.customer_id, o.customer_key,
    o.order_status_key, l.quantity, l.unit_price, l.line_amount, l.version_at, l.file, l.generation, l.line
  from line_put as l
  join line_order as o on o.order_id = l.order_id
)
select
  l.order_item_id, l.order_id, l.order_date, l.ordered_at, l.product_id, p.product_key, l.customer_id, l.customer_key,
  l.order_status_key, l.quantity, l.unit_price, l.line_amount, l.version_at, l.file, l.generation, l.line
from line_ordered as l
join base.dim_product as p
  on p.product_id = l.product_id
  and p.valid_from <= l.ordered_at at time zone 'UTC' and p.valid_to > l.ordered_at at time zone 'UTC';

insert into mart.changed_product_day (product_id, date)
select b.product_id, b.order_date
from line_before as b
left join line_fact as n on n.order_item_id = b.order_item_id
where n.order_item_id is null or n.order_date <> b.order_date or n.product_id <> b.product_id
  or n.order_id <> b.order_id or n.quantity <> b.quantity or n.unit_price <> b.unit_price
  or n.line_amount <> b.line_amount or n.order_status_key <> b.order_status_key
union
select n.product_id, n.order_date
from line_fact as n
left join line_before as b on b.order_item_id = n.order_item_id
where b.order_item_id is null or n.order_date <> b.order_date or n.product_id <> b.product_id
  or n.order_id <> b.order_id or n.quantity <> b.quantity or n.unit_price <> b.unit_price
  or n.line_amount <> b.line_amount or n.order_status_key <> b.order_status_key;

delete from base.fct_order_line where order_item_id in (select order_item_id from line_before);

delete from "raw".waiting_order_line where order_item_id in (select order_item_id from line_put);

insert into base.fct_order_line (
  order_item_id, order_id, order_date, ordered_at, product_id, product_key, customer_id, customer_key,
  order_status_key, quantity, unit_price, line_amount, version_at, file, generation, line
)
select
  order_item_id, order_id, order_date, ordered_at, product_id, product_key, customer_id, customer_key,
  order_status_key, quantity, unit_price, line_amount, version_at, file, generation, line
from line_fact
order by order_date, order_item_id;

insert into "raw".waiting_order_line (
  order_item_id, order_id, product_id, quantity, unit_price, line_amount, version_at, file, generation, line,
  waiting_since
)
select
  l.order_item_id, l.order_id, l.product_id, l.quantity, l.unit_price, l.line_amount, l.version_at, l.file,
  l.generation, l.line,
  coalesce(l.waiting_since, cast(sysdate as timestamptz))
from line_put as l
left join line_fact as n on n.order_item_id = l.order_item_id
where n.order_item_id is null;

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
select 'order twice' as rule, count(*) as found
from (
  select order_id from base.fct_order
  where order_id in (select order_id from order_put)
  group by order_id having count(*) > 1
) as twice
union all
select 'customer version twice' as rule, count(*) as found
from (
  select customer_id, valid_from from base.dim_customer
  group by customer_id, valid_from having count(*) > 1
) as twice
union all
select 'status twice' as rule, count(*) as found
from (
  select order_status from base.dim_order_status
  group by order_status having count(*) > 1
) as twice
union all
select 'order without its customer or status' as rule, count(*) as found
from base.fct_order as o
left join base.dim_customer as c on c.customer_key = o.customer_key
left join base.dim_order_status as s on s.order_status_key = o.order_status_key
where o.order_id in (select order_id from order_put) and (c.customer_key is null or s.order_status_key is null)
union all
select 'line twice' as rule, count(*) as found
from (
  select order_item_id from base.fct_order_line
  where order_item_id in (select order_item_id from line_put)
  group by order_item_id having count(*) > 1
) as twice
union all
select 'waiting line twice' as rule, count(*) as found
from (
  select order_item_id from "raw".waiting_order_line
  where order_item_id in (select order_item_id from line_put)
  group by order_item_id having count(*) > 1
) as twice
union all
select 'line both waiting and not' as rule, count(*) as found
from base.fct_order_line as l
join "raw".waiting_order_line as w on w.order_item_id = l.order_item_id
where l.order_item_id in (select order_item_id from line_put)
union all
select 'line without its order, product, customer or status' as rule, count(*) as found
from base.fct_order_line as l
left join base.fct_order as o on o.order_id = l.order_id
left join base.dim_product as p on p.product_key = l.product_key
left join base.dim_customer as c on c.customer_key = l.customer_key
left join base.dim_order_status as s on s.order_status_key = l.order_status_key
where l.order_item_id in (select order_item_id from line_put)
  and (o.order_id is null or p.product_key is null or c.customer_key is null or s.order_status_key is null)
union all
select 'line unlike its order' as rule, count(*) as found
from base.fct_order_line as l
join base.fct_order as o on o.order_id = l.order_id
where l.order_item_id in (select order_item_id from line_put)
  and (l.order_date <> o.order_date or l.customer_key <> o.customer_key or l.order_status_key <> o.order_status_key);

select l.file, l.status, l.lines, l.inserted, l.updated, l.unchanged, l.duplicate, l.conflict, l.waiting, l.rejected from "raw".loaded_file l join stage_shop_file s on s.file = l.file and s.generation = l.generation;

drop table stage_shop_file, stage_shop_reject, stage_finding, stage_orders, order_last, order_known, shop_outcome, order_put, order_replaced, order_changed, order_line_known, line_order, line_put, line_before, line_fact;

commit;
