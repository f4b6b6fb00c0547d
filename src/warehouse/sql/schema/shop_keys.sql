-- Version 3 of the schema, on both engines.

--pg -- The day of each line in base.fct_order_line: it names the partition, which a line's number alone does not. Without
--pg -- it every line of a file would be looked for in the partitions of all months.
--pg create table raw.order_line_day (
--pg   order_item_id bigint not null primary key,
--pg   order_date date not null
--pg );
--pg insert into raw.order_line_day (order_item_id, order_date)
--pg select order_item_id, order_date from base.fct_order_line order by order_item_id;
--pg drop index base.fct_order_line_order_item_id_idx;

-- The zone in which the shop's clock goes: one row. `waybill migrate` and every load bring it in line with the setting.
create table base.business (
  time_zone {text} not null
)
--rs diststyle all
;

-- Days on which the shop's clock was changed are not 24 hours long: what sold on them compares with other days only so.
alter table base.dim_date add column hours decimal(4, 2) default 24;
alter table base.dim_date add column is_clock_change boolean default false;
