//! The files that hold every statement which Redshift is sent: what changes in them is seen in review, and
//! `scripts/redshift_sql.py` reads them with a parser of Redshift's language.

use std::fmt::Write;
use std::path::PathBuf;

use bytes::Bytes;

use crate::retail::Dataset;
use crate::retail::read::{ShopFile, Source};
use crate::warehouse::dialect::REDSHIFT;
use crate::warehouse::erase::{ERASED, TOUCHED, TOUCHED_OF_CUSTOMER, WORD, customer_statements};
use crate::warehouse::plan::{STAGES, Stage};
use crate::warehouse::question_parts;
use crate::warehouse::shop::{self, FILE, FINDING, REJECT, Status};
use crate::warehouse::waiting::WAITING_LINES;

use super::sql::{self, Access, Filled, Step};

const HEAD: &str = "-- Written by `UPDATE_GOLDEN=1 cargo test golden`: every statement that Redshift is sent for this, in order.\n";

fn access() -> Access {
    Access { role: "arn:aws:iam::123456789012:role/waybill-copy".to_owned(), region: None }
}

fn filled(stage: &'static Stage) -> Filled {
    Filled { stage, manifest: Some(format!("s3://bucket/staging/load-1/{}.manifest", stage.table)) }
}

fn empty(stage: &'static Stage) -> Filled {
    Filled { stage, manifest: None }
}

/// A file of this day with this text.
fn file(dataset: Dataset, text: &str) -> ShopFile {
    let source = Source {
        key: format!("{}/2026-07-09.csv", dataset.as_str()),
        bytes: text.len() as u64,
        modified_at: "2026-07-10T03:00:00Z".parse().expect("instant"),
    };
    ShopFile::read(dataset, source, Bytes::copy_from_slice(text.as_bytes()))
}

fn sample(dataset: Dataset) -> ShopFile {
    file(
        dataset,
        match dataset {
            Dataset::Departments => "2,Fitness\n",
            Dataset::Categories => "1,2,Football\n",
            Dataset::Products => "1,1,Ball,,9.99,http://x/1.jpg\n",
            Dataset::Customers => "1,A,B,XXXXXXXXX,XXXXXXXXX,1 Street,Town,TX,00725\n",
            Dataset::Orders => "1,2026-07-08 00:00:00.0,1,CLOSED\n",
            Dataset::OrderItems => "1,1,1,2,19.98,9.99\n",
        },
    )
}

/// A transaction that writes these.
fn locked(parts: impl IntoIterator<Item = String>) -> Vec<String> {
    transaction([sql::LOCK.to_owned(), sql::VERSION.to_owned()].into_iter().chain(parts))
}

/// A transaction of these.
fn transaction(parts: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once("begin".to_owned()).chain(parts).chain(std::iter::once("commit".to_owned())).collect()
}

fn texts(steps: Vec<Step>) -> impl Iterator<Item = String> {
    steps.into_iter().map(|step| step.sql().to_owned())
}

fn shop_transaction(file: &ShopFile, steps: Vec<Step>) -> Vec<String> {
    let asked = [shop::known(file, &REDSHIFT)].into_iter().chain(shop::snapshots(file.dataset, &REDSHIFT));
    locked(asked.chain(texts(steps)))
}

fn schema() -> Vec<String> {
    let inside = [sql::LOCK.to_owned(), sql::HAS_SCHEMA.to_owned()]
        .into_iter()
        .chain(sql::migration(0))
        .chain([sql::note_version(crate::warehouse::SCHEMA_VERSION)]);
    sql::before_migration().into_iter().chain(transaction(inside)).collect()
}

fn load_shop(dataset: Dataset) -> Vec<String> {
    let file = sample(dataset);
    let stages = [filled(&FILE), filled(&REJECT), filled(&FINDING), filled(shop::rows_stage(dataset))];
    shop_transaction(
        &file,
        sql::shop_load(Some(dataset), &stages, shop::merge(dataset, &REDSHIFT), vec![], &access()),
    )
}

/// A file of a dataset of which there are full snapshots, whether it is one or not.
fn load_with_snapshots() -> Vec<String> {
    let dataset = Dataset::Customers;
    let stages = [filled(&FILE), filled(&REJECT), filled(&FINDING), filled(shop::rows_stage(dataset))];
    let (merge, absences) = (shop::merge(dataset, &REDSHIFT), shop::absences(dataset, &REDSHIFT));
    shop_transaction(&sample(dataset), sql::shop_load(Some(dataset), &stages, merge, absences, &access()))
}

fn load_repaired() -> Vec<String> {
    let dataset = Dataset::Products;
    let stages = [filled(&FILE), empty(&REJECT), empty(&FINDING), filled(shop::rows_stage(dataset))];
    let mut merge = shop::merge(dataset, &REDSHIFT);
    merge.push(shop::resolve(dataset, &REDSHIFT));
    shop_transaction(&sample(dataset), sql::shop_load(Some(dataset), &stages, merge, vec![], &access()))
}

fn load_nothing(file: &ShopFile, status: Status, reject: Filled) -> Vec<String> {
    let stages = [filled(&FILE), reject, empty(&FINDING)];
    let merge = vec![shop::no_merge(file, status, &REDSHIFT)];
    shop_transaction(file, sql::shop_load(None, &stages, merge, vec![], &access()))
}

fn marts(is_rebuild: bool) -> Vec<String> {
    let refresh = sql::mart_refresh(is_rebuild, jiff::civil::date(2026, 7, 9));
    locked(sql::mart_state().into_iter().chain(texts(refresh)))
}

fn erase() -> Vec<String> {
    let before = sql::erasure_stage(&[filled(&ERASED), filled(&WORD)], &access());
    let erasing = sql::erasure(&filled(&sql::ERASED_KEY), &before, &access());
    locked(texts(before).chain([sql::ERASED_CHECKPOINTS.to_owned()]).chain(texts(erasing)))
        .into_iter()
        .chain(sql::vacuum(&TOUCHED))
        .chain(locked(customer_statements(7, "ticket 4711", &REDSHIFT)))
        .chain(sql::vacuum(&TOUCHED_OF_CUSTOMER))
        .collect()
}

fn questions() -> Vec<String> {
    let named = [
        include_str!("../sql/named/status.sql"),
        include_str!("../sql/named/stuck.sql"),
        include_str!("../sql/named/couriers.sql"),
        include_str!("../sql/named/loads.sql"),
        include_str!("../sql/named/ceased-selling.sql"),
        include_str!("../sql/named/delisted.sql"),
        include_str!("../sql/named/rejects.sql"),
        include_str!("../sql/named/waiting-lines.sql"),
    ];
    let named = named.iter().map(|script| {
        REDSHIFT.statements(script).concat().replace("{as_of}", "(select max(as_of) from mart.published)")
    });
    let odd = ["events/a.jsonl.zst".to_owned(), r"it's \ odd".to_owned()];
    let ids = ["t1".to_owned(), "it's".to_owned()];
    sql::SESSION
        .map(str::to_owned)
        .into_iter()
        .chain([sql::VERSION.to_owned()])
        .chain(sql::loaded(&odd))
        .chain([sql::landed_until(), sql::shop_ledger(), sql::known_as(&ids, Some("1Z999"))])
        .chain([REDSHIFT.quoted(WAITING_LINES)])
        .chain(named)
        .chain(question_parts(include_str!("../sql/audit/checks.sql"), "redshift"))
        .collect()
}

fn all() -> Vec<(String, Vec<String>)> {
    let trackings: Vec<Filled> = STAGES.into_iter().map(filled).collect();
    let twelve = "1,2026-07-08 00:00:00.0,1,CLOSED\n".repeat(12);
    let mut all = vec![
        ("schema".to_owned(), schema()),
        ("load_trackings".to_owned(), locked(texts(sql::tracking_load(&trackings, &access())))),
        ("load_repaired".to_owned(), load_repaired()),
        ("load_with_snapshots".to_owned(), load_with_snapshots()),
        (
            "load_rejected".to_owned(),
            load_nothing(&sample(Dataset::Orders), Status::Rejected, filled(&REJECT)),
        ),
        (
            "load_duplicate".to_owned(),
            load_nothing(&file(Dataset::Orders, &twelve), Status::Duplicate, empty(&REJECT)),
        ),
        ("marts_refresh".to_owned(), marts(false)),
        ("marts_rebuild".to_owned(), marts(true)),
        ("erase".to_owned(), erase()),
        ("questions".to_owned(), questions()),
    ];
    all.extend(
        Dataset::ALL.into_iter().map(|dataset| (format!("load_{}", dataset.as_str()), load_shop(dataset))),
    );
    all
}

#[test]
fn redshift_is_sent_what_the_golden_files_say() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/redshift");
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut expected_files = Vec::new();
    for (name, statements) in all() {
        let mut text = HEAD.to_owned();
        for statement in statements {
            let _ = write!(text, "\n{statement};\n");
        }
        let path = folder.join(format!("{name}.sql"));
        if is_update {
            std::fs::create_dir_all(&folder).expect("a folder for the golden files");
            std::fs::write(&path, &text).expect("a golden file");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == text,
            "{name}.sql is not what is sent now: look at it with UPDATE_GOLDEN=1 and git diff"
        );
        expected_files.push(format!("{name}.sql"));
    }
    let mut found: Vec<String> = std::fs::read_dir(&folder)
        .expect("the golden files")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    expected_files.sort();
    found.sort();
    assert_eq!(found, expected_files, "a file that nothing writes any more");
}
