-- Combinations of `columns` that more than one row has. Nulls are equal to each other here: a grain has none to spare.
{% test unique_together(model, columns) %}
select {{ columns | join(', ') }}, count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
