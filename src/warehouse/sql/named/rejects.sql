-- One row per reason.
select reason, count(*) as lines, min(file) as first_file
from raw.rejected_row
group by reason
order by lines desc, reason
