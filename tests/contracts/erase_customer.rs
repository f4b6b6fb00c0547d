//! A customer of the shop who is erased: no name is left, sums stay, and no file brings it back.

use waybill::warehouse::Warehouse;

use super::shop::{Engines, duckdb, load, no_orphans, rows};
use crate::support::process::Postgres;

const CUSTOMERS: &str =
    "7,Ada,Lovelace,x,x,1 Main St,Rome,NY,01234\n8,Bo,Meyer,x,x,2 Main St,Troy,NY,12180\n";
/// A line that is rejected, for its city, and kept with the same name in it.
const BAD: &str = "7,Ada,Lovelace,x,x,1 Main St,Romeromeromeromeromeromeromeromeromeromeromerome,NY,01234\n9,Cy,Young,x,x,3 Main St,Troy,NY,12180\n10,Di,Ng,x,x,4 Main St,Troy,NY,12180\n";

/// Everywhere a name may stand, as one text.
async fn everywhere(warehouse: &dyn Warehouse) -> String {
    let mut all = Vec::new();
    for table in ["base.customer_pii", "raw.retail_customers", "base.dim_customer", "raw.finding"] {
        all.extend(rows(warehouse, &format!("select * from {table}")).await);
    }
    all.extend(rows(warehouse, "select text, detail, raw_base64 from raw.rejected_row").await);
    all.join("\n")
}

async fn an_erased_customer_is_gone_for_good(warehouse: &dyn Warehouse) {
    load(warehouse, "customers/2026-07-01.csv", CUSTOMERS).await;
    load(warehouse, "customers/2026-07-02.csv", BAD).await;
    load(warehouse, "orders/2026-07-01.csv", "1,2026-07-01 10:00:00,7,COMPLETE\n").await;
    load(warehouse, "order_items/2026-07-01.csv", "1,1,100,1,5.00,5.00\n").await;
    warehouse.refresh_marts(false).await.expect("marts");
    let asked = "select customer_id, units, revenue_amount from mart.customer_month";
    let sums = rows(warehouse, asked).await;
    let places =
        rows(warehouse, "select customer_key, city, zipcode from base.dim_customer order by customer_id")
            .await;
    let before = everywhere(warehouse).await;
    assert!(
        before.contains("Lovelace") && before.contains("7,Ada,Lovelace") && before.contains("NyxBZGEs"),
        "{before}"
    );

    for _ in 0..2 {
        warehouse.erase_customer(7, "ticket 4711, it's \\ odd").await.expect("erased");
    }

    // The raw bytes are kept as base64: of none of its lines anything is left.
    let left = everywhere(warehouse).await;
    assert!(
        !left.contains("Lovelace") && !left.contains("1 Main St") && !left.contains("NyxBZGEs"),
        "{left}"
    );
    assert!(left.contains("Meyer") && left.contains("Young"), "nobody else is");
    assert_eq!(rows(warehouse, asked).await, sums);
    assert_eq!(
        rows(warehouse, "select count(*), max(reason) from raw.erased_customer").await,
        ["1|ticket 4711, it's \\ odd"]
    );

    // The shop's next exports still have it: as it was, changed, and with a line that is wrong.
    load(warehouse, "customers/2026-07-03.csv", &CUSTOMERS.replace("Main", "High")).await;
    load(warehouse, "customers/2026-07-04.csv", &BAD.replace("Main", "High")).await;
    let left = everywhere(warehouse).await;
    assert!(
        !left.contains("Lovelace") && !left.contains("1 High St") && !left.contains("NyxBZGEs"),
        "{left}"
    );
    assert!(left.contains("2 High St"));
    assert_eq!(rows(warehouse, asked).await, sums);
    assert_eq!(
        rows(warehouse, "select customer_key, city, zipcode from base.dim_customer order by customer_id")
            .await,
        places
    );
    no_orphans(warehouse).await;
}

/// When the shop no longer listed a customer is told of nobody who is erased, whatever snapshot comes again.
async fn an_erased_customer_is_not_absent_either(warehouse: &dyn Warehouse) {
    let absent = "select id from base.absence where dataset = 'customers' order by id";
    let only = |ids: &[&str]| -> String {
        let is_wanted = |line: &&str| ids.iter().any(|id| line.starts_with(id));
        let lines =
            "7,Ada,L,x,x,1 St,Rome,NY,01234\n8,Bo,M,x,x,2 St,Troy,NY,12180\n9,Cy,Y,x,x,3 St,Troy,NY,12180\n";
        lines.lines().filter(is_wanted).map(|line| format!("{line}\n")).collect()
    };
    load(warehouse, "customers/2026-07-01.csv", &only(&["7", "8", "9"])).await;
    load(warehouse, "customers/2026-07-02.full.csv", &only(&["9"])).await;
    assert_eq!(rows(warehouse, absent).await, ["7", "8"]);

    warehouse.erase_customer(7, "ticket 4711").await.expect("erased");

    assert_eq!(rows(warehouse, absent).await, ["8"]);
    no_orphans(warehouse).await;
    load(warehouse, "customers/2026-07-03.full.csv", &only(&["8"])).await;
    assert_eq!(rows(warehouse, absent).await, ["8", "9"]);
    load(warehouse, "customers/2026-06-30.csv", &only(&["7"])).await;
    assert_eq!(rows(warehouse, absent).await, ["8", "9"]);
    no_orphans(warehouse).await;
}

async fn erased_for_good(engines: &Engines) {
    an_erased_customer_is_gone_for_good(engines.fresh("gone").await.as_ref()).await;
    an_erased_customer_is_not_absent_either(engines.fresh("not_absent").await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_customer_is_gone_for_good_on_duckdb() {
    erased_for_good(&duckdb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_customer_is_gone_for_good_on_postgres() {
    erased_for_good(&Engines::Postgres(Postgres::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_customer_is_gone_for_good_in_what_redshift_is_sent() {
    erased_for_good(&Engines::RedshiftLab(Postgres::start().await)).await;
}
