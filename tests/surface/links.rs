//! Every link of the documentation leads somewhere: pages, headings, pictures. What lies on other hosts is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

// --- the pages ---

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Markdown files below a folder that `is_wanted`; what is hidden is not looked into.
fn below(folder: &str, is_wanted: impl Fn(&Path) -> bool + Copy, into: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(root().join(folder)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = Path::new(folder).join(&name);
        if entry.path().is_dir() {
            if !name.starts_with('.') && name != "node_modules" {
                below(&path.to_string_lossy(), is_wanted, into);
            }
        } else if name.ends_with(".md") && is_wanted(&path) {
            into.insert(path);
        }
    }
}

/// Every page that people read, by its path below the project.
pub(super) fn pages() -> BTreeMap<PathBuf, String> {
    let mut paths: BTreeSet<PathBuf> =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].into_iter().map(PathBuf::from).collect();
    below("docs", |_| true, &mut paths);
    below(".github", |_| true, &mut paths);
    below("deploy", |path| path.file_name().is_some_and(|name| name == "README.md"), &mut paths);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(root().join(&path));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

// --- Markdown, as far as links need it ---

/// The lines of a page without blocks of code.
pub(super) fn prose(text: &str) -> Vec<&str> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) => lines.push(line),
        }
    }
    assert!(fence.is_none(), "a block of code has no end");
    lines
}

/// A line without its code in backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Targets of the links and pictures of a page.
pub(super) fn targets(text: &str) -> Vec<String> {
    // A link may begin on one line and end on the next.
    let text = prose(text).into_iter().map(without_code).collect::<Vec<_>>().join("\n");
    let mut found: Vec<String> = Vec::new();
    for rest in text.split("](").skip(1) {
        let target = rest.split(')').next().unwrap_or_default();
        found.push(target.split_whitespace().next().unwrap_or_default().to_owned());
    }
    for attribute in ["href=\"", "src=\""] {
        found.extend(
            text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned),
        );
    }
    found
}

/// The name that GitHub gives a heading: lower case, words with hyphens, nothing else.
fn slug(heading: &str) -> String {
    // Of a link its words stay.
    let mut words = String::new();
    let mut rest = heading;
    while let Some((before, after)) = rest.split_once("](") {
        words.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    words.push_str(rest);
    words
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter.is_alphanumeric().then_some(letter),
        })
        .collect()
}

/// The names of all headings of a page; the second of the same words has `-1` behind it.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for line in prose(text) {
        let words = line.trim_start_matches('#');
        let depth = line.len() - words.len();
        if (1..=6).contains(&depth) && words.starts_with(' ') {
            let name = slug(words);
            let before = seen.entry(name.clone()).or_default();
            names.insert(if *before == 0 { name } else { format!("{name}-{before}") });
            *before += 1;
        }
    }
    names
}

// --- where links lead ---

/// A path without `.` and `..`; `None` when it leaves the project.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

/// Why a link of this page leads nowhere; `None` when it leads somewhere, or to another host.
pub(super) fn fault(page: &Path, target: &str, pages: &BTreeMap<PathBuf, String>) -> Option<String> {
    if ["https://", "http://", "mailto:"].iter().any(|begin| target.starts_with(begin)) {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let to = if path.is_empty() {
        page.to_owned()
    } else {
        let folder = page.parent().unwrap_or(Path::new(""));
        let Some(to) = plain(&folder.join(path)) else { return Some("leaves the project".to_owned()) };
        to
    };
    match (path.is_empty(), anchor.is_empty()) {
        (true, true) => return Some("names nothing".to_owned()),
        (false, _) if !root().join(&to).exists() => return Some(format!("there is no {}", to.display())),
        (false, true) => return None,
        _ => {}
    }
    let Some(text) = pages.get(&to) else { return Some(format!("{} has no headings", to.display())) };
    let is_there = anchors(text).contains(anchor);
    (!is_there).then(|| format!("{} has no heading #{anchor}", to.display()))
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let text = "# One & two\n\n## `a_b`: [c](d.md), É\n\n## One & two\n\n```\n# no heading [x](y)\n```\n\n`[no](link)`";
    assert_eq!(
        anchors(text),
        ["one--two", "a_b-c-é", "one--two-1"].into_iter().map(str::to_owned).collect::<BTreeSet<_>>()
    );
    assert_eq!(
        targets("[a](b.md \"c\") ![d](e.png)\n`[f](g)` [h\ni](#j)\n<img src=\"k.png\">"),
        ["b.md", "e.png", "#j", "k.png"]
    );

    let page = PathBuf::from("docs/X.md");
    let pages = BTreeMap::from([(page.clone(), text.to_owned())]);
    for (target, is_good) in [
        ("https://example.com/nowhere", true),
        ("#one--two-1", true),
        ("X.md#a_b-c-é", false),
        ("../Cargo.toml", true),
        ("../Cargo.toml#package", false),
        ("../src", true),
        ("#three", false),
        ("#", false),
        ("", false),
        ("nowhere.md", false),
        ("/Cargo.toml", false),
        ("../../Cargo.toml", false),
    ] {
        let fault = fault(&page, target, &pages);
        assert_eq!(fault.is_none(), is_good, "{target}: {fault:?}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut faults = Vec::new();
    let mut links = 0;
    for (page, text) in &pages {
        for target in targets(text) {
            links += 1;
            if let Some(fault) = fault(page, &target, &pages) {
                faults.push(format!("{}: ({target}) {fault}", page.display()));
            }
        }
    }

    assert!(links > 200, "{links} links");
    assert!(faults.is_empty(), "{} links lead nowhere:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_page_of_the_docs_is_linked_from_another() {
    let pages = pages();
    let mut linked = BTreeSet::new();
    for (page, text) in &pages {
        let folder = page.parent().unwrap_or(Path::new(""));
        for target in targets(text) {
            let path = target.split('#').next().unwrap_or_default();
            linked.extend(plain(&folder.join(path)).filter(|to| to != page));
        }
    }

    let alone: Vec<_> =
        pages.keys().filter(|page| page.starts_with("docs") && !linked.contains(*page)).collect();
    assert!(alone.is_empty(), "no other page leads to {alone:?}");
}

#[test]
fn no_page_names_a_folder_of_somebodys_machine() {
    for (page, text) in pages() {
        for folder in ["/home/", "/Users/", "/root/", "file:///"] {
            assert!(!text.contains(folder), "{} has {folder}", page.display());
        }
    }
}
