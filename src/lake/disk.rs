//! The lake in a folder.
//!
//! An object is written beside its place, flushed, and then linked to its name: the link fails when the name is
//! taken, so that of many writers one wins, and nobody ever sees half an object. To erase, a rename takes the place of
//! the link. Folders are flushed too, up to
//! the first that was there before: a name that is not on disk is no object.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::failpoint::failpoint;

use super::{LIST_PAGE, Lake, LakeError, Object, Put};

/// Where objects are written before they get their name; never listed.
const UNNAMED: &str = ".tmp";
/// What a crash left there is removed when it is this old.
const UNNAMED_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The lake in a folder.
#[derive(Debug, Clone)]
pub struct DiskLake {
    root: PathBuf,
}

impl DiskLake {
    /// Opens the lake in `root`, which is made if it is missing.
    pub fn open(root: &Path) -> Result<DiskLake, LakeError> {
        let lake = DiskLake { root: root.to_owned() };
        lake.make_folder(&lake.root.join(UNNAMED)).map_err(|error| failure("make", root, &error))?;
        lake.remove_leftovers();
        Ok(lake)
    }

    /// Looks into `root`, which belongs to somebody else: nothing is made or cleared up in it, it need not be there yet,
    /// and nothing can be put.
    pub fn look_into(root: &Path) -> DiskLake {
        DiskLake { root: root.to_owned() }
    }

    fn path(&self, key: &str) -> Result<PathBuf, LakeError> {
        let is_sound = !key.is_empty()
            && key.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            && !key.contains(['\0', '\\']);
        if !is_sound {
            return Err(LakeError::Refused(format!("{key:?} is no key")));
        }
        Ok(self.root.join(key))
    }

    fn put(&self, key: &str, body: &[u8]) -> Result<Put, LakeError> {
        let path = self.path(key)?;
        let write = || -> std::io::Result<Put> {
            let folder = path.parent().unwrap_or(&self.root);
            self.make_folder(folder)?;
            if path.exists() {
                // Its maker may have died between the link and the flush of the folder: this makes up for it.
                File::open(folder)?.sync_all()?;
                return Ok(Put::AlreadyThere);
            }
            failpoint!("lake.disk.before_write");
            let mut unnamed = tempfile::NamedTempFile::new_in(self.root.join(UNNAMED))?;
            unnamed.write_all(body)?;
            failpoint!("lake.disk.before_sync");
            unnamed.as_file().sync_all()?;
            failpoint!("lake.disk.before_link");
            let put = match fs::hard_link(unnamed.path(), &path) {
                Ok(()) => Put::Created,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Put::AlreadyThere,
                Err(error) => return Err(error),
            };
            failpoint!("lake.disk.after_link");
            File::open(folder)?.sync_all()?;
            failpoint!("lake.disk.after_sync");
            Ok(put)
        };
        write().map_err(|error| failure("write", &path, &error))
    }

    /// A rename puts the new bytes in the place of the old ones at once.
    fn replace_whole(&self, key: &str, body: &[u8]) -> Result<(), LakeError> {
        let path = self.path(key)?;
        let folder = path.parent().unwrap_or(&self.root);
        if !path.is_file() {
            return Err(LakeError::NotFound(key.to_owned()));
        }
        let write = || -> std::io::Result<()> {
            let mut unnamed = tempfile::NamedTempFile::new_in(self.root.join(UNNAMED))?;
            unnamed.write_all(body)?;
            unnamed.as_file().sync_all()?;
            unnamed.persist(&path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error| failure("rewrite", &path, &error))
    }

    /// Makes a folder and all above it, and flushes each new name.
    fn make_folder(&self, folder: &Path) -> std::io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.make_folder(parent)?;
        }
        match fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            outcome => outcome?,
        }
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn remove_leftovers(&self) {
        let Ok(entries) = fs::read_dir(self.root.join(UNNAMED)) else { return };
        for entry in entries.flatten() {
            let age = entry
                .metadata()
                .and_then(|meta| meta.modified())
                .ok()
                .and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age > UNNAMED_AGE_MAX) {
                // Not worth failing for.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Object>, LakeError> {
        let mut found = Vec::new();
        self.walk("", prefix, after.unwrap_or(""), &mut found)
            .map_err(|error| failure("list", &self.root, &error))?;
        Ok(found)
    }

    /// Adds what is below `folder` (empty, or ending in `/`) in byte order of keys, until the page is full.
    fn walk(&self, folder: &str, prefix: &str, after: &str, found: &mut Vec<Object>) -> std::io::Result<()> {
        let mut names = Vec::new();
        let entries = match fs::read_dir(self.root.join(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if folder.is_empty() && name == UNNAMED {
                continue;
            }
            // With its slash a folder's name sorts as the keys below it do.
            let is_folder = entry.file_type()?.is_dir();
            names.push(if is_folder { format!("{folder}{name}/") } else { format!("{folder}{name}") });
        }
        names.sort_unstable();
        for key in names {
            if found.len() >= LIST_PAGE {
                return Ok(());
            }
            if key.ends_with('/') {
                let may_match = key.starts_with(prefix) || prefix.starts_with(&key);
                let may_follow = key.as_str() > after || after.starts_with(&key);
                if may_match && may_follow {
                    self.walk(&key, prefix, after, found)?;
                }
            } else if key.starts_with(prefix) && key.as_str() > after {
                let meta = match fs::metadata(self.root.join(&key)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    meta => meta?,
                };
                let modified_at = Timestamp::try_from(meta.modified()?).unwrap_or(Timestamp::UNIX_EPOCH);
                found.push(Object { key, bytes: meta.len(), modified_at });
            }
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DiskLake) -> Result<T, LakeError> + Send + 'static,
    ) -> Result<T, LakeError> {
        let lake = self.clone();
        tokio::task::spawn_blocking(move || work(&lake))
            .await
            .unwrap_or_else(|_| Err(LakeError::Unavailable("the lake's worker was interrupted".into())))
    }
}

#[async_trait]
impl Lake for DiskLake {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<Put, LakeError> {
        let key = key.to_owned();
        self.blocking(move |lake| lake.put(&key, &body)).await
    }

    async fn replace(&self, key: &str, body: Bytes) -> Result<(), LakeError> {
        let key = key.to_owned();
        self.blocking(move |lake| lake.replace_whole(&key, &body)).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, LakeError> {
        let path = self.path(key)?;
        let key = key.to_owned();
        self.blocking(move |_| match fs::read(&path) {
            Ok(body) => Ok(Bytes::from(body)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(LakeError::NotFound(key)),
            Err(error) => Err(failure("read", &path, &error)),
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Object>, LakeError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(move |lake| lake.list_page(&prefix, after.as_deref())).await
    }

    async fn probe(&self) -> Result<(), LakeError> {
        self.blocking(|lake| {
            let folder = lake.root.join(UNNAMED);
            tempfile::NamedTempFile::new_in(&folder)
                .and_then(|mut file| file.write_all(b"probe"))
                .map_err(|error| failure("write", &folder, &error))
        })
        .await
    }

    fn kind(&self) -> &'static str {
        "disk"
    }
}

fn failure(verb: &str, path: &Path, error: &std::io::Error) -> LakeError {
    let text = format!("cannot {verb} {}: {error}", path.display());
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::AlreadyExists => LakeError::Refused(text),
        _ => LakeError::Unavailable(text),
    }
}
