//! `waybill health`: asks a running process how it is, for containers that have no shell and no curl.
//!
//! It needs the address of the operators' listener and nothing else: no secret, no place. Whatever else is wrong with
//! the settings is for the process that is asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use axum::http::{Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;

use crate::cli::Health;
use crate::ops::http;
use crate::settings::{Faults, Purpose};

use super::{Exit, Sources, Usage};

/// For the whole question; health checks of containers give it 5 s.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Most of an answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How faults of the one setting that counts begin.
const OWN_FAULTS: [&str; 3] = ["WAYBILL_OPS_LISTEN:", "--ops-listen:", "ops_listen:"];

/// What `/livez` and `/readyz` answer, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Report {
    status: String,
    #[serde(default)]
    reasons: Vec<String>,
    #[serde(default)]
    stuck: Vec<String>,
}

impl Report {
    /// In one line.
    fn line(self) -> String {
        let words: Vec<String> = std::iter::once(self.status).chain(self.reasons).chain(self.stuck).collect();
        words.join(", ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

pub(super) async fn run(sources: &Sources, arguments: &Health) -> anyhow::Result<Exit> {
    let root = match &arguments.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", reachable(listener(sources)?)?),
    };
    let page = if arguments.ready { "readyz" } else { "livez" };
    let uri = format!("{root}/{page}")
        .parse::<Uri>()
        .map_err(|fault| Usage(format!("--url cannot be read: {fault}")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(Usage("--url must begin with http:// or https://".to_owned()).into());
    }
    let (status, body) = tokio::time::timeout(ANSWER_MAX, ask(&uri))
        .await
        .map_err(|_| anyhow!("{uri} did not answer within {ANSWER_MAX:?}"))??;
    // Another server may listen there, and say 200 to everything.
    let Ok(report) = serde_json::from_slice::<Report>(&body) else {
        bail!("{uri} answers {}, and not as Waybill does", status.as_u16());
    };
    if status != StatusCode::OK {
        bail!("{uri} answers {}: {}", status.as_u16(), report.line());
    }
    println!("{}", report.line());
    Ok(Exit::Done)
}

/// Where the process with these settings listens.
fn listener(sources: &Sources) -> anyhow::Result<SocketAddr> {
    let purpose = Purpose { needs: Vec::new(), data: None, is_demo: false };
    let (settings, Faults(faults)) = sources.examine(&purpose)?;
    if let Some(fault) = faults.into_iter().find(|fault| OWN_FAULTS.iter().any(|own| fault.starts_with(own)))
    {
        bail!(fault);
    }
    settings.and_then(|settings| settings.ops_listen).context("the operators' listener is off: nobody to ask")
}

/// Where that can be asked from the same machine.
fn reachable(listener: SocketAddr) -> anyhow::Result<SocketAddr> {
    if listener.port() == 0 {
        bail!("the operators' listener takes any free port: say with --url which it took");
    }
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listener.port()))
}

async fn ask(uri: &Uri) -> anyhow::Result<(StatusCode, Bytes)> {
    let client = http::client(uri.scheme_str() == Some("https"), ANSWER_MAX, 1)?;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = uri.clone();
    let response = client.request(request).await.with_context(|| format!("cannot reach {uri}"))?;
    let status = response.status();
    // What is cut short is no JSON, and said to be so.
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    Ok((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (listener, asked) in [
            ("0.0.0.0:8081", "127.0.0.1:8081"),
            ("[::]:8081", "[::1]:8081"),
            ("10.0.0.7:8081", "10.0.0.7:8081"),
        ] {
            assert_eq!(reachable(address(listener)).expect("reachable"), address(asked));
        }
        assert!(reachable(address("127.0.0.1:0")).is_err());
    }

    #[test]
    fn a_report_is_one_line() {
        let body = br#"{"status":"not_ready","reasons":["queue: no\nroom","lake: away"],"components":{}}"#;
        let report: Report = serde_json::from_slice(body).expect("a report");

        assert_eq!(report.line(), "not_ready, queue: no room, lake: away");
        assert!(serde_json::from_slice::<Report>(b"<html>").is_err());
    }
}
