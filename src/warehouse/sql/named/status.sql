-- One row per current status.
select
  coalesce(tag, '(none)') as tag,
  count(*) as trackings,
  count(case when on_time_status = 'on-time' then 1 end) as on_time,
  count(case when on_time_status = 'late' then 1 end) as late,
  max(updated_at) as newest_update_at
from base.fct_shipment_tracking
where not is_test
group by 1
order by trackings desc, tag
