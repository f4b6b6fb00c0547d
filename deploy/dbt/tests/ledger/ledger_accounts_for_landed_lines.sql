-- Per dataset of the shop: as many landed lines, and as much money, as the ledger says its files brought. Replayed
-- lines have a ledger row of their own and are among them.
with
landed as (
{% for dataset, money in [
  ('departments', none), ('categories', none), ('products', 'product_price'), ('customers', none), ('orders', none),
  ('order_items', 'order_item_subtotal'),
] %}
  select '{{ dataset }}' as dataset, count(*) as lines, coalesce(sum({{ money or '0' }}), 0) as money
  from {{ source('raw', 'retail_' ~ dataset) }}
  {{ 'union all' if not loop.last }}
{% endfor %}
),
ledger as (
  select dataset, sum(lines - rejected) as lines, coalesce(sum(money_total), 0) as money
  from {{ source('raw', 'loaded_file') }}
  where status in ('loaded', 'superseded') and dataset <> 'tracking'
  group by dataset
)
select l.dataset, l.lines as landed, g.lines as ledger, l.money as landed_money, g.money as ledger_money
from landed as l
left join ledger as g on g.dataset = l.dataset
where l.lines <> coalesce(g.lines, 0) or l.money <> coalesce(g.money, 0)
