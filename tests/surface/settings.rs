//! The README's table of settings says what the program does.

use waybill::settings::{SettingDefault, TABLE};

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md")
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let readme = readme();
    for setting in TABLE {
        let row = readme
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&format!("`{}`", setting.env())))
            .unwrap_or_else(|| panic!("{} is not in the README's table", setting.env()));
        if let SettingDefault::Value(default) | SettingDefault::UpOnly(default) = setting.default {
            assert!(
                row.contains(&format!("`{default}`")),
                "{}: the README gives another default: {row}",
                setting.name
            );
        }
    }
}

#[test]
fn the_readme_lists_no_setting_that_does_not_exist() {
    let known: Vec<String> = TABLE.iter().map(waybill::settings::Setting::env).collect();
    for line in readme().lines().filter(|line| line.starts_with("| `WAYBILL_")) {
        let name = line.trim_start_matches("| `").split('`').next().expect("a name").to_owned();
        let base = name.trim_end_matches("_FILE").to_owned();
        assert!(known.contains(&name) || known.contains(&base), "{name} is no setting");
    }
}
