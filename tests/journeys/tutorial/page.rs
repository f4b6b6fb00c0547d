//! Pages that can be followed: their blocks are run in order in one shell, as a reader runs them, and print what the page
//! says that they print.
//!
//! A page that is followed has blocks of two kinds, and no others:
//!
//! - `sh`: what is typed. `sh eventually` is repeated until it prints what the page says; `sh exit=3` ends with 3.
//! - `text`, right behind it: what it prints to stdout, `…` for anything, also for any number of lines. A block without it
//!   prints nothing.
//!
//! How wide blanks and lines of tables are is not compared.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::waybill::PATIENCE;

/// What a page asks its reader to do, and what they see.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Line of the page.
    line: usize,
    script: String,
    /// Repeated until it prints what it should.
    is_eventual: bool,
    /// What the last of its commands ends with.
    exit: i32,
    wanted: String,
}

/// The steps of a page; the fault names the line of a block that nobody would run.
pub fn steps(page: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines().enumerate();
    // Only right behind a block of commands is a text what they print.
    let mut may_print = false;
    while let Some((index, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let number = index + 1;
        let mut text = String::new();
        loop {
            let (_, line) = lines.next().ok_or_else(|| format!("line {number}: the block has no end"))?;
            if line.trim() == "```" {
                break;
            }
            text.push_str(line);
            text.push('\n');
        }
        let mut words = info.split_whitespace();
        match words.next() {
            Some("sh") => {
                let mut step =
                    Step { line: number, script: text, is_eventual: false, exit: 0, wanted: String::new() };
                for word in words {
                    match word.strip_prefix("exit=").and_then(|code| code.parse().ok()) {
                        Some(code) => step.exit = code,
                        None if word == "eventually" => step.is_eventual = true,
                        None => return Err(format!("line {number}: nobody knows `{word}`")),
                    }
                }
                steps.push(step);
                may_print = true;
            }
            Some("text") if may_print => {
                if let Some(step) = steps.last_mut() {
                    step.wanted = text;
                }
                may_print = false;
            }
            _ => return Err(format!("line {number}: nobody runs this block of `{info}`")),
        }
    }
    Ok(steps)
}

/// A part of a page, from the heading with these words to the next of its depth or above.
pub fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let begin = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let part = &page[begin + 1..];
    let depth = heading.bytes().take_while(|byte| *byte == b'#').count();
    let ends = |line: &str| {
        let above = line.bytes().take_while(|byte| *byte == b'#').count();
        (1..=depth).contains(&above) && line[above..].starts_with(' ')
    };
    let mut length = heading.len() + 1;
    let mut is_code = false;
    for line in part[length..].split_inclusive('\n') {
        is_code ^= line.starts_with("```");
        if !is_code && ends(line) {
            break;
        }
        length += line.len();
    }
    &part[..length]
}

// --- what is printed ---

/// A line with one blank for many, and one stroke for many.
fn tidy(line: &str) -> String {
    let mut tidy = String::new();
    for word in line.split_whitespace() {
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        for letter in word.chars() {
            if !(['─', '═', '╌'].contains(&letter) && tidy.ends_with(letter)) {
                tidy.push(letter);
            }
        }
    }
    tidy
}

/// Whether a line was printed so; `…` stands for anything, such as an id that is made up each time.
pub fn is_line(wanted: &str, found: &str) -> bool {
    let mut parts = wanted.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn are_lines(wanted: &[String], found: &[String]) -> bool {
    match wanted.split_first() {
        None => found.is_empty(),
        Some((any, others)) if any == "…" => {
            (0..=found.len()).any(|skip| are_lines(others, &found[skip..]))
        }
        Some((line, others)) => {
            found.split_first().is_some_and(|(first, rest)| is_line(line, first) && are_lines(others, rest))
        }
    }
}

/// Whether a command printed what the page says.
fn is_printed(wanted: &str, found: &str) -> bool {
    let lines = |text: &str| text.lines().map(tidy).filter(|line| !line.is_empty()).collect::<Vec<String>>();
    are_lines(&lines(wanted), &lines(found))
}

// --- the reader ---

/// Somebody at a shell, in a folder of their own. What they started ends with them.
pub struct Reader {
    shell: Child,
    /// Scripts and what they printed: not where the reader is.
    notes: tempfile::TempDir,
    folder: PathBuf,
    /// What the page calls something, and what it is called here: ports that are free, above all.
    renamed: BTreeMap<String, String>,
    done: usize,
}

impl Reader {
    /// A shell in this folder, with the built program, these variables and nothing of the developer's own settings.
    pub fn new(folder: &Path, variables: &[(&str, &str)]) -> Reader {
        let notes = tempfile::tempdir().expect("a temporary folder");
        let program = Path::new(env!("CARGO_BIN_EXE_waybill"));
        let mut path = program.parent().expect("a folder").as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder).env_clear();
        command.env("PATH", path).env("HOME", folder).env("TMPDIR", std::env::temp_dir());
        for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(variables.iter().copied());
        // A group of its own, so that whatever it leaves behind can be ended.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = command.spawn().expect("bash starts");
        let folder = folder.to_owned();
        Reader { shell, notes, folder, renamed: BTreeMap::new(), done: 0 }
    }

    /// Where the page says one thing, this reader types and sees another.
    pub fn call(&mut self, name: &str, is_here: &str) {
        self.renamed.insert(name.to_owned(), is_here.to_owned());
    }

    /// Does what a page says, step by step; panics at the first that prints something else.
    pub fn follow(&mut self, page: &str, steps: &[Step]) {
        assert!(!steps.is_empty(), "{page} has nothing to do");
        for step in steps {
            self.take(page, step);
        }
    }

    fn take(&mut self, page: &str, step: &Step) {
        let deadline = Instant::now() + PATIENCE;
        let wanted = self.as_here(&step.wanted);
        loop {
            let (code, failed, stdout, stderr) = self.run(&self.as_here(&step.script), deadline);
            // Of those that are to fail only the last says how.
            let is_done = code == step.exit && (step.exit != 0 || failed.is_empty());
            if is_done && is_printed(&wanted, &stdout) {
                return;
            }
            assert!(
                step.is_eventual && Instant::now() < deadline,
                "{page}, line {}: it ended with {code}, not {}; failed: {failed}\n--- typed\n{}--- should print\n{wanted}\
                 --- printed\n{stdout}--- stderr\n{stderr}--- logs\n{}",
                step.line,
                step.exit,
                step.script,
                self.logs()
            );
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    fn as_here(&self, text: &str) -> String {
        self.renamed.iter().fold(text.to_owned(), |text, (name, is_here)| text.replace(name, is_here))
    }

    /// Runs commands in the shell: the last one's exit code, those that failed, stdout and stderr.
    fn run(&mut self, script: &str, deadline: Instant) -> (i32, String, String, String) {
        self.done += 1;
        let note = |kind: &str| self.notes.path().join(format!("{}.{kind}", self.done));
        let [file, out, err, failed, half, code] = ["sh", "out", "err", "failed", "half", "code"].map(note);
        std::fs::write(&file, script).expect("a note");
        let quoted = |path: &Path| format!("'{}'", path.display());
        let line = format!(
            "trap 'printf \"%s\\n\" \"$BASH_COMMAND\" >>\"{}\"' ERR; . {} </dev/null >{} 2>{}; echo $? >{}; mv {} {}\n",
            failed.display(),
            quoted(&file),
            quoted(&out),
            quoted(&err),
            quoted(&half),
            quoted(&half),
            quoted(&code)
        );
        let stdin = self.shell.stdin.as_mut().expect("bash reads from us");
        stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).expect("bash is there");
        let read =
            |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        while !code.exists() {
            let ended = self.shell.try_wait().expect("wait");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "it does not end ({ended:?}):\n{script}--- stdout\n{}--- stderr\n{}--- logs\n{}",
                read(&out),
                read(&err),
                self.logs()
            );
            std::thread::park_timeout(Duration::from_millis(10));
        }
        (read(&code).trim().parse().expect("an exit code"), read(&failed), read(&out), read(&err))
    }

    /// The logs that the reader keeps in their folder.
    fn logs(&self) -> String {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let logs = entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "log"));
        logs.map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default()).collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // What has ended is no error.
        let _ = kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
        let _ = self.shell.wait();
    }
}

/// A port of loopback that nobody had a moment ago, below those that are given out to whoever asks for any: so the other
/// tests do not take it meanwhile.
pub fn free_address() -> String {
    loop {
        let address = format!("127.0.0.1:{}", fastrand::u16(20_000..32_000));
        if std::net::TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

#[test]
fn a_block_that_nobody_runs_is_noticed() {
    let page = "# A\n```sh eventually\na\n```\n```text\nb\n```\n```sh exit=3\nc\n```\n";
    let read = steps(page).expect("good");
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].script.as_str(), read[0].wanted.as_str(), read[0].is_eventual), ("a\n", "b\n", true));
    assert_eq!((read[1].line, read[1].exit, read[1].wanted.as_str()), (8, 3, ""));
    for (fault, line) in [
        ("```console\n$ a\n```\n", "line 1:"),
        ("```\na\n```\n", "line 1:"),
        ("a\n```text\nb\n```\n", "line 2:"),
        ("```sh\na\n```\n```text\nb\n```\n```text\nc\n```\n", "line 7:"),
        ("```sh never\na\n```\n", "line 1:"),
        ("```sh\na\n", "line 1:"),
    ] {
        let told = steps(fault).expect_err("a fault");
        assert!(told.starts_with(line), "{fault}: {told}");
    }
}

#[test]
fn something_else_that_is_printed_is_noticed() {
    for (wanted, found, is_it) in [
        ("", "", true),
        ("", "a\n", false),
        ("a b\n", "a    b  \n", true),
        ("─ a\n", "───── a\n", true),
        ("a … c\n", "a b b c\n", true),
        ("a … c\n", "a b b d\n", false),
        ("a…b…c\n", "a1b2c\n", true),
        ("a…b…c\n", "a1c\n", false),
        ("a\n…\nc\n", "a\nb\nb\nc\n", true),
        ("a\n…\nc\n", "a\nc\n", true),
        ("a\n…\nc\n", "a\nb\n", false),
        ("a\n", "a\nb\n", false),
        ("a\nb\n", "a\n", false),
    ] {
        assert_eq!(is_printed(wanted, found), is_it, "{wanted:?} and {found:?}");
    }
    assert_eq!(
        section("x\n## A\na\n```sh\n# a\n```\n### B\nb\n## C\nc\n", "## A"),
        "## A\na\n```sh\n# a\n```\n### B\nb\n"
    );
}

#[test]
fn a_step_that_fails_is_noticed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut reader = Reader::new(dir.path(), &[("KEPT", "1")]);
    let good = "```sh\nmore=$KEPT; cd .\n```\n```sh exit=3\nfalse; (exit 3)\n```\n```sh\necho $more one:1\n```\n```text\n1 …:1\n```\n";
    reader.call("one:1", "two:1");

    reader.follow("good", &steps(good).expect("good"));

    for bad in
        ["```sh\nfalse; true\n```\n", "```sh\n(exit 3)\n```\n", "```sh\necho a\n```\n```text\nb\n```\n"]
    {
        let steps = steps(bad).expect("good");
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reader.follow("bad", &steps)));
        assert!(outcome.is_err(), "{bad}");
    }
}
