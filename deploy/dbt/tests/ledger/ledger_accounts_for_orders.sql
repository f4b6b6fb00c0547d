-- There are as many orders as the ledger says were inserted: no order is ever deleted.
with
counted as (
  select
    (select coalesce(sum(inserted), 0) from {{ source('raw', 'loaded_file') }} where dataset = 'orders') as inserted,
    (select count(*) from {{ source('base', 'fct_order') }}) as orders
)
select * from counted where inserted <> orders
