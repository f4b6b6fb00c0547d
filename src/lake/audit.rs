//! What people did to what lies in the lake: one record each, written before it is done, for ever.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Lake, LakeError, layout};

/// What an audit record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Letters are sent again.
    Replay,
    /// Letters are dropped.
    Drop,
    /// Somebody is going to be erased.
    Forget,
    /// Somebody is erased.
    Forgotten,
}

impl Action {
    /// The word in the record's name.
    fn as_str(self) -> &'static str {
        match self {
            Action::Replay => "replay",
            Action::Drop => "drop",
            Action::Forget => "forget",
            Action::Forgotten => "forgotten",
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
