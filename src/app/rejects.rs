//! `waybill rejects`: the rejected lines of the shop's files; list, show, replay once they are repaired.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::sync::Arc;

use anyhow::{Context, bail};
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use jiff::Timestamp;

use crate::cli::{ListFormat, QueryFormat, Rejects, RejectsReplay};
use crate::retail::Dataset;
use crate::retail::read::{ShopFile, Source};
use crate::settings::Need;
use crate::warehouse::{Cell, Warehouse, literal_of};

use super::{Exit, Sources, Usage, places, query, shop, status};

pub(super) async fn run(sources: &Sources, action: Rejects) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Warehouse])?;
    let warehouse = places::warehouse(&settings)?;
    match action {
        Rejects::List { conditions, all, format } => list(warehouse.as_ref(), &conditions, all, format).await,
        Rejects::Show { id } => show(warehouse.as_ref(), &id).await,
        Rejects::Replay(arguments) => replay(warehouse.as_ref(), &arguments).await,
    }
}

/// `FILE:LINE`; of bytes that came in the place of others under the same name also their generation, `FILE:LINE@2`. So
/// no two lines share an id, whatever a file is called: behind the last colon only a generation has an @.
const ID: &str = "r.file || ':' || cast(r.line as text) \
     || case when r.generation > 0 then '@' || cast(r.generation as text) else '' end";

/// The same of all generations.
const FILE_AND_LINE: &str = "r.file || ':' || cast(r.line as text)";

const COLUMNS: &str = "r.dataset, r.file, r.generation, r.line, r.byte_offset, r.column_name, r.reason, r.detail, \
     r.text, r.status, r.rejected_at";

/// What of the shop's files was rejected; the trackings' rejects have no bytes here, theirs stay in the lake.
fn from_and_where(conditions: &[String], all: bool, kind: &str) -> anyhow::Result<String> {
    let mut sql = "from raw.rejected_row as r where r.dataset <> 'tracking'".to_owned();
    if !all {
        sql.push_str(" and r.status = 'open'");
    }
    for condition in conditions {
        let (key, value) = condition.split_once('=').ok_or_else(|| {
            Usage(format!("`{condition}` is not KEY=VALUE, such as reason=too_many_columns"))
        })?;
        let column = match key {
            "id" => ID,
            "dataset" => "r.dataset",
            "file" => "r.file",
            "reason" => "r.reason",
            "column" => "r.column_name",
            other => {
                let keys = "id, dataset, file, reason, column";
                return Err(Usage(format!("no condition is called {other}: there are {keys}")).into());
            }
        };
        sql.push_str(&format!(" and {column} = {}", literal_of(kind, value)));
    }
    Ok(sql)
}

async fn list(
    warehouse: &dyn Warehouse,
    conditions: &[String],
    all: bool,
    format: ListFormat,
) -> anyhow::Result<Exit> {
    let sql = format!(
        "select {ID} as id, {COLUMNS} {} order by r.file, r.generation, r.line",
        from_and_where(conditions, all, warehouse.kind())?
    );
    let answer = warehouse.query(&sql).await?;
    let format = match format {
        ListFormat::Table => QueryFormat::Table,
        ListFormat::Json => QueryFormat::Json,
    };
    print!("{}", query::render(&answer, format)?);
    Ok(Exit::Done)
}

async fn show(warehouse: &dyn Warehouse, id: &str) -> anyhow::Result<Exit> {
    let found = find(warehouse, &[format!("id={id}")], true).await?;
    let mut others = namesakes(warehouse, id).await?;
    others.retain(|(other, _)| other != id);
    let others: Vec<String> = others.iter().map(|(other, status)| format!("{other} ({status})")).collect();
    let others = others.join(", ");
    let Some(rejected) = found.first() else {
        if others.is_empty() {
            bail!("no rejected line is called {id}: see `waybill rejects list --all`");
        }
        bail!("no rejected line is called {id}; its file came more than once, and there is {others}");
    };
    if !others.is_empty() {
        let (generation, file) = (rejected.generation, &rejected.file);
        eprintln!("{id} is of generation {generation} of {file}; of others there is {others}");
    }
    let mut out = std::io::stdout().lock();
    out.write_all(&rejected.raw)?;
    out.write_all(b"\n")?;
    Ok(Exit::Done)
}

/// Rejected lines of that number in all bytes that came under the name of a file, the oldest first, with their status.
/// `id`: of one of them, or without its generation.
async fn namesakes(warehouse: &dyn Warehouse, id: &str) -> anyhow::Result<Vec<(String, String)>> {
    let sql = format!(
        "select {ID} as id, r.status from raw.rejected_row as r where r.dataset <> 'tracking' and r.line > 0 \
         and {FILE_AND_LINE} = {} order by r.generation",
        literal_of(warehouse.kind(), without_generation(id))
    );
    let answer = warehouse.query(&sql).await?;
    let named = answer.rows.into_iter().filter_map(|row| match row.as_slice() {
        [Cell::Text(id), Cell::Text(status)] => Some((id.clone(), status.clone())),
        _ => None,
    });
    Ok(named.collect())
}

/// `FILE:LINE` of an id.
fn without_generation(id: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match id.rsplit_once(':').and_then(|(file, rest)| Some((file, rest.split_once('@')?))) {
        Some((file, (line, generation))) if is_number(line) && is_number(generation) => {
            &id[..file.len() + 1 + line.len()]
        }
        _ => id,
    }
}

/// A rejected line with what its file's ledger row says.
struct Rejected {
    id: String,
    dataset: String,
    file: String,
    line: u64,
    raw: Bytes,
    modified_at: Timestamp,
    generation: i32,
}

async fn find(warehouse: &dyn Warehouse, conditions: &[String], all: bool) -> anyhow::Result<Vec<Rejected>> {
    let sql = format!(
        "select w.id, w.dataset, w.file, w.line, w.raw_base64, l.modified_at, w.generation from (
           select {ID} as id, r.dataset, r.file, r.line, r.generation, r.raw_base64 {}
         ) as w join raw.loaded_file as l on l.file = w.file and l.generation = w.generation
         where w.line > 0 and ({} or l.status <> 'rejected') order by w.file, w.generation, w.line",
        from_and_where(conditions, all, warehouse.kind())?,
        if all { "true" } else { "false" },
    );
    let answer = warehouse.query(&sql).await?;
    let mut found = Vec::new();
    for row in answer.rows {
        let [
            Cell::Text(id),
            Cell::Text(dataset),
            Cell::Text(file),
            Cell::Int(line),
            Cell::Text(raw),
            Cell::Instant(modified_at),
            Cell::Int(generation),
        ] = row.as_slice()
        else {
            continue;
        };
        found.push(Rejected {
            id: id.clone(),
            dataset: dataset.clone(),
            file: file.clone(),
            line: line.unsigned_abs(),
            raw: BASE64_STANDARD.decode(raw).unwrap_or_default().into(),
            modified_at: *modified_at,
            generation: i32::try_from(*generation).unwrap_or(0),
        });
    }
    Ok(found)
}

async fn replay(warehouse: &dyn Warehouse, arguments: &RejectsReplay) -> anyhow::Result<Exit> {
    let mut conditions = arguments.conditions.clone();
    conditions.extend(arguments.id.iter().map(|id| format!("id={id}")));
    let mut found = find(warehouse, &conditions, false).await?;
    let repairs = repairs(arguments)?;
    if let Some(repairs) = &repairs {
        if let Some((id, _)) = repairs.iter().find(|(_, text)| text.contains(['\n', '\r']) || text.is_empty())
        {
            return Err(Usage(format!("the repair of {id} must be one line")).into());
        }
        found.retain(|rejected| repairs.contains_key(&rejected.id));
        if let Some(id) = repairs.keys().find(|id| !found.iter().any(|rejected| rejected.id == **id)) {
            bail!(
                "{id} is no open rejected line: see `waybill rejects list`, and mind the @ of a file that came again"
            );
        }
    }
    if found.is_empty() {
        println!("no open rejected line to replay");
        return Ok(Exit::Done);
    }
    if !arguments.dry_run && !arguments.yes {
        if !std::io::stdin().is_terminal() {
            return Err(Usage("replaying needs --yes when nobody can be asked".to_owned()).into());
        }
        if !status::agreed(&format!("replay {} lines?", found.len()))? {
            return Ok(Exit::Done);
        }
    }
    // One increment for each file.
    let mut by_file: BTreeMap<(String, i32), Vec<Rejected>> = BTreeMap::new();
    for rejected in found {
        by_file.entry((rejected.file.clone(), rejected.generation)).or_default().push(rejected);
    }
    let mut is_bad = false;
    for ((key, generation), rejected) in by_file {
        let Some(first) = rejected.first() else { continue };
        let Some(dataset) = Dataset::named(&first.dataset) else { continue };
        let source = Source { key, bytes: 0, modified_at: first.modified_at };
        let lines: Vec<(u64, Bytes)> = rejected
            .into_iter()
            .map(|rejected| {
                let repaired = repairs.as_ref().and_then(|repairs| repairs.get(&rejected.id));
                (rejected.line, repaired.map_or(rejected.raw, |text| Bytes::from(text.clone())))
            })
            .collect();
        let id = uuid::Uuid::now_v7().to_string();
        let file = Arc::new(ShopFile::repaired(dataset, source, generation, &id, lines));
        is_bad |= !file.report.rejects.is_empty() || file.report.verdict.is_some();
        // What is still wrong stays as it is; an attempt is no second reject.
        let good = file.without_rejects();
        if good.report.lines == 0 {
            print!("{}", shop::as_text(&file, None));
            continue;
        }
        let outcome = warehouse.load_shop(Arc::new(good), arguments.dry_run).await?;
        print!("{}", shop::as_text(&file, Some(&outcome)));
    }
    if !arguments.dry_run {
        warehouse.refresh_marts(false).await?;
    }
    Ok(if is_bad { Exit::Rejected } else { Exit::Done })
}

/// Texts by id: from the command line, or a JSON array as `rejects list --format json` gives it, its texts repaired.
fn repairs(arguments: &RejectsReplay) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    if let (Some(text), Some(id)) = (&arguments.with, &arguments.id) {
        return Ok(Some(BTreeMap::from([(id.clone(), text.clone())])));
    }
    let Some(path) = &arguments.from else { return Ok(None) };
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
    };
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).with_context(|| {
        format!("{} is no JSON array as `rejects list --format json` gives it", path.display())
    })?;
    let mut repairs = BTreeMap::new();
    for row in &rows {
        match (row["id"].as_str(), row["text"].as_str()) {
            (Some(id), Some(text)) => repairs.insert(id.to_owned(), text.to_owned()),
            _ => {
                return Err(
                    Usage(format!("{} has an element without `id` and `text`", path.display())).into()
                );
            }
        };
    }
    Ok(Some(repairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_ends_in_its_line_or_in_its_generation() {
        for (id, expected) in [
            ("orders/a.csv:12", "orders/a.csv:12"),
            ("orders/a.csv:12@3", "orders/a.csv:12"),
            ("orders/a@2.csv:12", "orders/a@2.csv:12"),
            ("orders/a:1@2.csv:12@3", "orders/a:1@2.csv:12"),
            ("orders/a.csv:12@", "orders/a.csv:12@"),
            ("orders/a.csv:@3", "orders/a.csv:@3"),
            ("12@3", "12@3"),
            ("", ""),
        ] {
            assert_eq!(without_generation(id), expected, "{id}");
        }
    }
}
