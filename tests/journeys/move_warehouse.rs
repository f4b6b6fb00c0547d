//! A shop grows out of DuckDB: the warehouse moves to PostgreSQL while the old one serves, as the page says.

use std::path::Path;

use super::tutorial::{follow, page::Reader, page::free_address};
use crate::support::process::Postgres;
use crate::support::waybill::{SECRET, event, post};

fn read(page: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A small shop, with a line that is rejected and a customer who will be erased.
fn write_shop(dir: &Path) {
    for (key, text) in [
        ("departments/2026-07-01.csv", "1,Outdoors\n"),
        ("categories/2026-07-01.csv", "1,1,Boats\n"),
        ("products/2026-07-01.csv", "1,1,Kayak,,10.00,\n2,1,Paddle, red,,5.00,\n"),
        ("products/2026-07-03.csv", "1,1,Kayak,,12.00,\n"),
        (
            "customers/2026-07-01.csv",
            "1,Ada,L,x,x,1 Main St,Kiel,SH,01234\n2,Bo,M,x,x,2 Main St,Kiel,SH,01234\n",
        ),
        ("orders/2026-07-01.csv", "1,2026-07-01 10:00:00,1,COMPLETE\n"),
        ("order_items/2026-07-01.csv", "1,1,1,2,20.00,10.00\n2,1,2,1,5.00,5.00\n"),
        ("orders/2026-07-04.csv", "2,2026-07-04 10:00:00,2,COMPLETE\n"),
        ("order_items/2026-07-04.csv", "3,2,1,1,12.00,12.00\n"),
    ] {
        let path = dir.join("retail").join(key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_moves_from_duckdb_to_postgres_as_the_page_says() {
    let postgres = Postgres::start().await;
    let new = postgres.create_database("shop").await;
    let followed = tokio::task::spawn_blocking(move || {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_shop(dir.path());
        let below = |name: &str| dir.path().join(name).display().to_string();
        let (listen, ops) = (free_address(), free_address());
        let variables = [
            ("WAYBILL_WEBHOOK_SECRETS", SECRET.to_owned()),
            ("WAYBILL_LISTEN", listen.clone()),
            ("WAYBILL_OPS_LISTEN", ops.clone()),
            ("WAYBILL_QUEUE", format!("file:{}", below("queue"))),
            ("WAYBILL_LAKE", format!("file:{}", below("lake"))),
            ("WAYBILL_RETAIL", format!("file:{}", below("retail"))),
            ("WAYBILL_BATCH_AGE", "200ms".to_owned()),
            ("WAYBILL_LOAD_INTERVAL", "200ms".to_owned()),
            ("WAYBILL_DRAIN_DELAY", "0s".to_owned()),
            ("OLD", format!("duckdb:{}", below("warehouse.duckdb"))),
            ("NEW", new),
        ];
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut reader = Reader::new(dir.path(), &variables);
        reader.call("127.0.0.1:8081", &ops);

        // What has been running for a while, and what was done by hand in that time.
        follow(&mut reader, "the old warehouse", BEFORE);
        let address = listen.parse().expect("an address");
        for number in 0..20 {
            let body = event(
                &format!("0f0f0f0f-0000-4000-8000-{number:012}"),
                &format!("parcel-{}", number % 7),
                if number < 10 { "InTransit" } else { "Delivered" },
                &format!("2026-07-09T11:{number:02}:00+00:00"),
            );
            assert_eq!(post(address, body.as_bytes()).expect("an answer").status, 200);
        }
        follow(&mut reader, "the old warehouse", BY_HAND);

        follow(&mut reader, "docs/how-to/move-the-warehouse.md", &read("docs/how-to/move-the-warehouse.md"));

        // The new one goes on where the old one stopped.
        let body = event(
            "0f0f0f0f-0000-4000-8000-000000000999",
            "parcel-new",
            "InTransit",
            "2026-07-10T11:00:00+00:00",
        );
        assert_eq!(post(address, body.as_bytes()).expect("an answer").status, 200);
        follow(&mut reader, "the new warehouse", AFTER);
    });
    followed.await.expect("the page is followed");
    drop(postgres);
}

const BEFORE: &str = r#"
```sh
WAYBILL_WAREHOUSE=$OLD waybill up 2> old.log &
up=$!
```
```sh eventually
curl -sf -o /dev/null http://127.0.0.1:8081/readyz
```
"#;

const BY_HAND: &str = r#"
```sh eventually
export WAYBILL_WAREHOUSE=$OLD
waybill query --format csv "select (select count(*) from raw.tracking_event) as events, (select count(*) from raw.rejected_row) as rejected, (select count(*) from base.fct_order_line) as lines"
```
```text
events,rejected,lines
20,1,3
```
```sh
waybill rejects list --format json | sed 's/"2,1,Paddle, red,,5.00,"/"2,1,\\"Paddle, red\\",,5.00,"/' > repaired.json
waybill rejects replay --from repaired.json --yes > /dev/null
waybill forget --shop-customer 2 --reason "ticket 4711" --yes > /dev/null
unset WAYBILL_WAREHOUSE
```
"#;

const AFTER: &str = r#"
```sh eventually
WAYBILL_WAREHOUSE=$NEW waybill query --format csv "select (select count(*) from base.fct_shipment_tracking) as trackings, (select count(*) from raw.tracking_event) as events, (select product_name from base.dim_product where product_id = 2 and is_current) as name, (select count(*) from base.customer_pii) as customers"
```
```text
trackings,events,name,customers
8,21,"Paddle, red",1
```
```sh
kill $up
wait $up
```
"#;
