-- One row per event key: the least (received_at, body_sha256) of all lines ever loaded; the other bodies of a key
-- are conflicts. Both tables are a pure function of the set of lines, whatever their order and split.

-- Another loader may have had some of these files.
delete from stage_event where file in (select file from raw.loaded_file);
delete from stage_rejected where file in (select file from raw.loaded_file);
delete from stage_file where file in (select file from raw.loaded_file);

-- Each body of each key once.
create temp table event_candidate as
select {event_columns}
from (
  select {event_columns}, row_number() over (partition by event_key, body_sha256 order by received_at, file, line) as nth
  from stage_event
) as numbered
where nth = 1;

create temp table event_known as
select {event_columns}, true as is_chosen
from raw.tracking_event
where event_key in (select event_key from event_candidate)
union all
select {event_columns}, false as is_chosen
from raw.tracking_event_conflict
where event_key in (select event_key from event_candidate);

-- What becomes of each line: known bodies and repetitions are duplicates; of the new bodies of a key the first one
-- is new, unless the key is known, and the others conflict with it.
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
  select {event_columns} from event_candidate
  union all
  select {event_columns} from event_known
),
least_of_body as (
  select {event_columns}, row_number() over (partition by event_key, body_sha256 order by received_at, file, line) as nth_of_body
  from every_body
)
select
  {event_columns},
  row_number() over (partition by event_key order by received_at, body_sha256) = 1 as is_chosen
from least_of_body
where nth_of_body = 1;

-- Only what changes is written: a repetition that came later changes nothing.
create temp table event_change as
select f.event_key
from event_final as f
left join event_known as k
  on k.event_key = f.event_key and k.body_sha256 = f.body_sha256 and k.is_chosen = f.is_chosen
  and k.file = f.file and k.line = f.line
where k.event_key is null;

delete from raw.tracking_event where event_key in (select c.event_key from event_change as c join event_known as k on k.event_key = c.event_key);
delete from raw.tracking_event_conflict where event_key in (select c.event_key from event_change as c join event_known as k on k.event_key = c.event_key);

insert into raw.tracking_event ({event_columns})
select {event_columns} from event_final
where is_chosen and event_key in (select event_key from event_change);

insert into raw.tracking_event_conflict ({event_columns})
select {event_columns} from event_final
where not is_chosen and event_key in (select event_key from event_change);
