-- Of the lines of orders that a file has touched. All must be 0.

select 'product version twice' as rule, count(*) as found
from (
  select product_id, valid_from from base.dim_product
  group by product_id, valid_from having count(*) > 1
) as twice
