-- What depends on the shop's time zone: made in version 3 of the schema, and anew when the setting changes. In place, so
-- that grants and views of others stay.

-- One row per line of an order and parcel that carries it: ordered, shipped, delivered. The order's time is the shop's
-- own clock, days are of the shop's zone. Late: delivered, or still not, after the day that was promised, else estimated;
-- delivered at an unknown time is late when AfterShip says so.
create or replace view mart.delivery_performance as
select
  order_item_id, order_id, tracking_id, order_date, product_id, customer_id, quantity, line_amount, courier, tag,
  link_source, ordered_at, shipped_at, delivered_at, due_at, due_on, delivered_on,
  cast(delivered_on - order_date as integer) as days_to_deliver,
  case
    when due_on is null then null
    when delivered_on is not null then delivered_on > due_on
    when tag = 'Delivered' and on_time_status = 'late' then true
    when tag = 'Delivered' and on_time_status = 'on-time' then false
    when tag = 'Delivered' then null
    else cast({now} at time zone '{zone}' as date) > due_on
  end as is_late
from (
  select
    b.order_item_id, b.order_id, b.tracking_id, l.order_date, l.product_id, l.customer_id, l.quantity, l.line_amount,
    t.courier, t.tag, t.on_time_status, b.link_source, l.ordered_at,
    coalesce(t.in_transit_at, t.out_for_delivery_at, t.delivered_at) as shipped_at,
    t.delivered_at,
    coalesce(t.promised_delivery_at, t.estimated_delivery_at) as due_at,
    -- A promise is a day, whatever zone its midnight is written in; words that begin with no day may still be an instant.
    coalesce(
      d.date, cast(coalesce(t.promised_delivery_at, t.estimated_delivery_at) at time zone '{zone}' as date)
    ) as due_on,
    cast(t.delivered_at at time zone '{zone}' as date) as delivered_on
  from base.bridge_order_line_tracking as b
  join base.fct_order_line as l on l.order_item_id = b.order_item_id and l.order_id = b.order_id
  join base.fct_shipment_tracking as t on t.tracking_key = b.tracking_key and t.tracking_id = b.tracking_id
  left join base.dim_date as d
    on cast(d.year as {string}) || '-' || lpad(cast(d.month as {string}), 2, '0') || '-'
      || lpad(cast(d.day_of_month as {string}), 2, '0')
    = substring(coalesce(t.promised_delivery_text, t.estimated_delivery_text), 1, 10)
) as delivery;

create or replace view mart.courier_performance as
select
  courier,
  count(distinct tracking_id) as parcels,
  count(distinct case when delivered_on is not null or tag = 'Delivered' then tracking_id end) as delivered,
  count(distinct case when is_late then tracking_id end) as late,
  -- Redshift's mean of whole numbers is a whole number.
  cast(
    round(cast(avg(cast(days_to_deliver as decimal(24, 6))) as decimal(24, 6)), 2) as decimal(12, 2)
  ) as days_to_deliver
from mart.delivery_performance
group by courier;

delete from base.business;
insert into base.business (time_zone) values ('{zone}');
