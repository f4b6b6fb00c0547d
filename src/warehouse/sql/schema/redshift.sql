-- Version 1 of the schema on Redshift. No keys are declared: Redshift does not hold a table to them, but plans as if they
-- held. The lock, unique staging and the audit before each commit keep rows unique instead.

create schema if not exists raw;
create schema if not exists base;
create schema if not exists mart;

-- Never holds a row. Who migrates, loads, refreshes or erases locks it before anything else, so that one writes at a
-- time: two that write to one table at once would end one of them (error 1023).
create table if not exists raw.load_lock (
  unused integer
)
diststyle all;

-- One row per version that this schema has been brought to.
create table raw.schema_version (
  version integer not null,
  applied_at timestamptz not null
)
diststyle all;

-- One row per object of the lake that has been loaded: the ledger.
-- By file, beside the lines that came from it; by dataset and time, since the loader asks for the newest of a dataset.
create table raw.loaded_file (
  file {text} not null,
  dataset {text} not null,
  status {text} not null,
  lines bigint not null,
  inserted bigint not null,
  updated bigint not null,
  unchanged bigint not null,
  duplicate bigint not null,
  conflict bigint not null,
  waiting bigint not null,
  rejected bigint not null,
  landed_at timestamptz,
  loaded_at timestamptz not null
)
distkey (file) sortkey (dataset, landed_at);

-- One row per line (or, as line 0, object) that could not be read.
-- By file, as the ledger.
create table raw.rejected_row (
  file {text} not null,
  line bigint not null,
  reason {text} not null,
  text {text},
  dataset {text} not null,
  rejected_at timestamptz not null
)
distkey (file) sortkey (rejected_at);

-- One row per event key: of all its lines the least (received_at, body_sha256).
-- By event key, so that all lines of an event meet on one node, and events lie evenly; by time of receipt, which is how
-- they come: new rows go behind the old ones, and nothing has to be sorted again.
create table raw.tracking_event (
  event_key {text} not null,
  event_id {text},
  event {text},
  tracking_id {text} not null,
  source {text} not null,
  received_at timestamptz not null,
  replay_id {text},
  body_sha256 {text} not null,
  event_date date,
  is_test boolean not null,
  file {text} not null,
  line bigint not null
)
distkey (event_key) sortkey (received_at);

-- One row per other body of an event key.
-- As raw.tracking_event.
create table raw.tracking_event_conflict (
  event_key {text} not null,
  event_id {text},
  event {text},
  tracking_id {text} not null,
  source {text} not null,
  received_at timestamptz not null,
  replay_id {text},
  body_sha256 {text} not null,
  event_date date,
  is_test boolean not null,
  file {text} not null,
  line bigint not null
)
distkey (event_key) sortkey (received_at);

-- One row per older id of a tracking: which tracking took it over.
-- By tracking, as the facts that it points to.
create table raw.tracking_alias (
  legacy_id {text} not null,
  tracking_id {text} not null,
  tracking_key bigint not null
)
distkey (tracking_id);

-- One row per tracking, from its newest snapshot.
-- By tracking, so that a tracking and its checkpoints meet without moving, and MERGE finds its row on the same node; by
-- when it last changed, which is what people ask for.
create table base.fct_shipment_tracking (
  tracking_id {text} not null,
  source_tracking_id {text} not null,
  tracking_key bigint not null,
  legacy_id {text},
  tracking_number {text},
  courier {text},
  tag {text},
  subtag {text},
  subtag_message {text},
  order_id {text},
  order_number {text},
  shipment_type {text},
  origin_country {text},
  destination_country {text},
  created_at timestamptz,
  updated_at timestamptz,
  event_at timestamptz,
  body_sha256 {text} not null,
  info_received_at timestamptz,
  in_transit_at timestamptz,
  out_for_delivery_at timestamptz,
  first_attempt_at timestamptz,
  available_for_pickup_at timestamptz,
  delivered_at timestamptz,
  exception_at timestamptz,
  last_checkpoint_at timestamptz,
  estimated_delivery_text {text},
  estimated_delivery_source {text},
  estimated_delivery_at timestamptz,
  promised_delivery_text {text},
  promised_delivery_at timestamptz,
  on_time_status {text},
  on_time_difference_days integer,
  is_active boolean,
  is_return_to_sender boolean,
  is_test boolean not null,
  checkpoint_count integer not null
)
distkey (tracking_id) sortkey (updated_at);

-- One row per checkpoint of a tracking, from its newest snapshot.
-- By tracking, beside it; by the courier's time.
create table base.fct_tracking_checkpoint (
  tracking_id {text} not null,
  tracking_key bigint not null,
  source_tracking_id {text} not null,
  checkpoint_key {text} not null,
  position integer not null,
  checkpoint_at timestamptz,
  checkpoint_time_text {text},
  created_at timestamptz,
  courier {text},
  tag {text},
  subtag {text},
  subtag_message {text},
  raw_tag {text},
  message {text},
  location {text},
  city {text},
  state {text},
  postal_code {text},
  country {text},
  source {text},
  hash {text},
  is_test boolean not null
)
distkey (tracking_id) sortkey (checkpoint_at);

-- One row per older id of a tracking whose own newest snapshot is not the tracking's newest.
-- As base.fct_shipment_tracking.
create table raw.superseded_tracking (
  tracking_id {text} not null,
  source_tracking_id {text} not null,
  tracking_key bigint not null,
  legacy_id {text},
  tracking_number {text},
  courier {text},
  tag {text},
  subtag {text},
  subtag_message {text},
  order_id {text},
  order_number {text},
  shipment_type {text},
  origin_country {text},
  destination_country {text},
  created_at timestamptz,
  updated_at timestamptz,
  event_at timestamptz,
  body_sha256 {text} not null,
  info_received_at timestamptz,
  in_transit_at timestamptz,
  out_for_delivery_at timestamptz,
  first_attempt_at timestamptz,
  available_for_pickup_at timestamptz,
  delivered_at timestamptz,
  exception_at timestamptz,
  last_checkpoint_at timestamptz,
  estimated_delivery_text {text},
  estimated_delivery_source {text},
  estimated_delivery_at timestamptz,
  promised_delivery_text {text},
  promised_delivery_at timestamptz,
  on_time_status {text},
  on_time_difference_days integer,
  is_active boolean,
  is_return_to_sender boolean,
  is_test boolean not null,
  checkpoint_count integer not null
)
distkey (tracking_id);

-- One row per checkpoint of such a snapshot.
-- As base.fct_tracking_checkpoint.
create table raw.superseded_checkpoint (
  tracking_id {text} not null,
  tracking_key bigint not null,
  source_tracking_id {text} not null,
  checkpoint_key {text} not null,
  position integer not null,
  checkpoint_at timestamptz,
  checkpoint_time_text {text},
  created_at timestamptz,
  courier {text},
  tag {text},
  subtag {text},
  subtag_message {text},
  raw_tag {text},
  message {text},
  location {text},
  city {text},
  state {text},
  postal_code {text},
  country {text},
  source {text},
  hash {text},
  is_test boolean not null
)
distkey (tracking_id);
