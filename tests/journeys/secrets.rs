//! Webhook secrets fail closed: whatever state they are in, nobody gets in without a good one; and they can be changed
//! while the program runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use waybill::aftership::signature::sign;

use crate::support::waybill::{Deployment, PATIENCE, Running, event, exchange, fresh_id, get, request};

const OLD: &str = "the-old-secret-0123456789abcdef0";
const NEW: &str = "the-new-secret-0123456789abcdef0";

/// A name for it, variables, and what the file of secrets holds.
type State = (String, Vec<(&'static str, String)>, Option<Vec<u8>>);

/// States of the secrets with which nothing may start.
fn states_that_let_nobody_in() -> Vec<State> {
    let mut states = Vec::new();
    let mut by_env = |name: &str, value: &str| {
        states.push((format!("env: {name}"), vec![("WAYBILL_WEBHOOK_SECRETS", value.to_owned())], None));
    };
    by_env("empty", "");
    by_env("blank", "  ");
    by_env("a comma", ",");
    by_env("commas and blanks", " , ,\t, ");
    by_env("line breaks", "\n\r\n\n");
    by_env("one character", "x");
    by_env("fifteen characters", "0123456789abcde");
    by_env("fifteen characters and blanks around", "   0123456789abcde   ");
    by_env("a good one and a short one", &format!("{OLD},short"));
    by_env("a short one and a good one", &format!("short,{OLD}"));
    by_env("a good one and one of a few wide characters", &format!("{OLD},ééééééé"));
    by_env("nine of them", &[OLD; 9].join(","));
    by_env("a hundred of them", &[OLD; 100].join("\n"));
    let files: [(&str, &[u8]); 10] = [
        ("empty", b""),
        ("blank", b"  \n"),
        ("line breaks", b"\n\n\r\n"),
        ("a comma", b","),
        ("short", b"0123456789abcde"),
        ("short with a line break", b"0123456789abcde\n"),
        ("one of two short", b"the-old-secret-0123456789abcdef0\nshort\n"),
        ("not UTF-8", b"\xff\xfe\x00\x80 0123456789abcdef"),
        ("UTF-16", b"\xff\xfe0\x001\x002\x003\x004\x00"),
        ("short after a byte order mark", b"\xef\xbb\xbfshort"),
    ];
    for (name, text) in files {
        states.push((format!("file: {name}"), vec![], Some(text.to_vec())));
    }
    let below = |name: &str| ("WAYBILL_WEBHOOK_SECRETS_FILE", name.to_owned());
    states.push(("nothing at all".to_owned(), vec![], None));
    states.push(("a file that is not there".to_owned(), vec![below("gone")], None));
    states.push(("a file name that is empty".to_owned(), vec![below("")], None));
    states.push(("a folder".to_owned(), vec![below(".")], None));
    states.push(("a file below a file".to_owned(), vec![below("Cargo.toml/secret")], None));
    states.push((
        "both, and nobody can say which counts".to_owned(),
        vec![("WAYBILL_WEBHOOK_SECRETS", OLD.to_owned())],
        Some(NEW.as_bytes().to_vec()),
    ));
    states
}

fn secret_file(dir: &Path) -> PathBuf {
    dir.join("secrets")
}

#[test]
fn no_state_of_the_secrets_lets_anybody_in() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let states = states_that_let_nobody_in();
    let mut tried = 0;
    for (name, env, file) in &states {
        for command in ["receive", "up"] {
            let mut deployment = Deployment::embedded(dir.path()).without("WAYBILL_WEBHOOK_SECRETS");
            for (variable, value) in env {
                deployment = deployment.with(variable, value);
            }
            if let Some(text) = file {
                std::fs::write(secret_file(dir.path()), text).expect("the file");
                let path = secret_file(dir.path()).display().to_string();
                deployment = deployment.with("WAYBILL_WEBHOOK_SECRETS_FILE", &path);
            }
            match deployment.try_start(&[command]) {
                Ok(_) => panic!("{command} started with {name}"),
                Err((status, stderr)) => {
                    assert_eq!(status.code(), Some(78), "{command}, {name}: {stderr}");
                    assert!(stderr.contains("WAYBILL_WEBHOOK_SECRETS"), "{command}, {name}: {stderr}");
                    assert!(!stderr.contains(OLD) && !stderr.contains("0123456789abcde"), "{name}: {stderr}");
                }
            }
            tried += 1;
        }
    }
    assert!(tried >= 40, "{tried} states");
}

struct Rotation {
    dir: tempfile::TempDir,
    up: Running,
}

impl Rotation {
    fn start(text: &str) -> Rotation {
        let dir = tempfile::tempdir().expect("temporary folder");
        std::fs::write(secret_file(dir.path()), text).expect("the file");
        let path = secret_file(dir.path()).display().to_string();
        let deployment = Deployment::embedded(dir.path())
            .without("WAYBILL_WEBHOOK_SECRETS")
            .with("WAYBILL_WEBHOOK_SECRETS_FILE", &path);
        let up = deployment.start(&["receive"]);
        Rotation { dir, up }
    }

    fn write(&self, text: &[u8]) {
        std::fs::write(secret_file(self.dir.path()), text).expect("the file");
    }

    fn hang_up(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.up.id()).expect("a process id"));
        rustix::process::kill_process(pid.expect("not 0"), rustix::process::Signal::HUP).expect("it runs");
    }

    /// What an event that this secret signs is answered.
    fn answer(&self, secret: &str) -> u16 {
        let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00Z");
        let headers = [
            format!("aftership-hmac-sha256: {}", sign(secret, body.as_bytes())),
            "Connection: close".to_owned(),
        ];
        exchange(self.up.listen(), &request(&headers, body.as_bytes())).expect("an answer").status
    }

    fn await_answer(&self, secret: &str, expected: u16) {
        let deadline = Instant::now() + PATIENCE;
        while self.answer(secret) != expected {
            assert!(Instant::now() < deadline, "{expected} does not come:\n{}", self.up.stderr());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn await_metric(&self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = get(self.up.ops(), "/metrics").expect("metrics").body;
            if metrics.lines().any(|found| found == line) {
                return;
            }
            assert!(Instant::now() < deadline, "{line} does not come");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

#[test]
fn secrets_rotate_without_a_restart_and_the_metric_tells_which_one_signed() {
    let rotation = Rotation::start(OLD);
    assert_eq!((rotation.answer(OLD), rotation.answer(NEW)), (200, 401));

    // Both for a while, by changing the file alone.
    rotation.write(format!("{NEW}\n{OLD}\n").as_bytes());
    rotation.await_answer(NEW, 200);
    assert_eq!(rotation.answer(OLD), 200);
    rotation.await_metric("waybill_receive_secrets_read_total{result=\"ok\"} 1");
    rotation.await_metric("waybill_receive_signature_verified_total{secret_id=\"2\"} 1");

    // And the old one goes, by a signal.
    rotation.write(NEW.as_bytes());
    rotation.hang_up();
    rotation.await_answer(OLD, 401);
    assert_eq!(rotation.answer(NEW), 200);
    assert!(!rotation.up.stderr().contains(OLD) && !rotation.up.stderr().contains(NEW));
}

#[test]
fn secrets_that_cannot_be_read_again_change_nothing() {
    let rotation = Rotation::start(OLD);
    let file = secret_file(rotation.dir.path());
    for (index, text) in [&b""[..], b"short", b"\xff\xfe", b" \n ", b","].into_iter().enumerate() {
        rotation.write(text);
        rotation
            .await_metric(&format!("waybill_receive_secrets_read_total{{result=\"failed\"}} {}", index + 1));
        assert_eq!((rotation.answer(OLD), rotation.answer(NEW), rotation.answer("")), (200, 401, 401));
    }
    std::fs::remove_file(&file).expect("remove");
    rotation.await_metric("waybill_receive_secrets_read_total{result=\"failed\"} 6");
    assert_eq!((rotation.answer(OLD), rotation.answer(NEW)), (200, 401));
    let ready = get(rotation.up.ops(), "/readyz").expect("an answer");
    assert!(ready.status == 200 && ready.body.contains("secrets"), "{}", ready.body);

    rotation.write(NEW.as_bytes());

    rotation.await_answer(NEW, 200);
    assert_eq!(rotation.answer(OLD), 401);
}
