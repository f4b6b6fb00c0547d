//! All that lies in a lake, as text that can be searched.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use waybill::event::line;
use waybill::lake::{layout, object};

/// Key and text of every object: unpacked, and bodies that are packed inside it beside it.
pub fn of_lake(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.sort();
    found
}

/// The lines of all objects of events.
pub fn lines(root: &Path) -> Vec<String> {
    let events = of_lake(root).into_iter().filter(|(key, _)| layout::is_events_key(key));
    events.flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the lake") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, found);
            continue;
        }
        let key = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
        let body = std::fs::read(&path).expect("an object");
        let text = if layout::is_events_key(&key) {
            let lines = object::unpack(&key, &body, usize::MAX).expect("an object of events");
            let mut text = String::from_utf8_lossy(&lines).into_owned();
            for line in lines.split(|byte| *byte == b'\n') {
                // A body that is no single line of JSON travels in base64.
                if let Ok(event) = line::decode(line)
                    && !text.contains(&*String::from_utf8_lossy(&event.body))
                {
                    text.push_str(&String::from_utf8_lossy(&event.body));
                }
            }
            text
        } else {
            with_body(&body)
        };
        found.push((key, text));
    }
}

/// A dead letter, its body beside it.
fn with_body(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).into_owned();
    let letter: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let packed = letter.as_ref().and_then(|letter| letter["body_base64"].as_str());
    let Some(bytes) = packed.and_then(|packed| BASE64_STANDARD.decode(packed).ok()) else { return text };
    let inside = String::from_utf8_lossy(&bytes).into_owned();
    let unpacked = line::from_message(&inside).unwrap_or_default();
    format!("{text}\n{inside}\n{}", String::from_utf8_lossy(&unpacked))
}
