//! Questions to the warehouse: few at once, each with an end, their values never part of the statement's text.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::event::format_instant;
use crate::warehouse::{Answer, Cell, literal_of, question};

use super::Console;
use super::fault::Fault;

/// Questions at once: answers are held in memory, and loading goes first.
pub(super) const QUERIES_MAX: usize = 4;
/// How long a question waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(5);
/// How long a page waits for its answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// The rows that a question is answered with.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows(Answer);

impl Rows {
    /// Row by row.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.0.rows.iter().map(|cells| Row { columns: &self.0.columns, cells })
    }

    /// The first row.
    pub(super) fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.rows.len()
    }

    /// Is there none?
    pub(super) fn is_empty(&self) -> bool {
        self.0.rows.is_empty()
    }

    /// As objects.
    pub(super) fn to_json(&self) -> Value {
        self.iter().map(|row| row.to_json()).collect()
    }

    /// At most so many.
    pub(super) fn truncate(&mut self, rows_max: usize) {
        self.0.rows.truncate(rows_max);
    }
}

/// One row, its values by name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    columns: &'a [String],
    cells: &'a [Cell],
}

impl<'a> Row<'a> {
    fn cell(&self, name: &str) -> &'a Cell {
        const NULL: &Cell = &Cell::Null;
        let index = self.columns.iter().position(|column| column == name);
        index.and_then(|index| self.cells.get(index)).unwrap_or(NULL)
    }

    /// A text; empty for null.
    pub(super) fn text(&self, name: &str) -> String {
        match self.cell(name) {
            Cell::Null => String::new(),
            Cell::Bool(value) => value.to_string(),
            Cell::Int(value) => value.to_string(),
            Cell::Float(value) => value.to_string(),
            Cell::Exact(value) | Cell::Text(value) => value.clone(),
            Cell::Instant(value) => format_instant(*value),
            Cell::Day(value) => value.to_string(),
        }
    }

    /// A number that is not negative; 0 for null.
    pub(super) fn whole(&self, name: &str) -> u64 {
        match self.cell(name) {
            Cell::Int(value) => u64::try_from(*value).unwrap_or(0),
            Cell::Exact(text) => text.parse().unwrap_or(0),
            _ => 0,
        }
    }

    /// A number to show, not to reckon with.
    pub(super) fn real(&self, name: &str) -> Option<f64> {
        match self.cell(name) {
            Cell::Int(value) => Some(*value as f64),
            Cell::Float(value) => Some(*value),
            Cell::Exact(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// An instant.
    pub(super) fn instant(&self, name: &str) -> Option<Timestamp> {
        match self.cell(name) {
            Cell::Instant(value) => Some(*value),
            _ => None,
        }
    }

    /// A day.
    pub(super) fn day(&self, name: &str) -> Option<Date> {
        match self.cell(name) {
            Cell::Day(value) => Some(*value),
            _ => None,
        }
    }

    /// True, and not null.
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self.cell(name), Cell::Bool(true))
    }

    /// As an object, values as `waybill query --format json` writes them.
    pub(super) fn to_json(self) -> Value {
        let object: Map<String, Value> =
            self.columns.iter().cloned().zip(self.cells.iter().map(Cell::to_json)).collect();
        Value::Object(object)
    }
}

/// Asks; `values` stand where the statement has their names in braces.
pub(super) async fn ask(console: &Console, sql: &str, values: &[(&str, Given<'_>)]) -> Result<Rows, Fault> {
    let Some(warehouse) = &console.parts().warehouse else { return Err(Fault::not_here("warehouse")) };
    let statement = fill(warehouse.kind(), &question(sql, warehouse.kind()), values)?;
    let turn = tokio::time::timeout(TURN_MAX, console.queries().acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(Fault::busy("as many questions as allowed are at work"));
    };
    match tokio::time::timeout(ANSWER_MAX, warehouse.query(&statement)).await {
        Ok(answer) => Ok(Rows(answer?)),
        Err(_) => Err(Fault::slow("the warehouse's answer")),
    }
}

/// Longest text that people look for, characters; AfterShip's ids have 128 at most.
const SOUGHT_MAX: usize = 200;

/// What somebody looks for, if it can be.
pub(super) fn sought(text: &str) -> Result<&str, Fault> {
    if text.chars().count() > SOUGHT_MAX || text.contains('\0') {
        return Err(Fault::bad(format!(
            "what is looked for may have {SOUGHT_MAX} characters, and no U+0000"
        )));
    }
    Ok(text)
}

/// A value for a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    /// A text.
    Text(&'a str),
    /// Texts, as a list in brackets.
    Texts(&'a [String]),
    /// A number.
    Whole(u64),
}

/// In one pass, so that no value is looked into for another one's name.
fn fill(kind: &str, statement: &str, values: &[(&str, Given<'_>)]) -> Result<String, Fault> {
    let mut out = String::with_capacity(statement.len() + 64);
    let mut rest = statement;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, Given::Text(text))) => out.push_str(&quoted(kind, text)?),
            Some((_, Given::Texts(texts))) => out.push_str(&list(kind, texts)?),
            Some((_, Given::Whole(number))) => out.push_str(&number.to_string()),
            None => out.push_str("null"),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn list(kind: &str, texts: &[String]) -> Result<String, Fault> {
    // No engine takes an empty list.
    let quoted: Vec<String> = if texts.is_empty() {
        vec!["null".to_owned()]
    } else {
        texts.iter().map(|text| quoted(kind, text)).collect::<Result<_, _>>()?
    };
    Ok(format!("({})", quoted.join(", ")))
}

/// As the engine writes it. Names of parcels may hold anything but U+0000, which no engine takes and nothing that is stored
/// has.
fn quoted(kind: &str, text: &str) -> Result<String, Fault> {
    if text.contains('\0') {
        return Err(Fault::bad("there is a U+0000 in what is looked for"));
    }
    Ok(literal_of(kind, text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_quoted_and_not_looked_into() {
        let filled = fill(
            "duckdb",
            "select {a}, {b}, {none} where x in {list} limit {n}",
            &[
                ("a", Given::Text("it's {b}")),
                ("b", Given::Text("plain")),
                ("list", Given::Texts(&["1".to_owned(), "2".to_owned()])),
                ("n", Given::Whole(7)),
            ],
        );

        let expected = "select 'it''s {b}', 'plain', null where x in ('1', '2') limit 7";
        assert_eq!(filled.expect("good values"), expected);
    }

    #[test]
    fn what_is_stored_can_be_looked_for_whatever_it_holds() {
        assert_eq!(quoted("postgres", "a\\' or 1=1 --").expect("good"), "'a\\'' or 1=1 --'");
        assert_eq!(quoted("redshift", "a\\b").expect("good"), "('a' || chr(92) || 'b')");
        assert_eq!(quoted("duckdb", "a\0b").expect_err("refused").code, "bad_request");
    }

    #[test]
    fn a_row_is_read_by_name() {
        let answer = Answer {
            columns: vec!["n".to_owned(), "money".to_owned(), "at".to_owned()],
            rows: vec![vec![
                Cell::Int(9_007_199_254_740_993),
                Cell::Exact("12.50".to_owned()),
                Cell::Instant("2026-07-09T12:00:00Z".parse().expect("instant")),
            ]],
        };
        let rows = Rows(answer);
        let row = rows.first().expect("a row");

        assert_eq!(
            (row.whole("n"), row.real("money"), row.text("none")),
            (9_007_199_254_740_993, Some(12.5), String::new())
        );
        assert_eq!(
            row.to_json(),
            json!({ "n": "9007199254740993", "money": "12.50", "at": "2026-07-09T12:00:00.000000Z" })
        );
    }
}
