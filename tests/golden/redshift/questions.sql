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

select count(*) as lines, min(waiting_since) as since from "raw".waiting_order_line;

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

select
  a.id as product_id,
  p.product_name,
  cast(a.absent_from at time zone 'UTC' as date) as delisted_on,
  case
    when a.absent_until < cast('9999-01-01 00:00:00+00' as timestamptz)
      then cast(a.absent_until at time zone 'UTC' as date)
  end as relisted_on,
  d.last_sale_date,
  case when c.ceased_on > d.last_sale_date then c.ceased_on end as ceased_on,
  a.file as snapshot_file
from base.absence as a
left join base.dim_product as p on p.product_id = a.id and p.is_current
left join mart.product_day as d on d.product_id = a.id and d.date = (select max(as_of) from mart.published)
left join (
  select product_id, max(ceased_on) as ceased_on
  from mart.product_day
  where has_ceased_selling and date <= (select max(as_of) from mart.published)
  group by product_id
) as c on c.product_id = a.id
where a.dataset = 'products'
order by a.absent_until desc, a.absent_from desc, a.id;

select reason, count(*) as lines, min(file) as first_file
from "raw".rejected_row
group by reason
order by lines desc, reason;

select
  order_id,
  order_item_id,
  product_id,
  quantity,
  line_amount,
  waiting_since,
  round(cast((datediff(microsecond, waiting_since at time zone 'UTC', cast(sysdate as timestamptz) at time zone 'UTC') / 1000000.0) / 86400.0 as decimal(12, 4)), 1) as days_waiting,
  file,
  line
from "raw".waiting_order_line
order by waiting_since, order_id, order_item_id
limit 1000;

select 'ledger_balance' as name, 'error' as severity, count(*) as failures,
  'files whose outcomes do not add up to their lines' as meaning
from "raw".loaded_file
where lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected;

select 'event_once', 'error', count(*), 'events that are there more than once'
from (select event_key from "raw".tracking_event group by event_key having count(*) > 1) as twice;

select 'event_count', 'error', abs(
    (select coalesce(sum(inserted), 0) from "raw".loaded_file where dataset = 'tracking')
    - (select count(*) from "raw".tracking_event)
  ), 'events that the ledger counts and the table lacks, or the other way round';

select 'tracking_once', 'error', count(*), 'parcels that are there more than once'
from (select tracking_id from base.fct_shipment_tracking group by tracking_id having count(*) > 1) as twice;

select 'checkpoint_parcel', 'error', count(*), 'checkpoints without their parcel'
from base.fct_tracking_checkpoint as c
left join base.fct_shipment_tracking as t on t.tracking_id = c.tracking_id
where t.tracking_id is null;

select 'order_once', 'error', count(*), 'orders that are there more than once'
from (select order_id from base.fct_order group by order_id having count(*) > 1) as twice;

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
) as twice;

select 'line_kept', 'error', abs(
    (select count(distinct order_item_id) from "raw".retail_order_items)
    - (select count(*) from base.fct_order_line) - (select count(*) from "raw".waiting_order_line)
  ), 'order lines that landed and are neither facts nor waiting';

select 'order_kept', 'error', abs(
    (select count(distinct order_id) from "raw".retail_orders) - (select count(*) from base.fct_order)
  ), 'orders that landed and are no facts';

select 'line_order', 'error', count(*), 'order lines without their order, or on another day, of another customer or another status'
from base.fct_order_line as l
left join base.fct_order as o
  on o.order_id = l.order_id and o.order_date = l.order_date and o.ordered_at = l.ordered_at
  and o.customer_id = l.customer_id and o.customer_key = l.customer_key and o.order_status_key = l.order_status_key
where o.order_id is null;

select 'line_product', 'error', count(*), 'order lines without the version of their product that was valid then'
from base.fct_order_line as l
left join base.dim_product as p
  on p.product_key = l.product_key and p.product_id = l.product_id
  and p.valid_from <= l.ordered_at at time zone 'UTC' and p.valid_to > l.ordered_at at time zone 'UTC'
where p.product_key is null;

select 'order_customer', 'error', count(*), 'orders without the version of their customer that was valid then'
from base.fct_order as o
left join base.dim_customer as c
  on c.customer_key = o.customer_key and c.customer_id = o.customer_id
  and c.valid_from <= o.ordered_at at time zone 'UTC' and c.valid_to > o.ordered_at at time zone 'UTC'
where c.customer_key is null;

select 'order_status', 'error', count(*), 'orders of an unknown status'
from base.fct_order as o
left join base.dim_order_status as s on s.order_status_key = o.order_status_key
where s.order_status_key is null;

select 'product_category', 'error', count(*), 'products without their category'
from base.dim_product as p
left join base.dim_category as c on c.category_id = p.category_id
where p.category_id is not null and c.category_id is null;

select 'category_department', 'error', count(*), 'categories without their department'
from base.dim_category as c
left join base.dim_department as d on d.department_id = c.department_id
where c.department_id is not null and d.department_id is null;

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
  or is_current <> (after_from is null);

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
  or is_current <> (after_from is null);

select 'absence_span', 'error', count(*), 'absences from full snapshots that overlap, or end before they begin'
from (
  select absent_from, absent_until, lead(absent_from) over (partition by dataset, id order by absent_from) as next_from
  from base.absence
) as span
where absent_until <= absent_from or next_from < absent_until;

select 'absence_snapshot', 'error', count(*), 'absences from a file that is no full snapshot in effect, or has lines that are kept out'
from base.absence as a
left join "raw".loaded_file as l
  on l.file = a.file and l.generation = a.generation and l.dataset = a.dataset and l.version_at = a.absent_from
  and l.is_full and l.status = 'loaded'
left join (
  select distinct file, generation from "raw".rejected_row where dataset <> 'tracking' and status <> 'replayed'
) as r on r.file = a.file and r.generation = a.generation
where l.file is null or r.file is not null;

select 'absence_landed', 'error', count(*), 'absences that are not those that the landed files come to'
from (
  with
  landed_file as (
    select
      dataset, file, generation, version_at, is_snapshot,
      row_number() over (partition by dataset order by version_at, file, generation) as position,
      count(case when is_snapshot then 1 end) over (
        partition by dataset order by version_at, file, generation
        rows between unbounded preceding and current row
      ) as snapshots
    from (
      select
        l.dataset, l.file, l.generation, l.version_at,
        l.is_full and l.status = 'loaded' and r.file is null as is_snapshot
      from "raw".loaded_file as l
      join (select distinct dataset from "raw".loaded_file where is_full) as d on d.dataset = l.dataset
      left join (
        select distinct file, generation from "raw".rejected_row where dataset <> 'tracking' and status <> 'replayed'
      ) as r on r.file = l.file and r.generation = l.generation
      where l.status in ('loaded', 'superseded')
    ) as known
  ),
  landed_row as (
    select 'departments' as dataset, department_id as id, file, generation from "raw".retail_departments
    union all
    select 'categories', category_id, file, generation from "raw".retail_categories
    union all
    select 'products', product_id, file, generation from "raw".retail_products
    union all
    select 'customers', r.customer_id, r.file, r.generation
    from "raw".retail_customers as r
    left join "raw".erased_customer as e on e.customer_id = r.customer_id
    where e.customer_id is null
  )
  select t.dataset, t.id, s.version_at as absent_from, t.until_at as absent_until, s.file, s.generation
  from (
    select
      f.dataset, r.id, f.snapshots,
      lead(case when f.is_snapshot then f.snapshots - 1 else f.snapshots end) over (
        partition by f.dataset, r.id order by f.position
      ) as snapshots_until,
      coalesce(
        lead(f.version_at) over (partition by f.dataset, r.id order by f.position),
        cast('9999-01-01 00:00:00+00' as timestamptz)
      ) as until_at
    from landed_row as r
    join landed_file as f on f.dataset = r.dataset and f.file = r.file and f.generation = r.generation
  ) as t
  join landed_file as s on s.dataset = t.dataset and s.is_snapshot and s.snapshots = t.snapshots + 1
  where coalesce(t.snapshots_until, s.snapshots) >= s.snapshots and s.version_at < t.until_at
) as e
full join base.absence as a
  on a.dataset = e.dataset and a.id = e.id and a.absent_from = e.absent_from and a.absent_until = e.absent_until
  and a.file = e.file and a.generation = e.generation
where a.id is null or e.id is null;

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
) as differing;

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
  and exists (select 1 from mart.published);

select 'mart_days', 'error', count(*), 'products whose days in the mart have holes, or end before the published day'
from (
  select d.product_id
  from mart.product_day as d
  group by d.product_id
  having count(*) <> max(d.date) - min(d.date) + 1 or max(d.date) <> (select max(as_of) from mart.published)
) as torn;

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
  or has_ceased_selling <> (days_with_sales_60d > 30 and days_with_sales_7d = 0);

select 'mart_late', 'warning', count(*), 'products and days that changed since the marts were brought up to date'
from (select distinct product_id, date from mart.changed_product_day) as changed;

select 'rejected_open', 'warning', count(*), 'rejected lines and files that nobody has repaired'
from "raw".rejected_row
where status = 'open' and dataset <> 'tracking';

select 'snapshot_incomplete', 'warning', count(*), 'full snapshots that say nothing of what is absent, for their rejected lines'
from "raw".loaded_file as l
where l.is_full and l.status = 'loaded' and exists (
  select 1 from "raw".rejected_row as r
  where r.file = l.file and r.generation = l.generation and r.status <> 'replayed'
);

select 'snapshot_doubtful', 'warning', count(*), 'full snapshots with less than half of the lines of the one before, or with its version: cut, or in parts'
from (
  select
    lines, version_at,
    lag(lines) over (partition by dataset order by version_at, file) as lines_before,
    lag(version_at) over (partition by dataset order by version_at, file) as version_before
  from "raw".loaded_file
  where is_full and status = 'loaded'
) as full_file
where lines * 2 < lines_before or version_at = version_before;

select 'line_waiting', 'warning', count(*), 'order lines that wait for their order'
from "raw".waiting_order_line;

select 'member_inferred', 'warning',
  (select count(*) from base.dim_department where is_inferred)
  + (select count(*) from base.dim_category where is_inferred)
  + (select count(*) from base.dim_product where is_inferred)
  + (select count(*) from base.dim_customer where is_inferred)
  + (select count(*) from base.dim_order_status where is_inferred),
  'departments, categories, products, customers and statuses that are named and have not come';
