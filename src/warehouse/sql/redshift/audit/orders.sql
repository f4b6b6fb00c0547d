-- Of the orders that a file has touched, and their lines. All must be 0.

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
