//! What a running `up` shows on a terminal, and small files that say who is running.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{IsTerminal, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::ops::logging;

/// Writes a file that only we may read, whole or not at all.
pub(super) fn write_private(path: &Path, body: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    // A temporary file is made with mode 0600, and the rename keeps it.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(body)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Is a process of that id there?
pub(super) fn is_alive(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

/// Holds a folder for one `up`; let go when dropped, or by the system when we die.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, or says who has it.
    pub(super) fn take(dir: &Path) -> anyhow::Result<FolderLock> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot use the data folder {}", dir.display()))?;
        let path = dir.join("up.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot use the data folder {}", dir.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid)?;
                let text = format!("already running, pid {} (on {})", pid.trim(), dir.display());
                return Err(super::Misconfigured(text).into());
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(FolderLock { _file: file })
    }
}

/// Counts for the status line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) queued: u64,
    pub(super) landed: u64,
    /// Lines that the warehouse has, repetitions included.
    pub(super) loaded: u64,
    /// Of them, events that were new.
    pub(super) new: u64,
    pub(super) dead_letters: u64,
    pub(super) oldest: Option<Duration>,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "received {} · queued {} · landed {} · loaded {} · dead letters {} · oldest waiting ",
            self.received, self.queued, self.landed, self.loaded, self.dead_letters
        )?;
        match self.oldest {
            Some(oldest) if self.queued > 0 => write!(f, "{:.1} s", oldest.as_secs_f64()),
            _ => write!(f, "-"),
        }
    }
}

/// One live line at the bottom of a terminal; nothing elsewhere, where logs tell.
pub(super) struct StatusLine {
    bar: ProgressBar,
}

impl StatusLine {
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return StatusLine { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        logging::write_above(bar.clone());
        StatusLine { bar }
    }

    pub(super) fn show(&self, counts: &Counts) {
        self.bar.set_message(counts.to_string());
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Asks the person at the terminal; anything but a yes is a no.
pub(super) fn agreed(question: &str) -> std::io::Result<bool> {
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A progress bar for a command with an end; hidden when stderr is no terminal.
pub(super) fn progress_bar(unit: &str) -> ProgressBar {
    bar(&format!("{{bar:30}} {{pos}}/{{len}} {unit} ({{per_sec}}, {{eta}} left)"))
}

/// The same for bytes.
pub(super) fn bytes_bar() -> ProgressBar {
    bar("{bar:30} {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)")
}

fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    logging::write_above(bar.clone());
    bar
}
