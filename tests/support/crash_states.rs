//! What a disk may hold after a power cut, rebuilt from what a program asked of the system (strace).
//!
//! kill -9 never shows a missing flush: the page cache survives it. Here every write counts as lost until a flush of
//! its file has returned that began after it. A state of the disk at any moment is: what was flushed, and of the rest
//! nothing, everything, or any torn part. Names are taken for durable at once: this shows no missing flush of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What disks write whole.
const SECTOR: usize = 512;

/// The calls that matter, for `strace -e trace=…`.
pub const CALLS: &str = "openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2,\
    linkat,mkdir,mkdirat,close,sendto,writev";

/// One thing that a program did, in order.
#[derive(Debug, Clone)]
enum Act {
    Create(PathBuf),
    Write {
        path: PathBuf,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        length: usize,
    },
    FlushBegins {
        path: PathBuf,
        call: usize,
    },
    FlushEnds {
        call: usize,
    },
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
    /// A 200 was sent.
    Acknowledged,
}

/// Everything that happened below one folder.
#[derive(Debug, Default)]
pub struct Trace {
    acts: Vec<Act>,
}

/// What became durable, and what may have.
#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    /// Not flushed: the act's place in time, and what it does.
    pending: Vec<(usize, Change)>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// What of the pending is on the disk.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// Nothing.
    Lost,
    /// Everything.
    Kept,
    /// Of each file some first writes, the last of them cut at a sector; drawn by this seed.
    Torn(u64),
    /// Any sectors in no order; drawn by this seed.
    Scattered(u64),
}

/// A disk after a power cut.
#[derive(Debug)]
pub struct State {
    /// The files there are.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// How many 200s had been sent by then.
    pub acknowledged: usize,
}

impl Trace {
    /// Reads what `strace -f -y -xx` wrote, of files in `root` itself.
    pub fn read(text: &str, root: &Path) -> Trace {
        let mut trace = Trace::default();
        let mut begun: BTreeMap<&str, String> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some((pid, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if let Some(head) = rest.strip_suffix("<unfinished ...>") {
                trace.begins(head, number, root);
                begun.insert(pid, head.to_owned());
            } else if let Some((_, tail)) =
                rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
            {
                let head = begun.remove(pid).unwrap_or_default();
                trace.ends(&format!("{head}{tail}"), number, root, true);
            } else {
                trace.begins(rest, number, root);
                trace.ends(rest, number, root, false);
            }
        }
        trace
    }

    /// A write counts from its begin, and so does an answer: the unkind order.
    fn begins(&mut self, call: &str, number: usize, root: &Path) {
        let Some((name, arguments)) = call.split_once('(') else { return };
        let file = || first_path(arguments).filter(|path| path.parent() == Some(root));
        match name {
            "pwrite64" | "write" => {
                let Some(path) = file() else { return self.answer(arguments) };
                let Some(bytes) = strings(arguments).into_iter().next() else { return };
                let offset = match name {
                    "pwrite64" => last_number(arguments).unwrap_or(0),
                    _ => 0,
                };
                self.acts.push(Act::Write { path, offset, bytes });
            }
            "sendto" | "writev" => self.answer(arguments),
            "ftruncate" => {
                if let Some(path) = file() {
                    self.acts.push(Act::Truncate { path, length: last_number(arguments).unwrap_or(0) });
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(path) = first_path(arguments) {
                    self.acts.push(Act::FlushBegins { path, call: number });
                }
            }
            _ => {}
        }
    }

    fn answer(&mut self, arguments: &str) {
        if strings(arguments).iter().any(|bytes| bytes.starts_with(b"HTTP/1.1 200")) {
            self.acts.push(Act::Acknowledged);
        }
    }

    /// A flush counts from its end, and so do names.
    fn ends(&mut self, call: &str, number: usize, root: &Path, was_interrupted: bool) {
        let Some((name, arguments)) = call.split_once('(') else { return };
        let Some((_, result)) = arguments.rsplit_once(" = ") else { return };
        if result.starts_with('-') {
            return;
        }
        let below = |bytes: &[u8]| {
            let path = PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
            (path.parent() == Some(root)).then_some(path)
        };
        let names: Vec<Option<PathBuf>> = strings(arguments).iter().map(|bytes| below(bytes)).collect();
        match name {
            "fsync" | "fdatasync" => {
                // The begin that belongs to it is the last one of the same file.
                let path = first_path(arguments);
                let begin = self.acts.iter().rev().find_map(|act| match act {
                    Act::FlushBegins { path: begun, call } if Some(begun) == path.as_ref() => Some(*call),
                    _ => None,
                });
                let call = if was_interrupted { begin.unwrap_or(number) } else { number };
                self.acts.push(Act::FlushEnds { call });
            }
            "openat" if arguments.contains("O_CREAT") => {
                if let Some(Some(path)) = names.first() {
                    self.acts.push(Act::Create(path.clone()));
                }
            }
            "unlink" | "unlinkat" => {
                if let Some(Some(path)) = names.first() {
                    self.acts.push(Act::Unlink(path.clone()));
                }
            }
            "rename" | "renameat" | "renameat2" => {
                if let [Some(from), Some(to), ..] = &names[..] {
                    self.acts.push(Act::Rename(from.clone(), to.clone()));
                }
            }
            _ => {}
        }
    }

    /// How many moments there are to cut the power at.
    pub fn moments(&self) -> usize {
        self.acts.len()
    }

    /// 200s that were sent.
    pub fn acknowledged(&self) -> usize {
        self.acts.iter().filter(|act| matches!(act, Act::Acknowledged)).count()
    }

    /// The disk after a power cut at this moment. `flushes_count`: false plays a program that never flushed.
    pub fn cut_at(&self, moment: usize, fate: Fate, flushes_count: bool) -> State {
        let mut files: BTreeMap<PathBuf, File> = BTreeMap::new();
        let mut begun: BTreeMap<usize, (PathBuf, usize)> = BTreeMap::new();
        let mut acknowledged = 0;
        for (now, act) in self.acts[..moment].iter().enumerate() {
            match act {
                Act::Create(path) => {
                    files.entry(path.clone()).or_default();
                }
                Act::Write { path, offset, bytes } => {
                    let change = Change::Write(*offset, bytes.clone());
                    files.entry(path.clone()).or_default().pending.push((now, change));
                }
                Act::Truncate { path, length } => {
                    files.entry(path.clone()).or_default().pending.push((now, Change::Truncate(*length)));
                }
                Act::FlushBegins { path, call } => {
                    begun.insert(*call, (path.clone(), now));
                }
                Act::FlushEnds { call } => {
                    if let Some((path, since)) = begun.remove(call)
                        && flushes_count
                        && let Some(file) = files.get_mut(&path)
                    {
                        file.flush(since);
                    }
                }
                Act::Unlink(path) => {
                    files.remove(path);
                }
                Act::Rename(from, to) => {
                    if let Some(file) = files.remove(from) {
                        files.insert(to.clone(), file);
                    }
                }
                Act::Acknowledged => acknowledged += 1,
            }
        }
        let files = files.into_iter().map(|(path, file)| (path, file.after(fate, moment))).collect();
        State { files, acknowledged }
    }
}

impl File {
    /// Everything that was asked for before `since` is on the disk.
    fn flush(&mut self, since: usize) {
        let pending = std::mem::take(&mut self.pending);
        for (at, change) in pending {
            if at < since {
                apply(&mut self.durable, &change);
            } else {
                self.pending.push((at, change));
            }
        }
    }

    fn after(mut self, fate: Fate, moment: usize) -> Vec<u8> {
        match fate {
            Fate::Lost => {}
            Fate::Kept => self.pending.iter().for_each(|(_, change)| apply(&mut self.durable, change)),
            Fate::Torn(seed) => {
                let mut random = fastrand::Rng::with_seed(seed ^ moment as u64);
                let whole = random.usize(..=self.pending.len());
                for (index, (_, change)) in self.pending.iter().enumerate() {
                    match change {
                        _ if index < whole => apply(&mut self.durable, change),
                        Change::Write(offset, bytes) if index == whole => {
                            let kept = random.usize(..=bytes.len()) / SECTOR * SECTOR;
                            apply(&mut self.durable, &Change::Write(*offset, bytes[..kept].to_vec()));
                        }
                        _ => {}
                    }
                }
            }
            Fate::Scattered(seed) => {
                let mut random = fastrand::Rng::with_seed(seed ^ moment as u64);
                for (_, change) in &self.pending {
                    let Change::Write(offset, bytes) = change else { continue };
                    for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                        if random.bool() {
                            let change = Change::Write(offset + index * SECTOR, sector.to_vec());
                            apply(&mut self.durable, &change);
                        }
                    }
                }
            }
        }
        self.durable
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(length) => bytes.resize(*length, 0),
        Change::Write(_, written) if written.is_empty() => {}
        Change::Write(offset, written) => {
            let end = offset + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(written);
        }
    }
}

/// The path behind the first descriptor: `7<\x2f\x74…>`.
fn first_path(arguments: &str) -> Option<PathBuf> {
    let end = arguments.find(',').unwrap_or(arguments.len());
    let (_, rest) = arguments[..end].split_once('<')?;
    let (text, _) = rest.split_once('>')?;
    Some(PathBuf::from(String::from_utf8_lossy(&unescape(text)).into_owned()))
}

/// All texts in quotes.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    arguments.split('"').skip(1).step_by(2).map(unescape).collect()
}

fn last_number(arguments: &str) -> Option<usize> {
    let (arguments, _) = arguments.rsplit_once(')').unwrap_or((arguments, ""));
    arguments.rsplit(',').next()?.trim().parse().ok()
}

/// `\x41\x42` is `AB`.
fn unescape(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).filter_map(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok()).collect()
}
