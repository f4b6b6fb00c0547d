//! One HTTP client for all who ask somebody else: HTTP/1.1, rustls with the system's certificates.

use std::io;
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

/// A client with connections of its own. It has no time limit for a whole request: who asks sets one.
pub type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Makes a client. `is_tls`: whether any address is https, which needs the system's certificates; a machine may have
/// none and still speak http. `connect_max`: for a new connection. `idle_max`: connections kept for the next request.
pub fn client(is_tls: bool, connect_max: Duration, idle_max: usize) -> io::Result<Client> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(connect_max));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls(is_tls)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(idle_max.max(1))
        .build(https))
}

/// Most of an answer to a post that is read; those that we await are small.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Posts a body and gives the answer's status; `None`: there was no answer. Has no time limit of its own.
pub async fn post(client: &Client, uri: &Uri, headers: HeaderMap, body: Bytes) -> Option<StatusCode> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers;
    let response = client.request(request).await.ok()?;
    let status = response.status();
    // Read to its end, or the connection cannot be used again.
    let _ = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    Some(status)
}

fn tls(is_needed: bool) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if is_needed {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(io::Error::other("the system has no root certificates"));
        }
    }
    let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
