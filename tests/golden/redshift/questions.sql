-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.

set timezone to 'UTC';

set query_group to 'waybill';

set statement_timeout to 600000;

select coalesce(max(version), 0) from "raw".schema_version;

select file from "raw".loaded_file where file in ('events/a.jsonl.zst', ('it''s ' || chr(92) || ' odd'));

select datediff(microsecond, timestamp '1970-01-01 00:00:00', max(landed_at) at time zone 'UTC') from "raw".loaded_file where dataset = 'tracking';

select file, dataset, sha256, bytes, datediff(microsecond, timestamp '1970-01-01 00:00:00', modified_at at time zone 'UTC'), status from (select file, dataset, sha256, bytes, modified_at, status from (
  select *, row_number() over (partition by file order by generation desc) as nth
  from "raw".loaded_file where sha256 is not null
) as numbered where nth = 1) as known;

with
wanted as (
  select cast('t1' as varchar(65535)) as name, false as is_number
  union all select cast('it''s' as varchar(65535)) as name, false as is_number
  union all select cast('1Z999' as varchar(65535)) as name, true as is_number
),
named as (
  select t.source_tracking_id as id from base.fct_shipment_tracking as t join wanted as w on w.name = t.source_tracking_id
  union
  select t.source_tracking_id from base.fct_shipment_tracking as t join wanted as w on w.name = t.tracking_id
  union
  select t.source_tracking_id from base.fct_shipment_tracking as t join wanted as w on w.name = t.legacy_id
  union
  select t.source_tracking_id
  from base.fct_shipment_tracking as t
  join wanted as w on w.name = t.tracking_number and w.is_number
  union
  select t.source_tracking_id from "raw".superseded_tracking as t join wanted as w on w.name = t.source_tracking_id
  union
  select t.source_tracking_id from "raw".superseded_tracking as t join wanted as w on w.name = t.tracking_id
  union
  select t.source_tracking_id
  from "raw".superseded_tracking as t
  join wanted as w on w.name = t.tracking_number and w.is_number
  union
  select e.tracking_id from "raw".tracking_event as e join wanted as w on w.name = e.tracking_id
  union
  select e.tracking_id from "raw".tracking_event_conflict as e join wanted as w on w.name = e.tracking_id
  union
  select a.tracking_id from "raw".tracking_alias as a join wanted as w on w.name = a.legacy_id
),
taken_over as (
  select id from named
  union
  select a.tracking_id from "raw".tracking_alias as a join named as n on n.id = a.legacy_id
)
select id from taken_over
union
select a.legacy_id from "raw".tracking_alias as a join taken_over as t on t.id = a.tracking_id
order by id;

select
  coalesce("tag", '(none)') as "tag",
  count(*) as trackings,
  count(case when on_time_status = 'on-time' then 1 end) as on_time,
  count(case when on_time_status = 'late' then 1 end) as late,
  max(updated_at) as newest_update_at
from base.fct_shipment_tracking
where not is_test
group by 1
order by trackings desc, "tag";

select tracking_number, courier, "tag", subtag_message, order_number, last_checkpoint_at, updated_at
from base.fct_shipment_tracking
where not is_test
  and "tag" in ('InfoReceived', 'InTransit', 'OutForDelivery', 'AttemptFail', 'Exception')
  and updated_at < cast(sysdate as timestamptz) - interval '3 days'
order by updated_at
limit 100;

select
  coalesce(courier, '(none)') as courier,
  count(*) as trackings,
  count(delivered_at) as delivered,
  round(cast(avg((datediff(microsecond, in_transit_at at time zone 'UTC', delivered_at at time zone 'UTC') / 1000000.0)) / 86400.0 as decimal(12, 4)), 1) as days_to_deliver
from base.fct_shipment_tracking
where not is_test
group by 1
order by trackings desc, courier;

select
  cast(loaded_at as date) as day,
  status,
  count(*) as files,
  sum(lines) as lines,
  sum(inserted) as inserted,
  sum(duplicate) as duplicate,
  sum(conflict) as conflict,
  sum(rejected) as rejected
from "raw".loaded_file
group by 1, 2
order by 1 desc, 2;

with
sale_day as (
  select f.product_id, f.order_date
  from base.fct_order_line as f
  join base.dim_order_status as s on s.order_status_key = f.order_status_key
  where s.is_sale and f.quantity > 0 and f.product_id <> -1
    and f.order_date > (select max(as_of) from mart.published) - 60 and f.order_date <= (select max(as_of) from mart.published)
  group by f.product_id, f.order_date
),
ceased as (
  select product_id, count(*) as days_with_sales_60d, max(order_date) as last_sale_date
  from sale_day
  group by product_id
  having count(*) > 30 and max(order_date) <= (select max(as_of) from mart.published) - 7
),
history as (
  select
    f.product_id, f.quantity, f.order_date,
    min(case when f.quantity > 0 then f.order_date end) over (partition by f.product_id) as first_sale_date
  from base.fct_order_line as f
  join base.dim_order_status as s on s.order_status_key = f.order_status_key
  where s.is_sale and f.product_id in (select product_id from ceased)
    and f.order_date <= (select max(as_of) from mart.published) and f.order_date >= (select min(date) from base.dim_date)
)
select
  (select max(as_of) from mart.published) as date,
  c.product_id,
  cast(sum(h.quantity) as bigint) as items_sold_to_date,
  cast(c.days_with_sales_60d as integer) as days_with_sales_60d,
  cast((select max(as_of) from mart.published) - c.last_sale_date as integer) as days_since_last_sale
from ceased as c
join history as h on h.product_id = c.product_id
where h.order_date >= h.first_sale_date
group by c.product_id, c.days_with_sales_60d, c.last_sale_date
order by c.product_id;

select reason, count(*) as lines, min(file) as first_file
from "raw".rejected_row
group by reason
order by lines desc, reason;
