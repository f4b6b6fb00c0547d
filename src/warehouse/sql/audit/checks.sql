-- One row per check of what the tables promise: how often it does not hold. The checks are asked one by one, all at one
-- moment: the `union all` between two of them stands alone at the beginning of a line, any other is indented. Every check
-- reads its tables whole.
select 'ledger_balance' as name, 'error' as severity, count(*) as failures,
  'files whose outcomes do not add up to their lines' as meaning
from raw.loaded_file
where lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected
union all
select 'event_once', 'error', count(*), 'events that are there more than once'
from (select event_key from raw.tracking_event group by event_key having count(*) > 1) as twice
union all
select 'event_count', 'error', abs(
    (select coalesce(sum(inserted), 0) from raw.loaded_file where dataset = 'tracking')
    - (select count(*) from raw.tracking_event)
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
    select order_item_id from raw.waiting_order_line
  ) as every_line
  group by order_item_id
  having count(*) > 1
) as twice
union all
select 'line_kept', 'error', abs(
    (select count(distinct order_item_id) from raw.retail_order_items)
    - (select count(*) from base.fct_order_line) - (select count(*) from raw.waiting_order_line)
  ), 'order lines that landed and are neither facts nor waiting'
union all
select 'order_kept', 'error', abs(
    (select count(distinct order_id) from raw.retail_orders) - (select count(*) from base.fct_order)
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
select 'absence_span', 'error', count(*), 'absences from full snapshots that overlap, or end before they begin'
from (
  select absent_from, absent_until, lead(absent_from) over (partition by dataset, id order by absent_from) as next_from
  from base.absence
) as span
where absent_until <= absent_from or next_from < absent_until
union all
select 'absence_snapshot', 'error', count(*), 'absences from a file that is no full snapshot in effect, or has lines that are kept out'
from base.absence as a
left join raw.loaded_file as l
  on l.file = a.file and l.generation = a.generation and l.dataset = a.dataset and l.version_at = a.absent_from
  and l.is_full and l.status = 'loaded'
left join (
  select distinct file, generation from raw.rejected_row where dataset <> 'tracking' and status <> 'replayed'
) as r on r.file = a.file and r.generation = a.generation
where l.file is null or r.file is not null
union all
-- From each time that a row was there to the next, as in shop/absence.sql, over all that landed.
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
      from raw.loaded_file as l
      join (select distinct dataset from raw.loaded_file where is_full) as d on d.dataset = l.dataset
      left join (
        select distinct file, generation from raw.rejected_row where dataset <> 'tracking' and status <> 'replayed'
      ) as r on r.file = l.file and r.generation = l.generation
      where l.status in ('loaded', 'superseded')
    ) as known
  ),
  landed_row as (
    select 'departments' as dataset, department_id as id, file, generation from raw.retail_departments
    union all
    select 'categories', category_id, file, generation from raw.retail_categories
    union all
    select 'products', product_id, file, generation from raw.retail_products
    union all
    select 'customers', r.customer_id, r.file, r.generation
    from raw.retail_customers as r
    left join raw.erased_customer as e on e.customer_id = r.customer_id
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
where a.id is null or e.id is null
union all
select 'money_total', 'error', count(*), 'files of order lines whose money is not what the ledger says'
from (
  -- A repaired line has a row of its own in the ledger, named by its file and what was repaired.
  select file, sum(ledger) as ledger, sum(kept) as kept
  from (
    select split_part(file, '#', 1) as file, money_total as ledger, 0 as kept
    from raw.loaded_file
    where dataset = 'order_items' and status in ('loaded', 'superseded')
    union all
    select split_part(file, '#', 1), 0, order_item_subtotal
    from raw.retail_order_items
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
-- What was loaded since is known to be missing.
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
--pg union all
--pg select 'line_day', 'error', count(*), 'order lines that would not be found again on their day'
--pg from base.fct_order_line as l
--pg full join raw.order_line_day as d on d.order_item_id = l.order_item_id
--pg where l.order_date is distinct from d.order_date
union all
select 'mart_late', 'warning', count(*), 'products and days that changed since the marts were brought up to date'
from (select distinct product_id, date from mart.changed_product_day) as changed
union all
select 'rejected_open', 'warning', count(*), 'rejected lines and files that nobody has repaired'
from raw.rejected_row
where status = 'open' and dataset <> 'tracking'
union all
select 'snapshot_incomplete', 'warning', count(*), 'full snapshots that say nothing of what is absent, for their rejected lines'
from raw.loaded_file as l
where l.is_full and l.status = 'loaded' and exists (
  select 1 from raw.rejected_row as r
  where r.file = l.file and r.generation = l.generation and r.status <> 'replayed'
)
union all
select 'snapshot_doubtful', 'warning', count(*), 'full snapshots with less than half of the lines of the one before, or with its version: cut, or in parts'
from (
  select
    lines, version_at,
    lag(lines) over (partition by dataset order by version_at, file) as lines_before,
    lag(version_at) over (partition by dataset order by version_at, file) as version_before
  from raw.loaded_file
  where is_full and status = 'loaded'
) as full_file
where lines * 2 < lines_before or version_at = version_before
union all
select 'line_waiting', 'warning', count(*), 'order lines that wait for their order'
from raw.waiting_order_line
union all
select 'member_inferred', 'warning',
  (select count(*) from base.dim_department where is_inferred)
  + (select count(*) from base.dim_category where is_inferred)
  + (select count(*) from base.dim_product where is_inferred)
  + (select count(*) from base.dim_customer where is_inferred)
  + (select count(*) from base.dim_order_status where is_inferred),
  'departments, categories, products, customers and statuses that are named and have not come'
