-- Of the products that a file has touched, and of the lines that name them. All must be 0.

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
where l.product_id in (select product_id from product_rekey) and p.product_key is null
