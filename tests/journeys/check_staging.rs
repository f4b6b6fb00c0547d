//! `waybill check` reaches the bucket where rows wait for Redshift, and says how to mend what is wrong with it.

use crate::support::aws::create_bucket;
use crate::support::standin::{Fault, Op, Standin, StandinOptions};
use crate::support::waybill::Deployment;

/// Exit code, and all that was printed.
async fn check(deployment: &Deployment) -> (Option<i32>, String) {
    let deployment = deployment.clone();
    let output =
        tokio::task::spawn_blocking(move || deployment.run(&["check", "load"])).await.expect("it ends");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.code(), text.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staging_bucket_is_reached_or_its_fault_is_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let standin = Standin::start(StandinOptions::default()).await;
    // No cluster answers there: a fault of its own, beside that of the bucket.
    let deployment = Deployment::embedded(dir.path())
        .with_aws(&standin.endpoint())
        .with("WAYBILL_WAREHOUSE", "redshift://waybill:planted-password@127.0.0.1:1/shop")
        .with("WAYBILL_REDSHIFT_STAGING", "s3://staging/rows");

    let (code, text) = check(&deployment).await;
    assert_eq!(code, Some(78), "{text}");
    for part in [
        "FAULT   warehouse",
        "FAULT   Redshift's staging bucket",
        "cannot list s3://staging/rows/: there is no such bucket; make it, or mend WAYBILL_REDSHIFT_STAGING",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }

    create_bucket(&waybill::ops::aws::standin_config(&standin.endpoint()), "staging").await;
    let writes = standin.calls(Op::PutObject) + standin.calls(Op::DeleteObject);
    let (_, text) = check(&deployment).await;
    assert!(text.contains("ok      Redshift's staging bucket: s3://staging/rows reached"), "{text}");
    assert!(!text.contains("FAULT   Redshift's"), "{text}");
    assert_eq!(
        standin.calls(Op::PutObject) + standin.calls(Op::DeleteObject),
        writes,
        "a check writes nothing"
    );

    standin.faults().arm(Op::ListObjectsV2, Fault::Status(403), u64::MAX);
    let (_, text) = check(&deployment).await;
    for part in ["S3 answered AccessDenied", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    standin.faults().disarm_all();
    drop(standin);

    let (_, text) = check(&deployment).await;
    assert!(text.contains("FAULT   Redshift's staging bucket"), "{text}");
    assert!(text.contains("cannot list s3://staging/rows/") && text.contains("look at"), "{text}");
    assert!(!text.contains("planted-password"), "{text}");
}

/// Whoever loads into another warehouse has no staging bucket, and is told of none.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_warehouse_has_a_staging_bucket() {
    let dir = tempfile::tempdir().expect("a temporary folder");

    let (code, text) = check(&Deployment::embedded(dir.path())).await;

    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("staging"), "{text}");
}
