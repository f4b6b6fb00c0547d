-- Amounts by week, category and courier, unless they add up to those of the facts: no line is lost, none counts twice.
with
week as (
  select coalesce(sum(units), 0) as units, coalesce(sum(sales_amount), 0) as sales from {{ ref('category_week') }}
),
facts as (
  select coalesce(sum(l.quantity), 0) as units, coalesce(sum(l.line_amount), 0) as sales
  from {{ source('base', 'fct_order_line') }} as l
  join {{ source('base', 'dim_order_status') }} as s on s.order_status_key = l.order_status_key
  where s.is_sale
)
select w.units, f.units as units_of_facts, w.sales, f.sales as sales_of_facts
from week as w
cross join facts as f
where w.units <> f.units or w.sales <> f.sales
