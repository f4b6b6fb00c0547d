//! The zone of the shop's clock: what day it was when a parcel came, and which days are not 24 hours long.

use jiff::tz::TimeZone;
use waybill::warehouse::Warehouse;

use super::shop::{Engines, duckdb, load, rows};
use super::warehouse::{line_of, set};
use crate::support::process::Postgres;

/// Half past midnight in Berlin, half past ten in the evening in UTC.
const DELIVERED: &str = "2026-07-03T22:30:00+00:00";

fn parcel(number: u32, order: u32, more: &str) -> String {
    format!(
        r#"{{"event":"tracking_update","event_id":"0e0e0e0e-0000-4000-8000-{number:012}","ts":1783000000,"msg":{{
        "id":"p{number}","tracking_number":"N{number}","slug":"dhl","tag":"Delivered","order_id":"{order}",
        "updated_at":"2026-07-04T10:00:00+00:00",{more}}}}}"#
    )
}

async fn a_parcel_comes_on_the_day_of_the_shop(warehouse: &dyn Warehouse) {
    load(
        warehouse,
        "orders/2026-07-01.csv",
        "1,2026-07-01 10:00:00,7,COMPLETE\n2,2026-07-01 10:00:00,7,COMPLETE\n",
    )
    .await;
    load(warehouse, "order_items/2026-07-01.csv", "1,1,100,1,5.00,5.00\n2,2,100,1,5.00,5.00\n").await;
    let known = format!(
        r#""order_promised_delivery_date":"2026-07-03","checkpoints":[{{"slug":"dhl","tag":"Delivered",
        "checkpoint_time":"{DELIVERED}","message":"there"}}]"#
    );
    // Delivered, and nobody knows when: a time without an offset is no instant.
    let unknown = r#""order_promised_delivery_date":"2026-07-03","on_time_status":"on-time","checkpoints":[{
        "slug":"dhl","tag":"Delivered","checkpoint_time":"2026-07-03T10:00:00","message":"there"}]"#;
    let lines =
        [parcel(1, 1, &known), parcel(2, 2, unknown)].map(|body| line_of(&body, "2026-07-04T10:00:01Z"));
    warehouse.load(set("events/zone.jsonl", &lines)).await.expect("loaded");
    let asked = "select order_item_id, due_on, delivered_on, days_to_deliver, is_late
        from mart.delivery_performance order by 1";

    assert_eq!(rows(warehouse, "select time_zone from base.business").await, ["UTC"]);
    assert_eq!(rows(warehouse, asked).await, ["1|2026-07-03|2026-07-03|2|false", "2|2026-07-03|-|-|false"]);
    assert_eq!(rows(warehouse, "select count(*) from base.dim_date where is_clock_change").await, ["0"]);

    let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
    assert!(warehouse.use_time_zone(&berlin).await.expect("changed"));
    assert!(!warehouse.use_time_zone(&berlin).await.expect("the same"));
    assert_eq!(rows(warehouse, asked).await, ["1|2026-07-03|2026-07-04|3|true", "2|2026-07-03|-|-|false"]);
    assert_eq!(
        rows(
            warehouse,
            "select date, hours from base.dim_date where is_clock_change and year = 2026 order by 1"
        )
        .await,
        ["2026-03-29|23.00", "2026-10-25|25.00"]
    );
    assert_eq!(
        rows(
            warehouse,
            "select courier, parcels, delivered, late, days_to_deliver from mart.courier_performance"
        )
        .await,
        ["dhl|2|2|1|3.00"]
    );
    assert_eq!(
        rows(warehouse, "select count(*), min(hours) from base.dim_date where not is_clock_change")
            .await
            .len(),
        1
    );

    assert!(warehouse.use_time_zone(&TimeZone::UTC).await.expect("changed back"));
    assert_eq!(rows(warehouse, "select count(*) from base.dim_date where hours <> 24").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_comes_on_the_day_of_the_shop_on_duckdb() {
    let engines = duckdb();
    a_parcel_comes_on_the_day_of_the_shop(engines.fresh("zone").await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_comes_on_the_day_of_the_shop_on_postgres() {
    let engines = Engines::Postgres(Postgres::start().await);
    a_parcel_comes_on_the_day_of_the_shop(engines.fresh("zone").await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_comes_on_the_day_of_the_shop_in_what_redshift_is_sent() {
    let engines = Engines::RedshiftLab(Postgres::start().await);
    a_parcel_comes_on_the_day_of_the_shop(engines.fresh("zone").await.as_ref()).await;
}
