//! Commands, exit codes and streams, as the contract has them.

use crate::support::waybill::Deployment;

fn deployment() -> (tempfile::TempDir, Deployment) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    (dir, deployment)
}

#[test]
fn bad_usage_is_2_and_bad_settings_are_78_all_at_once() {
    let (_dir, deployment) = deployment();
    assert_eq!(deployment.run(&["fly"]).status.code(), Some(2));
    assert_eq!(deployment.run(&["load", "--strict"]).status.code(), Some(2));

    let bare = deployment.clone().without("WAYBILL_WEBHOOK_SECRETS").without("WAYBILL_QUEUE");
    let output = bare.run(&["receive"]);
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("WAYBILL_WEBHOOK_SECRETS") && text.contains("WAYBILL_QUEUE"), "{text}");
    assert!(output.stdout.is_empty(), "results alone go to stdout");
}

#[test]
fn an_address_in_use_is_78() {
    let (_dir, deployment) = deployment();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();

    let output = deployment.with("WAYBILL_LISTEN", &address).run(&["receive"]);

    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
}

#[test]
fn load_once_prints_one_object_with_all_outcomes() {
    let (_dir, deployment) = deployment();
    let text = deployment.run_ok(&["load", "--once"]);

    let summary: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    for name in [
        "files",
        "files_rejected",
        "lines",
        "inserted",
        "updated",
        "unchanged",
        "duplicate",
        "conflict",
        "waiting",
        "rejected",
    ] {
        assert_eq!(summary[name], 0, "{name} in {text}");
    }
}

#[test]
fn a_damaged_object_is_rejected_and_strict_says_3() {
    let (_dir, deployment) = deployment();
    let folder = deployment.dir().join("lake/events/dt=2026-07-09/hour=11/minute=00");
    std::fs::create_dir_all(&folder).expect("folder");
    std::fs::write(folder.join("0000.jsonl.zst"), b"no zstd").expect("object");

    let output = deployment.run(&["load", "--once", "--strict"]);

    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&summary["files"], &summary["files_rejected"]), (&1.into(), &1.into()));
    assert_eq!(deployment.query("select reason from raw.rejected_row")[0]["reason"], "object_damaged");
    let again: serde_json::Value =
        serde_json::from_str(&deployment.run_ok(&["load", "--once"])).expect("JSON");
    assert_eq!(again["files"], 0, "the ledger remembers it");
}

#[test]
fn an_old_schema_with_migrations_off_is_78() {
    let (_dir, deployment) = deployment();

    let output = deployment.with("WAYBILL_MIGRATE", "off").run(&["load", "--once"]);

    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("waybill migrate"));
}

#[test]
fn check_names_all_faults_of_places_and_changes_nothing() {
    let (dir, deployment) = deployment();
    deployment.run_ok(&["check"]);
    assert_eq!(std::fs::read_dir(dir.path()).expect("folder").count(), 0, "a check makes nothing");

    let blocked = dir.path().join("blocked");
    std::fs::write(&blocked, b"a file, not a folder").expect("file");
    let faulty = deployment
        .with("WAYBILL_QUEUE", &format!("file:{}", blocked.display()))
        .with("WAYBILL_LAKE", &format!("file:{}", blocked.display()));
    let output = faulty.run(&["check"]);
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("queue:") && text.contains("lake:"), "{text}");

    // Faults of settings and of places in one answer.
    let both = faulty.without("WAYBILL_WEBHOOK_SECRETS").with("WAYBILL_BATCH_AGE", "soon");
    let text = String::from_utf8_lossy(&both.run(&["check"]).stderr).into_owned();
    for name in ["WAYBILL_WEBHOOK_SECRETS", "WAYBILL_BATCH_AGE", "queue:", "lake:"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn what_cannot_be_used_on_the_command_line_exits_2_and_a_mistyped_lake_is_not_made() {
    let (dir, deployment) = deployment();
    std::fs::create_dir(dir.path().join("lake")).expect("folder");
    for arguments in [
        &["dead-letters", "list", "--where", "reasn=x"][..],
        &["dead-letters", "list", "--where", "reason=unknown"],
        &["dead-letters", "list", "--where", "since=yesterday"],
        &["dead-letters", "replay", "--rate", "0"],
        &["simulate", "--url", "http://127.0.0.1:1/", "--poison", "7"],
    ] {
        let output = deployment.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    let typo = dir.path().join("typo");
    let output = deployment.run(&["dead-letters", "list", "--lake", &format!("file:{}", typo.display())]);
    assert_eq!(output.status.code(), Some(78));
    assert!(!typo.exists());
}

#[test]
fn a_simulation_says_at_once_that_nobody_listens() {
    let (_dir, deployment) = deployment();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);

    let output = deployment.run(&["simulate", "--url", &format!("http://{address}/webhooks/aftership")]);

    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot reach"));
}

#[test]
fn a_query_is_read_only_and_prints_in_three_formats() {
    let (_dir, deployment) = deployment();
    deployment.run_ok(&["migrate"]);

    assert_eq!(
        deployment.run_ok(&["query", "--format", "csv", "select 1 as a, 'x,y' as b"]),
        "a,b\n1,\"x,y\"\n"
    );
    assert!(deployment.run_ok(&["query", "select 1 as a"]).contains("1 row"));
    let json =
        deployment.query("select 12.50::decimal(12,2) as money, date '2026-07-09' as day, null as nothing");
    assert_eq!(json[0], serde_json::json!({ "money": "12.50", "day": "2026-07-09", "nothing": null }));
    for sql in ["delete from raw.loaded_file", "select 1; select 2", "create table x (a int)", "nonsense"] {
        let output = deployment.run(&["query", sql]);
        assert_eq!(output.status.code(), Some(1), "{sql}");
        assert!(!output.stderr.is_empty());
    }
    for name in ["status", "stuck", "couriers", "loads", "rejects"] {
        deployment.run_ok(&["query", "--named", name]);
    }
}

#[test]
fn help_names_every_command_and_setting() {
    let (_dir, deployment) = deployment();
    let help = deployment.run_ok(&["--help"]);
    for word in
        ["up", "receive", "batch", "load", "dead-letters", "simulate", "query", "migrate", "health", "check"]
    {
        assert!(help.contains(word), "{word}");
    }
    for setting in waybill::settings::TABLE.iter().filter(|setting| !setting.is_secret) {
        assert!(help.contains(&format!("--{}", setting.flag())), "{}", setting.name);
    }
}

#[test]
fn the_readme_has_a_row_for_every_command() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `waybill ")).collect();
    for command in waybill::cli::command().get_subcommands() {
        let name = command.get_name();
        let forms = [format!("`waybill {name}`"), format!("`waybill {name} "), format!("`{name}`")];
        assert!(
            rows.iter().any(|row| forms.iter().any(|form| row.contains(form.as_str()))),
            "{name} has no row in the README's table of commands"
        );
    }
}

#[test]
fn the_version_is_one_line_when_short_and_tells_the_build_when_long() {
    let (_dir, deployment) = deployment();
    let version = concat!("waybill ", env!("CARGO_PKG_VERSION"));
    assert_eq!(deployment.run_ok(&["-V"]), format!("{version}\n"));

    let long = deployment.run_ok(&["--version"]);

    let lines: Vec<&str> = long.lines().collect();
    assert_eq!(lines[0], version);
    for (line, name) in lines[1..].iter().zip(["commit  ", "built   ", "target  ", "DuckDB  v1."]) {
        assert!(line.starts_with(name) && line.len() > name.len(), "{name}: {long}");
    }
    assert_eq!(lines.len(), 5, "{long}");
}

#[test]
fn health_is_0_while_the_process_lives_and_1_when_it_is_gone() {
    let (_dir, deployment) = deployment();
    let mut receive = deployment.start(&["receive"]);
    let url = format!("http://{}/", receive.ops());
    // What a health check in a container has: the listener's address, and no secret.
    let asking = deployment
        .without("WAYBILL_WEBHOOK_SECRETS")
        .without("WAYBILL_QUEUE")
        .with("WAYBILL_OPS_LISTEN", &receive.ops().to_string());

    assert_eq!(asking.run_ok(&["health"]), "live\n");
    assert_eq!(asking.run_ok(&["health", "--ready"]), "ready\n");
    assert_eq!(asking.run_ok(&["health", "--url", &url]), "live\n");
    // The public listener answers, and knows no such page.
    let public = format!("http://{}", receive.listen());
    let output = asking.run(&["health", "--url", &public]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("404"), "{output:?}");

    receive.terminate();
    assert!(receive.wait().success(), "{}", receive.stderr());

    let output = asking.run(&["health"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("cannot reach http://127.0.0.1:") && text.lines().count() == 1, "{text}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn health_says_what_it_cannot_ask() {
    let (_dir, deployment) = deployment();
    for (listener, fault) in
        [("127.0.0.1:0", "--url"), ("off", "listener is off"), ("nowhere", "WAYBILL_OPS_LISTEN")]
    {
        let output = deployment.clone().with("WAYBILL_OPS_LISTEN", listener).run(&["health"]);

        assert_eq!(output.status.code(), Some(1), "{listener}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(fault), "{listener}: {output:?}");
    }
    assert_eq!(deployment.run(&["health", "--url", "127.0.0.1:8081"]).status.code(), Some(2));
}
