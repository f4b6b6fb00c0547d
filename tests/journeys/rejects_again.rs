//! Rejected lines of a file that came more than once under its name: each has an id of its own.

use std::path::Path;

use serde_json::Value;

use crate::support::waybill::Deployment;

/// Twenty lines, of which two may be bad before the file as a whole is.
fn products(dir: &Path, second: &str, third: &str) {
    let others: String = (4..=20).map(|id| format!("{id},1,Tent {id},,70.00,\n")).collect();
    let text = format!("1,1,Kayak,,10.00,\n{second}\n{third}\n{others}");
    let folder = dir.join("retail/products");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("2026-07-01.csv"), text).expect("a file");
}

fn listed(deployment: &Deployment, more: &[&str]) -> Vec<(String, i64, String)> {
    let arguments = [&["rejects", "list", "--format", "json"], more].concat();
    let rows: Vec<Value> = serde_json::from_str(&deployment.run_ok(&arguments)).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    rows.iter()
        .map(|row| (text(&row["id"]), row["generation"].as_i64().expect("a number"), text(&row["status"])))
        .collect()
}

#[test]
fn a_line_of_each_generation_is_shown_and_repaired_by_an_id_of_its_own() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let retail = format!("file:{}", dir.path().join("retail").display());
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_RETAIL", &retail).without("WAYBILL_LAKE");
    let (first, again) = ("products/2026-07-01.csv:2", "products/2026-07-01.csv:2@1");
    products(dir.path(), "2,1,Paddle, red,,5.00,", "3,1,Tent,,70.00,");
    deployment.run_ok(&["load", "--once"]);
    assert_eq!(listed(&deployment, &[]), [(first.to_owned(), 0, "open".to_owned())]);
    assert_eq!(deployment.run_ok(&["rejects", "show", first]), "2,1,Paddle, red,,5.00,\n");

    // The same line of the same name is wrong in other bytes, and another one that was right before.
    products(dir.path(), "2,1,Paddle, dark red,,5.00,", "3,1,Tent, old,,70.00,");
    deployment.run_ok(&["load", "--once"]);

    let third = "products/2026-07-01.csv:3@1";
    assert_eq!(
        listed(&deployment, &[]),
        [(again.to_owned(), 1, "open".to_owned()), (third.to_owned(), 1, "open".to_owned())]
    );
    assert_eq!(
        listed(&deployment, &["--all"])[0],
        (first.to_owned(), 0, "superseded".to_owned()),
        "what was replaced keeps its id"
    );
    for (id, text, other) in [
        (
            first,
            "2,1,Paddle, red,,5.00,\n",
            "generation 0 of products/2026-07-01.csv; of others there is products/2026-07-01.csv:2@1 (open)",
        ),
        (
            again,
            "2,1,Paddle, dark red,,5.00,\n",
            "generation 1 of products/2026-07-01.csv; of others there is products/2026-07-01.csv:2 (superseded)",
        ),
    ] {
        let output = deployment.run(&["rejects", "show", id]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(String::from_utf8_lossy(&output.stdout), text, "{stderr}");
        assert!(stderr.contains(other), "{stderr}");
    }
    // An id that names no line says which one there is.
    for (id, advice) in [
        ("products/2026-07-01.csv:3", "there is products/2026-07-01.csv:3@1 (open)"),
        ("products/2026-07-01.csv:1", "see `waybill rejects list --all`"),
        ("products/2026-07-01.csv:2@7", "products/2026-07-01.csv:2@1 (open)"),
    ] {
        let output = deployment.run(&["rejects", "show", id]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(advice), "{id}: {stderr}");
    }

    // What was replaced is nobody's work any more; what is open is repaired by its own id.
    let repaired = "2,1,\"Paddle, dark red\",,5.00,";
    let output = deployment.run(&["rejects", "replay", first, "--with", repaired, "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no open rejected line"));
    deployment.run_ok(&["rejects", "replay", again, "--with", repaired, "--yes"]);
    let name = "select product_name from base.dim_product where product_id = 2 and is_current";
    assert_eq!(deployment.query(name)[0]["product_name"], "Paddle, dark red");
    assert_eq!(listed(&deployment, &[]), [(third.to_owned(), 1, "open".to_owned())]);
}
