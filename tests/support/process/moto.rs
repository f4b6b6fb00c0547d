//! moto: somebody else's SQS and S3, as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{Child, eventually};

/// It takes about 3 s on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running moto server; it ends when dropped.
#[derive(Debug)]
pub struct Moto {
    address: SocketAddr,
    _server: Child,
}

impl Moto {
    /// Starts one and waits until it answers. Panics when it is not installed.
    pub async fn start() -> Moto {
        let program = venv().join("bin").join("moto_server");
        assert!(program.is_file(), "{} is missing: run `make test-tools`", program.display());
        // Port 0: it takes a free one and says which. Choosing one for it would race with other tests.
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", "0"]).env("PYTHONUNBUFFERED", "1");
        let mut server = Child::spawn("moto_server", &mut command);
        let address = eventually("moto answers", PATIENCE, async || {
            if let Some(status) = server.ended() {
                panic!("moto ended with {status}:\n{}", server.stderr());
            }
            let address = address_in(&server.stderr())?;
            answers(address).await.then_some(address)
        })
        .await;
        Moto { address, _server: server }
    }

    /// One for all tests of this process that run at the same time: choose names that no other test uses. It ends
    /// with the last of its users, since a static would never be dropped.
    pub async fn shared() -> Arc<Moto> {
        static RUNNING: Mutex<Weak<Moto>> = Mutex::const_new(Weak::new());
        let mut running = RUNNING.lock().await;
        if let Some(moto) = running.upgrade() {
            return moto;
        }
        let moto = Arc::new(Moto::start().await);
        *running = Arc::downgrade(&moto);
        moto
    }

    /// Where it listens: `http://127.0.0.1:PORT`, for SQS and S3 alike.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// `$WAYBILL_TEST_VENV`, else `.venv`, below the repository unless absolute.
fn venv() -> PathBuf {
    let venv = std::env::var_os("WAYBILL_TEST_VENV").unwrap_or_else(|| ".venv".into());
    Path::new(env!("CARGO_MANIFEST_DIR")).join(venv)
}

/// The address in its line `* Running on http://127.0.0.1:PORT`.
fn address_in(log: &str) -> Option<SocketAddr> {
    // Up to the last line break: a line may be written by half.
    let (lines, _) = log.rsplit_once('\n')?;
    let address = lines.lines().find_map(|line| line.split_once("Running on http://"))?.1;
    address.trim().parse().ok()
}

async fn answers(address: SocketAddr) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /moto-api/data.json HTTP/1.0\r\n\r\n").await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        Ok::<bool, std::io::Error>(status.ends_with(b" 200"))
    };
    exchange.await.unwrap_or(false)
}
