//! `docs/CASE_STUDY.md` and `docs/AFTERSHIP.md` do not rot: every question is quoted, what they quote stands where they say,
//! every link leads somewhere, and the commands they show print what they say.
//!
//! A comment in front of a fenced block or a table says what it is: `from: FILE` is quoted from that file, `file: NAME` is
//! written to that name below an empty folder, `run` is run there, in the order of the page.

use std::path::{Path, PathBuf};

use waybill::ops::metrics::Outcome;

use super::failures::sources;
use super::links::{fault, pages, prose, targets};
use crate::journeys::tutorial::page::is_line;
use crate::support::waybill::Deployment;

const CASE_STUDY: &str = include_str!("../../docs/CASE_STUDY.md");
const AFTERSHIP: &str = include_str!("../../docs/AFTERSHIP.md");

/// Both, with their names in `docs/`.
const PAGES: [(&str, &str); 2] = [("CASE_STUDY.md", CASE_STUDY), ("AFTERSHIP.md", AFTERSHIP)];

/// Languages of blocks that are pictures, made-up input, or what somebody types: they need no source.
const OWN_LANGUAGES: [&str; 6] = ["mermaid", "console", "text", "nginx", "caddyfile", "csv"];

/// The case study's own words, in its order, its spelling kept; without the marks of lists.
const WORDINGS: [&str; 18] = [
    "Create_DB_tables_pg.sql depecits how the data should be formatted after landing; how would you architecture base \
     layer for OLAP purposes.",
    "Assume the business will need to perform frequent analysis of: Revenue Item Sales Price Changes By Product By \
     Customer By Date",
    "Discuss your architecture considerations as well as pk/fks (soft or hard), indexes and partitions where \
     appropraite - you may assume the real orders table is about 20-30 M records",
    "How would you push these data sets assume each new file is incremental from S3 into",
    "Provide a DAG or ochestration diagram",
    "This is not a docker skill test - you may use (AWS MWAA or DBT)",
    "Each time a sale happens, the warehouse will pack the product and send it to a 3rd party logistics handler to \
     deliver. Assuming we wanted to enrich our sales data with tracking data accurate up to 1 minute or 1 hour. How \
     would you go about consuming this webhook (https://developers.aftership.com/reference/webhook). You will be \
     landing the webhook data in S3, or any other comparable cloud bucket.",
    "Consider each line sales item is being shipped out and then tracked by a third party logistics tracker, that has \
     provided a webhook. How would you design the ingestion architecture - support your explnation with a systems \
     diagram. You may useas the reference webhook",
    "Aftership also offers an API, discuss how your systems design would be different and discuss the pros and cons of \
     ingesting via REST API vs. Webhook",
    "Discuss the differences in implmentation",
    "Something is wrong with the data set when you attempt to load it - can you spot the problem is?",
    "How would you go about handling the problem? Illustrate with some sample code.",
    "Sometimes products for whatever reason stop selling and a symptom can be an item that was selling well faces a \
     stock out or de-listing (or something else). Write a query that shows products that have sold for more than 30 \
     days in the last 60 days, but hasn't had sales for the last week.",
    "Date",
    "Product_id",
    "Total Items sold to date",
    "number of days with sales number of dates in the recent history where sales have ceased",
    "What would be the best way to implment this in Date/Product_id/Sum(sales)... type Data Mart with other sales \
     information (i.e. without filters and group by)?",
];

/// A fenced block, or a table that has a mark.
struct Block<'a> {
    /// What the comment in front of it says; empty without one.
    mark: &'a str,
    /// Of a fenced block, the word behind the fence; `table`.
    language: &'a str,
    /// Without the fences.
    lines: Vec<&'a str>,
    /// 1-based, for messages.
    at: usize,
}

impl<'a> Block<'a> {
    /// What stands behind `kind: ` in its mark.
    fn of(&self, kind: &str) -> Option<&'a str> {
        self.mark.strip_prefix(kind)?.strip_prefix(": ")
    }
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate().peekable();
    let mut mark = "";
    while let Some((index, line)) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            mark = comment;
        } else if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            blocks.push(Block { mark, language, lines: inside.collect(), at: index + 1 });
            mark = "";
        } else if line.starts_with('|') && !mark.is_empty() {
            let mut table = vec![line];
            while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with('|')) {
                table.push(line);
            }
            blocks.push(Block { mark, language: "table", lines: table, at: index + 1 });
            mark = "";
        } else {
            assert!(
                mark.is_empty(),
                "line {}: a comment stands in front of a block, without a line between",
                index + 1
            );
        }
    }
    blocks
}

/// The lines without what all of them are indented by.
fn dedented(lines: &[&str]) -> Vec<String> {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    lines.iter().map(|line| line.get(common..).unwrap_or_default().trim_end().to_owned()).collect()
}

/// Whether the block's lines stand in the source, one after the other.
fn holds(source: &str, block: &[&str]) -> bool {
    let wanted = dedented(block);
    let lines: Vec<&str> = source.lines().collect();
    !wanted.is_empty() && lines.windows(wanted.len()).any(|window| dedented(window) == wanted)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of all quoted lines, marks of lists left out.
fn quoted_words(page: &str) -> String {
    let mut words = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix('>')) {
        let line = line.trim();
        let is_number =
            |word: &str| word.strip_suffix('.').is_some_and(|digits| digits.parse::<u8>().is_ok());
        let mut of_line = line.split_whitespace().peekable();
        of_line.next_if(|word| *word == "-" || is_number(word));
        words.extend(of_line);
    }
    words.join(" ")
}

#[test]
fn every_question_is_quoted_in_the_order_of_the_case_study() {
    let words = quoted_words(CASE_STUDY);
    let mut rest = words.as_str();
    for wording in WORDINGS {
        let at = rest.find(wording).unwrap_or_else(|| panic!("not quoted, or not in its place: {wording}"));
        rest = &rest[at + wording.len()..];
    }
}

#[test]
fn every_block_of_code_stands_in_the_file_it_is_from() {
    let (mut quoted, mut tables) = (0, 0);
    for (name, page) in PAGES {
        for block in blocks(page) {
            let Some(path) = block.of("from") else {
                let is_own = OWN_LANGUAGES.contains(&block.language);
                assert!(is_own, "docs/{name}, line {}: a block of code without its source", block.at);
                continue;
            };
            let source = read(&root().join(path));
            if block.language == "table" {
                // Rows may be chosen; each stands there as it is here.
                for row in &block.lines {
                    let is_there = source.lines().any(|line| line == *row);
                    assert!(is_there, "docs/{name}, line {}: {path} has no row {row}", block.at);
                }
                tables += 1;
            } else {
                assert!(
                    holds(&source, &block.lines),
                    "docs/{name}, line {}: this does not stand in {path}:\n{}",
                    block.at,
                    block.lines.join("\n")
                );
                quoted += 1;
            }
        }
    }
    assert!(quoted >= 15 && tables >= 3, "{quoted} blocks of code and {tables} tables");
}

#[test]
fn a_quote_that_differs_is_noticed() {
    let source = "fn a() {\n    if x {\n        y();\n    }\n}\n";

    assert!(holds(source, &["if x {", "    y();", "}"]));
    assert!(!holds(source, &["if x {", "    z();", "}"]));
    assert!(!holds(source, &["if x {", "}"]), "a line left out");
    assert!(!holds(source, &["if x {", "y();"]), "indented otherwise");
    assert!(!holds(source, &[]));
    assert!(
        is_line("a…: 1", "a-b: 1")
            && !is_line("a…: 1", "a-b: 2")
            && !is_line("a", "ab")
            && is_line("a…", "ab")
    );
    assert!(blocks("<!-- from: a -->\n```sql\nselect 1\n```\n")[0].of("from") == Some("a"));
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    for (name, page) in PAGES {
        let path = Path::new("docs").join(name);
        let targets = targets(page);
        for target in &targets {
            let fault = fault(&path, target, &pages);
            assert!(fault.is_none(), "docs/{name}: {target}: {fault:?}");
        }
        let followed = targets.iter().filter(|target| !target.starts_with("https://")).count();
        assert!(followed >= 10, "docs/{name}: {followed} links");
    }
}

/// A test is named as the test runner prints it, with `::` in it.
#[test]
fn every_test_they_name_is_there() {
    let mut all = String::new();
    sources(&root().join("src"), &mut all);
    sources(&root().join("tests"), &mut all);
    let mut named = 0;
    for (page, text) in PAGES {
        let text = prose(text).join("\n");
        for word in text.split('`').skip(1).step_by(2).filter(|word| word.contains("::")) {
            let name = word.rsplit("::").next().expect("it has two parts");
            let forms = [format!("fn {name}("), format!("mod {name};"), format!("{name}\n")];
            let is_there = forms.iter().any(|form| all.contains(form.as_str()));
            assert!(is_there, "docs/{page} names {word}, which is not there");
            named += 1;
        }
    }
    assert!(named >= 10, "{named} names");
}

#[test]
fn every_answer_is_explained_to_who_sets_the_webhook_up() {
    let of_senders = Outcome::ALL.iter().filter(|outcome| !matches!(outcome, Outcome::Canary));
    for outcome in of_senders {
        let word = format!("`{}`", outcome.as_str());
        assert!(AFTERSHIP.contains(&word), "docs/AFTERSHIP.md does not explain {word}");
    }
}

/// The words of a command line, as a shell has them: quotes of both kinds, no variables.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut is_begun) = (String::new(), None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (None, '\'' | '"') => {
                quote = Some(letter);
                is_begun = true;
            }
            (Some(open), letter) if letter == open => quote = None,
            (None, ' ') => {
                if is_begun {
                    words.push(std::mem::take(&mut word));
                }
                is_begun = false;
            }
            (_, letter) => {
                word.push(letter);
                is_begun = true;
            }
        }
    }
    if is_begun {
        words.push(word);
    }
    words
}

/// Commands of a block, each with what it prints.
fn commands(block: &Block<'_>) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in &block.lines {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), Vec::new()));
        } else {
            let (_, printed) = commands.last_mut().expect("a block begins with a command");
            printed.push(line.trim_end().to_owned());
        }
    }
    commands
}

#[test]
fn the_commands_they_show_print_what_they_say() {
    for (name, page) in PAGES {
        let dir = tempfile::tempdir().expect("temporary folder");
        let deployment = Deployment::embedded(dir.path()).with("WAYBILL_RETAIL", "file:shop");
        let mut run = 0;
        for block in blocks(page) {
            if let Some(file) = block.of("file") {
                let path = dir.path().join(file);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                std::fs::write(path, block.lines.join("\n") + "\n").expect("a file");
            }
            if block.mark != "run" {
                continue;
            }
            for (command, expected) in commands(&block) {
                let words = words(&command);
                assert_eq!(words[0], "waybill", "docs/{name}, line {}: {command}", block.at);
                let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
                let printed = deployment.run_ok(&arguments);
                let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
                let is_same = printed.len() == expected.len()
                    && expected.iter().zip(&printed).all(|(expected, printed)| is_line(expected, printed));
                assert!(is_same, "docs/{name}, line {}: {command} prints\n{printed:#?}", block.at);
                run += 1;
            }
        }
        assert!(run >= 6 || name != "CASE_STUDY.md", "docs/{name}: {run} commands");
    }
}
