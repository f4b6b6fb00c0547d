-- Lines that wait though their order is there, or that are facts as well.
select w.order_item_id
from {{ source('raw', 'waiting_order_line') }} as w
left join {{ source('base', 'fct_order') }} as o on o.order_id = w.order_id
left join {{ source('base', 'fct_order_line') }} as l on l.order_item_id = w.order_item_id
where o.order_id is not null or l.order_item_id is not null
