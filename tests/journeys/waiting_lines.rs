//! Lines whose order does not come are loud: a gauge for alarms, a statement that names them, and nothing in the facts.

use std::time::Instant;

use serde_json::Value;

use crate::support::waybill::{Deployment, PATIENCE, Running, get};

fn write(deployment: &Deployment, key: &str, text: &str) {
    let path = deployment.dir().join("retail").join(key);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

fn await_metric(up: &Running, name: &str, is_it: impl Fn(f64) -> bool) -> f64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = up.metric(name);
        if is_it(found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{name} is {found}:\n{}", up.stderr());
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

#[test]
fn lines_without_their_order_are_gauged_and_named_until_it_comes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let retail = format!("file:{}", dir.path().join("retail").display());
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_RETAIL", &retail);
    write(&deployment, "orders/2026-07-01.csv", "10,2026-07-01 09:00:00,7,COMPLETE\n");
    write(
        &deployment,
        "order_items/2026-07-01.csv",
        "1,10,100,1,10.00,10.00\n2,11,100,2,20.00,10.00\n3,12,100,1,10.00,10.00\n",
    );
    let up = deployment.start(&["up"]);

    await_metric(&up, "waybill_load_waiting_lines", |lines| lines == 2.0);
    let oldest = await_metric(&up, "waybill_load_waiting_lines_oldest_seconds", |age| age > 0.0);
    assert!(oldest < PATIENCE.as_secs_f64(), "{oldest}");
    let metrics = get(up.ops(), "/metrics").expect("an answer").body;
    for series in [
        r#"waybill_load_rows_total{outcome="waiting"} 2"#,
        r#"waybill_load_rows_total{outcome="updated"} 0"#,
        r#"waybill_load_rows_total{outcome="unchanged"} 0"#,
    ] {
        assert!(metrics.lines().any(|line| line == series), "{series} is not in:\n{metrics}");
    }
    let named = deployment.run_ok(&["query", "--named", "waiting-lines", "--format", "json"]);
    let named: Vec<Value> = serde_json::from_str(&named).expect("JSON");
    let found: Vec<_> =
        named.iter().map(|row| (row["order_id"].as_i64(), row["order_item_id"].as_i64())).collect();
    assert_eq!(found, [(Some(11), Some(2)), (Some(12), Some(3))], "{named:?}");
    assert_eq!(
        (&named[0]["file"], &named[0]["line"], &named[0]["line_amount"]),
        (&"order_items/2026-07-01.csv".into(), &2.into(), &"20.00".into())
    );
    // A fact without a day would be in no mart: they are in none until their order comes.
    assert_eq!(deployment.count("select count(*) as n from base.fct_order_line"), 1);

    write(
        &deployment,
        "orders/2026-07-02.csv",
        "11,2026-07-02 09:00:00,7,COMPLETE\n12,2026-07-02 10:00:00,7,COMPLETE\n",
    );

    await_metric(&up, "waybill_load_waiting_lines", |lines| lines == 0.0);
    await_metric(&up, "waybill_load_waiting_lines_oldest_seconds", |age| age == 0.0);
    assert_eq!(deployment.count("select count(*) as n from base.fct_order_line"), 3);
    let named = deployment.run_ok(&["query", "--named", "waiting-lines", "--format", "json"]);
    assert_eq!(named.trim(), "[]");
}
