-- Of the marts, after a refresh. All must be 0.

select 'product and day twice' as rule, count(*) as found
from (
  select product_id, date from mart.agg_product_day
  group by product_id, date having count(*) > 1
) as twice
union all
select 'day of a product twice' as rule, count(*) as found
from (
  select date, product_id from mart.product_day
  group by date, product_id having count(*) > 1
) as twice
union all
select 'published more than once' as rule, count(*) as found
from mart.published
having count(*) > 1
