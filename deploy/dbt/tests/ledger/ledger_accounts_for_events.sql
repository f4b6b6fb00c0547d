-- There are as many events and conflicts as the ledger says were new. `waybill forget` takes the words out of an
-- event's row, not the row.
with
counted as (
  select
    (select coalesce(sum(inserted), 0) from {{ source('raw', 'loaded_file') }} where dataset = 'tracking') as inserted,
    (select count(*) from {{ source('raw', 'tracking_event') }}) as events,
    (select coalesce(sum(conflict), 0) from {{ source('raw', 'loaded_file') }} where dataset = 'tracking') as conflict,
    (select count(*) from {{ source('raw', 'tracking_event_conflict') }}) as conflicts
)
select * from counted where inserted <> events or conflict <> conflicts
