-- A customer of the shop, for good: the name and street, wherever they stand, and since when full snapshots lack them. Where
-- and when they bought stays, so all sums do. Erasing twice changes nothing.

insert into raw.erased_customer (customer_id, erased_at, reason)
select g.customer_id, {now}, g.reason
from (select {customer_id} as customer_id, cast({reason} as {string}) as reason) as g
left join raw.erased_customer as e on e.customer_id = g.customer_id
where e.customer_id is null;

delete from base.customer_pii where customer_id = {customer_id};
delete from base.absence where dataset = 'customers' and id = {customer_id};

update raw.retail_customers set customer_fname = null, customer_lname = null, customer_street = null
where customer_id = {customer_id};

-- Nobody can repair what is erased.
update raw.rejected_row
set text = null, raw_base64 = null, detail = null, status = 'superseded', resolved_at = {now}
where dataset = 'customers' and line > 0
  and replace(split_part(text, ',', 1), '"', '') = cast({customer_id} as {string});
