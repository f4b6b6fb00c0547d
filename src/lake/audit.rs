//! What people did to what lies in the lake: one record each, written before it is done, for ever.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::warn;

use super::{Lake, LakeError, layout, list_all};

/// What an audit record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Letters are sent again.
    Replay,
    /// Letters are dropped.
    Drop,
    /// A replay or drop is cancelled.
    Cancel,
    /// Somebody looks at a letter's bytes with the personal data in them.
    Reveal,
    /// Somebody is going to be erased.
    Forget,
    /// Somebody is erased.
    Forgotten,
    /// What AfterShip has and we have not is sent.
    Heal,
}

impl Action {
    /// The word in the record, and in its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Replay => "replay",
            Action::Drop => "drop",
            Action::Cancel => "cancel",
            Action::Reveal => "reveal",
            Action::Forget => "forget",
            Action::Forgotten => "forgotten",
            Action::Heal => "heal",
        }
    }
}

/// What is about to be done, by whom, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Version of the format, 1.
    pub v: u32,
    /// When.
    #[serde(with = "crate::event::instant_text")]
    pub at: Timestamp,
    /// What.
    pub action: Action,
    /// The operator's name on the machine.
    pub who: Option<String>,
    /// The conditions; of an erasure a keyed hash of whom it is about.
    pub filter: String,
    /// Letters it is about; of an erasure lines and letters.
    pub count: usize,
    /// Their ids; of an erasure its own.
    pub ids: Vec<String>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Ties events and marks to this record.
    pub replay_id: Option<String>,
}

/// Writes down what is about to be done.
pub async fn record(lake: &dyn Lake, audit: &Audit) -> Result<(), LakeError> {
    let body = serde_json::to_vec(audit).expect("a record always has a JSON form");
    let hash = hex::encode(&Sha256::digest(&body)[..8]);
    lake.put_new(&layout::audit_key(audit.at, audit.action.as_str(), &hash), Bytes::from(body)).await?;
    Ok(())
}

/// Records written since an instant, newest first, at most `records_max`.
pub async fn list(lake: &dyn Lake, since: Timestamp, records_max: usize) -> Result<Vec<Audit>, LakeError> {
    let first = layout::audit_key(since, "", "");
    // Records are in folders of days; what else lies beside those is not asked for.
    let Some((root, _)) = first.split_once("dt=") else { return Ok(Vec::new()) };
    let objects = list_all(lake, &format!("{root}dt="), Some(&first)).await?;
    let mut records = Vec::new();
    for object in objects.iter().rev().take(records_max) {
        match serde_json::from_slice(&lake.get(&object.key).await?) {
            Ok(record) => records.push(record),
            // One of a newer program, or a damaged one, must not hide all others.
            Err(error) => warn!(path = %object.key, %error, "cannot read an audit record, it is left out"),
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::super::disk::DiskLake;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    #[tokio::test]
    async fn records_come_back_newest_first_and_not_from_before() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake = DiskLake::open(dir.path()).expect("lake");
        let days = ["2026-06-01T12:00:00Z", "2026-07-08T23:00:00Z", "2026-07-09T12:00:00Z"];
        for (index, day) in days.iter().enumerate() {
            let audit = Audit {
                v: 1,
                at: at(day),
                action: Action::Reveal,
                who: None,
                filter: String::new(),
                count: index,
                ids: Vec::new(),
                reason: None,
                replay_id: None,
            };
            record(&lake, &audit).await.expect("written");
        }
        lake.put_new("audit/dead-letters/dt=2026-07-09/x.json", Bytes::new()).await.expect("a letter's mark");

        let found = |records: Vec<Audit>| records.into_iter().map(|record| record.count).collect::<Vec<_>>();

        assert_eq!(found(list(&lake, at("2026-07-01T00:00:00Z"), 9).await.expect("list")), [2, 1]);
        assert_eq!(found(list(&lake, at("2026-07-01T00:00:00Z"), 1).await.expect("list")), [2]);
        assert_eq!(found(list(&lake, at("2026-07-09T00:00:00Z"), 9).await.expect("list")), [2]);
    }
}
