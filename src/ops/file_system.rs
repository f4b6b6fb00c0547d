//! What kind of file system a folder is on, as far as that decides whether what is written there lasts.

use std::path::Path;

/// A kind of file system that does not keep what a local disk keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On another machine, or passed through by a program: locks and flushes may mean nothing.
    Remote(&'static str),
    /// Gone with the machine's power.
    Memory(&'static str),
    /// The writable layer of a container: gone with the container.
    Container(&'static str),
}

impl Kind {
    /// What a person should know who keeps `what` here; `None` when the kind says nothing of how long it lasts.
    pub fn warning(self, what: &str, dir: &Path) -> Option<String> {
        let dir = dir.display();
        match self {
            Kind::Remote(_) => None,
            Kind::Memory(name) => Some(format!(
                "{what} {dir} is on {name}, in memory: everything in it is lost when this machine stops; use a disk"
            )),
            Kind::Container(name) => Some(format!(
                "{what} {dir} is on {name}, which is likely a container's own layer: everything in it is lost with \
                 the container; mount a volume there"
            )),
        }
    }
}

/// How much room a file system has, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// For who is not root.
    pub free: u64,
    /// In all.
    pub size: u64,
}

/// The room on the disk of the nearest folder that is there.
pub fn room(path: &Path) -> Option<Room> {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(Room { free: stat.f_bavail * stat.f_frsize, size: stat.f_blocks * stat.f_frsize })
}

/// The kind of the nearest folder that is there; `None` for a local disk and for what cannot be told.
pub fn kind_of(path: &Path) -> Option<Kind> {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    look(there)
}

#[cfg(target_os = "linux")]
fn look(dir: &Path) -> Option<Kind> {
    of_magic(rustix::fs::statfs(dir).ok()?.f_type as u32)
}

/// macOS names file systems.
#[cfg(target_os = "macos")]
fn look(dir: &Path) -> Option<Kind> {
    const REMOTE: [&str; 7] = ["nfs", "smbfs", "afpfs", "webdav", "ftp", "osxfuse", "macfuse"];
    let stat = rustix::fs::statfs(dir).ok()?;
    let name: String =
        stat.f_fstypename.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8 as char).collect();
    if name == "tmpfs" {
        return Some(Kind::Memory("tmpfs"));
    }
    REMOTE.into_iter().find(|remote| *remote == name).map(Kind::Remote)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn look(_dir: &Path) -> Option<Kind> {
    None
}

/// Kinds by the numbers that statfs(2) gives.
#[cfg(target_os = "linux")]
fn of_magic(magic: u32) -> Option<Kind> {
    Some(match magic {
        0x0000_6969 => Kind::Remote("NFS"),
        0x0000_517b => Kind::Remote("SMB"),
        0xff53_4d42 => Kind::Remote("CIFS"),
        0xfe53_4d42 => Kind::Remote("SMB2"),
        0x0102_1997 => Kind::Remote("9P"),
        0x6573_5546 => Kind::Remote("FUSE"),
        0x00c3_6400 => Kind::Remote("Ceph"),
        0x5346_414f | 0x6b41_4653 => Kind::Remote("AFS"),
        0x7375_7245 => Kind::Remote("Coda"),
        0x0000_564c => Kind::Remote("NCP"),
        0x0bd0_0bd0 => Kind::Remote("Lustre"),
        0x1983_0326 => Kind::Remote("BeeGFS"),
        0x4750_4653 => Kind::Remote("GPFS"),
        0x7461_636f => Kind::Remote("OCFS2"),
        0x0116_1970 => Kind::Remote("GFS2"),
        0x786f_4256 => Kind::Remote("VirtualBox shared"),
        0xbacb_acbc => Kind::Remote("VMware shared"),
        0x0102_1994 => Kind::Memory("tmpfs"),
        0x8584_58f6 => Kind::Memory("ramfs"),
        0x794c_7630 => Kind::Container("overlayfs"),
        0x6175_6673 => Kind::Container("aufs"),
        _ => return None,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_and_local_ones_pass() {
        assert_eq!(of_magic(0x6969), Some(Kind::Remote("NFS")));
        assert_eq!(of_magic(0xff53_4d42), Some(Kind::Remote("CIFS")));
        assert_eq!(of_magic(0x0102_1997), Some(Kind::Remote("9P")));
        // ext4, XFS, btrfs, ZFS
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1] {
            assert_eq!(of_magic(local), None, "{local:#x}");
        }
    }

    #[test]
    fn what_does_not_last_is_said_with_its_folder_and_what_to_do() {
        let of = |magic| {
            let kind = of_magic(magic).expect("a known kind");
            kind.warning("the queue", Path::new("data/queue"))
        };

        let memory = of(0x0102_1994).expect("a warning");
        assert!(memory.contains("the queue data/queue is on tmpfs") && memory.ends_with("use a disk"));
        let container = of(0x794c_7630).expect("a warning");
        assert!(container.contains("overlayfs") && container.ends_with("mount a volume there"));
        assert_eq!(of(0x6969), None, "a lake may well be on NFS");
    }

    /// Linux has it everywhere.
    #[test]
    fn a_folder_in_memory_is_known_before_it_is_made() {
        assert_eq!(kind_of(Path::new("/dev/shm/not/made/yet")), Some(Kind::Memory("tmpfs")));
    }
}
