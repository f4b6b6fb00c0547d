//! What one flush wrote: its objects with their counts, and why it was flushed. The loader lists these, not the
//! whole lake. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of the format.
const VERSION: u32 = 1;

/// Why a window was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlushReason {
    /// Its minute was over.
    Minute,
    /// It was full, by bytes.
    Bytes,
    /// It was full, by events.
    Count,
    /// Its first event had waited long enough.
    Age,
    /// The program was asked to end.
    Drain,
}

impl FlushReason {
    /// The word used in manifests and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            FlushReason::Minute => "minute",
            FlushReason::Bytes => "bytes",
            FlushReason::Count => "count",
            FlushReason::Age => "age",
            FlushReason::Drain => "drain",
        }
    }
}

/// One object of a flush.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestObject {
    /// Key below the lake's root.
    pub key: String,
    /// Events in it.
    pub lines: u64,
    /// Stored (packed) bytes.
    pub bytes: u64,
    /// See [`KeysHash`].
    pub keys_hash: String,
}

/// One flush.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub v: u32,
    /// When it was written; part of its name.
    #[serde(with = "crate::event::instant_text")]
    pub written_at: Timestamp,
    /// Why it was flushed.
    pub reason: FlushReason,
    /// What was written.
    pub objects: Vec<ManifestObject>,
}

/// Not a manifest that we can read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON of a manifest.
    #[error("not a manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer program.
    #[error("manifest has format version {0}, this program reads version {VERSION}")]
    Version(u32),
}

impl Manifest {
    /// The bytes to store.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest always has a JSON form")
    }

    /// Reads it back; fields of the future are passed over.
    pub fn from_json(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        #[derive(Deserialize)]
        struct Head {
            v: u32,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.v != VERSION {
            return Err(ManifestError::Version(head.v));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Tells manifests of one instant apart: 16 hex digits over the keys of the objects.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for object in &self.objects {
            hash.update(&object.key);
            hash.update([0]);
        }
        hex::encode(&hash.finalize()[..8])
    }
}

/// A hash of a bag of event keys that does not depend on their order: the sum, modulo 2^128, of the first 16 bytes
/// of each key's SHA-256. A key that is there twice counts twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeysHash(u128);

impl KeysHash {
    /// Adds a key.
    pub fn add(&mut self, key: &str) {
        let digest = Sha256::digest(key);
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        self.0 = self.0.wrapping_add(u128::from_be_bytes(first));
    }

    /// Of a sum that somebody else worked out.
    pub fn from_sum(sum: u128) -> KeysHash {
        KeysHash(sum)
    }

    /// Reads the hex form.
    pub fn from_hex(text: &str) -> Option<KeysHash> {
        u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(KeysHash)
    }

    /// Of both bags together.
    pub fn plus(self, other: KeysHash) -> KeysHash {
        KeysHash(self.0.wrapping_add(other.0))
    }

    /// 32 hex digits.
    pub fn finish(&self) -> String {
        format!("{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back() {
        let manifest = Manifest {
            v: 1,
            written_at: "2026-07-09T12:00:00.000001Z".parse().expect("instant"),
            reason: FlushReason::Age,
            objects: vec![ManifestObject {
                key: "events/x.jsonl".into(),
                lines: 2,
                bytes: 9,
                keys_hash: "0".into(),
            }],
        };
        assert_eq!(Manifest::from_json(&manifest.to_json()).expect("own manifest"), manifest);
    }

    #[test]
    fn fields_of_the_future_pass_and_versions_of_the_future_do_not() {
        let text = r#"{"v":1,"written_at":"2026-07-09T12:00:00Z","reason":"drain","objects":[],"new":1}"#;
        assert!(Manifest::from_json(text.as_bytes()).is_ok());
        let newer = text.replace("\"v\":1", "\"v\":2");
        assert!(matches!(Manifest::from_json(newer.as_bytes()), Err(ManifestError::Version(2))));
    }

    #[test]
    fn the_hash_of_keys_knows_no_order_but_counts_repetitions() {
        let hash = |keys: &[&str]| {
            let mut hash = KeysHash::default();
            keys.iter().for_each(|key| hash.add(key));
            hash.finish()
        };
        assert_eq!(hash(&["a", "b", "c"]), hash(&["c", "a", "b"]));
        assert_ne!(hash(&["a", "b"]), hash(&["a", "b", "b"]));
    }
}
