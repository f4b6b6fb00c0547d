//! An order line that waits for its order is known by since when: the first time counts, on every engine.

use waybill::warehouse::{WaitingLines, Warehouse};

use super::shop::{Engines, duckdb, load, no_orphans, rows};
use crate::support::process::Postgres;

async fn waiting(warehouse: &dyn Warehouse) -> WaitingLines {
    warehouse.waiting_lines().await.expect("an answer")
}

async fn the_first_time_counts(warehouse: &dyn Warehouse) {
    assert_eq!(waiting(warehouse).await, WaitingLines { count: 0, since: None });

    load(warehouse, "order_items/2026-07-01.csv", "1,10,100,2,20.00,10.00\n2,12,100,1,10.00,10.00\n").await;
    let first = waiting(warehouse).await;
    assert_eq!(first.count, 2);
    let since = first.since.expect("an instant");

    // Both come again, in a newer version; one of them is of another order now. They have waited no less for that.
    load(warehouse, "order_items/2026-07-02.csv", "1,11,100,3,30.00,10.00\n2,12,100,4,40.00,10.00\n").await;
    assert_eq!(waiting(warehouse).await, WaitingLines { count: 2, since: Some(since) });
    let kept = "select order_item_id, order_id, quantity from raw.waiting_order_line order by 1";
    assert_eq!(rows(warehouse, kept).await, ["1|11|3", "2|12|4"]);
    let instants = "select count(distinct waiting_since) from raw.waiting_order_line";
    assert_eq!(rows(warehouse, instants).await, ["1"]);

    load(warehouse, "orders/2026-07-03.csv", "11,2026-07-03 09:00:00,7,CLOSED\n").await;
    assert_eq!(waiting(warehouse).await, WaitingLines { count: 1, since: Some(since) });
    load(warehouse, "orders/2026-07-04.csv", "12,2026-07-04 09:00:00,7,CLOSED\n").await;
    assert_eq!(waiting(warehouse).await, WaitingLines { count: 0, since: None });

    // A fact whose newer version names an order that is not there waits from now on.
    load(warehouse, "order_items/2026-07-05.csv", "1,99,100,3,30.00,10.00\n").await;
    let again = waiting(warehouse).await;
    assert_eq!(again.count, 1);
    assert!(again.since.is_some_and(|again| again > since), "{again:?} after {since}");
    no_orphans(warehouse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_waits_since_it_first_came_on_duckdb() {
    the_first_time_counts(duckdb().fresh("waiting").await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_waits_since_it_first_came_on_postgres() {
    let engines = Engines::Postgres(Postgres::start().await);
    the_first_time_counts(engines.fresh("waiting").await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_waits_since_it_first_came_by_what_redshift_is_sent() {
    let engines = Engines::RedshiftLab(Postgres::start().await);
    the_first_time_counts(engines.fresh("waiting").await.as_ref()).await;
}
