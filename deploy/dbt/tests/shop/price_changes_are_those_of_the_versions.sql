-- Price changes that the versions of the product do not show, and the other way round.
with
shown as (
  select product_id, changed_at, old_price, new_price
  from (
    select
      product_id, valid_from as changed_at, list_price as new_price,
      lag(list_price) over (partition by product_id order by valid_from) as old_price
    from {{ source('base', 'dim_product') }}
  ) as chain
  where new_price <> old_price
)
select coalesce(s.product_id, k.product_id) as product_id, coalesce(s.changed_at, k.changed_at) as changed_at
from shown as s
full join {{ source('base', 'fct_price_change') }} as k
  on k.product_id = s.product_id and k.changed_at = s.changed_at
where s.product_id is null or k.product_id is null or k.old_price <> s.old_price or k.new_price <> s.new_price
