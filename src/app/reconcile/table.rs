//! A comparison for people.

use crate::event::format_instant;
use crate::reconcile::rebuild::Compared;
use crate::reconcile::{Difference, Minute};

use super::Output;

/// Ids of a difference; JSON has more.
const IDS_SHOWN: usize = 10;

/// Prints the minutes with anything in them, and every difference.
pub(super) fn print(output: &Output<'_>) {
    let report = output.report;
    println!("{}", minutes(&report.minutes));
    println!("{} to {}", format_instant(report.from), format_instant(report.until));
    if let Some(aftership) = &output.aftership {
        println!(
            "AfterShip lists {} trackings that changed then; of {} we have no or an older state",
            aftership.listed, aftership.behind
        );
    }
    if let Some(healed) = &output.healed {
        println!(
            "sent {} states to the queue, as {}",
            healed.sent,
            healed.replay_id.as_deref().unwrap_or("nothing")
        );
    }
    for compared in output.rebuilt.iter().flatten() {
        let Compared { table, rows, missing, extra, changed, trackings } = compared;
        println!(
            "{table}: {rows} rows as rebuilt, {missing} missing, {extra} too many, {changed} with other values"
        );
        if !trackings.is_empty() {
            println!("    {}", shown(trackings, trackings.len() as u64));
        }
    }
    for note in &report.notes {
        println!("note: {note}");
    }
    for difference in &report.differences {
        println!("{}", as_text(difference));
    }
    println!(
        "{}",
        if output.is_clean { "everything agrees, or has its reason" } else { "NOT everything agrees" }
    );
}

fn minutes(minutes: &[Minute]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "minute",
        "source",
        "received",
        "verified",
        "acknowledged",
        "landed",
        "loaded",
        "repeated",
        "conflicts",
        "rejected",
        "dead",
        "waiting",
        "",
    ]);
    for minute in minutes.iter().filter(|minute| has_news(minute)) {
        let acknowledged = minute.acknowledged.as_ref().map(|stage| stage.count.to_string());
        table.add_row([
            minute.minute.strftime("%Y-%m-%d %H:%M").to_string(),
            minute.source.to_owned(),
            minute.received.to_string(),
            minute.verified.to_string(),
            acknowledged.unwrap_or_else(|| "no receipt".to_owned()),
            minute.landed.count.to_string(),
            minute.loaded.count.to_string(),
            minute.duplicate.to_string(),
            minute.conflict.to_string(),
            minute.rejected_lines.to_string(),
            minute.dead_lettered.count.to_string(),
            minute.waiting.to_string(),
            if minute.is_clean { "ok" } else { "DIFFERS" }.to_owned(),
        ]);
    }
    for index in 2..12 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    table
}

/// A quiet minute is no line.
fn has_news(minute: &Minute) -> bool {
    let counts = [minute.received, minute.landed.count, minute.loaded.count, minute.dead_lettered.count];
    !minute.is_clean || counts.iter().any(|count| *count > 0)
}

fn as_text(difference: &Difference) -> String {
    let mark = if difference.is_explained { "explained" } else { "DIFFERS" };
    let minute = difference.minute.map(|minute| minute.strftime(" %Y-%m-%d %H:%M").to_string());
    let source = difference.source.map(|source| format!(" {source}"));
    format!(
        "{mark}: {} ({}){}{}: {}\n    {}",
        difference.kind.as_str(),
        difference.count,
        minute.unwrap_or_default(),
        source.unwrap_or_default(),
        difference.text,
        shown(&difference.ids, difference.count)
    )
}

fn shown(ids: &[String], count: u64) -> String {
    let some = ids.iter().take(IDS_SHOWN).map(String::as_str).collect::<Vec<_>>();
    match count.saturating_sub(some.len() as u64) {
        0 => some.join(" "),
        more => format!("{} and {more} more: --format json", some.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_ids_are_cut_and_counted() {
        let ids: Vec<String> = (0..12).map(|number| number.to_string()).collect();

        assert_eq!(shown(&ids, 500), "0 1 2 3 4 5 6 7 8 9 and 490 more: --format json");
        assert_eq!(shown(&ids[..2], 2), "0 1");
    }
}
