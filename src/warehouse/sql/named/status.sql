-- One row per current status.
select
  coalesce(tag, '(none)') as tag,
  count(*) as trackings,
  count(*) filter (where on_time_status = 'on-time') as on_time,
  count(*) filter (where on_time_status = 'late') as late,
  max(updated_at) as newest_update_at
from base.fct_shipment_tracking
where not is_test
group by 1
order by trackings desc, tag
