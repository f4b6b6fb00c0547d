-- Of the customers that a file has touched, and of the orders and lines that name them. All must be 0.

select 'customer version twice' as rule, count(*) as found
from (
  select customer_id, valid_from from base.dim_customer
  group by customer_id, valid_from having count(*) > 1
) as twice
union all
select 'customer key twice' as rule, count(*) as found
from (
  select customer_key from base.dim_customer
  group by customer_key having count(*) > 1
) as twice
union all
select 'customer current twice' as rule, count(*) as found
from (
  select customer_id from base.dim_customer
  where is_current
  group by customer_id having count(*) > 1
) as twice
union all
select 'person twice' as rule, count(*) as found
from (
  select customer_id from base.customer_pii
  group by customer_id having count(*) > 1
) as twice
union all
select 'order without its customer' as rule, count(*) as found
from base.fct_order as o
left join base.dim_customer as c on c.customer_key = o.customer_key
where o.customer_id in (select customer_id from customer_rekey) and c.customer_key is null
union all
select 'line without its customer' as rule, count(*) as found
from base.fct_order_line as l
left join base.dim_customer as c on c.customer_key = l.customer_key
where l.customer_id in (select customer_id from customer_rekey) and c.customer_key is null
