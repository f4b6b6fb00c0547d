//! `sslmode` and `sslrootcert` against a PostgreSQL server that speaks TLS.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use waybill::warehouse::postgres::PostgresWarehouse;
use waybill::warehouse::{Warehouse, WarehouseError};

use crate::support::process::{Postgres, PostgresOptions, ServerTls};

/// An authority, and a server certificate of it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn create(dir: &Path, name: &str) -> Authority {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("certificate");
        let file = dir.join(format!("{name}.pem"));
        std::fs::write(&file, certificate.pem()).expect("file");
        Authority { issuer: Issuer::new(params, key), file }
    }

    fn server(&self, dir: &Path, host: &str) -> ServerTls {
        let key = KeyPair::generate().expect("key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("certificate");
        let files = ServerTls { certificate: dir.join("server.pem"), key: dir.join("server.key") };
        std::fs::write(&files.certificate, certificate.pem()).expect("file");
        std::fs::write(&files.key, key.serialize_pem()).expect("file");
        files
    }
}

/// Connects, and asks the server whether this connection is encrypted.
async fn is_encrypted(url: &str) -> Result<bool, WarehouseError> {
    let warehouse = PostgresWarehouse::open(url)?;
    let answer =
        warehouse.query("select ssl::text as ssl from pg_stat_ssl where pid = pg_backend_pid()").await?;
    Ok(format!("{:?}", answer.rows[0][0]).contains("true"))
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_certificates_are_checked_as_far_as_asked() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let ours = Authority::create(dir.path(), "ours");
    let other = Authority::create(dir.path(), "other");
    let tls = ours.server(dir.path(), "localhost");
    let postgres =
        Postgres::start_with(PostgresOptions { tls: Some(tls), ..PostgresOptions::default() }).await;
    // The certificate is for the name; by number the name does not match.
    let by_name = format!("postgres://waybill@localhost:{}/postgres", postgres.port());
    let by_number = format!("postgres://waybill@127.0.0.1:{}/postgres", postgres.port());
    let (root, wrong_root) = (ours.file.display(), other.file.display());

    for (url, encrypted) in [
        (format!("{by_number}?sslmode=disable"), false),
        (by_number.clone(), true),
        (format!("{by_number}?sslmode=prefer"), true),
        (format!("{by_number}?sslmode=require"), true),
        (format!("{by_number}?sslmode=verify-ca&sslrootcert={root}"), true),
        (format!("{by_name}?sslmode=verify-full&sslrootcert={root}"), true),
    ] {
        assert_eq!(is_encrypted(&url).await.expect(&url), encrypted, "{url}");
    }

    for url in [
        // As libpq: a root file makes `require` check.
        format!("{by_number}?sslmode=require&sslrootcert={wrong_root}"),
        format!("{by_number}?sslmode=verify-ca&sslrootcert={wrong_root}"),
        format!("{by_number}?sslmode=verify-full&sslrootcert={root}"),
        format!("{by_name}?sslmode=verify-full&sslrootcert={wrong_root}"),
        // Without a file the machine's own authorities count, and ours is none of them.
        format!("{by_name}?sslmode=verify-full"),
    ] {
        let outcome = is_encrypted(&url).await;
        assert!(outcome.is_err(), "{url} was taken");
    }

    let missing = dir.path().join("missing.pem");
    let outcome =
        is_encrypted(&format!("{by_name}?sslmode=verify-full&sslrootcert={}", missing.display())).await;
    assert!(
        matches!(&outcome, Err(WarehouseError::Refused(reason)) if reason.contains("missing.pem")),
        "the file is named: {outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_without_tls_is_refused_where_tls_is_asked_for() {
    let postgres = Postgres::start().await;
    let url = postgres.url();

    assert!(!is_encrypted(&format!("{url}?sslmode=prefer")).await.expect("prefer takes what there is"));
    for mode in ["require", "verify-ca", "verify-full"] {
        assert!(is_encrypted(&format!("{url}?sslmode={mode}")).await.is_err(), "{mode}");
    }
}
