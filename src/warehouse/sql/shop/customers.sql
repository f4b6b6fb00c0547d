-- Customers by version of where they live (SCD2), made anew like products. Who they are is their newest version, apart.

-- Who is erased comes without a name, also from a file that is loaded again.
update stage_customers set customer_fname = null, customer_lname = null, customer_street = null
where customer_id in (select customer_id from raw.erased_customer);

create temp table customer_last as
select *
from (
  select *, row_number() over (partition by customer_id order by line desc) as nth from stage_customers
) as numbered
where nth = 1;

-- The newest version of each customer before this file.
create temp table customer_known as
select *
from (
  select
    *,
    row_number() over (
      partition by customer_id order by version_at desc, file desc, generation desc, line desc
    ) as nth
  from raw.retail_customers
  where customer_id in (select customer_id from customer_last)
) as numbered
where nth = 1;

create temp table shop_outcome as
select
  s.line,
  case
    when s.line <> l.line and {same(s.customer_fname, l.customer_fname)}
      and {same(s.customer_lname, l.customer_lname)}
      and {same(s.customer_street, l.customer_street)}
      and {same(s.customer_city, l.customer_city)}
      and {same(s.customer_state, l.customer_state)}
      and {same(s.customer_zipcode, l.customer_zipcode)} then 'duplicate'
    when s.line <> l.line then 'conflict'
    when k.customer_id is null then 'inserted'
    when {same(s.customer_fname, k.customer_fname)}
      and {same(s.customer_lname, k.customer_lname)}
      and {same(s.customer_street, k.customer_street)}
      and {same(s.customer_city, k.customer_city)}
      and {same(s.customer_state, k.customer_state)}
      and {same(s.customer_zipcode, k.customer_zipcode)} then 'unchanged'
    else 'updated'
  end as outcome
from stage_customers as s
join customer_last as l on l.customer_id = s.customer_id
left join customer_known as k on k.customer_id = s.customer_id;

insert into raw.retail_customers
select
  c.customer_id, c.customer_fname, c.customer_lname, c.customer_street, c.customer_city, c.customer_state,
  c.customer_zipcode, f.version_at, f.source_file, f.source_generation, c.line
from stage_customers as c
cross join stage_shop_file as f;

create temp table customer_change as
select *
from (
  select
    *,
    row_number() over (partition by customer_id order by version_at) as nth_version,
    row_number() over (partition by customer_id order by version_at desc) as nth_newest,
    lag(customer_city) over (partition by customer_id order by version_at) as city_before,
    lag(customer_state) over (partition by customer_id order by version_at) as state_before,
    lag(customer_zipcode) over (partition by customer_id order by version_at) as zipcode_before
  from (
    select
      *,
      row_number() over (partition by customer_id, version_at order by file desc, generation desc, line desc) as nth
    from raw.retail_customers
    where customer_id in (select customer_id from customer_last)
  ) as numbered
  where nth = 1
) as compared;

create temp table customer_chain as
select
  customer_id, customer_city, customer_state, customer_zipcode,
  case when nth_version = 1 then cast('1900-01-01 00:00:00+00' as timestamptz) else version_at end as valid_from,
  coalesce(
    lead(version_at) over (partition by customer_id order by version_at), cast('9999-01-01 00:00:00+00' as timestamptz)
  ) as valid_to
from customer_change
where nth_version = 1
  or {differs(customer_city, city_before)}
  or {differs(customer_state, state_before)}
  or {differs(customer_zipcode, zipcode_before)};

create temp table customer_rekey as
select customer_id, min(valid_from) as changed_from
from (
  select n.customer_id, n.valid_from
  from customer_chain as n
  left join base.dim_customer as o on o.customer_id = n.customer_id and o.valid_from = n.valid_from
  where o.customer_id is null
  union all
  select o.customer_id, o.valid_from
  from base.dim_customer as o
  left join customer_chain as n on n.customer_id = o.customer_id and n.valid_from = o.valid_from
  where o.customer_id in (select customer_id from customer_last) and n.customer_id is null
) as differs
where valid_from > cast('1900-01-01 00:00:00+00' as timestamptz)
group by customer_id;

delete from base.dim_customer where customer_id in (select customer_id from customer_last);
insert into base.dim_customer (
  customer_key, customer_id, city, state, zipcode, valid_from, valid_to, is_current, is_inferred
)
select
  {version_key(c.customer_id, c.valid_from)},
  c.customer_id, c.customer_city, c.customer_state, c.customer_zipcode, c.valid_from, c.valid_to,
  c.valid_to = cast('9999-01-01 00:00:00+00' as timestamptz), false
from customer_chain as c;

delete from base.customer_pii where customer_id in (select customer_id from customer_last);
insert into base.customer_pii (customer_id, first_name, last_name, street)
select customer_id, customer_fname, customer_lname, customer_street from customer_change
where nth_newest = 1 and customer_id not in (select customer_id from raw.erased_customer);

update base.fct_order
set customer_key = c.customer_key
from (
  select d.customer_id, d.customer_key, d.valid_from, d.valid_to, r.changed_from
  from base.dim_customer as d
  join customer_rekey as r on r.customer_id = d.customer_id
  where d.valid_to > r.changed_from
) as c
where c.customer_id = fct_order.customer_id
  and fct_order.order_date >= cast((select min(changed_from) from customer_rekey) at time zone 'UTC' as date)
  and fct_order.ordered_at >= c.changed_from at time zone 'UTC'
  and c.valid_from <= fct_order.ordered_at at time zone 'UTC'
  and c.valid_to > fct_order.ordered_at at time zone 'UTC'
  and fct_order.customer_key <> c.customer_key;

update base.fct_order_line
set customer_key = c.customer_key
from (
  select d.customer_id, d.customer_key, d.valid_from, d.valid_to, r.changed_from
  from base.dim_customer as d
  join customer_rekey as r on r.customer_id = d.customer_id
  where d.valid_to > r.changed_from
) as c
where c.customer_id = fct_order_line.customer_id
  and fct_order_line.order_date >= cast((select min(changed_from) from customer_rekey) at time zone 'UTC' as date)
  and fct_order_line.ordered_at >= c.changed_from at time zone 'UTC'
  and c.valid_from <= fct_order_line.ordered_at at time zone 'UTC'
  and c.valid_to > fct_order_line.ordered_at at time zone 'UTC'
  and fct_order_line.customer_key <> c.customer_key;
