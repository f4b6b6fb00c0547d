//! `waybill profile`, and what a load of the shop's files tells: what is wrong with a file, in words.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::{ListFormat, Profile};
use crate::event::{format_instant, truncate_to_micros};
use crate::retail::Dataset;
use crate::retail::read::{ShopFile, Source};
use crate::warehouse::ShopOutcome;

use super::{Exit, Usage};

/// Rejected lines that are shown one by one.
const LINES_MAX: usize = 20;

pub(super) async fn profile(arguments: &Profile) -> anyhow::Result<Exit> {
    let path = &arguments.file;
    let dataset = match &arguments.dataset {
        Some(name) => dataset(name)?,
        None => guess(path).ok_or_else(|| {
            Usage(format!("{} does not say what it is of: add --dataset, one of {}", path.display(), names()))
        })?,
    };
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let modified_at = std::fs::metadata(path)?.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    let source = Source {
        key: path.to_string_lossy().into_owned(),
        bytes: bytes.len() as u64,
        modified_at: truncate_to_micros(modified_at.unwrap_or(Timestamp::UNIX_EPOCH)),
    };
    let file =
        tokio::task::spawn_blocking(move || ShopFile::read(dataset, source, Bytes::from(bytes))).await?;
    match arguments.format {
        ListFormat::Json => println!("{}", serde_json::to_string_pretty(&as_json(&file, None))?),
        ListFormat::Table => print!("{}", as_text(&file, None)),
    }
    let is_bad = file.report.verdict.is_some() || !file.report.rejects.is_empty();
    Ok(if arguments.strict && is_bad { Exit::Rejected } else { Exit::Done })
}

/// The dataset of that name, or what there is.
pub(super) fn dataset(name: &str) -> anyhow::Result<Dataset> {
    Dataset::named(name)
        .ok_or_else(|| Usage(format!("no dataset is called {name}: there are {}", names())).into())
}

fn names() -> String {
    Dataset::ALL.map(Dataset::as_str).join(", ")
}

/// By a folder of that name, or the beginning of the file's own; the longest wins, for `orders` begins like no other.
fn guess(path: &Path) -> Option<Dataset> {
    let parts: Vec<String> =
        path.iter().rev().map(|part| part.to_string_lossy().to_ascii_lowercase()).collect();
    let in_folder = parts.iter().skip(1).find_map(|part| Dataset::named(part));
    let by_name = Dataset::ALL
        .into_iter()
        .filter(|dataset| parts.first().is_some_and(|name| name.starts_with(dataset.as_str())))
        .max_by_key(|dataset| dataset.as_str().len());
    in_folder.or(by_name)
}

/// What there is to say of a file, for programs.
pub(super) fn as_json(file: &ShopFile, outcome: Option<&ShopOutcome>) -> Value {
    let report = &file.report;
    let rejects: Vec<Value> = report
        .rejects
        .iter()
        .map(|reject| {
            json!({
                "line": reject.line, "byte_offset": reject.byte_offset, "column": reject.column,
                "reason": reject.reason, "detail": reject.detail,
            })
        })
        .collect();
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "rule": finding.rule.as_str(), "severity": finding.rule.severity().as_str(),
                "column": finding.column, "occurrences": finding.count, "first_line": finding.line,
                "examples": finding.examples,
            })
        })
        .collect();
    let verdict = report
        .verdict
        .as_ref()
        .map(|(reason, detail)| json!({ "reason": reason.as_str(), "detail": detail }));
    let mut all = json!({
        "file": file.ledger_name, "dataset": file.dataset.as_str(), "sha256": file.sha256,
        "version_at": format_instant(file.version.at), "closes_on": file.version.closes_on.to_string(),
        "is_full": file.is_full,
        "lines": report.lines, "has_header": report.has_header, "money_total": money(report.money_cents),
        "rejected_as_a_whole": verdict, "rejected": report.rejects.len(), "rejects": rejects, "findings": findings,
    });
    if let Some(outcome) = outcome {
        let counted = &outcome.outcome;
        all["outcome"] = json!({
            "status": counted.status, "is_new": outcome.is_new, "inserted": counted.inserted,
            "updated": counted.updated, "unchanged": counted.unchanged, "duplicate": counted.duplicate,
            "conflict": counted.conflict, "waiting": counted.waiting, "rejected": counted.rejected,
        });
    }
    all
}

/// The same for people.
pub(super) fn as_text(file: &ShopFile, outcome: Option<&ShopOutcome>) -> String {
    let report = &file.report;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}: {}, {}{} lines, {}version {}",
        file.ledger_name,
        file.dataset.as_str(),
        if file.is_snapshot() { "a full snapshot, " } else { "" },
        report.lines,
        if report.has_header { "with a header, " } else { "" },
        format_instant(file.version.at),
    );
    if file.dataset.contract().money.is_some() {
        let column = file.dataset.contract().money.as_deref().unwrap_or_default();
        let _ = writeln!(text, "  sum of {column} {}", money(report.money_cents));
    }
    if let Some((reason, detail)) = &report.verdict {
        let _ = writeln!(text, "  REJECTED AS A WHOLE  {}: {detail}", reason.as_str());
    }
    for reject in report.rejects.iter().take(LINES_MAX) {
        let column = reject.column.map(|column| format!(", {column}")).unwrap_or_default();
        let offset = reject.byte_offset.map(|at| format!(" (byte {at}{column})")).unwrap_or_default();
        let _ =
            writeln!(text, "  rejected  line {}{offset}  {}: {}", reject.line, reject.reason, reject.detail);
    }
    if report.rejects.len() > LINES_MAX {
        let _ = writeln!(text, "  rejected  and {} lines more", report.rejects.len() - LINES_MAX);
    }
    for finding in &report.findings {
        let column = finding.column.map(|column| format!(" of {column}")).unwrap_or_default();
        let examples = if finding.examples.is_empty() {
            String::new()
        } else {
            format!(": {}{}", finding.examples.join(", "), if finding.count > 5 { ", …" } else { "" })
        };
        let (severity, rule) = (finding.rule.severity().as_str(), finding.rule.as_str());
        let _ = writeln!(text, "  {severity:<8}  {rule}{column}, {} times{examples}", finding.count);
    }
    if let Some(outcome) = outcome {
        let counted = &outcome.outcome;
        let _ = writeln!(
            text,
            "  {}  {} inserted, {} updated, {} unchanged, {} duplicate, {} conflict, {} waiting, {} rejected",
            counted.status,
            counted.inserted,
            counted.updated,
            counted.unchanged,
            counted.duplicate,
            counted.conflict,
            counted.waiting,
            counted.rejected
        );
    }
    text
}

fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_it_is_of_by_its_folder_or_its_name() {
        let of = |path: &str| guess(Path::new(path)).map(Dataset::as_str);

        assert_eq!(of("retail/orders/2026-07-09.csv"), Some("orders"));
        assert_eq!(of("order_items.csv.gz"), Some("order_items"));
        assert_eq!(of("Products.unquoted.csv"), Some("products"));
        assert_eq!(of("export.csv"), None);
    }
}
