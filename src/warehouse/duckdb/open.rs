//! Opens the file for as long as somebody in this process works with it, and for no longer.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use duckdb::{Config, Connection};

use super::DuckDbOptions;
use crate::warehouse::WarehouseError;

/// How often a held file is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// A DuckDB file, open or not.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    options: DuckDbOptions,
    open: Mutex<Open>,
    /// One writer at a time: DuckDB fails concurrent writers instead of making them wait.
    writer: Mutex<()>,
}

/// The open instance and how many use it.
#[derive(Debug, Default)]
struct Open {
    users: usize,
    instance: Option<Instance>,
}

/// Fields are dropped in this order: the file is closed before our lock on it ends.
#[derive(Debug)]
struct Instance {
    connection: Connection,
    _lock: fs::File,
}

impl File {
    pub(super) fn new(path: PathBuf, options: DuckDbOptions) -> Self {
        File { path, options, open: Mutex::default(), writer: Mutex::new(()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of one's own to the shared instance, opening the file if nobody has yet.
    pub(super) fn session(file: &Arc<File>) -> Result<Session, WarehouseError> {
        let mut open = file.open();
        if open.instance.is_none() {
            open.instance = Some(file.open_instance()?);
        }
        let Some(instance) = &open.instance else {
            return Err(WarehouseError::Unavailable("the warehouse file is not open".into()));
        };
        let connection = instance
            .connection
            .try_clone()
            .and_then(|connection| connection.execute_batch("set timezone = 'UTC'").map(|()| connection));
        match connection {
            Ok(connection) => {
                open.users += 1;
                Ok(Session { connection: Some(connection), file: Arc::clone(file) })
            }
            Err(error) => {
                if open.users == 0 {
                    open.instance = None;
                }
                Err(super::failed("connect to the warehouse file", &error))
            }
        }
    }

    fn open_instance(&self) -> Result<Instance, WarehouseError> {
        let end = Instant::now() + self.options.busy_max;
        let lock = self.lock(end)?;
        loop {
            match self.connect() {
                Ok(connection) => return Ok(Instance { connection, _lock: lock }),
                // A program that does not know of our lock file has it; DuckDB's message names its process.
                Err(error) if error.to_string().contains("lock") && Instant::now() < end => {
                    std::thread::sleep(RETRY);
                }
                Err(error) => {
                    let what = format!("open the warehouse file {}", self.path.display());
                    return Err(super::failed(&what, &error));
                }
            }
        }
    }

    fn connect(&self) -> duckdb::Result<Connection> {
        let config = Config::default()
            // What is asked of this process must not reach other files or networks.
            .enable_external_access(false)?
            .enable_autoload_extension(false)?
            .threads(i64::try_from(self.options.threads).unwrap_or(2))?
            .max_memory(&self.options.memory)?;
        Connection::open_with_flags(&self.path, config)
    }

    /// Our own lock, beside the file, with our process in it.
    fn lock(&self, end: Instant) -> Result<fs::File, WarehouseError> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let unusable = |error: std::io::Error| {
            WarehouseError::Refused(format!("cannot use the lock file {}: {error}", path.display()))
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(unusable)?;
        }
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(RETRY),
                Err(TryLockError::WouldBlock) => {
                    let holder = fs::read_to_string(&path).unwrap_or_default();
                    return Err(WarehouseError::Unavailable(format!(
                        "the warehouse file {} is held by {}",
                        self.path.display(),
                        holder.trim()
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(unusable)?;
        writeln!(lock, r#"{{"pid":{}}}"#, std::process::id()).map_err(unusable)?;
        Ok(lock)
    }
}

/// A connection; when the last one of this process is dropped, the file is closed.
pub(super) struct Session {
    connection: Option<Connection>,
    file: Arc<File>,
}

impl Session {
    pub(super) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("a session has its connection until it is dropped")
    }

    /// The right to write, until dropped.
    pub(super) fn write_turn(&self) -> MutexGuard<'_, ()> {
        self.file.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Closed under the mutex: nobody may open the file while it is being closed.
        let mut open = self.file.open();
        self.connection = None;
        open.users -= 1;
        if open.users == 0 {
            open.instance = None;
        }
    }
}
