-- Versions of products that do not carry the newest names of their category and department.
select p.product_key
from {{ source('base', 'dim_product') }} as p
left join {{ source('base', 'dim_category') }} as c on c.category_id = p.category_id
left join {{ source('base', 'dim_department') }} as d on d.department_id = c.department_id
where p.category_name is distinct from c.category_name
  or p.department_id is distinct from c.department_id
  or p.department_name is distinct from d.department_name
