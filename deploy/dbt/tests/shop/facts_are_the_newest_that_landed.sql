-- Lines and orders whose values are not those of the newest version that landed, or which landed and are neither a fact
-- nor waiting.
with
newest_line as (
  select *
  from (
    select
      *,
      row_number() over (
        partition by order_item_id order by version_at desc, file desc, generation desc, line desc
      ) as nth
    from {{ source('raw', 'retail_order_items') }}
  ) as numbered
  where nth = 1
),
kept_line as (
  select order_item_id, order_id, product_id, quantity, line_amount, unit_price
  from {{ source('base', 'fct_order_line') }}
  union all
  select order_item_id, order_id, product_id, quantity, line_amount, unit_price
  from {{ source('raw', 'waiting_order_line') }}
),
newest_order as (
  select *
  from (
    select
      *,
      row_number() over (partition by order_id order by version_at desc, file desc, generation desc, line desc) as nth
    from {{ source('raw', 'retail_orders') }}
  ) as numbered
  where nth = 1
)
select 'line' as of_what, coalesce(k.order_item_id, n.order_item_id) as id
from newest_line as n
full join kept_line as k on k.order_item_id = n.order_item_id
where k.order_item_id is null or n.order_item_id is null
  or k.order_id <> n.order_item_order_id or k.product_id <> n.order_item_product_id
  or k.quantity <> n.order_item_quantity or k.line_amount <> n.order_item_subtotal
  or k.unit_price <> n.order_item_product_price
union all
select 'order', coalesce(o.order_id, n.order_id)
from newest_order as n
full join {{ source('base', 'fct_order') }} as o on o.order_id = n.order_id
left join {{ source('base', 'dim_order_status') }} as s on s.order_status_key = o.order_status_key
where o.order_id is null or n.order_id is null
  or o.ordered_at <> n.order_date or o.customer_id <> n.order_customer_id
  or s.order_status is distinct from n.order_status
