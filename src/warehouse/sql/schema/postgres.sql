-- Version 1 of the schema on PostgreSQL. Keys are what must be unique whatever the date, so partitions are by
-- hash of the key: a date in the key would let the same event in twice. Text compares by bytes, as in Rust.

create schema if not exists raw;
create schema if not exists base;
create schema if not exists mart;

-- One row per version that this schema has been brought to.
create table raw.schema_version (
  version integer not null,
  applied_at timestamptz not null
);

-- One row per object of the lake that has been loaded: the ledger.
create table raw.loaded_file (
  file text collate "C" not null,
  dataset text collate "C" not null,
  status text collate "C" not null,
  lines bigint not null,
  inserted bigint not null,
  updated bigint not null,
  unchanged bigint not null,
  duplicate bigint not null,
  conflict bigint not null,
  waiting bigint not null,
  rejected bigint not null,
  landed_at timestamptz,
  loaded_at timestamptz not null,
  primary key (file),
  check (lines = inserted + updated + unchanged + duplicate + conflict + waiting + rejected)
);

-- One row per line (or, as line 0, object) that could not be read.
create table raw.rejected_row (
  file text collate "C" not null,
  line bigint not null,
  reason text collate "C" not null,
  text text collate "C",
  dataset text collate "C" not null,
  rejected_at timestamptz not null
);

-- One row per event key: of all its lines the least (received_at, body_sha256).
create table raw.tracking_event (
  event_key text collate "C" not null,
  event_id text collate "C",
  event text collate "C",
  tracking_id text collate "C" not null,
  source text collate "C" not null,
  received_at timestamptz not null,
  replay_id text collate "C",
  body_sha256 text collate "C" not null,
  event_date date,
  is_test boolean not null,
  file text collate "C" not null,
  line bigint not null,
  primary key (event_key)
) partition by hash (event_key);

create table raw.tracking_event_0 partition of raw.tracking_event for values with (modulus 8, remainder 0);
create table raw.tracking_event_1 partition of raw.tracking_event for values with (modulus 8, remainder 1);
create table raw.tracking_event_2 partition of raw.tracking_event for values with (modulus 8, remainder 2);
create table raw.tracking_event_3 partition of raw.tracking_event for values with (modulus 8, remainder 3);
create table raw.tracking_event_4 partition of raw.tracking_event for values with (modulus 8, remainder 4);
create table raw.tracking_event_5 partition of raw.tracking_event for values with (modulus 8, remainder 5);
create table raw.tracking_event_6 partition of raw.tracking_event for values with (modulus 8, remainder 6);
create table raw.tracking_event_7 partition of raw.tracking_event for values with (modulus 8, remainder 7);

create index on raw.tracking_event (tracking_id);
create index on raw.tracking_event using brin (received_at);

-- One row per other body of an event key.
create table raw.tracking_event_conflict (
  event_key text collate "C" not null,
  event_id text collate "C",
  event text collate "C",
  tracking_id text collate "C" not null,
  source text collate "C" not null,
  received_at timestamptz not null,
  replay_id text collate "C",
  body_sha256 text collate "C" not null,
  event_date date,
  is_test boolean not null,
  file text collate "C" not null,
  line bigint not null,
  primary key (event_key, body_sha256)
);

-- One row per older id of a tracking: which tracking took it over.
create table raw.tracking_alias (
  legacy_id text collate "C" not null,
  tracking_id text collate "C" not null,
  tracking_key bigint not null,
  primary key (legacy_id)
);

create index on raw.tracking_alias (tracking_id);

-- One row per tracking, from its newest snapshot.
create table base.fct_shipment_tracking (
  tracking_id text collate "C" not null,
  source_tracking_id text collate "C" not null,
  tracking_key bigint not null,
  legacy_id text collate "C",
  tracking_number text collate "C",
  courier text collate "C",
  tag text collate "C",
  subtag text collate "C",
  subtag_message text collate "C",
  order_id text collate "C",
  order_number text collate "C",
  shipment_type text collate "C",
  origin_country text collate "C",
  destination_country text collate "C",
  created_at timestamptz,
  updated_at timestamptz,
  event_at timestamptz,
  body_sha256 text collate "C" not null,
  info_received_at timestamptz,
  in_transit_at timestamptz,
  out_for_delivery_at timestamptz,
  first_attempt_at timestamptz,
  available_for_pickup_at timestamptz,
  delivered_at timestamptz,
  exception_at timestamptz,
  last_checkpoint_at timestamptz,
  estimated_delivery_text text collate "C",
  estimated_delivery_source text collate "C",
  estimated_delivery_at timestamptz,
  promised_delivery_text text collate "C",
  promised_delivery_at timestamptz,
  on_time_status text collate "C",
  on_time_difference_days integer,
  is_active boolean,
  is_return_to_sender boolean,
  is_test boolean not null,
  checkpoint_count integer not null,
  primary key (tracking_id)
) partition by hash (tracking_id);

create table base.fct_shipment_tracking_0 partition of base.fct_shipment_tracking for values with (modulus 8, remainder 0);
create table base.fct_shipment_tracking_1 partition of base.fct_shipment_tracking for values with (modulus 8, remainder 1);
create table base.fct_shipment_tracking_2 partition of base.fct_shipment_tracking for values with (modulus 8, remainder 2);
create table base.fct_shipment_tracking_3 partition of base.fct_shipment_tracking for values with (modulus 8, remainder 3);
create table base.fct_shipment_tracking_4 partition of base.fct_shipment_tracking for values with (modulus 8, remainder 4);
create table base.fct_shipment_tracking_5 partition of base.fct_shipment_tracking for values with (modulus 8, remainder 5);
create table base.fct_shipment_tracking_6 partition of base.fct_shipment_tracking for values with (modulus 8, remainder 6);
create table base.fct_shipment_tracking_7 partition of base.fct_shipment_tracking for values with (modulus 8, remainder 7);

create index on base.fct_shipment_tracking (source_tracking_id);
-- By hash: a tree would refuse, and so stop a load for, a text that is too long for it.
create index on base.fct_shipment_tracking using hash (order_id);
create index on base.fct_shipment_tracking (updated_at);

-- One row per checkpoint of a tracking, from its newest snapshot.
create table base.fct_tracking_checkpoint (
  tracking_id text collate "C" not null,
  tracking_key bigint not null,
  source_tracking_id text collate "C" not null,
  checkpoint_key text collate "C" not null,
  position integer not null,
  checkpoint_at timestamptz,
  checkpoint_time_text text collate "C",
  created_at timestamptz,
  courier text collate "C",
  tag text collate "C",
  subtag text collate "C",
  subtag_message text collate "C",
  raw_tag text collate "C",
  message text collate "C",
  location text collate "C",
  city text collate "C",
  state text collate "C",
  postal_code text collate "C",
  country text collate "C",
  source text collate "C",
  hash text collate "C",
  is_test boolean not null,
  primary key (tracking_id, checkpoint_key)
) partition by hash (tracking_id);

create table base.fct_tracking_checkpoint_0 partition of base.fct_tracking_checkpoint for values with (modulus 8, remainder 0);
create table base.fct_tracking_checkpoint_1 partition of base.fct_tracking_checkpoint for values with (modulus 8, remainder 1);
create table base.fct_tracking_checkpoint_2 partition of base.fct_tracking_checkpoint for values with (modulus 8, remainder 2);
create table base.fct_tracking_checkpoint_3 partition of base.fct_tracking_checkpoint for values with (modulus 8, remainder 3);
create table base.fct_tracking_checkpoint_4 partition of base.fct_tracking_checkpoint for values with (modulus 8, remainder 4);
create table base.fct_tracking_checkpoint_5 partition of base.fct_tracking_checkpoint for values with (modulus 8, remainder 5);
create table base.fct_tracking_checkpoint_6 partition of base.fct_tracking_checkpoint for values with (modulus 8, remainder 6);
create table base.fct_tracking_checkpoint_7 partition of base.fct_tracking_checkpoint for values with (modulus 8, remainder 7);

create index on base.fct_tracking_checkpoint (source_tracking_id);
create index on base.fct_tracking_checkpoint using brin (checkpoint_at);

-- One row per older id of a tracking whose own newest snapshot is not the tracking's newest.
create table raw.superseded_tracking (
  tracking_id text collate "C" not null,
  source_tracking_id text collate "C" not null,
  tracking_key bigint not null,
  legacy_id text collate "C",
  tracking_number text collate "C",
  courier text collate "C",
  tag text collate "C",
  subtag text collate "C",
  subtag_message text collate "C",
  order_id text collate "C",
  order_number text collate "C",
  shipment_type text collate "C",
  origin_country text collate "C",
  destination_country text collate "C",
  created_at timestamptz,
  updated_at timestamptz,
  event_at timestamptz,
  body_sha256 text collate "C" not null,
  info_received_at timestamptz,
  in_transit_at timestamptz,
  out_for_delivery_at timestamptz,
  first_attempt_at timestamptz,
  available_for_pickup_at timestamptz,
  delivered_at timestamptz,
  exception_at timestamptz,
  last_checkpoint_at timestamptz,
  estimated_delivery_text text collate "C",
  estimated_delivery_source text collate "C",
  estimated_delivery_at timestamptz,
  promised_delivery_text text collate "C",
  promised_delivery_at timestamptz,
  on_time_status text collate "C",
  on_time_difference_days integer,
  is_active boolean,
  is_return_to_sender boolean,
  is_test boolean not null,
  checkpoint_count integer not null,
  primary key (source_tracking_id)
);

-- One row per checkpoint of such a snapshot.
create table raw.superseded_checkpoint (
  tracking_id text collate "C" not null,
  tracking_key bigint not null,
  source_tracking_id text collate "C" not null,
  checkpoint_key text collate "C" not null,
  position integer not null,
  checkpoint_at timestamptz,
  checkpoint_time_text text collate "C",
  created_at timestamptz,
  courier text collate "C",
  tag text collate "C",
  subtag text collate "C",
  subtag_message text collate "C",
  raw_tag text collate "C",
  message text collate "C",
  location text collate "C",
  city text collate "C",
  state text collate "C",
  postal_code text collate "C",
  country text collate "C",
  source text collate "C",
  hash text collate "C",
  is_test boolean not null,
  primary key (source_tracking_id, checkpoint_key)
);
