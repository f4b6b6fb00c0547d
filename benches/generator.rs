//! Load: keep-alive connections that post prepared, signed requests as fast as answers come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What one run of load found.
#[derive(Debug, Clone, Default)]
pub struct Load {
    pub accepted: u64,
    pub refused: u64,
    pub took: Duration,
    latencies: Vec<u32>,
}

impl Load {
    pub fn per_second(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    /// Of accepted requests, in milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        let index =
            ((self.latencies.len() as f64 * share) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(f64::NAN, |micros| f64::from(*micros) / 1_000.0)
    }
}

/// Posts for a time on so many connections.
pub async fn run(
    address: SocketAddr,
    requests: &'static [Vec<u8>],
    connections: usize,
    time: Duration,
) -> Load {
    let started = Instant::now();
    let end = started + time;
    let mut clients = JoinSet::new();
    for index in 0..connections {
        clients.spawn(client(address, requests, index, end));
    }
    let mut load = Load::default();
    while let Some(one) = clients.join_next().await {
        let one = one.expect("a client ends");
        load.accepted += one.accepted;
        load.refused += one.refused;
        load.latencies.extend(one.latencies);
    }
    load.took = started.elapsed();
    load.latencies.sort_unstable();
    load
}

async fn client(address: SocketAddr, requests: &'static [Vec<u8>], mut index: usize, end: Instant) -> Load {
    let mut load = Load::default();
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("nodelay");
    let mut answer = vec![0; 4096];
    while Instant::now() < end {
        index = (index + 17) % requests.len();
        let sent = Instant::now();
        stream.write_all(&requests[index]).await.expect("the server reads");
        if read_status(&mut stream, &mut answer).await == 200 {
            load.accepted += 1;
            load.latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        } else {
            load.refused += 1;
        }
    }
    load
}

/// Reads one whole answer; gives its status.
async fn read_status(stream: &mut TcpStream, buffer: &mut [u8]) -> u16 {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await.expect("the server answers");
        assert!(count > 0, "the server closed the connection");
        filled += count;
        let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]);
        let length: usize = head
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            })
            .unwrap_or(0);
        if filled >= end + 4 + length {
            return head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        }
    }
}
