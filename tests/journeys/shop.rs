//! The shop's files from a folder to the star and the marts, by the commands that people use.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use serde_json::Value;
use waybill::failpoint::POINTS;

use crate::support::process::Postgres;
use crate::support::waybill::{Deployment, fresh_id, post};

fn write(dir: &Path, key: &str, text: &str) {
    let path = dir.join("retail").join(key);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

fn shop(dir: &Path) -> Deployment {
    write(dir, "departments/2026-07-01.csv", "1,Outdoors\n");
    write(dir, "categories/2026-07-01.csv", "1,1,Boats\n");
    write(dir, "products/2026-07-01.csv", "1,1,Kayak,,10.00,\n2,1,Paddle, red,,5.00,\n");
    write(dir, "customers/2026-07-01.csv", "1,Ada,L,x,x,1 Main St,Kiel,SH,01234\n");
    write(dir, "orders/2026-07-01.csv", "1,2026-07-01 10:00:00,1,COMPLETE\n");
    write(dir, "order_items/2026-07-01.csv", "1,1,1,2,20.00,10.00\n2,1,2,1,5.00,5.00\n");
    write(dir, "orders/.hidden.csv", "x");
    write(dir, "orders/2026-07-02.csv.tmp", "x");
    Deployment::embedded(dir).with("WAYBILL_RETAIL", &format!("file:{}", dir.join("retail").display()))
}

fn once(deployment: &Deployment) -> Value {
    serde_json::from_str(&deployment.run_ok(&["load", "--once"])).expect("one JSON object")
}

#[test]
fn a_shop_without_a_lake_loads_its_files_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = shop(dir.path()).without("WAYBILL_LAKE");

    assert_eq!(once(&deployment)["files"], 6);
    assert_eq!(deployment.count("select count(*) as n from base.fct_order"), 1);
    // Without either there is nothing to load, and it is said what to set.
    let output = deployment.without("WAYBILL_RETAIL").run(&["load", "--once"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("WAYBILL_LAKE"));
}

#[test]
fn files_of_a_folder_become_facts_once_and_a_repaired_line_joins_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = shop(dir.path());

    let dry = deployment.run_ok(&["load", "--dry-run"]);
    assert!(dry.contains("rejected  line 2 (byte 40)  too_many_columns"), "{dry}");
    assert_eq!(deployment.count("select count(*) as n from raw.loaded_file"), 0);

    let summary = once(&deployment);
    assert_eq!((summary["files"].as_u64(), summary["rejected"].as_i64()), (Some(6), Some(1)), "{summary}");
    let again = once(&deployment);
    assert_eq!(again["files"], 0, "{again}");

    let listed = deployment.run_ok(&["rejects", "list", "--format", "json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed[0]["id"], "products/2026-07-01.csv:2");
    assert_eq!(listed[0]["text"], "2,1,Paddle, red,,5.00,");
    assert_eq!(
        deployment.run_ok(&["rejects", "show", "products/2026-07-01.csv:2"]),
        "2,1,Paddle, red,,5.00,\n"
    );
    assert_eq!(
        deployment.query("select product_name, is_inferred from base.dim_product where product_id = 2")[0]["product_name"],
        "Unknown product 2"
    );

    // As it is it fails again and stays open; repaired in the list it becomes a fact.
    let output = deployment.run(&["rejects", "replay", "products/2026-07-01.csv:2", "--yes"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let mut repaired = listed.clone();
    repaired[0]["text"] = Value::from("2,1,\"Paddle, red\",,5.00,");
    let path = dir.path().join("repaired.json");
    std::fs::write(&path, serde_json::to_vec(&repaired).expect("JSON")).expect("a file");
    deployment.run_ok(&["rejects", "replay", "--from", path.to_str().expect("UTF-8"), "--yes"]);
    let row =
        &deployment.query("select product_name, is_inferred from base.dim_product where product_id = 2")[0];
    assert_eq!(
        (row["product_name"].as_str(), row["is_inferred"].as_bool()),
        (Some("Paddle, red"), Some(false))
    );
    assert_eq!(deployment.run_ok(&["rejects", "list", "--format", "json"]).trim(), "[]");

    let sold = deployment.query("select units_sold, sales_amount from mart.product_day where product_id = 1");
    assert_eq!((sold[0]["units_sold"].as_i64(), sold[0]["sales_amount"].as_str()), (Some(2), Some("20.00")));
}

#[test]
fn a_backfill_takes_the_days_and_the_dataset_that_are_asked_for() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = shop(dir.path());
    write(dir.path(), "orders/2026-07-05.csv", "5,2026-07-05 10:00:00,1,COMPLETE\n");

    let late = ["load", "--once", "--dataset", "orders", "--from", "2026-07-02", "--to", "2026-07-31"];
    let summary: Value = serde_json::from_str(&deployment.run_ok(&late)).expect("JSON");
    assert_eq!((summary["files"].as_u64(), summary["inserted"].as_i64()), (Some(1), Some(1)));
    assert_eq!(deployment.count("select count(*) as n from base.fct_order"), 1);

    let unknown = deployment.run(&["load", "--once", "--dataset", "refunds"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("departments, categories"));
}

#[test]
fn a_file_is_told_what_is_wrong_with_it_before_it_is_loaded() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::embedded(dir.path());
    write(dir.path(), "products.csv", "1,1,Kayak,,0.00,\n2,1,Kayak,,0.00,\nx,1,Kayak,,1.00,\n");
    let path = dir.path().join("retail/products.csv");
    let path = path.to_str().expect("UTF-8");

    let told = deployment.run_ok(&["profile", path]);

    for expected in [
        "3 lines",
        "line 3 (byte 34, product_id)  not_an_integer",
        "zero_price, 2 times: 1, 2",
        "same_but_key",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert_eq!(deployment.run(&["profile", path, "--strict"]).status.code(), Some(3));
    write(dir.path(), "export.csv", "1,2,3\n");
    let other = dir.path().join("retail/export.csv");
    assert_eq!(deployment.run(&["profile", other.to_str().expect("UTF-8")]).status.code(), Some(2));
}

#[test]
fn a_customer_of_the_shop_is_erased_by_number_and_only_when_it_is_meant() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = shop(dir.path());
    write(
        dir.path(),
        "customers/2026-07-02.csv",
        "1,Ada,L,x,x,1 Main St,KielKielKielKielKielKielKielKielKielKielKielKiel,SH,01234\n2,Bo,M,x,x,2 Main St,Kiel,SH,01234\n",
    );
    once(&deployment);
    let name = ["forget", "--shop-customer", "1"];
    let found = serde_json::json!({"customer_id": 1, "lines": 1, "rejected": 1});

    let dry: Value =
        serde_json::from_str(&deployment.run_ok(&[&name[..], &["--dry-run"]].concat())).expect("JSON");
    assert_eq!(dry, found);
    let unsaid = deployment.run(&[&name[..], &["--reason", "ticket 4711"]].concat());
    assert_eq!(unsaid.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&unsaid.stderr)
            .contains("customer 1: 1 lines that landed, 1 that were rejected")
    );
    assert_eq!(deployment.count("select count(*) as n from base.customer_pii"), 2);

    let done = deployment.run_ok(&[&name[..], &["--reason", "ticket 4711", "--yes"]].concat());

    assert_eq!(serde_json::from_str::<Value>(&done).expect("JSON"), found);
    assert_eq!(deployment.query("select first_name from base.customer_pii")[0]["first_name"], "Bo");
    assert_eq!(deployment.count("select count(*) as n from raw.rejected_row where text like '%Ada%'"), 0);
    deployment.run_ok(&["audit"]);
}

/// What a scheduler runs, each step by itself.
#[test]
fn a_load_in_steps_comes_to_what_one_load_comes_to() {
    let whole = tempfile::tempdir().expect("a temporary folder");
    let expected = shop(whole.path());
    once(&expected);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = shop(dir.path());
    let object = |arguments: &[&str]| -> Value {
        serde_json::from_str(&deployment.run_ok(arguments)).expect("one JSON object")
    };

    let listed = object(&["load", "--list"]);
    assert_eq!(listed["trackings"]["files"], 0, "{listed}");
    let orders = &listed["datasets"]["orders"];
    assert_eq!((&orders["files"], &orders["bytes"]), (&1.into(), &33.into()), "{listed}");
    assert_eq!((&orders["from"], &orders["to"]), (&"2026-07-01".into(), &"2026-07-01".into()));
    let late = object(&["load", "--list", "--dataset", "orders", "--from", "2026-07-02"]);
    assert_eq!(late["datasets"]["orders"]["files"], 0);
    assert_eq!(late["datasets"].as_object().map(serde_json::Map::len), Some(1), "{late}");

    for dataset in ["order_items", "orders", "customers", "products", "categories", "departments"] {
        let loaded = object(&["load", "--once", "--dataset", dataset, "--no-marts"]);
        assert_eq!(loaded["files"], 1, "{dataset}: {loaded}");
    }
    assert_eq!(object(&["load", "--once", "--dataset", "trackings"])["files"], 0);
    assert_eq!(deployment.count("select count(*) as n from mart.product_day"), 0);
    let early = deployment.run(&["audit", "--day", "2026-07-01"]);
    assert_eq!(early.status.code(), Some(3));
    let text = String::from_utf8_lossy(&early.stdout).into_owned();
    assert!(text.contains("published_day") && text.contains("FAILED"), "{text}");

    assert_eq!(object(&["refresh-marts"]), serde_json::json!({"as_of": "2026-07-01", "is_changed": true}));
    assert_eq!(object(&["refresh-marts"]), serde_json::json!({"as_of": "2026-07-01", "is_changed": false}));

    let listed = object(&["load", "--list"]);
    assert!(listed["datasets"].as_object().is_some_and(|all| all.values().all(|one| one["files"] == 0)));
    let audit = deployment.run_ok(&["audit", "--day", "2026-07-01", "--format", "json"]);
    let audit: Vec<Value> = serde_json::from_str(&audit).expect("JSON");
    let rejected = audit.iter().find(|check| check["name"] == "rejected_open").expect("the check");
    assert_eq!((&rejected["severity"], &rejected["failures"]), (&"warning".into(), &1.into()));
    let sql = "select product_id, units_sold, revenue_amount, date from mart.product_day order by 1, 4";
    assert_eq!(deployment.query(sql), expected.query(sql));

    for wrong in [
        &["load", "--dataset", "orders"][..],
        &["load", "--no-marts"],
        &["load", "--list", "--once"],
        &["load", "--once", "--dataset", "trackings", "--from", "2026-07-01"],
    ] {
        assert_eq!(deployment.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// What has been committed is there once, and what has not comes with the next load.
fn killed_at_any_moment(deployment: impl Fn(&Path, &str) -> Deployment) {
    let clean = {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let deployment = deployment(dir.path(), "clean");
        once(&deployment);
        state(&deployment)
    };
    let points: Vec<&str> = POINTS.iter().copied().filter(|point| point.starts_with("shop.")).collect();
    assert!(points.len() >= 6);
    for point in points {
        for count in [1, 3] {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let deployment = deployment(dir.path(), &format!("{}_{count}", point.replace('.', "_")));
            let killed = deployment.clone().with("WAYBILL_TEST_FAILPOINT", &format!("{point}@{count}"));

            let output = killed.run(&["load", "--once"]);

            assert_eq!(output.status.signal(), Some(9), "{point}@{count}");
            once(&deployment);
            assert_eq!(state(&deployment), clean, "{point}@{count}");
            deployment.run_ok(&["audit"]);
        }
    }
}

#[test]
fn killed_at_any_moment_a_load_is_whole_or_not_at_all() {
    killed_at_any_moment(|dir, _| shop(dir));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_a_load_into_postgres_is_whole_or_not_at_all() {
    let postgres = Postgres::shared().await;
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        killed_at_any_moment(|dir, name| {
            let url = runtime.block_on(postgres.create_database(&format!("killed_{name}")));
            shop(dir).with("WAYBILL_WAREHOUSE", &url)
        });
    });
}

/// Each file is loaded by one of them; the others find it in the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn loaders_of_the_same_files_at_once_load_each_file_once() {
    let postgres = Postgres::shared().await;
    for round in 0..3 {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let url = postgres.create_database(&format!("loaders_{round}")).await;
        let deployment = shop(dir.path()).with("WAYBILL_WAREHOUSE", &url);
        for day in 2..=9 {
            write(
                dir.path(),
                &format!("orders/2026-07-0{day}.csv"),
                &format!("{day},2026-07-0{day} 10:00:00,1,CLOSED\n"),
            );
            write(
                dir.path(),
                &format!("order_items/2026-07-0{day}.csv"),
                &format!("{},{day},1,1,10.00,10.00\n", day + 1),
            );
        }
        let loaders: Vec<_> = (0..4)
            .map(|_| {
                let deployment = deployment.clone();
                tokio::task::spawn_blocking(move || once(&deployment))
            })
            .collect();
        let (mut files, mut lines) = (0, 0);
        for loader in loaders {
            let summary = loader.await.expect("a loader ends");
            files += summary["files"].as_u64().expect("a number");
            lines += summary["inserted"].as_u64().expect("a number");
        }

        // Departments, categories and customers one line each, one of two products; nine orders, ten lines of them.
        assert_eq!((files, lines), (22, 3 + 1 + 9 + 10), "round {round}");
        assert_eq!(deployment.count("select count(*) as n from base.fct_order_line"), 10);
        deployment.run_ok(&["audit", "--day", "2026-07-09"]);
    }
}

fn state(deployment: &Deployment) -> Vec<Vec<Value>> {
    [
        "select file, status, lines, inserted, waiting, rejected from raw.loaded_file order by 1",
        "select product_id, product_name, is_inferred from base.dim_product order by 1",
        "select order_item_id, product_key, customer_key, line_amount from base.fct_order_line order by 1",
        "select * from mart.product_day order by product_id, date",
        "select count(*) as n from raw.retail_order_items",
        "select file, line, reason from raw.rejected_row order by 1, 2",
    ]
    .into_iter()
    .map(|sql| deployment.query(sql))
    .collect()
}

#[test]
fn the_demo_has_a_shop_with_revenue_a_price_change_a_rejected_line_and_a_ceased_product() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let data = dir.path().join("demo");
    let up = deployment.start(&["up", "--demo", "--data", data.to_str().expect("UTF-8")]);
    let demo =
        deployment.with("WAYBILL_WAREHOUSE", &format!("duckdb:{}", data.join("warehouse.duckdb").display()));

    demo.await_some("select count(*) as n from mart.ceased_selling");

    let ceased = demo.query("select product_id from mart.ceased_selling");
    assert_eq!(ceased.len(), 1, "{ceased:?}\n{}", up.stderr());
    let delisted = demo.query("select id from base.absence where dataset = 'products'");
    assert_eq!(delisted, [serde_json::json!({ "id": 4 })]);
    let from_facts = demo.run_ok(&["query", "--named", "ceased-selling", "--format", "json"]);
    let from_mart =
        demo.run_ok(&["query", "--format", "json", "select * from mart.ceased_selling order by 2"]);
    assert_eq!(from_facts, from_mart);
    assert_eq!(demo.count("select count(*) as n from base.fct_price_change"), 1);
    assert_eq!(demo.count("select count(*) as n from raw.rejected_row where dataset = 'order_items'"), 1);
    assert_eq!(demo.count("select count(*) as n from mart.revenue_by_product where revenue_amount > 0"), 6);
    // Parcels and orders meet.
    demo.await_some("select count(*) as n from mart.delivery_performance");
    assert_eq!(
        demo.count("select count(*) as n from base.fct_order where order_id between 500 and 600"),
        101
    );
}

#[test]
fn a_parcel_finds_the_lines_of_its_order_whichever_comes_first() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = shop(dir.path());
    let up = deployment.start(&["up"]);
    let parcel = |id: &str, order: &str| {
        format!(
            r#"{{"event":"tracking_update","event_id":"{}","ts":1783000000,"msg":{{"id":"{id}","tracking_number":"N{id}",
            "slug":"dhl","tag":"Delivered",{order},"order_promised_delivery_date":"2026-07-03T00:00:00+00:00",
            "updated_at":"2026-07-04T10:00:00+00:00","checkpoints":[
            {{"slug":"dhl","tag":"InTransit","checkpoint_time":"2026-07-02T08:00:00+00:00","message":"on its way"}},
            {{"slug":"dhl","tag":"Delivered","checkpoint_time":"2026-07-04T09:00:00+00:00","message":"there"}}]}}}}"#,
            fresh_id()
        )
    };
    for body in [
        parcel("a", r#""order_id":"1","order_number":"77""#),
        parcel("b", r##""order_id":"gid-9","order_number":"#2""##),
        parcel("c", r#""order_id":"x","order_number":null"#),
        // One line of the same order, which the shop has named; and one that is not there yet.
        parcel("d", r#""order_id":"2","custom_fields":{"order_item_ids":"4; 99"}"#),
    ] {
        let answer = post(up.listen(), body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 200);
    }
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 4);
    deployment.await_count("select count(*) as n from base.bridge_order_line_tracking", 2);
    // The order that the second parcel is of comes late.
    write(dir.path(), "orders/2026-07-02.csv", "2,2026-07-02 10:00:00,1,COMPLETE\n");
    write(dir.path(), "order_items/2026-07-02.csv", "3,2,1,1,10.00,10.00\n4,2,1,1,10.00,10.00\n");

    deployment.await_count("select count(*) as n from base.bridge_order_line_tracking", 5);

    let rows = deployment.query(
        "select order_item_id, tracking_id, link_source, days_to_deliver, is_late, shipped_at
         from mart.delivery_performance order by order_item_id, tracking_id",
    );
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["order_item_id"].as_i64(),
                row["link_source"].as_str(),
                row["days_to_deliver"].as_i64(),
                row["is_late"].as_bool(),
            )
        })
        .collect();
    let of = |item, source, days| (Some(item), Some(source), Some(days), Some(true));
    assert_eq!(
        found,
        [
            of(1, "order_id", 3),
            of(2, "order_id", 3),
            of(3, "order_number", 2),
            of(4, "order_number", 2),
            of(4, "custom_fields", 2)
        ]
    );
    assert_eq!(rows[0]["shipped_at"], "2026-07-02T08:00:00.000000Z");
    assert_eq!(deployment.query("select tracking_id from mart.unlinked_tracking")[0]["tracking_id"], "c");
    assert_eq!(deployment.count("select count(*) as n from mart.unshipped_order_line"), 0);
    assert_eq!(deployment.count("select late as n from mart.courier_performance"), 3);
}
