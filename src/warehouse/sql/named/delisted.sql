-- One row per product and span in which full snapshots of products did not have it: since when, until when, and whether
-- its sales had ceased by the day asked for. `ceased_on`: the 7th day without a sale after which none has come, of a
-- product that had sold on more than 30 of 60 days; null for one that still sells, or never sold so often.
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
left join mart.product_day as d on d.product_id = a.id and d.date = {as_of}
left join (
  select product_id, max(ceased_on) as ceased_on
  from mart.product_day
  where has_ceased_selling and date <= {as_of}
  group by product_id
) as c on c.product_id = a.id
where a.dataset = 'products'
order by a.absent_until desc, a.absent_from desc, a.id
