//! The shop's files in a bucket: found page by page, read in spite of faults, loaded once, and never written to.

use std::io::Write;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use crate::support::aws::create_bucket;
use crate::support::process::Moto;
use crate::support::standin::{Fault, Op, Standin, StandinOptions};
use crate::support::waybill::Deployment;

const PREFIX: &str = "exports/daily";

/// Keys of files that are ignored, before those that are not: more than a page of a listing.
const IGNORED: usize = 1_005;

/// A bucket of that name, and the deployment whose shop's files are in it.
struct Shop {
    client: Client,
    bucket: String,
    deployment: Deployment,
    _dir: tempfile::TempDir,
}

/// An object as a listing shows it: key, tag, bytes, time.
type Listed = (String, String, i64, String);

impl Shop {
    async fn new(endpoint: &str, bucket: &str) -> Shop {
        let sdk = waybill::ops::aws::standin_config(endpoint);
        let config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build();
        let client = Client::from_conf(config);
        create_bucket(&sdk, bucket).await;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let deployment = Deployment::embedded(dir.path())
            .with_aws(endpoint)
            .with("WAYBILL_RETAIL", &format!("s3://{bucket}/{PREFIX}"))
            .without("WAYBILL_LAKE");
        Shop { client, bucket: bucket.to_owned(), deployment, _dir: dir }
    }

    /// Writes an object; `key` as in the bucket.
    async fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let body = ByteStream::from(body.into());
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(body);
        Box::pin(put.send()).await.unwrap_or_else(|error| panic!("{key}: {error:?}"));
    }

    /// The same below the root of the shop's files.
    async fn file(&self, name: &str, body: impl Into<Vec<u8>>) {
        self.put(&format!("{PREFIX}/{name}"), body).await;
    }

    /// Files of four datasets, two of them packed, and what is none of our business.
    async fn fill(&self) {
        self.file("categories/2026-07-01.csv", "5,3,Boats\n").await;
        let ignored = (0..IGNORED).map(|number| format!("customers/.parts/{number:05}.csv"));
        stream::iter(ignored)
            .for_each_concurrent(16, |name| async move { self.file(&name, "x").await })
            .await;
        self.file("customers/2026-07-01.csv", "7,Ada,L,x,x,1 Main St,Rome,NY,01234\n").await;
        self.file("order_items/2026-07-01.csv.gz", packed("1,10,100,2,20.00,10.00\n2,10,101,1,5.00,5.00\n"))
            .await;
        self.file("order_items/2026-07-02/part-1.csv", "3,11,100,1,10.00,10.00\n").await;
        self.file("orders/2026-07-01.csv", "10,2026-07-01 09:00:00,7,COMPLETE\n").await;
        self.file("orders/2026-07-02.csv.gz", packed("11,2026-07-02 09:00:00,7,PENDING\n")).await;
        for name in [
            "orders/.2026-07-03.csv",
            "orders/_2026-07-03.csv",
            "orders/2026-07-03.csv.tmp",
            "orders/_new/a.csv",
        ] {
            self.file(name, "99,2026-07-03 09:00:00,7,CLOSED\n").await;
        }
        self.file("orders/_SUCCESS", "").await;
        // Beside the root, under names that begin like it.
        for key in
            ["orders/2026-07-03.csv", "exports/daily-old/orders/2026-07-03.csv", "exports/orders/a.csv"]
        {
            self.put(key, "98,2026-07-03 09:00:00,7,CLOSED\n").await;
        }
    }

    /// Everything in the bucket, by its own listing.
    async fn everything(&self) -> Vec<Listed> {
        let mut listed = Vec::new();
        let mut token = None;
        loop {
            let page = self.client.list_objects_v2().bucket(&self.bucket).set_continuation_token(token);
            let page = Box::pin(page.send()).await.expect("a listing");
            listed.extend(page.contents().iter().map(|object| {
                (
                    object.key().unwrap_or_default().to_owned(),
                    object.e_tag().unwrap_or_default().to_owned(),
                    object.size().unwrap_or(-1),
                    object.last_modified().map(|at| format!("{at:?}")).unwrap_or_default(),
                )
            }));
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return listed;
            }
        }
    }

    /// Runs a command that must succeed, beside the bucket's server.
    async fn run(&self, arguments: &[&str]) -> String {
        let deployment = self.deployment.clone();
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            deployment.run_ok(&arguments)
        };
        tokio::task::spawn_blocking(run).await.expect("the command succeeds")
    }

    async fn load(&self) -> Value {
        serde_json::from_str(&self.run(&["load", "--once"]).await).expect("one JSON object")
    }

    async fn rows(&self, sql: &str) -> Value {
        serde_json::from_str(&self.run(&["query", "--format", "json", sql]).await).expect("JSON")
    }

    /// Loads what [`Shop::fill`] wrote, and then nothing.
    async fn is_loaded_once(&self) {
        let before = self.everything().await;
        assert!(before.len() > 1_000, "{}", before.len());

        let first = self.load().await;
        let again = self.load().await;

        assert_eq!(
            (&first["files"], &first["inserted"], &first["waiting"], &first["rejected"]),
            (&6.into(), &7.into(), &0.into(), &0.into()),
            "{first}"
        );
        assert_eq!(again["files"], 0, "{again}");
        let files =
            self.rows("select file, lines from raw.loaded_file where status = 'loaded' order by 1").await;
        assert_eq!(
            files,
            serde_json::json!([
                {"file": "categories/2026-07-01.csv", "lines": 1},
                {"file": "customers/2026-07-01.csv", "lines": 1},
                {"file": "order_items/2026-07-01.csv.gz", "lines": 2},
                {"file": "order_items/2026-07-02/part-1.csv", "lines": 1},
                {"file": "orders/2026-07-01.csv", "lines": 1},
                {"file": "orders/2026-07-02.csv.gz", "lines": 1},
            ])
        );
        let lines = "select order_item_id, order_id, cast(order_date as text) as day from base.fct_order_line order by 1";
        assert_eq!(
            self.rows(lines).await,
            serde_json::json!([
                {"order_item_id": 1, "order_id": 10, "day": "2026-07-01"},
                {"order_item_id": 2, "order_id": 10, "day": "2026-07-01"},
                {"order_item_id": 3, "order_id": 11, "day": "2026-07-02"},
            ])
        );
        assert_eq!(self.everything().await, before, "the bucket is as it was");
        self.run(&["audit", "--day", "2026-07-02"]).await;
    }

    /// Other bytes under a known key count in the place of those before.
    async fn a_replaced_file_is_an_increment(&self) {
        self.file(
            "orders/2026-07-01.csv",
            "10,2026-07-01 09:00:00,7,COMPLETE\n12,2026-07-01 11:00:00,7,CLOSED\n",
        )
        .await;
        let before = self.everything().await;

        let loaded = self.load().await;

        assert_eq!(
            (&loaded["files"], &loaded["inserted"], &loaded["unchanged"]),
            (&1.into(), &1.into(), &1.into()),
            "{loaded}"
        );
        let generations = "select generation, status, lines from raw.loaded_file where file = 'orders/2026-07-01.csv' order by 1";
        assert_eq!(
            self.rows(generations).await,
            serde_json::json!([
                {"generation": 0, "status": "superseded", "lines": 1},
                {"generation": 1, "status": "loaded", "lines": 2},
            ])
        );
        assert_eq!(self.rows("select count(*) as n from base.fct_order").await[0]["n"], 3);
        assert_eq!(self.load().await["files"], 0);
        assert_eq!(self.everything().await, before, "the bucket is as it was");
        self.run(&["audit"]).await;
    }
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_a_bucket_are_loaded_once_in_spite_of_faults_and_nothing_is_written_there() {
    let standin = Standin::start(StandinOptions::default()).await;
    let shop = Shop::new(&standin.endpoint(), "shop").await;
    shop.fill().await;
    let writes = || [Op::PutObject, Op::DeleteObject, Op::CreateBucket].map(|op| standin.calls(op));
    let (written, read) = (writes(), standin.calls(Op::GetObject));
    let armed = [
        standin.faults().arm(Op::ListObjectsV2, Fault::Status(503), 1),
        standin.faults().arm(Op::GetObject, Fault::Status(503), 2),
        standin.faults().arm(Op::GetObject, Fault::Throttle, 1),
        standin.faults().arm(Op::GetObject, Fault::CutBody, 1),
        standin.faults().arm(Op::GetObject, Fault::DropAnswerAfterDoing, 1),
    ];

    shop.is_loaded_once().await;

    assert!(armed.iter().all(|fault| fault.is_spent()), "{armed:?}");
    assert_eq!(writes(), written, "nobody writes into the bucket");
    // Six files, and five answers that were none: what is ignored is not read, and what is loaded is not read again.
    assert_eq!(standin.calls(Op::GetObject) - read, 6 + 5);
    shop.a_replaced_file_is_an_increment().await;
    assert_eq!(writes()[0] - written[0], 1, "what the shop replaced, and nothing else");
    assert_eq!(writes()[1..], written[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_a_bucket_of_moto_are_loaded_once() {
    let moto = Moto::shared().await;
    let shop = Shop::new(&moto.endpoint(), "shop-files").await;
    shop.fill().await;

    shop.is_loaded_once().await;
    shop.a_replaced_file_is_an_increment().await;
}

/// A file that cannot be read now holds up no other, and is said by the exit code; the next load has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_closed_to_us_is_said_and_loaded_when_it_is_open() {
    let standin = Standin::start(StandinOptions::default()).await;
    let shop = Shop::new(&standin.endpoint(), "shop").await;
    shop.file("orders/2026-07-01.csv", "10,2026-07-01 09:00:00,7,COMPLETE\n").await;
    shop.file("orders/2026-07-02.csv", "11,2026-07-02 09:00:00,7,COMPLETE\n").await;
    // The first of them, in order of its day; 403 is not tried again.
    let armed = standin.faults().arm(Op::GetObject, Fault::Status(403), 1);

    let deployment = shop.deployment.clone();
    let output =
        tokio::task::spawn_blocking(move || deployment.run(&["load", "--once"])).await.expect("it ends");

    assert!(armed.is_spent());
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let known = "select file from raw.loaded_file order by 1";
    assert_eq!(shop.rows(known).await, serde_json::json!([{"file": "orders/2026-07-02.csv"}]));
    assert_eq!(shop.load().await["files"], 1);
    assert_eq!(shop.rows("select count(*) as n from base.fct_order").await[0]["n"], 2);
}
