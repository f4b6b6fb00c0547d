//! The pages of `docs/reference` say what the code says. What stands between their marks is written by
//! `UPDATE_GOLDEN=1 cargo test --features failpoints reference`; the words around it are people's.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;
use waybill::ops::metrics::{CATALOGUE, Kind};
use waybill::settings::{Setting, SettingDefault, TABLE};

use crate::support::waybill::Deployment;

const START: &str = "<!-- generated:start -->\n";
const END: &str = "<!-- generated:end -->\n";

/// On PostgreSQL alone, so no warehouse on DuckDB knows it.
const POSTGRES_ONLY: &str = "raw.order_line_day";

// --- pages ---

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Holds what stands between the marks of a page against the code, or writes it.
fn hold(page: &str, wanted: &str) {
    let path = root().join("docs/reference").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (head, rest) = text.split_once(START).unwrap_or_else(|| panic!("{page} has no {START}"));
    let (found, tail) = rest.split_once(END).unwrap_or_else(|| panic!("{page} has no {END}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{head}{START}{wanted}{END}{tail}")).expect("a page of the reference");
        return;
    }
    let first = wanted.lines().zip(found.lines()).find(|(wanted, found)| wanted != found).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/reference/{page} is not what the code says: look at it with UPDATE_GOLDEN=1 and git diff.\n\
         code: {}\npage: {}",
        first.0,
        first.1
    );
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

// --- settings ---

fn setting_row(setting: &Setting) -> String {
    let env = setting.env();
    let names = setting.file_env().map_or_else(|| format!("`{env}`"), |file| format!("`{env}`, `{file}`"));
    let flag = if setting.is_secret {
        "none: others see the command line".to_owned()
    } else {
        format!("`--{}`", setting.flag())
    };
    let default = match setting.default {
        SettingDefault::Value(text) => format!("`{text}`"),
        SettingDefault::UpOnly(text) => format!("`{text}` (`up` only)"),
        SettingDefault::None(text) => text.to_owned(),
    };
    format!("| {names} | {flag} | `{}` | {} | {} |\n", setting.name, cell(setting.help), cell(&default))
}

#[test]
fn the_settings_are_those_of_the_table() {
    let mut text = String::from("| environment | flag | `waybill.toml` | meaning | default |\n");
    text.push_str("|---|---|---|---|---|\n");
    text.extend(TABLE.iter().map(setting_row));

    hold("settings.md", &text);
}

// --- metrics ---

#[test]
fn the_metrics_are_those_of_the_catalogue() {
    let mut text = String::from("| metric | type | meaning |\n|---|---|---|\n");
    for metric in CATALOGUE {
        let labels = metric.labels.join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let _ = writeln!(text, "| `{}{labels}` | {kind} | {} |", metric.name, cell(metric.help));
    }

    hold("metrics.md", &text);
}

// --- commands ---

/// Each command as it is typed, parents before their children.
fn commands(of: &clap::Command, typed: &[String], into: &mut Vec<Vec<String>>) {
    into.push(typed.to_vec());
    for child in of.get_subcommands() {
        commands(child, &[typed, &[child.get_name().to_owned()]].concat(), into);
    }
}

#[test]
fn the_commands_are_those_of_the_program_and_their_help_is_what_it_prints() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let mut all = Vec::new();
    commands(&waybill::cli::command(), &[], &mut all);
    assert!(all.len() > 20, "{} commands", all.len());

    let mut text = String::new();
    for typed in all {
        let mut arguments: Vec<&str> = typed.iter().map(String::as_str).collect();
        let _ = write!(text, "\n## {}\n\n```text\n", [&["waybill"][..], &arguments[..]].concat().join(" "));
        arguments.push("-h");
        for line in deployment.run_ok(&arguments).trim_end().lines() {
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push_str("```\n");
    }

    hold("commands.md", &text);
}

// --- tables ---

/// What a table and its columns are for, by name.
struct Described {
    about: String,
    /// Name, type and meaning, in order.
    columns: Vec<(String, String, String)>,
}

fn text_of(value: &Value, key: &str) -> String {
    let text = value[key].as_str().unwrap_or_else(|| panic!("{value:?} has no {key}"));
    text.trim().to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_sequence().map_or(&[], Vec::as_slice)
}

/// The descriptions that dbt shows: one file for each schema and half.
fn described() -> BTreeMap<String, Described> {
    let folder = root().join("deploy/dbt/models/sources");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the sources of dbt").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a source of dbt");
        let file: Value = serde_yaml_ng::from_str(&text).expect("YAML");
        for source in list(&file, "sources") {
            for table in list(source, "tables") {
                let columns = list(table, "columns").iter();
                let columns = columns.map(|column| {
                    (text_of(column, "name"), text_of(column, "data_type"), text_of(column, "description"))
                });
                let described =
                    Described { about: text_of(table, "description"), columns: columns.collect() };
                all.insert(format!("{}.{}", text_of(source, "schema"), text_of(table, "name")), described);
            }
        }
    }
    all
}

/// DuckDB's word for a type, as the schema's files have it.
fn type_name(word: &str) -> String {
    match word {
        "VARCHAR" => "text".to_owned(),
        "TIMESTAMP WITH TIME ZONE" => "timestamptz".to_owned(),
        _ => word.to_lowercase(),
    }
}

/// A column: name, type, and whether a null is refused; a view refuses none.
type Column = (String, String, bool);

/// The tables and views of a warehouse that the program has just made, with their columns in order.
fn made(deployment: &Deployment) -> BTreeMap<String, (bool, Vec<Column>)> {
    deployment.run_ok(&["migrate"]);
    let mut all: BTreeMap<String, (bool, Vec<Column>)> = BTreeMap::new();
    for row in deployment.query(
        "select c.table_schema || '.' || c.table_name as name, t.table_type, c.column_name, c.data_type, c.is_nullable
         from information_schema.columns as c
         join information_schema.tables as t on t.table_schema = c.table_schema and t.table_name = c.table_name
         where c.table_schema in ('raw', 'base', 'mart')
         order by name, c.ordinal_position",
    ) {
        let word = |key: &str| row[key].as_str().unwrap_or_else(|| panic!("{row} has no {key}")).to_owned();
        let table = all.entry(word("name")).or_insert((word("table_type") == "VIEW", Vec::new()));
        table.1.push((word("column_name"), type_name(&word("data_type")), word("is_nullable") == "NO"));
    }
    all
}

#[test]
fn the_tables_are_those_of_a_new_warehouse_and_each_column_is_described() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut made = made(&Deployment::embedded(dir.path()));
    let described = described();
    let partitions = &described[POSTGRES_ONLY];
    let of_postgres = partitions.columns.iter().map(|(name, kind, _)| (name.clone(), kind.clone(), true));
    made.insert(POSTGRES_ONLY.to_owned(), (false, of_postgres.collect()));
    let undescribed: Vec<_> = made.keys().filter(|name| !described.contains_key(*name)).collect();
    assert!(undescribed.is_empty(), "not in deploy/dbt/models/sources: {undescribed:?}");
    let gone: Vec<_> = described.keys().filter(|name| !made.contains_key(*name)).collect();
    assert!(gone.is_empty(), "described in deploy/dbt/models/sources, and not there: {gone:?}");

    let mut text = String::new();
    for schema in ["base", "mart", "raw"] {
        for (name, (is_view, columns)) in made.iter().filter(|(name, _)| name.starts_with(schema)) {
            let Described { about, columns: words } = &described[name];
            let view = if *is_view { " A view." } else { "" };
            let _ =
                write!(text, "\n## {name}\n\n{about}{view}\n\n| column | type | meaning |\n|---|---|---|\n");
            for (column, kind, is_filled) in columns {
                let null = if *is_filled || *is_view { "" } else { ", nullable" };
                let meaning = words.iter().find(|(described, ..)| described == column);
                let (.., meaning) = meaning.unwrap_or_else(|| panic!("{name}.{column} is not described"));
                // Links of WAREHOUSE's own lead there.
                let meaning = cell(meaning).replace("](#", "](../WAREHOUSE.md#");
                let _ = writeln!(text, "| `{column}` | {kind}{null} | {meaning} |");
            }
            let missing = words.iter().find(|(word, ..)| columns.iter().all(|(column, ..)| column != word));
            assert!(missing.is_none(), "{name} has no {missing:?}");
        }
    }

    hold("tables.md", &text);
}

/// The folder of this page, for what must not be there.
fn pages() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("docs/reference")).expect("the reference");
    folder.flatten().map(|entry| entry.path()).collect()
}

#[test]
fn no_page_of_the_reference_is_without_its_test() {
    let mut names: Vec<String> =
        pages().iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect();
    names.sort();

    assert_eq!(names, ["commands.md", "metrics.md", "settings.md", "tables.md"]);
}
