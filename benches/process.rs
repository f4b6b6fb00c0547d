//! Processes under measurement: pinned to a core, their CPU time and peak memory read from the kernel.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The built program. Benches link the release profile, and so does it.
pub const WAYBILL: &str = env!("CARGO_BIN_EXE_waybill");

/// Binds this process to a core, if the machine can. Threads made later inherit it.
pub fn pin_self(core: usize) -> bool {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-a", "-p", "-c", &core.to_string(), &pid])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// A command that will run on one core.
pub fn pinned(core: usize, program: &str, arguments: &[&str]) -> Command {
    let has_taskset = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok();
    let mut command = if has_taskset {
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string(), program]);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A running process; killed when dropped.
pub struct Measured {
    child: Child,
}

/// What a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Highest resident memory, bytes.
    pub memory_peak: u64,
}

impl Measured {
    pub fn start(mut command: Command) -> Measured {
        Measured { child: command.spawn().expect("the program starts") }
    }

    /// Used so far; zero where the kernel does not tell.
    pub fn usage(&self) -> Usage {
        usage_of(self.child.id())
    }

    /// SIGTERM, then its end.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }

    /// Waits for its end, reading what it used up to then.
    pub fn wait(mut self) -> Usage {
        let mut last = Usage::default();
        loop {
            let now = self.usage();
            if now.memory_peak > 0 {
                last = now;
            }
            if let Some(status) = self.child.try_wait().expect("wait") {
                assert!(status.success(), "a measured command failed: {status}");
                return last;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process, of its children, and of those that have ended: of a server with a process per connection.
pub fn cpu_of_tree(pid: u32) -> Duration {
    // Fields 14 to 17: its own, and of children it has waited for.
    let own = clock_ticks(pid, 4);
    let children = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (parent == pid).then(|| clock_ticks(child, 2))
    });
    Duration::from_millis((own + children.sum::<u64>()) * 10)
}

/// The first `count` of the CPU times in a process's stat, in 1/100 s, which the clock tick is on Linux.
fn clock_ticks(pid: u32, count: usize) -> u64 {
    // Counted behind the name in brackets.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').map_or(0, |(_, rest)| {
        rest.split_whitespace().skip(11).take(count).filter_map(|field| field.parse::<u64>().ok()).sum()
    })
}

pub fn usage_of(pid: u32) -> Usage {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .unwrap_or(0);
    Usage { cpu: Duration::from_millis(clock_ticks(pid, 2) * 10), memory_peak: peak_kib * 1024 }
}
