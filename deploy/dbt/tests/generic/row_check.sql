-- Rows for which `holds` is false; like a CHECK, it passes where the answer is null.
{% test row_check(model, holds) %}
select * from {{ model }} where not ({{ holds }})
{% endtest %}
