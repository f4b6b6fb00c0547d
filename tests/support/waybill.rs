//! The built program as its users run it: processes, signals, sockets, its own query command.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Signs all test webhooks.
pub const SECRET: &str = "journey-secret-0123456789abcdef";

/// How long a fact is waited for before a test fails; far beyond what it takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Settings of one deployment: a folder, and what the environment says.
#[derive(Clone)]
pub struct Deployment {
    dir: PathBuf,
    env: Vec<(String, String)>,
    /// What runs the program, instead of it running by itself.
    wrapper: Vec<String>,
}

impl Deployment {
    /// Embedded places below `dir`, quick batches and loads.
    pub fn embedded(dir: &Path) -> Deployment {
        let below = |name: &str| dir.join(name).display().to_string();
        let deployment = Deployment { dir: dir.to_owned(), env: Vec::new(), wrapper: Vec::new() };
        deployment
            .with("WAYBILL_WEBHOOK_SECRETS", SECRET)
            .with("WAYBILL_LISTEN", "127.0.0.1:0")
            .with("WAYBILL_OPS_LISTEN", "127.0.0.1:0")
            .with("WAYBILL_QUEUE", &format!("file:{}", below("queue")))
            .with("WAYBILL_LAKE", &format!("file:{}", below("lake")))
            .with("WAYBILL_WAREHOUSE", &format!("duckdb:{}", below("warehouse.duckdb")))
            .with("WAYBILL_BATCH_AGE", "200ms")
            .with("WAYBILL_BATCH_LEASE", "2s")
            .with("WAYBILL_LOAD_INTERVAL", "200ms")
            .with("WAYBILL_DRAIN_DELAY", "0s")
    }

    /// The same with one more variable, or another value of it.
    pub fn with(mut self, name: &str, value: &str) -> Deployment {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with SQS and S3 at an emulator or stand-in.
    pub fn with_aws(self, endpoint: &str) -> Deployment {
        self.with("AWS_ENDPOINT_URL_SQS", endpoint)
            .with("AWS_ENDPOINT_URL_S3", endpoint)
            .with("AWS_REGION", "us-east-1")
            .with("AWS_ACCESS_KEY_ID", "test")
            .with("AWS_SECRET_ACCESS_KEY", "test")
    }

    /// The same without a variable.
    pub fn without(mut self, name: &str) -> Deployment {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// The same, run by another program, which gets the program and its arguments behind its own.
    pub fn run_by(mut self, wrapper: &[&str]) -> Deployment {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let words = self.wrapper.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_waybill")]);
        let words: Vec<&str> = words.collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(arguments).current_dir(&self.dir).env_clear().stdin(Stdio::null());
        // What a process needs anyway, and nothing of the developer's own settings.
        for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a long-running command and waits until it has told its ports.
    pub fn start(&self, arguments: &[&str]) -> Running {
        match self.try_start(arguments) {
            Ok(running) => running,
            Err((status, stderr)) => panic!("{arguments:?} ended with {status}:\n{stderr}"),
        }
    }

    /// The same for a command that may end before it has told its ports; then gives its status and what it logged.
    pub fn try_start(&self, arguments: &[&str]) -> Result<Running, (ExitStatus, String)> {
        let ports_file = self.dir.join(format!("ports-{}.json", fastrand::u64(..)));
        let stderr_path = self.dir.join(format!("stderr-{}-{}.log", arguments[0], fastrand::u32(..)));
        let stderr = std::fs::File::create(&stderr_path).expect("log file");
        let mut arguments = arguments.to_vec();
        let ports_text = ports_file.display().to_string();
        arguments.extend(["--ports-file", &ports_text]);
        let mut child = self
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");

        let deadline = Instant::now() + PATIENCE;
        let ports = loop {
            if let Ok(text) = std::fs::read_to_string(&ports_file) {
                break serde_json::from_str::<Value>(&text).expect("the ports file is written whole");
            }
            if let Some(status) = child.try_wait().expect("wait") {
                return Err((status, read(&stderr_path)));
            }
            assert!(Instant::now() < deadline, "no ports file:\n{}", read(&stderr_path));
            std::thread::park_timeout(Duration::from_millis(10));
        };
        let address = |name: &str| ports[name].as_str().and_then(|text| text.parse().ok());
        let pid = ports["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let program = pid.and_then(rustix::process::Pid::from_raw).expect("a process id");
        Ok(Running { listen: address("listen"), ops: address("ops"), child, program, stderr_path })
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("the program runs")
    }

    /// Runs a command that must succeed; gives its stdout.
    pub fn run_ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?} ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The rows of a query.
    pub fn query(&self, sql: &str) -> Vec<Value> {
        let text = self.run_ok(&["query", "--format", "json", sql]);
        serde_json::from_str(&text).expect("query prints JSON")
    }

    /// The one number that a query answers.
    pub fn count(&self, sql: &str) -> i64 {
        let rows = self.query(sql);
        let row = rows[0].as_object().expect("object");
        row.values().next().and_then(Value::as_i64).expect("a number")
    }

    /// Waits until a counting query answers `expected`.
    pub fn await_count(&self, sql: &str, expected: i64) {
        self.await_number(sql, &format!("{expected}"), |found| found == expected);
    }

    /// Waits until a counting query answers more than nothing.
    pub fn await_some(&self, sql: &str) {
        self.await_number(sql, "more than 0", |found| found > 0);
    }

    fn await_number(&self, sql: &str, expected: &str, is_it: impl Fn(i64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.run(&["query", "--format", "json", sql]);
            let rows: Option<Vec<Value>> = serde_json::from_slice(&output.stdout).ok();
            let found = rows.as_ref().and_then(|rows| rows.first()?.as_object()?.values().next()?.as_i64());
            if found.is_some_and(&is_it) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{sql} answers {found:?}, not {expected}; {}",
                String::from_utf8_lossy(&output.stderr)
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A long-running command; killed when dropped.
pub struct Running {
    listen: Option<SocketAddr>,
    ops: Option<SocketAddr>,
    child: Child,
    /// The program itself; its wrapper is the child, if it has one.
    program: rustix::process::Pid,
    stderr_path: PathBuf,
}

impl Running {
    /// The public listener.
    pub fn listen(&self) -> SocketAddr {
        self.listen.expect("this command receives")
    }

    /// The operators' listener.
    pub fn ops(&self) -> SocketAddr {
        self.ops.expect("this command has an operators' listener")
    }

    /// What it has logged so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr_path)
    }

    /// A count or state of `/metrics`, all its series together; 0 when it does not answer or has none of that name.
    pub fn metric(&self, name: &str) -> f64 {
        let body = get(self.ops(), "/metrics").map(|answer| answer.body).unwrap_or_default();
        let of_name = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let is_it =
                series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
            is_it.then(|| value.parse::<f64>().ok()).flatten()
        };
        body.lines().filter_map(of_name).sum()
    }

    /// kill -9
    pub fn kill(&mut self) {
        // Who has ended has no process any more, and its id may be another's.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = rustix::process::kill_process(self.program, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        u32::try_from(self.program.as_raw_nonzero().get()).expect("a process id")
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait")
    }

    /// SIGTERM
    pub fn terminate(&self) {
        rustix::process::kill_process(self.program, rustix::process::Signal::TERM).expect("it is running");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.stderr());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- stderr of {}:\n{}", self.child.id(), self.stderr());
        }
    }
}

/// The signature header's value for a body.
pub fn sign(body: &[u8]) -> String {
    waybill::aftership::signature::sign(SECRET, body)
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Head, lower-cased names, as text.
    pub head: String,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The error code of an error answer.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends raw bytes and reads one answer; `None` when the connection ended without one.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    // A server that refuses early may close while we still write: its answer counts all the same.
    let _ = stream.write_all(request);
    read_answer(&mut stream)
}

/// Reads one answer with a Content-Length.
pub fn read_answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let status = head.split(' ').nth(1)?.parse().ok()?;
            let mut answer = Answer { status, head, body: String::new() };
            let length: usize =
                answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            while bytes.len() < end + 4 + length {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => return None,
                    Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                }
            }
            answer.body = String::from_utf8_lossy(&bytes[end + 4..end + 4 + length]).into_owned();
            return Some(answer);
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// A webhook request with these headers (each `Name: value`) and this body.
pub fn request(headers: &[String], body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /webhooks/aftership HTTP/1.1\r\nHost: waybill.test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    request
}

/// Posts a signed webhook on a connection of its own.
pub fn post(address: SocketAddr, body: &[u8]) -> Option<Answer> {
    exchange(
        address,
        &request(&[format!("aftership-hmac-sha256: {}", sign(body)), "Connection: close".to_owned()], body),
    )
}

/// GETs a path.
pub fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    exchange(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: waybill.test\r\nConnection: close\r\n\r\n").as_bytes(),
    )
}

/// A minimal event: one tracking, one checkpoint, its own UUID.
pub fn event(event_id: &str, tracking: &str, tag: &str, updated_at: &str) -> String {
    format!(
        concat!(
            r#"{{"event":"tracking_update","event_id":"{event_id}","is_tracking_first_tag":true,"ts":1783598400,"#,
            r#""msg":{{"id":"{tracking}","tracking_number":"N-{tracking}","slug":"dhl","tag":"{tag}","#,
            r#""subtag":"{tag}_001","updated_at":"{updated_at}","checkpoints":[{{"slug":"dhl","#,
            r#""checkpoint_time":"2026-07-09T10:00:00+02:00","tag":"{tag}","message":"{tag}","location":"Zürich"}}]}}}}"#
        ),
        event_id = event_id,
        tracking = tracking,
        tag = tag,
        updated_at = updated_at,
    )
}

/// A fresh event id.
pub fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
