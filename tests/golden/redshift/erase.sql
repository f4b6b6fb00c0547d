-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.

begin;

lock "raw".load_lock;

select coalesce(max(version), 0) from "raw".schema_version;

create temp table stage_erased (source_tracking_id varchar(65535), with_numbers boolean);

copy stage_erased
from 's3://bucket/staging/load-1/stage_erased.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_erased;

create temp table stage_word (word varchar(65535));

copy stage_word
from 's3://bucket/staging/load-1/stage_word.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_word;

select checkpoint_key, source_tracking_id, courier, checkpoint_time_text, raw_tag from base.fct_tracking_checkpoint where source_tracking_id in (select source_tracking_id from stage_erased)
union all
select checkpoint_key, source_tracking_id, courier, checkpoint_time_text, raw_tag from "raw".superseded_checkpoint where source_tracking_id in (select source_tracking_id from stage_erased);

create temp table stage_erased_key (known_key varchar(65535), erased_key varchar(65535));

copy stage_erased_key
from 's3://bucket/staging/load-1/stage_erased_key.manifest'
iam_role 'arn:aws:iam::123456789012:role/waybill-copy'
manifest gzip delimiter '\t' escape null as '@NULL@' dateformat 'YYYY-MM-DD' timeformat 'auto'
maxerror 0 compupdate off statupdate off;

select count(*) from stage_erased_key;

create temp table checkpoint_known as
select true as is_winner, tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test
from base.fct_tracking_checkpoint
where source_tracking_id in (select source_tracking_id from stage_erased)
union all
select false as is_winner, tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test
from "raw".superseded_checkpoint
where source_tracking_id in (select source_tracking_id from stage_erased);

create temp table checkpoint_erased as
with
named as (
  select
    is_winner, tracking_id, tracking_key, source_tracking_id, erased_key as checkpoint_key, position,
    checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag,
    cast(null as varchar(65535)) as message, cast(null as varchar(65535)) as location, cast(null as varchar(65535)) as city,
    cast(null as varchar(65535)) as state, cast(null as varchar(65535)) as postal_code, country, source, cast(null as varchar(65535)) as hash,
    is_test
  from checkpoint_known join stage_erased_key on stage_erased_key.known_key = checkpoint_known.checkpoint_key
),
numbered as (
  select *, row_number() over (partition by source_tracking_id, checkpoint_key order by position) as nth
  from named
)
select * from numbered where nth = 1;

delete from base.fct_tracking_checkpoint where source_tracking_id in (select source_tracking_id from stage_erased);

delete from "raw".superseded_checkpoint where source_tracking_id in (select source_tracking_id from stage_erased);

insert into base.fct_tracking_checkpoint (tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test)
select tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test
from checkpoint_erased
where is_winner;

insert into "raw".superseded_checkpoint (tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test)
select tracking_id, tracking_key, source_tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, "tag", subtag, subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash, is_test
from checkpoint_erased
where not is_winner;

create temp table checkpoint_counted as
select source_tracking_id, cast(count(*) as integer) as checkpoint_count
from checkpoint_erased
group by source_tracking_id;

update base.fct_shipment_tracking
set checkpoint_count = c.checkpoint_count
from checkpoint_counted as c
where c.source_tracking_id = fct_shipment_tracking.source_tracking_id
  and c.checkpoint_count <> fct_shipment_tracking.checkpoint_count;

update "raw".superseded_tracking
set checkpoint_count = c.checkpoint_count
from checkpoint_counted as c
where c.source_tracking_id = superseded_tracking.source_tracking_id
  and c.checkpoint_count <> superseded_tracking.checkpoint_count;

update base.fct_shipment_tracking set order_item_ids = null
where order_item_ids is not null and source_tracking_id in (select source_tracking_id from stage_erased);

update "raw".superseded_tracking set order_item_ids = null
where order_item_ids is not null and source_tracking_id in (select source_tracking_id from stage_erased);

update base.fct_shipment_tracking
set tracking_number = null, order_id = null, order_number = null
where source_tracking_id in (select source_tracking_id from stage_erased where with_numbers)
  and source_tracking_id <> coalesce(courier || '/' || tracking_number, '');

update "raw".superseded_tracking
set tracking_number = null, order_id = null, order_number = null
where source_tracking_id in (select source_tracking_id from stage_erased where with_numbers)
  and source_tracking_id <> coalesce(courier || '/' || tracking_number, '');

create temp table text_erased as
select distinct r.text
from "raw".rejected_row as r
join stage_word as w on strpos(lower(r.text), w.word) > 0;

update "raw".rejected_row
set text = null
where text in (select text from text_erased);

drop table stage_erased, stage_word, stage_erased_key, checkpoint_known, checkpoint_erased, checkpoint_counted, text_erased;

commit;

vacuum delete only base.fct_shipment_tracking;

vacuum delete only base.fct_tracking_checkpoint;

vacuum delete only "raw".superseded_tracking;

vacuum delete only "raw".superseded_checkpoint;

vacuum delete only "raw".rejected_row;

begin;

lock "raw".load_lock;

select coalesce(max(version), 0) from "raw".schema_version;

insert into "raw".erased_customer (customer_id, erased_at, reason)
select g.customer_id, cast(sysdate as timestamptz), g.reason
from (select 7 as customer_id, cast('ticket 4711' as varchar(65535)) as reason) as g
left join "raw".erased_customer as e on e.customer_id = g.customer_id
where e.customer_id is null;

delete from base.customer_pii where customer_id = 7;

delete from base.absence where dataset = 'customers' and id = 7;

update "raw".retail_customers set customer_fname = null, customer_lname = null, customer_street = null
where customer_id = 7;

update "raw".rejected_row
set text = null, raw_base64 = null, detail = null, status = 'superseded', resolved_at = cast(sysdate as timestamptz)
where dataset = 'customers' and line > 0
  and replace(split_part(text, ',', 1), '"', '') = cast(7 as varchar(65535));

commit;

vacuum delete only base.customer_pii;

vacuum delete only base.absence;

vacuum delete only "raw".retail_customers;

vacuum delete only "raw".rejected_row;
