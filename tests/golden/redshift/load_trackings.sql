-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.

begin;

lock "raw".load_lock;

select coalesce(max(version), 0) from "raw".schema_version;

create temp table stage_file (file varchar(65535), landed_at timestamptz, lines bigint, is_readable boolean);

copy stage_file
from 's3://bucket/staging/load-1/stage_file.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_file;

create temp table stage_event (file varchar(65535), line bigint, event_key varchar(65535), event_id varchar(65535), event varchar(65535), tracking_id varchar(65535), source varchar(65535), received_at timestamptz, replay_id varchar(65535), body_sha256 varchar(65535), event_date date, is_test boolean);

copy stage_event
from 's3://bucket/staging/load-1/stage_event.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_event;

create temp table stage_rejected (file varchar(65535), line bigint, reason varchar(65535), text varchar(65535));

copy stage_rejected
from 's3://bucket/staging/load-1/stage_rejected.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_rejected;

create temp table stage_claim (legacy_id varchar(65535), tracking_id varchar(65535), tracking_key bigint);

copy stage_claim
from 's3://bucket/staging/load-1/stage_claim.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_claim;

create temp table stage_tracking (source_tracking_id varchar(65535), tracking_key bigint, legacy_id varchar(65535), tracking_number varchar(65535), courier varchar(65535), "tag" varchar(65535), subtag varchar(65535), subtag_message varchar(65535), order_id varchar(65535), order_number varchar(65535), order_item_ids varchar(65535), shipment_type varchar(65535), origin_country varchar(65535), destination_country varchar(65535), created_at timestamptz, updated_at timestamptz, event_at timestamptz, body_sha256 varchar(65535), info_received_at timestamptz, in_transit_at timestamptz, out_for_delivery_at timestamptz, first_attempt_at timestamptz, available_for_pickup_at timestamptz, delivered_at timestamptz, exception_at timestamptz, last_checkpoint_at timestamptz, estimated_delivery_text varchar(65535), estimated_delivery_source varchar(65535), estimated_delivery_at timestamptz, promised_delivery_text varchar(65535), promised_delivery_at timestamptz, on_time_status varchar(65535), on_time_difference_days integer, is_active boolean, is_return_to_sender boolean, is_test boolean, checkpoint_count integer);

copy stage_tracking
from 's3://bucket/staging/load-1/stage_tracking.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_tracking;

create temp table stage_checkpoint (source_tracking_id varchar(65535), checkpoint_key varchar(65535), position integer, checkpoint_at timestamptz, checkpoint_time_text varchar(65535), created_at timestamptz, courier varchar(65535), "tag" varchar(65535), subtag varchar(65535), subtag_message varchar(65535), raw_tag varchar(65535), message varchar(65535), location varchar(65535), city varchar(65535), state varchar(65535), postal_code varchar(65535), country varchar(65535), source varchar(65535), hash varchar(65535), is_test boolean);

copy stage_checkpoint
from 's3://bucket/staging/load-1/stage_checkpoint.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_checkpoint;

delete from stage_event where file in (select file from "raw".loaded_file);

delete from stage_rejected where file in (select file from "raw".loaded_file);

delete from stage_file where file in (select file from "raw".loaded_file);

create temp table event_candidate as
select file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test
from (
  select file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test, row_number() over (partition by event_key, body_sha256 order by received_at, file, line) as nth
  from stage_event
) as numbered
where nth = 1;

create temp table event_known as
select file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test, true as is_chosen
from "raw".tracking_event
where event_key in (select event_key from event_candidate)
union all
select file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test, false as is_chosen
from "raw".tracking_event_conflict
where event_key in (select event_key from event_candidate);

create temp table event_outcome as
with
known_body as (select event_key, body_sha256 from event_known),
known_key as (select distinct event_key from event_known),
numbered as (
  select
    file, line, event_key, body_sha256,
    row_number() over (partition by event_key, body_sha256 order by received_at, file, line) as nth_of_body,
    row_number() over (partition by event_key order by received_at, body_sha256, file, line) as nth_of_key
  from stage_event
)
select
  n.file,
  n.line,
  case
    when b.event_key is not null or n.nth_of_body > 1 then 'duplicate'
    when k.event_key is not null or n.nth_of_key > 1 then 'conflict'
    else 'inserted'
  end as outcome
from numbered as n
left join known_body as b on b.event_key = n.event_key and b.body_sha256 = n.body_sha256
left join known_key as k on k.event_key = n.event_key;

create temp table event_final as
with
every_body as (
  select file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test from event_candidate
  union all
  select file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test from event_known
),
least_of_body as (
  select file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test, row_number() over (partition by event_key, body_sha256 order by received_at, file, line) as nth_of_body
  from every_body
)
select
  file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test,
  row_number() over (partition by event_key order by received_at, body_sha256) = 1 as is_chosen
from least_of_body
where nth_of_body = 1;

create temp table event_change as
select f.event_key
from event_final as f
left join event_known as k
  on k.event_key = f.event_key and k.body_sha256 = f.body_sha256 and k.is_chosen = f.is_chosen
  and k.file = f.file and k.line = f.line
where k.event_key is null;

delete from "raw".tracking_event where event_key in (select c.event_key from event_change as c join event_known as k on k.event_key = c.event_key);

delete from "raw".tracking_event_conflict where event_key in (select c.event_key from event_change as c join event_known as k on k.event_key = c.event_key);

insert into "raw".tracking_event (file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test)
select file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test from event_final
where is_chosen and event_key in (select event_key from event_change);

insert into "raw".tracking_event_conflict (file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test)
select file, line, event_key, event_id, event, tracking_id, source, received_at, replay_id, body_sha256, event_date, is_test from event_final
where not is_chosen and event_key in (select event_key from event_change);

create temp table alias_change as
with
claim as (
  select legacy_id, tracking_id, tracking_key from stage_claim
  union all
  select legacy_id, tracking_id, tracking_key from "raw".tracking_alias
  where legacy_id in (select legacy_id from stage_claim)
),
first_claim as (
  select legacy_id, tracking_id, tracking_key, row_number() over (partition by legacy_id order by tracking_id) as nth
  from claim
)
select n.legacy_id, n.tracking_id, n.tracking_key, o.tracking_id as old_tracking_id
from first_claim as n
left join "raw".tracking_alias as o on o.legacy_id = n.legacy_id
where n.nth = 1 and (o.tracking_id is null or o.tracking_id <> n.tracking_id);

delete from "raw".tracking_alias where legacy_id in (select legacy_id from alias_change);

insert into "raw".tracking_alias (legacy_id, tracking_id, tracking_key)
select legacy_id, tracking_id, tracking_key from alias_change;

create temp table touched_tracking as
with
named as (
  select source_tracking_id as id from stage_tracking
  union select tracking_id from alias_change
  union select old_tracking_id from alias_change where old_tracking_id is not null
  union select legacy_id from alias_change
)
select id as tracking_id from named
union
select a.tracking_id from named as n join "raw".tracking_alias as a on a.legacy_id = n.id;

create temp table touched_source as
select t.tracking_id as source_tracking_id, t.tracking_id, cast(null as bigint) as tracking_key
from touched_tracking as t
left join "raw".tracking_alias as a on a.legacy_id = t.tracking_id
where a.legacy_id is null
union all
select a.legacy_id, a.tracking_id, a.tracking_key
from "raw".tracking_alias as a
where a.tracking_id in (select tracking_id from touched_tracking);

create temp table tracking_known as
select tracking_id, source_tracking_id, tracking_key, legacy_id, tracking_number, courier, "tag", subtag, subtag_message, order_id, order_number, order_item_ids, shipment_type, origin_country, destination_country, created_at, updated_at, event_at, body_sha256, info_received_at, in_transit_at, out_for_delivery_at, first_attempt_at, available_for_pickup_at, delivered_at, exception_at, last_checkpoint_at, estimated_delivery_text, estimated_delivery_source, estimated_delivery_at, promised_delivery_text, promised_delivery_at, on_time_status, on_time_difference_days, is_active, is_return_to_sender, is_test, checkpoint_count, true as is_winner
from base.fct_shipment_tracking
where source_tracking_id in (select source_tracking_id from touched_source)
union all
select tracking_id, source_tracking_id, tracking_key, legacy_id, tracking_number, courier, "tag", subtag, subtag_message, order_id, order_number, order_item_ids, shipment_type, origin_country, destination_country, created_at, updated_at, event_at, body_sha256, info_received_at, in_transit_at, out_for_delivery_at, first_attempt_at, available_for_pickup_at, delivered_at, exception_at, last_checkpoint_at, estimated_delivery_text, estimated_delivery_source, estimated_delivery_at, promised_delivery_text, promised_delivery_at, on_time_status, on_time_difference_days, is_active, is_return_to_sender, is_test, checkpoint_count, false as is_winner
from "raw".superseded_tracking
where source_tracking_id in (select source_tracking_id from touched_source);

create temp table tracking_final as
with
every_snapshot as (
  select source_tracking_id, tracking_key, legacy_id, tracking_number, courier, "tag", subtag, subtag_message, order_id, order_number, order_item_ids, shipment_type, origin_country, destination_country, created_at, updated_at, event_at, body_sha256, info_received_at, in_transit_at, out_for_delivery_at, first_attempt_at, available_for_pickup_at, delivered_at, exception_at, last_checkpoint_at, estimated_delivery_text, estimated_delivery_source, estimated_delivery_at, promised_delivery_text, promised_delivery_at, on_time_status, on_time_difference_days, is_active, is_return_to_sender, is_test, checkpoint_count, true as is_staged, cast(null as varchar(65535)) as old_tracking_id, false as was_winner
  from stage_tracking
  union all
  select source_tracking_id, tracking_key, legacy_id, tracking_number, courier, "tag", subtag, subtag_message, order_id, order_number, order_item_ids, shipment_type, origin_country, destination_country, created_at, updated_at, event_at, body_sha256, info_received_at, in_transit_at, out_for_delivery_at, first_attempt_at, available_for_pickup_at, delivered_at, exception_at, last_checkpoint_at, estimated_delivery_text, estimated_delivery_source, estimated_delivery_at, promised_delivery_text, promised_delivery_at, on_time_status, on_time_difference_days, is_active, is_return_to_sender, is_test, checkpoint_count, false as is_staged, tracking_id as old_tracking_id, is_winner as was_winner
  from tracking_known
),
numbered as (
  select
    *,
    row_number() over (
      partition by source_tracking_id
      order by updated_at desc nulls last, event_at desc nulls last, body_sha256 desc, is_staged
    ) as nth
  from every_snapshot
)
select
  t.tracking_id,
  c.source_tracking_id,
  coalesce(t.tracking_key, c.tracking_key) as tracking_key,
  c.legacy_id, c.tracking_number, c.courier, c."tag", c.subtag, c.subtag_message, c.order_id, c.order_number, c.order_item_ids, c.shipment_type, c.origin_country, c.destination_country, c.created_at, c.updated_at, c.event_at, c.body_sha256, c.info_received_at, c.in_transit_at, c.out_for_delivery_at, c.first_attempt_at, c.available_for_pickup_at, c.delivered_at, c.exception_at, c.last_checkpoint_at, c.estimated_delivery_text, c.estimated_delivery_source, c.estimated_delivery_at, c.promised_delivery_text, c.promised_delivery_at, c.on_time_status, c.on_time_difference_days, c.is_active, c.is_return_to_sender, c.is_test, c.checkpoint_count,
  c.is_staged,
  c.old_tracking_id,
  c.was_winner,
  row_number() over (
    partition by t.tracking_id
    order by c.updated_at desc nulls last, c.event_at desc nulls last, c.body_sha256 desc, c.source_tracking_id
  ) = 1 as is_winner
from numbered as c
join touched_source as t on t.source_tracking_id = c.source_tracking_id
where c.nth = 1;

create temp table tracking_change as
select source_tracking_id, tracking_id, tracking_key, is_winner, is_staged
from tracking_final
where is_staged or is_winner <> was_winner or tracking_id <> old_tracking_id;

create temp table checkpoint_final as
select f.tracking_id, f.tracking_key, f.is_winner, c.source_tracking_id, c.checkpoint_key, c.position, c.checkpoint_at, c.checkpoint_time_text, c.created_at, c.courier, c."tag", c.subtag, c.subtag_message, c.raw_tag, c.message, c.location, c.city, c.state, c.postal_code, c.country, c.source, c.hash, c.is_test
from tracking_change as f
join stage_checkpoint as c on c.source_tracking_id = f.source_tracking_id
where f.is_staged
union all
select f.tracking_id, f.tracking_key, f.is_winner, c.source_tracking_id, c.checkpoint_key, c.position, c.checkpoint_at, c.checkpoint_time_text, c.created_at, c.courier, c."tag", c.subtag, c.subtag_message, c.raw_tag, c.message, c.location, c.city, c.state, c.postal_code, c.country, c.source, c.hash, c.is_test
from tracking_change as f
join base.fct_tracking_checkpoint as c on c.source_tracking_id = f.source_tracking_id
where not f.is_staged
union all
select f.tracking_id, f.tracking_key, f.is_winner, c.source_tracking_id, c.checkpoint_key, c.position, c.checkpoint_at, c.checkpoint_time_text, c.created_at, c.courier, c."tag", c.subtag, c.subtag_message, c.raw_tag, c.message, c.location, c.city, c.state, c.postal_code, c.country, c.source, c.hash, c.is_test
from tracking_change as f
join "raw".superseded_checkpoint as c on c.source_tracking_id = f.source_tracking_id
where not f.is_staged;

create temp table tracking_replaced as
select c.source_tracking_id
from tracking_change as c
where c.source_tracking_id in (select source_tracking_id from tracking_known);

create temp table tracking_put as
select tracking_id, source_tracking_id, tracking_key, legacy_id, tracking_number, courier, "tag", subtag, subtag_message, order_id, order_number, order_item_ids, shipment_type, origin_country, destination_country, created_at, updated_at, event_at, body_sha256, info_received_at, in_transit_at, out_for_delivery_at, first_attempt_at, available_for_pickup_at, delivered_at, exception_at, last_checkpoint_at, estimated_delivery_text, estimated_delivery_source, estimated_delivery_at, promised_delivery_text, promised_delivery_at, on_time_status, on_time_difference_days, is_active, is_return_to_sender, is_test, checkpoint_count
from tracking_final
where is_winner and source_tracking_id in (select source_tracking_id from tracking_change);

delete from base.fct_tracking_checkpoint where source_tracking_id in (select source_tracking_id from tracking_replaced);

delete from "raw".superseded_checkpoint where source_tracking_id in (select source_tracking_id from tracking_replaced);

delete from "raw".superseded_tracking where source_tracking_id in (select source_tracking_id from tracking_replaced);

delete from base.fct_shipment_tracking
where source_tracking_id in (select source_tracking_id from tracking_replaced)
  and tracking_id not in (select tracking_id from tracking_put);

merge into base.fct_shipment_tracking
using tracking_put
on fct_shipment_tracking.tracking_id = tracking_put.tracking_id
when matched then update set
  source_tracking_id = tracking_put.source_tracking_id, tracking_key = tracking_put.tracking_key, legacy_id = tracking_put.legacy_id, tracking_number = tracking_put.tracking_number, courier = tracking_put.courier, "tag" = tracking_put."tag", subtag = tracking_put.subtag, subtag_message = tracking_put.subtag_message, order_id = tracking_put.order_id, order_number = tracking_put.order_number, order_item_ids = tracking_put.order_item_ids, shipment_type = tracking_put.shipment_type, origin_country = tracking_put.origin_country, destination_country = tracking_put.destination_country, created_at = tracking_put.created_at, updated_at = tracking_put.updated_at, event_at = tracking_put.event_at, body_sha256 = tracking_put.body_sha256, info_received_at = tracking_put.info_received_at, in_transit_at = tracking_put.in_transit_at, out_for_delivery_at = tracking_put.out_for_delivery_at, first_attempt_at = tracking_put.first_attempt_at, available_for_pickup_at = tracking_put.available_for_pickup_at, delivered_at = tracking_put.delivered_at, exception_at = tracking_put.exception_at, last_checkpoint_at = tracking_put.last_checkpoint_at, estimated_delivery_text = tracking_put.estimated_delivery_text, estimated_delivery_source = tracking_put.estimated_delivery_source, estimated_delivery_at = tracking_put.estimated_delivery_at, promised_delivery_text = tracking_put.promised_delivery_text, promised_delivery_at = tracking_put.promised_delivery_at, on_time_status = tracking_put.on_time_status, on_time_difference_days = tracking_put.on_time_difference_days, is_active = tracking_put.is_active, is_return_to_sender = tracking_put.is_return_to_sender, is_test = tracking_put.is_test, checkpoint_count = tracking_put.checkpoint_count
when not matched then insert (tracking_id, source_tracking_id, tracking_key, legacy_id, tracking_number, courier, "tag", subtag, subtag_message, order_id, order_number, order_item_ids, shipment_type, origin_country, destination_country, created_at, updated_at, event_at, body_sha256, info_received_at, in_transit_at, out_for_delivery_at, first_attempt_at, available_for_pickup_at, delivered_at, exception_at, last_checkpoint_at, estimated_delivery_text, estimated_delivery_source, estimated_delivery_at, promised_delivery_text, promised_delivery_at, on_time_status, on_time_difference_days, is_active, is_return_to_sender, is_test, checkpoint_count)
values (tracking_put.tracking_id, tracking_put.source_tracking_id, tracking_put.tracking_key, tracking_put.legacy_id, tracking_put.tracking_number, tracking_put.courier, tracking_put."tag", tracking_put.subtag, tracking_put.subtag_message, tracking_put.order_id, tracking_put.order_number, tracking_put.order_item_ids, tracking_put.shipment_type, tracking_put.origin_country, tracking_put.destination_country, tracking_put.created_at, tracking_put.updated_at, tracking_put.event_at, tracking_put.body_sha256, tracking_put.info_received_at, tracking_put.in_transit_at, tracking_put.out_for_delivery_at, tracking_put.first_attempt_at, tracking_put.available_for_pickup_at, tracking_put.delivered_at, tracking_put.exception_at, tracking_put.last_checkpoint_at, tracking_put.estimated_delivery_text, tracking_put.estimated_delivery_source, tracking_put.estimated_delivery_at, tracking_put.promised_delivery_text, tracking_put.promised_delivery_at, tracking_put.on_time_status, tracking_put.on_time_difference_days, tracking_put.is_active, tracking_put.is_return_to_sender, tracking_put.is_test, tracking_put.checkpoint_count);

insert into "raw".superseded_tracking (tracking_id, source_tracking_id, tracking_key, legacy_id, tracking_number, courier, "tag", subtag, subtag_message, order_id, order_number, order_item_ids, shipment_type, origin_country, destination_country, created_at, updated_at, event_at, body_sha256, info_received_at, in_transit_at, out_for_delivery_at, first_attempt_at, available_for_pickup_at, delivered_at, exception_at, last_checkpoint_at, estimated_delivery_text, estimated_delivery_source, estimated_delivery_at, promised_delivery_text, promised_delivery_at, on_time_status, on_time_difference_days, is_active, is_return_to_sender, is_test, checkpoint_count)
select tracking_id, source_tracking_id, tracking_key, legacy_id, tracking_number, courier, "tag", subtag, subtag_message, order_id, order_number, order_item_ids, shipment_type, origin_country, destination_country, created_at, updated_at, event_at, body_sha256, info_received_at, in_transit_at, out_for_delivery_at, first_attempt_at, available_for_pickup_at, delivered_at, exception_at, last_checkpoint_at, estimated_delivery_text, estimated_delivery_source, estimated_delivery_at, promised_delivery_text, promised_delivery_at, on_time_status, on_time_difference_days, is_active, is_return_to_sender, is_test, checkpoint_count
from tracking_final
where not is_winner and source_tracking_id in (select source_tracking_id from tracking_change);

insert into base.fct_tracking_checkpoint (tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test)
select tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test
from checkpoint_final
where is_winner;

insert into "raw".superseded_checkpoint (tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test)
select tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test
from checkpoint_final
where not is_winner;

insert into "raw".rejected_row (file, line, reason, text, dataset, rejected_at)
select file, line, reason, text, 'tracking', cast(sysdate as timestamptz) from stage_rejected;

insert into "raw".loaded_file (
  file, dataset, status, lines, inserted, updated, unchanged, duplicate, conflict, waiting, rejected, landed_at, loaded_at
)
select
  f.file,
  'tracking',
  case when f.is_readable then 'loaded' else 'rejected' end,
  f.lines,
  coalesce(e.inserted, 0), 0, 0, coalesce(e.duplicate, 0), coalesce(e.conflict, 0), 0,
  coalesce(r.rejected, 0),
  f.landed_at,
  cast(sysdate as timestamptz)
from stage_file as f
left join (
  select
    file,
    sum(case when outcome = 'inserted' then 1 else 0 end) as inserted,
    sum(case when outcome = 'duplicate' then 1 else 0 end) as duplicate,
    sum(case when outcome = 'conflict' then 1 else 0 end) as conflict
  from event_outcome
  group by file
) as e on e.file = f.file
left join (
  select file, count(*) as rejected from stage_rejected where line > 0 group by file
) as r on r.file = f.file;

select 'file twice in the ledger' as rule, count(*) as found
from (
  select file, generation from "raw".loaded_file
  where file in (select file from stage_file)
  group by file, generation having count(*) > 1
) as twice
union all
select 'outcomes do not add up' as rule, count(*) as found
from "raw".loaded_file
where file in (select file from stage_file)
  and lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected
union all
select 'event key twice' as rule, count(*) as found
from (
  select event_key from "raw".tracking_event
  where event_key in (select event_key from event_final)
  group by event_key having count(*) > 1
) as twice
union all
select 'conflicting body twice' as rule, count(*) as found
from (
  select event_key, body_sha256 from "raw".tracking_event_conflict
  where event_key in (select event_key from event_final)
  group by event_key, body_sha256 having count(*) > 1
) as twice
union all
select 'body both chosen and in conflict' as rule, count(*) as found
from "raw".tracking_event as e
join "raw".tracking_event_conflict as c on c.event_key = e.event_key and c.body_sha256 = e.body_sha256
where e.event_key in (select event_key from event_final)
union all
select 'event without its file in the ledger' as rule, count(*) as found
from "raw".tracking_event as e
join event_change as c on c.event_key = e.event_key
left join "raw".loaded_file as l on l.file = e.file
where l.file is null
union all
select 'legacy id twice' as rule, count(*) as found
from (
  select legacy_id from "raw".tracking_alias
  where legacy_id in (select legacy_id from alias_change)
  group by legacy_id having count(*) > 1
) as twice
union all
select 'tracking twice' as rule, count(*) as found
from (
  select tracking_id from base.fct_shipment_tracking
  where tracking_id in (select tracking_id from tracking_final)
  group by tracking_id having count(*) > 1
) as twice
union all
select 'id both winner and superseded' as rule, count(*) as found
from base.fct_shipment_tracking as t
join "raw".superseded_tracking as s on s.source_tracking_id = t.source_tracking_id
where t.tracking_id in (select tracking_id from tracking_final)
union all
select 'superseded id twice' as rule, count(*) as found
from (
  select source_tracking_id from "raw".superseded_tracking
  where source_tracking_id in (select source_tracking_id from tracking_final)
  group by source_tracking_id having count(*) > 1
) as twice
union all
select 'checkpoint twice' as rule, count(*) as found
from (
  select tracking_id, checkpoint_key from base.fct_tracking_checkpoint
  where tracking_id in (select tracking_id from tracking_final)
  group by tracking_id, checkpoint_key having count(*) > 1
) as twice
union all
select 'superseded checkpoint twice' as rule, count(*) as found
from (
  select source_tracking_id, checkpoint_key from "raw".superseded_checkpoint
  where source_tracking_id in (select source_tracking_id from tracking_final)
  group by source_tracking_id, checkpoint_key having count(*) > 1
) as twice
union all
select 'checkpoint without its tracking' as rule, count(*) as found
from base.fct_tracking_checkpoint as c
join checkpoint_final as f on f.tracking_id = c.tracking_id and f.checkpoint_key = c.checkpoint_key
left join base.fct_shipment_tracking as t
  on t.tracking_id = c.tracking_id and t.source_tracking_id = c.source_tracking_id
where t.tracking_id is null;

select l.file, l.status, l.lines, l.inserted, l.updated, l.unchanged, l.duplicate, l.conflict, l.waiting, l.rejected from "raw".loaded_file l join stage_file s on s.file = l.file order by l.file;

drop table stage_file, stage_event, stage_rejected, stage_claim, stage_tracking, stage_checkpoint, event_candidate, event_known, event_outcome, event_final, event_change, alias_change, touched_tracking, touched_source, tracking_known, tracking_final, tracking_change, checkpoint_final, tracking_replaced, tracking_put;

commit;
