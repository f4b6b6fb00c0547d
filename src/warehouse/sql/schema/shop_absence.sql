-- Version 4 of the schema, on all engines: full snapshots of the shop's files.

-- Whether the file declares to hold every row there is. What landed before declared nothing, whatever it is called.
alter table raw.loaded_file add column is_full boolean default false;
--pg create index on raw.loaded_file (dataset) where is_full;

-- Decided by older rules, which took some for duplicates that are none: the next look at the files finds them again, and
-- decides anew. Behind the column: DuckDB does not change a table's rows and then its form in one transaction.
delete from raw.loaded_file where status = 'duplicate' and sha256 is not null;

-- One row per row of a dataset and span in which full snapshots did not have it: from the version of the first one
-- without it to that of the next file that has it. `file` and `generation` name that first one. Nothing is deleted for it.
-- Redshift: evenly, since most of it may be of one dataset, and nothing large is joined to it.
create table base.absence (
  dataset {text} not null,
  id integer not null,
  absent_from timestamptz not null,
  absent_until timestamptz not null,
  file {text} not null,
  --pg primary key (dataset, id, absent_from),
  generation integer not null
)
--rs diststyle even sortkey (dataset, id)
;
