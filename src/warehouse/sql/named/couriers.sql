-- One row per courier.
select
  coalesce(courier, '(none)') as courier,
  count(*) as trackings,
  count(delivered_at) as delivered,
  round(cast(avg({elapsed(delivered_at, in_transit_at)}) / 86400.0 as decimal(12, 4)), 1) as days_to_deliver
from base.fct_shipment_tracking
where not is_test
group by 1
order by trackings desc, courier
