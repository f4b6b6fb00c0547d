//! Every statement that Redshift is sent, and their order. Pure.
//!
//! The files in `tests/golden/redshift` hold them all: what is not in one of them is never sent, except what people ask
//! by `waybill query`.

use serde_json::json;

use crate::retail::Dataset;
use crate::warehouse::dialect::REDSHIFT;
use crate::warehouse::erase::{self, ERASED, WORD};
use crate::warehouse::plan::{self, Kind, Stage};
use crate::warehouse::shop;

use super::copy::NULL;

/// Said on each connection.
pub(super) const SESSION: [&str; 3] =
    ["set timezone to 'UTC'", "set query_group to 'waybill'", "set statement_timeout to 0"];

/// Said on connections for questions, too, in milliseconds. A load takes the time that it takes, and waits for its turn.
pub(super) const QUESTION_TIMEOUT: &str = "set statement_timeout to 600000";

/// First in each transaction that writes, with [`VERSION`] behind it: one writes at a time. It is no query, so what the transaction sees begins
/// behind it ("Serializable isolation": a snapshot is taken by the first SELECT or DML), and nobody reads this table.
pub(super) const LOCK: &str = "lock \"raw\".load_lock";

/// Whether there is a schema of ours.
pub(super) const HAS_SCHEMA: &str = "select count(*) from information_schema.tables \
     where table_schema = 'raw' and table_name = 'schema_version'";

/// Its version.
pub(super) const VERSION: &str = "select coalesce(max(version), 0) from \"raw\".schema_version";

/// Version 1, on an empty database. The first three make what [`LOCK`] needs, and change nothing when it is there.
const SCHEMA: &str = include_str!("../sql/schema/redshift.sql");

/// Instead of `plan::TRACKING_WRITE`.
const TRACKING_WRITE: &str = include_str!("../sql/redshift/tracking_write.sql");

/// From a checkpoint's key to the one without its words: hashed by us, since Redshift hashes texts, not bytes.
pub(super) const ERASED_KEY: Stage =
    Stage { table: "stage_erased_key", columns: &[("known_key", Kind::Text), ("erased_key", Kind::Text)] };

/// Where rows wait, and who reads them.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// Role that the cluster takes on to read the staging bucket: its ARN, or `default`.
    pub(super) role: String,
    /// Of the bucket, when the cluster is in another.
    pub(super) region: Option<String>,
}

/// A stage table, and the manifest that names the objects with its rows; `None`: it has none.
pub(super) struct Filled {
    pub(super) stage: &'static Stage,
    pub(super) manifest: Option<String>,
}

/// A statement of a load, and what is done with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Run(String),
    /// The number of staged rows, which must be that of the rows handed over.
    Staged(&'static str, String),
    /// Rows (rule, found), in which nothing may have been found.
    Audit(String),
    /// The outcomes.
    Outcomes(String),
}

impl Step {
    pub(super) fn sql(&self) -> &str {
        match self {
            Step::Run(sql) | Step::Staged(_, sql) | Step::Audit(sql) | Step::Outcomes(sql) => sql,
        }
    }
}

/// The manifest of these objects: COPY fails when one of them is not there.
pub(super) fn manifest(urls: &[String]) -> String {
    let entries: Vec<_> = urls.iter().map(|url| json!({ "url": url, "mandatory": true })).collect();
    json!({ "entries": entries }).to_string()
}

/// Fills a stage table with what a manifest names: gzipped text as [`super::copy`] writes it. One bad row fails all.
fn copy(stage: &Stage, manifest: &str, access: &Access) -> String {
    let role = match access.role.as_str() {
        "default" => "default".to_owned(),
        arn => REDSHIFT.literal(arn),
    };
    let region = match &access.region {
        Some(region) => format!(" region {}", REDSHIFT.literal(region)),
        None => String::new(),
    };
    // Without STATUPDATE an empty table is analyzed, which is worth it for rows by the ten thousand only.
    format!(
        "copy {}\nfrom {}\niam_role {role}{region}\nmanifest gzip delimiter '\\t' escape null as '{NULL}' dateformat \
         'YYYY-MM-DD' timeformat 'auto'\nmaxerror 0 compupdate off statupdate {}",
        stage.table,
        REDSHIFT.literal(manifest),
        if stage.table.starts_with("stage_order") { "on" } else { "off" },
    )
}

/// Makes and fills the stage tables.
fn stage(filled: &[Filled], access: &Access) -> Vec<Step> {
    let mut steps = Vec::new();
    for Filled { stage, manifest } in filled {
        steps.push(Step::Run(REDSHIFT.quoted(&stage.ddl(REDSHIFT.text))));
        if let Some(manifest) = manifest {
            steps.push(Step::Run(copy(stage, manifest, access)));
            steps.push(Step::Staged(stage.table, format!("select count(*) from {}", stage.table)));
        }
    }
    steps
}

fn runs(statements: Vec<String>) -> impl Iterator<Item = Step> {
    statements.into_iter().map(Step::Run)
}

/// The rules of these scripts, in one statement.
fn audit(scripts: &[&str]) -> Step {
    let rules: Vec<String> = scripts.iter().map(|script| REDSHIFT.statements(script).concat()).collect();
    Step::Audit(rules.join("\nunion all\n"))
}

/// What must hold after a file of the shop, `None`: one of which nothing was merged.
fn shop_audit(dataset: Option<Dataset>) -> &'static [&'static str] {
    const FILE: &str = include_str!("../sql/redshift/audit/file.sql");
    const LINES: &str = include_str!("../sql/redshift/audit/lines.sql");
    match dataset {
        None => &[FILE],
        Some(Dataset::Departments) => &[FILE, include_str!("../sql/redshift/audit/departments.sql")],
        Some(Dataset::Categories) => &[FILE, include_str!("../sql/redshift/audit/categories.sql")],
        Some(Dataset::Products) => &[FILE, include_str!("../sql/redshift/audit/products.sql")],
        Some(Dataset::Customers) => &[FILE, include_str!("../sql/redshift/audit/customers.sql")],
        Some(Dataset::Orders) => &[FILE, include_str!("../sql/redshift/audit/orders.sql"), LINES],
        Some(Dataset::OrderItems) => &[FILE, include_str!("../sql/redshift/audit/order_items.sql"), LINES],
    }
}

/// Lets go of the temporary tables that these steps have made: they would outlive the transaction.
fn let_go(steps: &[Step]) -> Option<Step> {
    let names: Vec<&str> = steps
        .iter()
        .filter_map(|step| step.sql().strip_prefix("create temp table "))
        .filter_map(|rest| rest.split_whitespace().next())
        .collect();
    (!names.is_empty()).then(|| Step::Run(format!("drop table {}", names.join(", "))))
}

/// Makes the lock's table on an empty database.
pub(super) fn before_migration() -> Vec<String> {
    REDSHIFT.statements(SCHEMA).into_iter().filter(|sql| is_repeatable(sql)).collect()
}

/// Brings an empty database (0) or version 1 to the newest schema.
pub(super) fn migration(found: i32) -> Vec<String> {
    let first = REDSHIFT.statements(SCHEMA).into_iter().filter(|sql| found < 1 && !is_repeatable(sql));
    first.chain(shop::upgrade(found.max(1), &REDSHIFT)).collect()
}

fn is_repeatable(sql: &str) -> bool {
    sql.contains(" if not exists ")
}

/// Notes the version.
pub(super) fn note_version(version: i32) -> String {
    format!("insert into \"raw\".schema_version (version, applied_at) values ({version}, {})", REDSHIFT.now())
}

/// Those of `files` that the ledger has, a statement for each thousand.
pub(super) fn loaded(files: &[String]) -> Vec<String> {
    let list = |files: &[String]| -> String {
        files.iter().map(|file| REDSHIFT.literal(file)).collect::<Vec<_>>().join(", ")
    };
    files
        .chunks(1_000)
        .map(|files| format!("select file from \"raw\".loaded_file where file in ({})", list(files)))
        .collect()
}

/// The greatest `landed_at` of trackings, in microseconds since 1970.
pub(super) fn landed_until() -> String {
    format!(
        "select {} from \"raw\".loaded_file where dataset = 'tracking'",
        REDSHIFT.micros("max(landed_at)")
    )
}

/// A load of trackings, between [`LOCK`] and commit.
pub(super) fn tracking_load(filled: &[Filled], access: &Access) -> Vec<Step> {
    let mut steps = stage(filled, access);
    steps.extend(runs(plan::merge_statements(&REDSHIFT, TRACKING_WRITE)));
    steps.push(audit(&[include_str!("../sql/redshift/audit/tracking.sql")]));
    steps.push(Step::Outcomes(REDSHIFT.quoted(plan::OUTCOMES)));
    steps.extend(let_go(&steps));
    steps
}

/// A load of a file of the shop, between what is known of it and commit. `merge`: from [`shop::merge`], with
/// [`shop::resolve`], or [`shop::no_merge`]. `absences`: from [`shop::absences`], none where there is no full snapshot.
pub(super) fn shop_load(
    dataset: Option<Dataset>,
    filled: &[Filled],
    merge: Vec<String>,
    absences: Vec<String>,
    access: &Access,
) -> Vec<Step> {
    let mut audits = shop_audit(dataset).to_vec();
    if !absences.is_empty() {
        audits.push(include_str!("../sql/redshift/audit/absence.sql"));
    }
    let mut steps = stage(filled, access);
    steps.extend(runs(merge));
    steps.extend(runs(shop::closing_statements(&REDSHIFT)));
    steps.extend(runs(absences));
    steps.push(audit(&audits));
    steps.push(Step::Outcomes(REDSHIFT.quoted(shop::OUTCOME)));
    steps.extend(let_go(&steps));
    steps
}

/// What is known of all files of the shop, instants in microseconds since 1970.
pub(super) fn shop_ledger() -> String {
    let ledger = shop::LEDGER;
    REDSHIFT.quoted(&format!(
        "select file, dataset, sha256, bytes, {}, status from ({ledger}) as known",
        REDSHIFT.micros("modified_at")
    ))
}

/// The last complete day, and whether a refresh would change anything: (as_of), (waiting, published).
pub(super) fn mart_state() -> [String; 2] {
    [
        format!(
            "select to_char(as_of, 'YYYY-MM-DD') from ({}) as complete",
            REDSHIFT.statements(shop::AS_OF).concat()
        ),
        format!(
            "select waiting, to_char(published, 'YYYY-MM-DD') from ({}) as state (waiting, published)",
            shop::MART_STATE
        ),
    ]
}

/// A refresh, or rebuild, of the marts, behind [`LOCK`] and [`mart_state`], before commit.
pub(super) fn mart_refresh(is_rebuild: bool, as_of: jiff::civil::Date) -> Vec<Step> {
    let mut steps: Vec<Step> = runs(shop::mart_statements(is_rebuild, as_of, &REDSHIFT)).collect();
    steps.push(audit(&[include_str!("../sql/redshift/audit/marts.sql")]));
    steps.extend(let_go(&steps));
    steps
}

/// All ids under which trackings are known: see [`erase::known_as`].
pub(super) fn known_as(ids: &[String], number: Option<&str>) -> String {
    let id = |id: &String| {
        format!("select cast({} as varchar(65535)) as name, false as is_number", REDSHIFT.literal(id))
    };
    let number = number.map(|number| {
        format!("select cast({} as varchar(65535)) as name, true as is_number", REDSHIFT.literal(number))
    });
    let mut wanted: Vec<String> = ids.iter().map(id).chain(number).collect();
    if wanted.is_empty() {
        wanted.push("select cast(null as varchar(65535)) as name, false as is_number".to_owned());
    }
    REDSHIFT
        .statements(&erase::known_as("{wanted}"))
        .concat()
        .replace("{wanted}", &wanted.join("\n  union all "))
}

/// First of an erasure, behind [`LOCK`]: the stage tables of whom and what.
pub(super) fn erasure_stage(filled: &[Filled; 2], access: &Access) -> Vec<Step> {
    debug_assert!(filled[0].stage.table == ERASED.table && filled[1].stage.table == WORD.table);
    stage(filled, access)
}

/// Then the checkpoints whose keys are to be made anew: (checkpoint_key, source_tracking_id, courier,
/// checkpoint_time_text, raw_tag).
pub(super) const ERASED_CHECKPOINTS: &str = "select checkpoint_key, source_tracking_id, courier, \
     checkpoint_time_text, raw_tag from base.fct_tracking_checkpoint \
     where source_tracking_id in (select source_tracking_id from stage_erased)\n\
     union all\nselect checkpoint_key, source_tracking_id, courier, checkpoint_time_text, raw_tag \
     from \"raw\".superseded_checkpoint where source_tracking_id in (select source_tracking_id from stage_erased)";

/// Then, with those keys staged, the erasing, before commit. `before`: [`erasure_stage`].
pub(super) fn erasure(keys: &Filled, before: &[Step], access: &Access) -> Vec<Step> {
    let mut steps = stage(std::slice::from_ref(keys), access);
    steps.extend(runs(erase::statements_with(
        &REDSHIFT,
        "erased_key",
        "checkpoint_known join stage_erased_key on stage_erased_key.known_key = checkpoint_known.checkpoint_key",
    )));
    let made: Vec<Step> = before.iter().chain(&steps).cloned().collect();
    steps.extend(let_go(&made));
    steps
}

/// After an erasure, each by itself, since no transaction may hold it: the rows that were deleted leave the disk.
pub(super) fn vacuum(tables: &[&str]) -> Vec<String> {
    tables.iter().map(|table| REDSHIFT.quoted(&format!("vacuum delete only {table}"))).collect()
}
