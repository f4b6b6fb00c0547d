-- Parcels that have come, at an hour that their courier did not say with its offset: the clock cannot tell whether they
-- were late, and `is_late` should be null.
--
-- A warning: the view takes such a parcel for one that is still under way, so that it turns late by itself once its
-- day is over. models/marts/order_delivery.sql goes by AfterShip's own word instead.
{{ config(severity='warn') }}
select distinct tracking_id
from {{ source('mart', 'delivery_performance') }}
where tag = 'Delivered' and delivered_at is null and is_late is not null
