-- Versions (SCD2) of one `key` that do not follow each other: an overlap, a gap, a beginning or an end that is not the
-- agreed one, or another row than the last one as the current.
{% test unbroken_versions(model, key) %}
with
chain as (
  select
    {{ key }}, valid_from, valid_to, is_current,
    lag(valid_to) over (partition by {{ key }} order by valid_from, valid_to) as ended_before,
    lead(valid_from) over (partition by {{ key }} order by valid_from, valid_to) as begins_next
  from {{ model }}
)
select *
from chain
where valid_from >= valid_to
  or valid_from <> coalesce(ended_before, timestamptz '1900-01-01 00:00:00+00')
  or valid_to <> coalesce(begins_next, timestamptz '9999-01-01 00:00:00+00')
  or is_current <> (begins_next is null)
{% endtest %}
