-- On PostgreSQL: lines whose partition the program would not find, since raw.order_line_day has another day for them
-- than the facts, or none; and days of lines that are no facts. No other engine has that table.
{{ config(enabled=target.type == 'postgres') }}
select coalesce(l.order_item_id, d.order_item_id) as order_item_id
from {{ source('base', 'fct_order_line') }} as l
full join {{ source('raw', 'order_line_day') }} as d on d.order_item_id = l.order_item_id
where l.order_item_id is null or d.order_item_id is null or l.order_date <> d.order_date
