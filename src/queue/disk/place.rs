//! The folder of a disk queue: made durably, private, and on a disk of this machine.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::salvage;
use crate::ops::file_system::{self, Kind};
use crate::queue::QueueError;

/// The queue itself.
pub(super) const FILE: &str = "queue.sqlite";
/// Held by every process that has the queue open, so that nobody moves the file under another.
const LOCK: &str = "queue.lock";

/// Makes the folder and the file of the queue where they are missing, readable by nobody else, and gives the file.
pub(super) fn prepare(dir: &Path, any_file_system: bool) -> Result<PathBuf, QueueError> {
    make_durable(dir).map_err(|error| {
        QueueError::Refused(format!("cannot create queue folder {}: {error}", dir.display()))
    })?;
    if !any_file_system && let Some(Kind::Remote(kind)) = file_system::kind_of(dir) {
        return Err(QueueError::Refused(format!(
            "queue folder {} is on a {kind} file system, whose locks and flushes a queue cannot rely on",
            dir.display()
        )));
    }
    let file = dir.join(FILE);
    salvage::finish(dir).map_err(|error| {
        QueueError::Refused(format!("cannot finish saving a damaged queue in {}: {error}", dir.display()))
    })?;
    // SQLite gives its side files the permissions of this one. One that is there is left closed: closing a file lets
    // go of every lock that this process holds on it.
    let made = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
        Ok(opened) => opened.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    made.and_then(|()| sync(dir)).map_err(|error| {
        QueueError::Refused(format!("cannot create queue file {}: {error}", file.display()))
    })?;
    Ok(file)
}

/// Says that this process has the queue in `dir` open, until it is dropped.
#[derive(Debug)]
pub(super) struct Hold(File);

impl Hold {
    /// Beside others.
    pub(super) fn shared(dir: &Path) -> Result<Hold, QueueError> {
        let path = dir.join(LOCK);
        let open = || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            file.lock_shared()?;
            Ok(file)
        };
        open().map(Hold).map_err(|error: io::Error| {
            QueueError::Refused(format!("cannot use the queue's lock file {}: {error}", path.display()))
        })
    }

    /// Alone, for as long as `work` takes; `None` when others have the queue open.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> T) -> io::Result<Option<T>> {
        self.0.unlock()?;
        let done = match self.0.try_lock() {
            Ok(()) => Some(work()),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        if done.is_some() {
            self.0.unlock()?;
        }
        self.0.lock_shared()?;
        Ok(done)
    }
}

/// Makes a folder with its parents. Each new name is flushed in the folder that holds it: else a power cut could
/// take the folder away together with everything acknowledged in it.
fn make_durable(dir: &Path) -> io::Result<()> {
    let missing = dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).count();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // One more than were missing: the folder above may have been made a moment ago by somebody who did not flush it.
    for made in dir.ancestors().take_while(|path| !path.as_os_str().is_empty()).take(missing + 1) {
        // It may not be ours to read; then we did not make what is in it either.
        match sync(made.parent().unwrap_or(Path::new("."))) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Flushes the names in a folder.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_queue_is_private_to_its_owner() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let dir = root.path().join("a/b/queue");

        let file = prepare(&dir, true).expect("the folder can be made");

        let mode = |path: &Path| path.metadata().expect("it was made").permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn an_existing_queue_is_left_as_it_is() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let file = prepare(root.path(), true).expect("the folder is there");
        std::fs::write(&file, "kept").expect("the file can be written");

        prepare(root.path(), true).expect("the folder is still there");

        assert_eq!(std::fs::read_to_string(&file).expect("the file can be read"), "kept");
    }

    #[test]
    fn a_folder_below_a_file_is_refused() {
        let root = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(root.path().join("file"), "").expect("the file can be written");

        let outcome = prepare(&root.path().join("file/queue"), true);

        assert!(matches!(outcome, Err(QueueError::Refused(_))));
    }
}
