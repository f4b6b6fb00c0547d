//! Pages name settings that there are, with the defaults that they have. The whole list is `docs/reference/settings.md`,
//! which `reference.rs` writes.

use std::path::{Path, PathBuf};

use waybill::settings::{Setting, SettingDefault, TABLE};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages in `docs`, and those at the top.
fn pages() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of docs").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == "md") {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Every name in a text that begins like a setting's.
fn names(text: &str) -> Vec<String> {
    let is_of_name = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    let ends = text.split("WAYBILL_").skip(1);
    ends.map(|rest| {
        let end = rest.find(|letter| !is_of_name(letter)).unwrap_or(rest.len());
        format!("WAYBILL_{}", &rest[..end])
    })
    .collect()
}

fn is_known(name: &str) -> bool {
    // No settings, but ours all the same; the last are of tests.
    let is_other = ["WAYBILL_LOG", "WAYBILL_CONFIG"].contains(&name) || name.starts_with("WAYBILL_TEST_");
    let is_setting = |setting: &Setting| {
        let env = setting.env();
        // `WAYBILL_POLL_…` means all that begin so.
        name == env
            || setting.file_env().as_deref() == Some(name)
            || (name.ends_with('_') && env.starts_with(name))
    };
    is_other || TABLE.iter().any(is_setting)
}

#[test]
fn a_name_that_is_no_setting_is_noticed() {
    let text =
        "`WAYBILL_LISTEN`, WAYBILL_POLL_…, WAYBILL_LISTENS=1, $WAYBILL_QUEUE_FILE and WAYBILL_OPS_TOKEN_FILE";

    let unknown: Vec<String> = names(text).into_iter().filter(|name| !is_known(name)).collect();

    assert_eq!(unknown, ["WAYBILL_LISTENS", "WAYBILL_QUEUE_FILE"]);
}

#[test]
fn every_setting_that_a_page_names_is_one() {
    let mut named = 0;
    for path in pages() {
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for name in names(&text) {
            assert!(is_known(&name), "{}: {name} is no setting", path.display());
            named += 1;
        }
    }
    assert!(named > 200, "{named} names");
}

#[test]
fn the_readme_gives_the_defaults_that_there_are() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `WAYBILL_")).collect();
    assert!(rows.len() >= 8, "{} settings in the README's table", rows.len());
    for row in rows {
        let name = row.split('`').nth(1).expect("a name");
        let setting = TABLE.iter().find(|setting| setting.env() == name);
        let setting = setting.unwrap_or_else(|| panic!("{name} is no setting"));
        if let SettingDefault::Value(default) | SettingDefault::UpOnly(default) = setting.default {
            assert!(row.contains(&format!("`{default}`")), "{name}: the README gives another default: {row}");
        }
    }
    assert!(readme.contains("(docs/reference/settings.md)"), "and it says where the others are");
}
