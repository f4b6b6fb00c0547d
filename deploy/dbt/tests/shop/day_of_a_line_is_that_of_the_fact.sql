-- On PostgreSQL: lines whose partition the program would not find, since raw.order_line_day has another day for them
-- than the facts, or none; and days of lines that are no facts. DuckDB has no such table, nor has a schema before
-- version 3.
{{ config(enabled=target.type == 'postgres') }}
{% set lines = source('base', 'fct_order_line') %}
{% set days = adapter.get_relation(database=target.dbname, schema='raw', identifier='order_line_day') %}
{% if days %}
select coalesce(l.order_item_id, d.order_item_id) as order_item_id
from {{ lines }} as l
full join {{ days }} as d on d.order_item_id = l.order_item_id
where l.order_item_id is null or d.order_item_id is null or l.order_date <> d.order_date
{% else %}
select order_item_id from {{ lines }} where false
{% endif %}
