-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.

set timezone to 'UTC';

set query_group to 'waybill';

set statement_timeout to 0;

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

select 'ledger_balance' as name, 'error' as severity, count(*) as failures,
  'files whose outcomes do not add up to their lines' as meaning
from "raw".loaded_file
where lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected
union all
select 'event_once', 'error', count(*), 'events that are there more than once'
from (select event_key from "raw".tracking_event group by event_key having count(*) > 1) as twice
union all
select 'event_count', 'error', abs(
    (select coalesce(sum(inserted), 0) from "raw".loaded_file where dataset = 'tracking')
    - (select count(*) from "raw".tracking_event)
  ), 'events that the ledger counts and the table lacks, or the other way round'
union all
select 'tracking_once', 'error', count(*), 'parcels that are there more than once'
from (select tracking_id from base.fct_shipment_tracking group by tracking_id having count(*) > 1) as twice
union all
select 'checkpoint_parcel', 'error', count(*), 'checkpoints without their parcel'
from base.fct_tracking_checkpoint as c
left join base.fct_shipment_tracking as t on t.tracking_id = c.tracking_id
where t.tracking_id is null
union all
select 'order_once', 'error', count(*), 'orders that are there more than once'
from (select order_id from base.fct_order group by order_id having count(*) > 1) as twice
union all
select 'line_once', 'error', count(*), 'order lines that are there more than once, as facts or waiting'
from (
  select order_item_id
  from (
    select order_item_id from base.fct_order_line
    union all
    select order_item_id from "raw".waiting_order_line
  ) as every_line
  group by order_item_id
  having count(*) > 1
) as twice
union all
select 'line_kept', 'error', abs(
    (select count(distinct order_item_id) from "raw".retail_order_items)
    - (select count(*) from base.fct_order_line) - (select count(*) from "raw".waiting_order_line)
  ), 'order lines that landed and are neither facts nor waiting'
union all
select 'order_kept', 'error', abs(
    (select count(distinct order_id) from "raw".retail_orders) - (select count(*) from base.fct_order)
  ), 'orders that landed and are no facts'
union all
select 'line_order', 'error', count(*), 'order lines without their order, or on another day, of another customer or another status'
from base.fct_order_line as l
left join base.fct_order as o
  on o.order_id = l.order_id and o.order_date = l.order_date and o.ordered_at = l.ordered_at
  and o.customer_id = l.customer_id and o.customer_key = l.customer_key and o.order_status_key = l.order_status_key
where o.order_id is null
union all
select 'line_product', 'error', count(*), 'order lines without the version of their product that was valid then'
from base.fct_order_line as l
left join base.dim_product as p
  on p.product_key = l.product_key and p.product_id = l.product_id
  and p.valid_from <= l.ordered_at at time zone 'UTC' and p.valid_to > l.ordered_at at time zone 'UTC'
where p.product_key is null
union all
select 'order_customer', 'error', count(*), 'orders without the version of their customer that was valid then'
from base.fct_order as o
left join base.dim_customer as c
  on c.customer_key = o.customer_key and c.customer_id = o.customer_id
  and c.valid_from <= o.ordered_at at time zone 'UTC' and c.valid_to > o.ordered_at at time zone 'UTC'
where c.customer_key is null
union all
select 'order_status', 'error', count(*), 'orders of an unknown status'
from base.fct_order as o
left join base.dim_order_status as s on s.order_status_key = o.order_status_key
where s.order_status_key is null
union all
select 'product_category', 'error', count(*), 'products without their category'
from base.dim_product as p
left join base.dim_category as c on c.category_id = p.category_id
where p.category_id is not null and c.category_id is null
union all
select 'category_department', 'error', count(*), 'categories without their department'
from base.dim_category as c
left join base.dim_department as d on d.department_id = c.department_id
where c.department_id is not null and d.department_id is null
union all
select 'product_versions', 'error', count(*), 'versions of products that overlap, leave a gap, or have no end'
from (
  select
    valid_from, valid_to, is_current,
    lag(valid_to) over (partition by product_id order by valid_from) as before_to,
    lead(valid_from) over (partition by product_id order by valid_from) as after_from
  from base.dim_product
) as version
where valid_from <> coalesce(before_to, cast('1900-01-01 00:00:00+00' as timestamptz))
  or valid_to <> coalesce(after_from, cast('9999-01-01 00:00:00+00' as timestamptz))
  or is_current <> (after_from is null)
union all
select 'customer_versions', 'error', count(*), 'versions of customers that overlap, leave a gap, or have no end'
from (
  select
    valid_from, valid_to, is_current,
    lag(valid_to) over (partition by customer_id order by valid_from) as before_to,
    lead(valid_from) over (partition by customer_id order by valid_from) as after_from
  from base.dim_customer
) as version
where valid_from <> coalesce(before_to, cast('1900-01-01 00:00:00+00' as timestamptz))
  or valid_to <> coalesce(after_from, cast('9999-01-01 00:00:00+00' as timestamptz))
  or is_current <> (after_from is null)
union all
select 'money_total', 'error', count(*), 'files of order lines whose money is not what the ledger says'
from (
  select file, sum(ledger) as ledger, sum(kept) as kept
  from (
    select split_part(file, '#', 1) as file, money_total as ledger, 0 as kept
    from "raw".loaded_file
    where dataset = 'order_items' and status in ('loaded', 'superseded')
    union all
    select split_part(file, '#', 1), 0, order_item_subtotal
    from "raw".retail_order_items
  ) as both_sides
  group by file
  having sum(ledger) <> sum(kept)
) as differing
union all
select 'mart_sales', 'error', count(*), 'products and days whose sales in the mart are not those of the facts'
from (
  select
    l.product_id, l.order_date,
    sum(case when s.is_sale then l.quantity else 0 end) as units,
    sum(case when s.is_sale then l.line_amount else 0 end) as amount,
    sum(case when s.is_revenue then l.line_amount else 0 end) as revenue,
    count(distinct case when s.is_sale then l.order_id end) as orders,
    count(*) as lines
  from base.fct_order_line as l
  join base.dim_order_status as s on s.order_status_key = l.order_status_key
  group by l.product_id, l.order_date
) as e
full join mart.agg_product_day as a on a.product_id = e.product_id and a.date = e.order_date
left join (select distinct product_id, date from mart.changed_product_day) as c
  on c.product_id = coalesce(e.product_id, a.product_id) and c.date = coalesce(e.order_date, a.date)
where (a.product_id is null or e.product_id is null or a.units_sold <> e.units or a.sales_amount <> e.amount
    or a.revenue_amount <> e.revenue or a.orders <> e.orders or a.lines <> e.lines)
  and c.product_id is null
  and exists (select 1 from mart.published)
union all
select 'mart_days', 'error', count(*), 'products whose days in the mart have holes, or end before the published day'
from (
  select d.product_id
  from mart.product_day as d
  group by d.product_id
  having count(*) <> max(d.date) - min(d.date) + 1 or max(d.date) <> (select max(as_of) from mart.published)
) as torn
union all
select 'mart_totals', 'error', count(*), 'days of products that are not what the days before them come to'
from (
  select
    d.units_sold, d.sales_amount, d.revenue_amount, d.orders, d.items_sold_to_date, d.days_with_sales_60d,
    d.has_ceased_selling, a.units_sold as units, a.sales_amount as amount, a.revenue_amount as revenue,
    a.orders as sold_in, d.days_with_sales_7d,
    sum(d.units_sold) over (
      partition by d.product_id order by d.date rows between unbounded preceding and current row
    ) as to_date,
    sum(case when d.has_sale then 1 else 0 end) over (
      partition by d.product_id order by d.date rows between 59 preceding and current row
    ) as of_60
  from mart.product_day as d
  left join mart.agg_product_day as a on a.product_id = d.product_id and a.date = d.date
) as day
where units_sold <> coalesce(units, 0) or sales_amount <> coalesce(amount, 0)
  or revenue_amount <> coalesce(revenue, 0) or orders <> coalesce(sold_in, 0)
  or items_sold_to_date <> to_date or days_with_sales_60d <> of_60
  or has_ceased_selling <> (days_with_sales_60d > 30 and days_with_sales_7d = 0)
union all
select 'mart_late', 'warning', count(*), 'products and days that changed since the marts were brought up to date'
from (select distinct product_id, date from mart.changed_product_day) as changed
union all
select 'rejected_open', 'warning', count(*), 'rejected lines and files that nobody has repaired'
from "raw".rejected_row
where status = 'open' and dataset <> 'tracking'
union all
select 'line_waiting', 'warning', count(*), 'order lines that wait for their order'
from "raw".waiting_order_line
union all
select 'member_inferred', 'warning',
  (select count(*) from base.dim_department where is_inferred)
  + (select count(*) from base.dim_category where is_inferred)
  + (select count(*) from base.dim_product where is_inferred)
  + (select count(*) from base.dim_customer where is_inferred)
  + (select count(*) from base.dim_order_status where is_inferred),
  'departments, categories, products, customers and statuses that are named and have not come';

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
