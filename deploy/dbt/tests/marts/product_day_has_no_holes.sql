-- Products whose days are not one for each day from their first sale to the published day; and products that have sold
-- and are not there at all. The program leaves out product -1 and days before the calendar.
with
published as (select max(as_of) as as_of from {{ source('mart', 'published') }}),
sold as (
  select a.product_id, min(a.date) as first_sale_date
  from {{ source('mart', 'agg_product_day') }} as a
  cross join published as u
  where a.units_gross > 0 and a.product_id <> -1 and a.date <= u.as_of
    and a.date >= (select min(date) from {{ source('base', 'dim_date') }})
  group by a.product_id
),
spine as (
  select
    product_id, min(date) as first_date, max(date) as last_date, count(*) as days,
    min(first_sale_date) as first_sale_date, max(first_sale_date) as last_first_sale_date
  from {{ source('mart', 'product_day') }}
  group by product_id
)
select coalesce(s.product_id, p.product_id) as product_id
from sold as s
cross join published as u
full join spine as p on p.product_id = s.product_id
where p.product_id is null or s.product_id is null
  or p.first_date <> s.first_sale_date or p.last_date <> u.as_of
  or p.days <> u.as_of - s.first_sale_date + 1
  or p.first_sale_date <> s.first_sale_date or p.last_first_sale_date <> s.first_sale_date
