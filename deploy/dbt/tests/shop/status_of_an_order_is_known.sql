-- Orders with a status that nobody has said the meaning of: it is no sale, no revenue and not cancelled, so that their
-- units and amounts are in no column of any mart.
--
-- A warning: correct its row in base.dim_order_status and run `waybill rebuild-marts`.
{{ config(severity='warn') }}
select s.order_status, count(*) as orders
from {{ source('base', 'fct_order') }} as o
join {{ source('base', 'dim_order_status') }} as s on s.order_status_key = o.order_status_key
where s.is_inferred
group by s.order_status
