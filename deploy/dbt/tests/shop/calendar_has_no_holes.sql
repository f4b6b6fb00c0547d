-- The calendar's first day, last day and number of days, unless they are those agreed.
select min(date) as first_date, max(date) as last_date, count(*) as days
from {{ source('base', 'dim_date') }}
having min(date) <> date '2009-01-01' or max(date) <> date '2040-12-31' or count(*) <> 11688
