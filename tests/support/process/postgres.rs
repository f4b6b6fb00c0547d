//! PostgreSQL servers of tests: a fresh cluster in a temporary folder.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_postgres::NoTls;

use super::{Child, eventually, free_port};

const PATIENCE: Duration = Duration::from_secs(60);

/// How many ports are tried: another process may take a free one first.
const STARTS_MAX: usize = 5;

/// How a server begins.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Offers TLS; connections without it are taken nevertheless.
    pub tls: Option<ServerTls>,
    /// Settings of the server, `name=value`.
    pub settings: Vec<String>,
}

/// What a server shows to its clients.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// PEM file with the certificate, and those that lead to its issuer.
    pub certificate: PathBuf,
    /// PEM file with its key.
    pub key: PathBuf,
}

/// A running server; it ends when dropped, and its data with it.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    port: u16,
    _dir: TempDir,
}

impl Postgres {
    /// Starts one and waits until it takes connections. Panics when PostgreSQL is not installed.
    pub async fn start() -> Postgres {
        Postgres::start_with(PostgresOptions::default()).await
    }

    /// The same with options.
    pub async fn start_with(options: PostgresOptions) -> Postgres {
        let (cluster, dir) = tokio::task::spawn_blocking(Cluster::create).await.expect("initdb succeeds");
        let tls = options.tls.as_ref().map(|tls| cluster.take_over(tls));
        for _ in 0..STARTS_MAX {
            let port = free_port();
            let mut command = cluster.command("postgres");
            command.arg("-D").arg(&cluster.data).args(["-p", &port.to_string()]);
            // No socket file: its path would have to be short, and all clients come by TCP.
            for setting in [
                "listen_addresses=127.0.0.1",
                "unix_socket_directories=",
                "fsync=off",
                "full_page_writes=off",
            ] {
                command.args(["-c", setting]);
            }
            for setting in tls.iter().flatten() {
                command.arg("-c").arg(setting);
            }
            for setting in &options.settings {
                command.arg("-c").arg(setting);
            }
            let mut server = Child::spawn("postgres", &mut command);
            let is_up = eventually("PostgreSQL takes connections", PATIENCE, async || {
                if server.ended().is_some() {
                    return Some(false);
                }
                cluster.is_ready().then_some(true)
            })
            .await;
            if is_up {
                return Postgres { server, port, _dir: dir };
            }
            let log = server.stderr();
            assert!(log.contains("Address already in use"), "PostgreSQL does not start:\n{log}");
        }
        panic!("no free port in {STARTS_MAX} attempts");
    }

    /// One for all tests of this process that run at the same time: take a database of your own. It ends with the
    /// last of its users, since a static would never be dropped.
    pub async fn shared() -> Arc<Postgres> {
        static RUNNING: Mutex<Weak<Postgres>> = Mutex::const_new(Weak::new());
        let mut running = RUNNING.lock().await;
        if let Some(postgres) = running.upgrade() {
            return postgres;
        }
        let postgres = Arc::new(Postgres::start().await);
        *running = Arc::downgrade(&postgres);
        postgres
    }

    /// The database that each server has.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Its process id; each connection is a child of it.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Its port of loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database; gives its URL.
    pub async fn create_database(&self, name: &str) -> String {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(is_plain), "{name:?} would need quoting");
        self.execute(&format!("CREATE DATABASE \"{name}\"")).await;
        self.url_of(name)
    }

    /// Runs statements in the database that each server has.
    pub async fn execute(&self, sql: &str) {
        self.execute_in("postgres", sql).await;
    }

    /// Runs statements in one of the databases.
    pub async fn execute_in(&self, database: &str, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.url_of(database), NoTls)
            .await
            .expect("the server takes connections");
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.expect("the statements succeed");
        drop(client);
        connection.await.expect("the connection's task ends").expect("the connection ends in order");
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://waybill@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT: clients are thrown out. Killing it would leave its shared memory behind.
        self.server.stop(Signal::INT, Duration::from_secs(10));
    }
}

/// The files of a server, and the account that it runs as.
#[derive(Debug)]
struct Cluster {
    bin: PathBuf,
    data: PathBuf,
    dir: PathBuf,
    /// Where we are root, which PostgreSQL refuses to be.
    account: Option<(u32, u32)>,
}

impl Cluster {
    fn create() -> (Cluster, TempDir) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let cluster = Cluster {
            bin: bin(),
            data: dir.path().join("data"),
            dir: dir.path().to_owned(),
            account: geteuid().is_root().then(account),
        };
        cluster.give(dir.path());
        let output = cluster
            .command("initdb")
            .args(["--no-sync", "-A", "trust", "-U", "waybill", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&cluster.data)
            .output()
            .expect("initdb starts");
        assert!(
            output.status.success(),
            "initdb ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        (cluster, dir)
    }

    /// A program of PostgreSQL, as the right account and in a folder that this account may enter.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(&self.dir);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    /// The server's own word: its eighth line in this file says whether it takes connections.
    fn is_ready(&self) -> bool {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        text.lines().nth(7).is_some_and(|status| status.trim() == "ready")
    }

    /// Copies certificate and key to where the server takes them from; gives the settings that name them.
    fn take_over(&self, tls: &ServerTls) -> [OsString; 3] {
        let copy = |from: &Path, setting: &str| {
            let to = self.dir.join(setting);
            std::fs::copy(from, &to).expect("a PEM file that can be read");
            // Others may not read a key, or the server does not start.
            std::fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("a file of ours");
            self.give(&to);
            let mut text = OsString::from(setting);
            text.push("=");
            text.push(&to);
            text
        };
        [copy(&tls.certificate, "ssl_cert_file"), copy(&tls.key, "ssl_key_file"), OsString::from("ssl=on")]
    }

    fn give(&self, path: &Path) {
        if let Some((user, group)) = self.account {
            chown(path, Some(user), Some(group)).expect("root may give files away");
        }
    }
}

/// User and group id of the account `postgres`.
fn account() -> (u32, u32) {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    accounts
        .lines()
        .find_map(|line| {
            let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .expect("run the tests as another user than root, or make an account `postgres` for PostgreSQL")
}

/// The folder with `initdb` and `postgres`.
fn bin() -> PathBuf {
    let is_it = |bin: &PathBuf| bin.join("initdb").is_file() && bin.join("postgres").is_file();
    if let Some(bin) = std::env::var_os("PG_BIN").map(PathBuf::from) {
        assert!(is_it(&bin), "no initdb and postgres in PG_BIN, {}", bin.display());
        return bin;
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    debian()
        .into_iter()
        .chain(std::env::split_paths(&paths))
        .find(is_it)
        .or_else(|| pg_config().filter(is_it))
        .expect("initdb and postgres are neither in /usr/lib/postgresql nor in PATH: run `make test-tools`")
}

/// Debian keeps them out of PATH, by version; the newest first.
fn debian() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let bin = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(bin.trim()))
}
