-- Of the lines of orders that a file has touched: those in it, and those of its orders. All must be 0.

select 'line twice' as rule, count(*) as found
from (
  select order_item_id from base.fct_order_line
  where order_item_id in (select order_item_id from line_put)
  group by order_item_id having count(*) > 1
) as twice
union all
select 'waiting line twice' as rule, count(*) as found
from (
  select order_item_id from raw.waiting_order_line
  where order_item_id in (select order_item_id from line_put)
  group by order_item_id having count(*) > 1
) as twice
union all
select 'line both waiting and not' as rule, count(*) as found
from base.fct_order_line as l
join raw.waiting_order_line as w on w.order_item_id = l.order_item_id
where l.order_item_id in (select order_item_id from line_put)
union all
select 'line without its order, product, customer or status' as rule, count(*) as found
from base.fct_order_line as l
left join base.fct_order as o on o.order_id = l.order_id
left join base.dim_product as p on p.product_key = l.product_key
left join base.dim_customer as c on c.customer_key = l.customer_key
left join base.dim_order_status as s on s.order_status_key = l.order_status_key
where l.order_item_id in (select order_item_id from line_put)
  and (o.order_id is null or p.product_key is null or c.customer_key is null or s.order_status_key is null)
union all
select 'line unlike its order' as rule, count(*) as found
from base.fct_order_line as l
join base.fct_order as o on o.order_id = l.order_id
where l.order_item_id in (select order_item_id from line_put)
  and (l.order_date <> o.order_date or l.customer_key <> o.customer_key or l.order_status_key <> o.order_status_key)
