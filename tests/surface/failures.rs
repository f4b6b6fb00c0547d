//! `docs/FAILURES.md` names a test for what it promises: the tests are there, and so is every failure mode.

use std::path::Path;

const PAGE: &str = include_str!("../../docs/FAILURES.md");

/// Failure modes of the reference.
const MODES: usize = 90;

/// All Rust below a folder, in one text.
pub(super) fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_failure_mode_has_its_row() {
    for number in 1..=MODES {
        let begin = format!("| F{number:02} |");
        assert_eq!(PAGE.lines().filter(|line| line.starts_with(&begin)).count(), 1, "{begin}");
    }
}

#[test]
fn every_test_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    sources(&root.join("src"), &mut all);
    sources(&root.join("tests"), &mut all);
    sources(&root.join("fuzz"), &mut all);
    let mut named = 0;
    for text in PAGE.split('`').skip(1).step_by(2).filter(|text| text.contains("::")) {
        let (_, name) = text.rsplit_once("::").expect("it has two parts");
        // A rule of a contract is a name in a list, a test made by a macro stands before a colon.
        let is_there =
            [format!("fn {name}("), format!("mod {name};"), format!("{name}\n"), format!("{name}: ")]
                .iter()
                .any(|form| all.contains(form.as_str()));
        assert!(is_there, "{text} is named, and is not there");
        named += 1;
    }
    assert!(named > 150, "{named} names");
}
