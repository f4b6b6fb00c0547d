//! Which process serves a warehouse file: it says so in `<warehouse file>.serve` (mode 0600), with a token of its own;
//! who can read that file can read the warehouse file too.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::settings::Secret;

/// Who serves a warehouse file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Served {
    /// Its process.
    pub(super) pid: u32,
    /// Its operators' listener.
    pub(super) ops: String,
    /// What it accepts as bearer.
    pub(super) token: String,
}

impl Served {
    fn path(warehouse: &Path) -> PathBuf {
        let mut name = warehouse.as_os_str().to_owned();
        name.push(".serve");
        name.into()
    }

    /// The process that says it serves this file.
    pub(super) fn find(warehouse: &Path) -> Option<Served> {
        serde_json::from_slice(&std::fs::read(Self::path(warehouse)).ok()?).ok()
    }

    /// Is that process still there?
    pub(super) fn is_alive(&self) -> bool {
        super::status::is_alive(self.pid)
    }

    /// Says that this process serves the file, until the guard is dropped.
    pub(super) fn announce(warehouse: &Path, ops: String, token: &Secret) -> std::io::Result<Announced> {
        let served = Served { pid: std::process::id(), ops, token: token.expose().to_owned() };
        let path = Self::path(warehouse);
        super::status::write_private(&path, &serde_json::to_vec(&served)?)?;
        Ok(Announced { path })
    }
}

/// Takes the announcement back when dropped.
pub(super) struct Announced {
    path: PathBuf,
}

impl Drop for Announced {
    fn drop(&mut self) {
        // A left-over is recognised by its dead process.
        let _ = std::fs::remove_file(&self.path);
    }
}
