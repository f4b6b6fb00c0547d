//! What all engines do with a file of the shop, said once: stage tables, statements, and how the dialects differ.
//! Pure.

mod stage;

use jiff::Span;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use super::WarehouseError;
use super::dialect::Dialect;
use super::rows::FileOutcome;
use crate::retail::Dataset;
use crate::retail::contract::Kind;
use crate::retail::read::ShopFile;

pub(super) use stage::{
    FILE, FINDING, FindingRow, REJECT, RejectRow, Status, file_row, finding_rows, order_days, reject_rows,
    row_cells, rows_stage,
};

/// What brings a schema to each version after the first, which each engine has a script of its own for.
const UPGRADES: [(i32, &str); 4] = [
    (2, include_str!("sql/schema/shop.sql")),
    (2, include_str!("sql/schema/shop_mart.sql")),
    (3, include_str!("sql/schema/shop_keys.sql")),
    (4, include_str!("sql/schema/shop_absence.sql")),
];

/// What brings a schema of version `found`, at least 1, up to date.
pub(super) fn upgrade(found: i32, dialect: &Dialect) -> Vec<String> {
    let scripts = UPGRADES.iter().filter(|(version, _)| *version > found);
    let mut statements: Vec<String> = scripts.flat_map(|(_, script)| dialect.statements(script)).collect();
    if found < ZONE_SINCE {
        statements.extend(zone_statements(&TimeZone::UTC, dialect));
    }
    statements
}

/// The version of the schema that has a zone.
const ZONE_SINCE: i32 = 3;

/// The zone that the schema is made for.
pub(super) const ZONE: &str = "select time_zone from base.business";

/// What depends on the zone of the shop's clock, made anew.
pub(super) fn zone_statements(zone: &TimeZone, dialect: &Dialect) -> Vec<String> {
    let name = zone_name(zone);
    let views = dialect.statements(include_str!("sql/schema/shop_zone.sql"));
    let mut statements: Vec<String> =
        views.into_iter().map(|statement| statement.replace("{zone}", name)).collect();
    statements.push(
        "update base.dim_date set hours = 24, is_clock_change = false where is_clock_change".to_owned(),
    );
    let changes = clock_changes(zone);
    if !changes.is_empty() {
        let cases: Vec<String> =
            changes.iter().map(|(day, hours)| format!("when date '{day}' then {hours}")).collect();
        let days: Vec<String> = changes.iter().map(|(day, _)| format!("date '{day}'")).collect();
        statements.push(format!(
            "update base.dim_date set is_clock_change = true, hours = case date {} else hours end where date in ({})",
            cases.join(" "),
            days.join(", ")
        ));
    }
    statements
}

/// As engines know it.
pub(super) fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// Days of the calendar that are not 24 hours long, and how long they are.
fn clock_changes(zone: &TimeZone) -> Vec<(Date, f64)> {
    // What a new warehouse has, and most tests.
    if *zone == TimeZone::UTC {
        return Vec::new();
    }
    let (first, end) = (date(2009, 1, 1), date(2041, 1, 1));
    let begin = |day: Date| zone.to_timestamp(day.at(0, 0, 0, 0)).ok();
    let length =
        |day: Date| Some(begin(day.tomorrow().ok()?)?.duration_since(begin(day)?).as_secs_f64() / 3_600.0);
    let days = first.series(Span::new().days(1)).take_while(|day| *day < end);
    days.filter_map(|day| Some((day, length(day)?))).filter(|(_, hours)| *hours != 24.0).collect()
}

/// What merges the staged rows; leaves one outcome a line in `shop_outcome`.
pub(super) fn merge(dataset: Dataset, dialect: &Dialect) -> Vec<String> {
    let scripts: &[&str] = match dataset {
        Dataset::Departments => &[include_str!("sql/shop/departments.sql")],
        Dataset::Categories => &[include_str!("sql/shop/categories.sql")],
        Dataset::Products => &[include_str!("sql/shop/products.sql")],
        Dataset::Customers => &[include_str!("sql/shop/customers.sql")],
        Dataset::Orders => &[include_str!("sql/shop/orders.sql"), include_str!("sql/shop/lines.sql")],
        Dataset::OrderItems => {
            &[include_str!("sql/shop/order_items.sql"), include_str!("sql/shop/lines.sql")]
        }
    };
    scripts.iter().flat_map(|script| dialect.statements(script)).collect()
}

/// How many orders and lines found no member of a dimension to stand beside, after [`merge`]: none, or a chain of versions
/// has a hole. It looks at what was staged, not at the tables, so it costs what the file holds.
pub(super) fn orphans(dataset: Dataset) -> Option<&'static str> {
    match dataset {
        Dataset::Orders => Some(
            "select abs((select count(*) from order_put) - (select count(*) from line_order)) \
             + abs((select count(*) from line_put as p join line_order as o on o.order_id = p.order_id) \
             - (select count(*) from line_fact))",
        ),
        Dataset::OrderItems => Some(
            "select abs((select count(*) from line_put as p join line_order as o on o.order_id = p.order_id) \
             - (select count(*) from line_fact))",
        ),
        _ => None,
    }
}

/// Nothing is committed with an orphan.
pub(super) fn check_orphans(file: &ShopFile, orphans: i64) -> Result<(), WarehouseError> {
    if orphans == 0 {
        return Ok(());
    }
    Err(WarehouseError::Refused(format!(
        "{} has {orphans} orders or lines that no version of their customer or product is valid for: nothing is loaded; \
         see `waybill audit`",
        file.ledger_name
    )))
}

/// In the place of [`merge`] when no line of the file is merged.
pub(super) fn no_merge(file: &ShopFile, status: Status, dialect: &Dialect) -> String {
    let lines = if status == Status::Duplicate { file.report.lines } else { 0 };
    let counted = dialect.counted(lines);
    dialect
        .statements(&format!(
            "create temp table shop_outcome as\nselect nth as line, cast('duplicate' as {{string}}) as outcome \
             from (\n{counted}\n) as counted"
        ))
        .concat()
}

/// What closes a load: rejects, findings and the ledger.
pub(super) fn closing_statements(dialect: &Dialect) -> Vec<String> {
    [include_str!("sql/shop/reject.sql"), include_str!("sql/shop/ledger.sql")]
        .iter()
        .flat_map(|script| dialect.statements(script))
        .collect()
}

/// The column that names a row of a dataset of which full snapshots may come.
fn id_column(dataset: Dataset) -> Option<&'static str> {
    let contract = dataset.contract();
    (contract.kind == Kind::Either).then_some(contract.key.as_str())
}

/// How many full snapshots of the file's dataset the ledger has; `None`: there are never any. Asked so that nobody pays
/// for [`absences`] who sends none.
pub(super) fn snapshots(dataset: Dataset, dialect: &Dialect) -> Option<String> {
    id_column(dataset)?;
    let name = dataset.as_str();
    Some(
        dialect.quoted(&format!("select count(*) from raw.loaded_file where dataset = '{name}' and is_full")),
    )
}

/// What full snapshots did not have, once there are any, behind [`closing_statements`]. The file was merged.
pub(super) fn absences(dataset: Dataset, dialect: &Dialect) -> Vec<String> {
    let Some(id) = id_column(dataset) else { return Vec::new() };
    let script =
        include_str!("sql/shop/absence.sql").replace("{dataset}", dataset.as_str()).replace("{id}", id);
    dialect.statements(&script)
}

/// Lines that were rejected and have now been loaded are open no longer.
pub(super) fn resolve(dataset: Dataset, dialect: &Dialect) -> String {
    let sql = format!(
        "update raw.rejected_row set status = 'replayed', resolved_at = {} \
         where status = 'open' and file in (select source_file from stage_shop_file) \
         and generation in (select source_generation from stage_shop_file) \
         and line in (select line from {})",
        dialect.now(),
        rows_stage(dataset).table
    );
    dialect.quoted(&sql)
}

/// What the ledger has under the file's name or of its bytes.
/// `is_same_version`: nothing was loaded whose version is between that of the row and that of the file, the row's is not
/// the newer one (what it says would begin too late), and both declare to hold every row there is, or neither does.
pub(super) fn known(file: &ShopFile, dialect: &Dialect) -> String {
    let (name, sha256) = (dialect.literal(&file.ledger_name), dialect.literal(&file.sha256));
    // As every engine reads it, whatever its settings.
    let version = crate::event::format_instant(file.version.at).replace('T', " ").replace('Z', "+00");
    let version = format!("cast('{version}' as timestamptz)");
    let dataset = file.dataset.as_str();
    // The same bytes once more say that things are again as they were, if something else came in between.
    let this: [&str; 2] = [&version, &name];
    let (other, between) = (["k.version_at", "k.file"], ["b.version_at", "b.file"]);
    let after = |first: &[&str], second: &[&str]| dialect.after(first, second);
    // Joined to those that are asked for, since not every engine takes a subquery here that compares by order.
    let sql = format!(
        "with known as (select * from raw.loaded_file where dataset = '{dataset}' \
         and (file = {name} or sha256 = {sha256})), \
         parted as (select distinct k.file, k.generation from known as k join raw.loaded_file as b \
         on b.dataset = k.dataset and b.status in ('loaded', 'superseded') \
         and (({} and {}) or ({} and {}))) \
         select k.generation, coalesce(k.sha256, ''), \
         p.file is null and k.version_at <= {version} and k.is_full = {}, k.file, k.status, k.lines, k.inserted, \
         k.updated, k.unchanged, k.duplicate, k.conflict, k.waiting, k.rejected from known as k \
         left join parted as p on p.file = k.file and p.generation = k.generation",
        after(&between, &other),
        after(&this, &between),
        after(&between, &this),
        after(&other, &between),
        file.is_snapshot(),
    );
    dialect.quoted(&sql)
}

/// The ledger's row of the file that is being loaded.
pub(super) const OUTCOME: &str = "select l.file, l.status, l.lines, l.inserted, l.updated, l.unchanged, l.duplicate, \
     l.conflict, l.waiting, l.rejected from raw.loaded_file l \
     join stage_shop_file s on s.file = l.file and s.generation = l.generation";

/// What is known of every shop file: its last generation.
pub(super) const LEDGER: &str = "select file, dataset, sha256, bytes, modified_at, status from (
  select *, row_number() over (partition by file order by generation desc) as nth
  from raw.loaded_file where sha256 is not null
) as numbered where nth = 1";

/// A row of the ledger that has to do with a file: its name, or its bytes.
pub(super) struct Known {
    pub(super) generation: i32,
    pub(super) sha256: String,
    pub(super) is_same_version: bool,
    pub(super) outcome: FileOutcome,
}

/// What is to be done with a file.
pub(super) enum Decision {
    /// Nothing: these bytes are known under this name.
    Nothing(FileOutcome),
    /// It gets a row in the ledger.
    Enter(Status, i32),
}

/// By what the ledger knows of its name and its bytes.
pub(super) fn decide(file: &ShopFile, known: Vec<Known>) -> Decision {
    // Under another name, and in effect.
    let is_twin = |known: &Known| {
        known.sha256 == file.sha256
            && known.is_same_version
            && known.outcome.status == "loaded"
            && known.outcome.file != file.ledger_name
    };
    let has_bytes = known.iter().any(is_twin);
    // What has landed under its name stays in effect until other bytes take its place, even such as are known elsewhere.
    let has_landed = known.iter().any(|known| {
        known.outcome.file == file.ledger_name
            && ["loaded", "superseded"].contains(&known.outcome.status.as_str())
    });
    let newest = known
        .into_iter()
        .filter(|known| known.outcome.file == file.ledger_name)
        .max_by_key(|known| known.generation);
    let generation = newest.as_ref().map_or(0, |known| known.generation + 1);
    match newest {
        Some(known) if known.sha256 == file.sha256 => Decision::Nothing(known.outcome),
        _ if has_bytes && !has_landed => Decision::Enter(Status::Duplicate, generation),
        _ if file.report.verdict.is_some() => Decision::Enter(Status::Rejected, generation),
        _ => Decision::Enter(Status::Loaded, generation),
    }
}

/// What was staged is what reading counted, or nothing is loaded.
pub(super) fn check_staged(file: &ShopFile, staged: u64) -> Result<(), WarehouseError> {
    let good = file.report.lines - file.report.rejects.len() as u64;
    if staged == good {
        return Ok(());
    }
    let name = &file.ledger_name;
    Err(WarehouseError::Refused(format!(
        "{name} has {good} good lines, and {staged} were staged: nothing is loaded"
    )))
}

/// The incremental refresh, or the rebuild, of the marts for a last complete day.
pub(super) fn mart_statements(is_rebuild: bool, as_of: jiff::civil::Date, dialect: &Dialect) -> Vec<String> {
    let script =
        if is_rebuild { include_str!("sql/mart/rebuild.sql") } else { include_str!("sql/mart/refresh.sql") };
    let literal = format!("date '{as_of}'");
    dialect.statements(script).into_iter().map(|statement| statement.replace("{as_of}", &literal)).collect()
}

/// The last day that orders and their lines are complete for.
pub(super) const AS_OF: &str = include_str!("sql/mart/as_of.sql");

/// Whether a refresh would change anything: changed days, and the day that is published.
pub(super) const MART_STATE: &str = "select (select count(*) from (select 1 from mart.changed_product_day limit 1) as few), \
     (select max(as_of) from mart.published)";

#[cfg(test)]
mod tests {
    use super::super::dialect::{DUCKDB, POSTGRES, REDSHIFT};
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in_any_script() {
        for dialect in [&DUCKDB, &POSTGRES, &REDSHIFT] {
            let merges = Dataset::ALL.into_iter().flat_map(|dataset| merge(dataset, dialect));
            let absences = Dataset::ALL.into_iter().flat_map(|dataset| absences(dataset, dialect));
            let merges = merges.chain(absences);
            let schema = upgrade(1, dialect);
            let day = jiff::civil::date(2026, 7, 9);
            let marts = [true, false].into_iter().flat_map(|all| mart_statements(all, day, dialect));
            for statement in merges.chain(schema).chain(closing_statements(dialect)).chain(marts) {
                assert!(!statement.contains('{') && !statement.contains('}'), "{statement}");
            }
        }
    }

    #[test]
    fn absences_are_of_datasets_that_may_be_sent_whole() {
        for dataset in Dataset::ALL {
            let is_small = !matches!(dataset, Dataset::Orders | Dataset::OrderItems);

            assert_eq!(absences(dataset, &DUCKDB).is_empty(), !is_small, "{dataset:?}");
            assert_eq!(snapshots(dataset, &DUCKDB).is_some(), is_small, "{dataset:?}");
        }
        let sql = snapshots(Dataset::Products, &REDSHIFT).expect("a question");
        assert_eq!(sql, "select count(*) from \"raw\".loaded_file where dataset = 'products' and is_full");
    }

    /// What a contract says of a parent is what the merge does about one that is not there.
    #[test]
    fn a_missing_parent_is_inferred_or_waited_for() {
        for dataset in Dataset::ALL {
            for column in &dataset.contract().columns {
                let place = match column.parent {
                    None => continue,
                    Some(Dataset::Departments) => "base.dim_department",
                    Some(Dataset::Categories) => "base.dim_category",
                    Some(Dataset::Products) => "base.dim_product",
                    Some(Dataset::Customers) => "base.dim_customer",
                    Some(Dataset::Orders) => "raw.waiting_order_line",
                    Some(Dataset::OrderItems) => panic!("nothing hangs on a line"),
                };
                let insert = format!("insert into {place}");
                let staged = format!("stage_{}", dataset.as_str());
                let script = merge(dataset, &POSTGRES);

                assert!(
                    script.iter().any(|statement| statement.contains(&insert)),
                    "{}: {place}",
                    column.name
                );
                assert!(
                    script
                        .iter()
                        .any(|statement| { statement.contains(&column.name) && statement.contains(&staged) })
                );
            }
        }
    }

    #[test]
    fn a_stage_holds_the_kept_columns_of_its_contract() {
        for dataset in Dataset::ALL {
            let kept = dataset.contract().columns.iter().filter(|column| column.is_kept).count();
            assert_eq!(rows_stage(dataset).columns.len(), kept + 1, "{dataset:?}");
        }
    }
}
