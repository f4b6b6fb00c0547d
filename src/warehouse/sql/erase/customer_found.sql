-- How much of a customer of the shop there is to erase: lines that landed, and lines that were rejected. What erases
-- them is customer.sql.
select
  (
    select count(*) from raw.retail_customers
    where customer_id = {customer_id}
      and (customer_fname is not null or customer_lname is not null or customer_street is not null)
  ) as landed,
  (
    select count(*) from raw.rejected_row
    where dataset = 'customers' and line > 0
      and replace(split_part(text, ',', 1), '"', '') = '{customer_id}'
  ) as rejected
