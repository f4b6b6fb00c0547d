//! Pages that somebody follows with the built program at hand, followed: the tutorial, the README's own row, and how to do
//! this or that. [`page`] says what a block may be.

pub mod page;

use std::path::Path;

use waybill::event::{Event, line};
use waybill::lake::dead_letter::Reason;

use self::page::{Reader, free_address, section, steps};
use crate::support::letters::{Given, plant};
use crate::support::waybill::{Deployment, PATIENCE, SECRET, event, fresh_id, post};

/// Follows a page, or a part of one; its blocks are all run.
pub fn follow(reader: &mut Reader, page: &str, text: &str) {
    let steps = steps(text).unwrap_or_else(|fault| panic!("{page}, {fault}"));
    reader.follow(page, &steps);
}

fn read(page: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The places of a deployment in this folder, as somebody has them in the environment.
fn places(folder: &Path) -> Vec<(&'static str, String)> {
    let below = |name: &str| folder.join(name).display().to_string();
    vec![
        ("WAYBILL_QUEUE", format!("file:{}", below("queue"))),
        ("WAYBILL_LAKE", format!("file:{}", below("lake"))),
        ("WAYBILL_WAREHOUSE", format!("duckdb:{}", below("warehouse.duckdb"))),
        ("WAYBILL_RETAIL", format!("file:{}", below("retail"))),
    ]
}

/// Somebody in this folder, with these variables.
fn reader(folder: &Path, variables: &[(&'static str, String)]) -> Reader {
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Reader::new(folder, &variables)
}

#[test]
fn the_tutorial_leads_to_rows_that_are_proven() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut reader = reader(dir.path(), &[]);
    reader.call("127.0.0.1:8080", &free_address());
    reader.call("127.0.0.1:8081", &free_address());
    let text = read("docs/TUTORIAL.md");

    // How the program gets into the path is the test's own affair.
    let (_, followed) = text.split_once("\n## Start\n").expect("where it starts");
    follow(&mut reader, "docs/TUTORIAL.md", &format!("\n## Start\n{followed}"));
}

#[test]
fn the_readme_leads_to_a_row_of_ones_own() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (listen, ops) = (free_address(), free_address());
    let mut reader =
        reader(dir.path(), &[("WAYBILL_LISTEN", listen.clone()), ("WAYBILL_OPS_LISTEN", ops.clone())]);
    reader.call("127.0.0.1:8080", &listen);
    reader.call("127.0.0.1:8081", &ops);
    let demo = "```sh\nwaybill up --demo 2> demo.log &\n```\n```sh eventually\ncurl -sf -o /dev/null http://127.0.0.1:8081/readyz\n```\n";
    follow(&mut reader, "make demo", demo);

    follow(&mut reader, "README.md", section(&read("README.md"), "## A row of your own"));
}

/// Puts a readable event where SQS's redrive would have left it; gives the letter's id.
fn plant_readable_letter(deployment: &Deployment) -> String {
    let body = event(&fresh_id(), "set-aside", "Delivered", "2026-07-09T11:00:00+00:00");
    let received_at: jiff::Timestamp = "2026-07-09T12:00:00.5Z".parse().expect("an instant");
    let event = Event::received(bytes::Bytes::from(body), None, false, received_at);
    let message = line::to_message(&line::encode(&event));
    let named = Some("tracking_update");
    plant(deployment, &event, Given { reason: Reason::Redriven, message: message.as_bytes(), named })
}

/// Waits until so many dead letters are open.
fn await_letters(deployment: &Deployment, count: usize) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let listed = deployment.run_ok(&["dead-letters", "list"]);
        if listed.contains(&format!("\n{count} dead letters")) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "not {count} dead letters:\n{listed}");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

#[test]
fn dead_letters_are_replayed_as_the_page_says() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    let id = plant_readable_letter(&deployment);
    assert_eq!(post(up.listen(), br#"{"event":"return.created"}"#).expect("an answer").status, 200);
    await_letters(&deployment, 2);
    let mut variables = places(dir.path());
    variables.push(("ID", id));

    follow(&mut reader(dir.path(), &variables), "docs/how-to/replay.md", &read("docs/how-to/replay.md"));
}

#[test]
fn old_files_are_backfilled_as_the_page_says() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::embedded(dir.path())
        .with("WAYBILL_RETAIL", &format!("file:{}", dir.path().join("retail").display()));
    for (key, text) in [
        ("departments/2026-06-01.csv", "1,Outdoors\n"),
        ("categories/2026-06-01.csv", "1,1,Boats\n"),
        ("products/2026-06-01.csv", "1,1,Kayak,,10.00,\n"),
        ("customers/2026-06-01.csv", "1,Ada,L,x,x,1 Main St,Kiel,SH,01234\n"),
        ("orders/2026-06-03.csv", "3,2026-06-03 10:00:00,1,COMPLETE\n"),
        ("order_items/2026-06-03.csv", "3,3,1,1,10.00,10.00\n"),
    ] {
        let path = dir.path().join("retail").join(key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    deployment.run_ok(&["load", "--once"]);
    let exports = dir.path().join("exports");
    std::fs::create_dir_all(&exports).expect("a folder");
    std::fs::write(
        exports.join("orders.csv"),
        "1,2026-06-01 10:00:00,1,COMPLETE\n2,2026-06-02 10:00:00,1,COMPLETE\n",
    )
    .expect("a file");
    std::fs::write(exports.join("order_items.csv"), "1,1,1,2,20.00,10.00\n2,2,1,1,10.00,10.00\n")
        .expect("a file");

    let mut reader = reader(dir.path(), &places(dir.path()));
    follow(&mut reader, "docs/how-to/backfill.md", &read("docs/how-to/backfill.md"));
}

#[test]
fn secrets_are_rotated_as_the_page_says() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("secrets");
    std::fs::write(&file, format!("{SECRET}\n")).expect("a file");
    let deployment = Deployment::embedded(dir.path())
        .without("WAYBILL_WEBHOOK_SECRETS")
        .with("WAYBILL_WEBHOOK_SECRETS_FILE", &file.display().to_string());
    let up = deployment.start(&["up"]);
    let mut reader = reader(dir.path(), &[]);
    reader.call("127.0.0.1:8080", &up.listen().to_string());
    reader.call("127.0.0.1:8081", &up.ops().to_string());

    follow(&mut reader, "docs/how-to/rotate-secrets.md", &read("docs/how-to/rotate-secrets.md"));
}

#[test]
fn a_person_is_erased_as_the_page_says() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let key = "journey-privacy-key-0123456789";
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_PRIVACY_KEY", key);
    let up = deployment.start(&["up"]);
    for (tracking, customer) in [("p-ada", "ada@example.com"), ("p-eve", "eve@example.com")] {
        let body = event(&fresh_id(), tracking, "Delivered", "2026-07-09T11:00:00+00:00").replacen(
            "\"slug\"",
            &format!(r#""customers":[{{"id":"c-{tracking}","email":"{customer}"}}],"slug""#),
            1,
        );
        let body =
            body.replace("\"message\":\"Delivered\"", &format!("\"message\":\"left with {customer}\""));
        assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
    }
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 2);
    let mut variables = places(dir.path());
    variables.push(("WAYBILL_PRIVACY_KEY", key.to_owned()));

    let mut reader = reader(dir.path(), &variables);
    follow(&mut reader, "docs/how-to/erase-a-person.md", &read("docs/how-to/erase-a-person.md"));
}

#[test]
fn every_page_that_tells_how_is_followed_by_a_test() {
    let tests = [include_str!("tutorial.rs"), include_str!("move_warehouse.rs")].concat();
    // What it tells needs AWS, which no test has: its blocks are of another kind.
    let not_run = "run-on-aws.md";
    for entry in
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-to")).expect("pages").flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("docs/how-to/{name}");
        let has_commands = read(&path).contains("```sh");
        assert_eq!(has_commands, name != not_run, "{path}");
        assert!(name == not_run || tests.contains(&format!("read(\"{path}\")")), "nobody follows {path}");
    }
}
