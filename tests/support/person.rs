//! A person who asks to be forgotten: events, dead letters and lines about them, and where they can be found.

use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use waybill::event::Event;
use waybill::lake::dead_letter::Reason;

use super::contents;
use super::letters;
use super::waybill::{Deployment, event, post};

pub const KEY: &str = "journey-privacy-key-0123456789";
pub const EMAIL: &str = "zyxwina@quatsch.example";
/// None of these may be left, in any case.
pub const TRACES: [&str; 5] = ["zyxwina", "quatsch", "+49151000111", "c-zyx", "leafy lane"];

pub fn body(number: u32, tracking: &str, minute: u32, customer: &str, said: &str) -> String {
    let id = format!("0f0f0f0f-0000-4000-8000-{number:012}");
    event(&id, tracking, "Delivered", &format!("2026-07-09T11:{minute:02}:00+00:00"))
        .replacen("\"slug\"", &format!("{customer}\"order_id\":\"O-{tracking}\",\"slug\""), 1)
        .replace("\"message\":\"Delivered\"", &format!("\"message\":\"{said}\""))
}

/// In the shapes of two versions; a parcel of theirs that once names nobody, its successor, and another person's.
pub fn bodies() -> Vec<String> {
    let new = r#""customers":[{"id":"c-zyx","name":"Zyxwina Quatsch","email":"Zyxwina@Quatsch.example","phone_number":"+49151000111"}],"#;
    let old =
        r#""customer_name":"Zyxwina Quatsch","emails":["zyxwina@quatsch.example"],"smses":["+49151000111"],"#;
    let eve = r#""customers":[{"id":"c-eve","name":"Eve Other","email":"eve@other.example"}],"#;
    let successor = format!(r#"{old}"legacy_id":"p-old","#);
    vec![
        body(1, "p-one", 1, "", "left with Zyxwina, Leafy Lane 4"),
        body(2, "p-one", 2, new, "left with Zyxwina, Leafy Lane 4"),
        body(3, "p-old", 3, "", "Leafy Lane 4"),
        body(4, "p-new", 4, &successor, "Leafy Lane 4"),
        body(5, "p-eve", 5, eve, "left at Other Street"),
        body(6, "p-eve", 6, eve, "left at Other Street"),
    ]
}

/// Two letters of theirs, one that can be read and one that cannot, and one of another.
pub fn plant_letters(deployment: &Deployment) {
    let received_at: Timestamp = "2026-07-09T12:00:00Z".parse().expect("instant");
    let readable =
        bodies()[1].replace("0f0f0f0f-0000-4000-8000-000000000002", "0f0f0f0f-0000-4000-8000-000000000099");
    let planted = [
        (Reason::Redriven, readable.into_bytes()),
        (Reason::NotJson, format!("{{\"torn\":\"{EMAIL}\",\"Zyxwina").into_bytes()),
        (Reason::NotJson, b"{\"torn\":\"eve@other.example".to_vec()),
    ];
    for (reason, bytes) in planted {
        let event = Event::received(Bytes::from(bytes), None, false, received_at);
        letters::plant(deployment, &event, letters::Given { reason, message: &event.body, named: None });
    }
}

/// A line that no program can read, and that quotes them.
pub fn plant_reject(deployment: &Deployment) {
    let folder = deployment.dir().join("lake/events/dt=2026-07-09/hour=12/minute=00");
    std::fs::create_dir_all(&folder).expect("folder");
    let text = format!("no line of {EMAIL}\nno line of eve@other.example\n");
    std::fs::write(folder.join("torn.jsonl"), text).expect("object");
}

/// Everything landed and loaded, and nobody at work.
pub fn filled(deployment: &Deployment) {
    plant_letters(deployment);
    plant_reject(deployment);
    send(deployment, &bodies());
    assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), 6);
    assert!(traces(deployment).len() >= 7, "{:?}", traces(deployment));
}

/// Receives, lands and loads, and ends.
pub fn send(deployment: &Deployment, bodies: &[String]) {
    let mut up = deployment.start(&["up"]);
    for body in bodies {
        assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
    }
    up.terminate();
    assert!(up.wait().success());
    deployment.run_ok(&["load", "--once"]);
}

/// Where something of the person is: keys of the lake, columns of the warehouse.
pub fn traces(deployment: &Deployment) -> Vec<String> {
    let mut found: Vec<String> = contents::of_lake(&deployment.dir().join("lake"))
        .into_iter()
        .filter(|(_, text)| is_trace(text))
        .map(|(key, _)| key)
        .collect();
    found.extend(traces_in_warehouse(deployment));
    found
}

pub fn is_trace(text: &str) -> bool {
    let text = text.to_lowercase();
    TRACES.iter().any(|trace| text.contains(trace))
}

/// All columns of all tables, as text.
pub fn traces_in_warehouse(deployment: &Deployment) -> Vec<String> {
    let tables = deployment.query(
        "select table_schema as s, table_name as t from information_schema.tables
         where table_schema in ('raw', 'base', 'mart') order by 1, 2",
    );
    assert!(tables.len() >= 8, "{tables:?}");
    let whole: Vec<String> = tables
        .iter()
        .map(|row| format!("{}.{}", text(&row["s"]), text(&row["t"])))
        .map(|table| {
            format!("select '{table}' as name, cast(whole as text) as row_text from {table} as whole")
        })
        .collect();
    deployment
        .query(&whole.join(" union all "))
        .iter()
        .filter(|row| is_trace(text(&row["row_text"])))
        .map(|row| text(&row["name"]).to_owned())
        .collect()
}

pub fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

pub fn embedded(dir: &Path) -> Deployment {
    Deployment::embedded(dir).with("WAYBILL_PRIVACY_KEY", KEY)
}
