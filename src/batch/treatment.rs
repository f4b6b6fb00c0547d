//! What is done to the personal data in a body before it lands. Pure.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::aftership::personal::{self, Privacy};
use crate::event::{Event, Redacted, line};

/// How bodies are treated; the same for every event.
#[derive(Clone)]
pub struct Treatment {
    privacy: Privacy,
    /// Makes the pseudonyms.
    key: Arc<[u8]>,
}

/// An event, as it lands.
#[derive(Debug, PartialEq, Eq)]
pub enum Treated {
    /// There is nothing to replace: the line travels as it is.
    AsReceived,
    /// This line stands for it.
    Instead(Vec<u8>, Redacted),
    /// What stands in place of its personal data is more than a line holds.
    TooLong,
}

impl Treatment {
    /// Everything stays as it came.
    pub fn keep() -> Treatment {
        Treatment::new(Privacy::Keep, b"")
    }

    /// `key` is needed to hash only.
    pub fn new(privacy: Privacy, key: &[u8]) -> Treatment {
        Treatment { privacy, key: key.into() }
    }

    /// Treats an event that the strict reader takes.
    pub fn of(&self, event: &Event) -> Treated {
        let attempts: &[(Privacy, Redacted)] = match self.privacy {
            Privacy::Keep => return Treated::AsReceived,
            // A pseudonym can be longer than what it stands for, `null` hardly ever.
            Privacy::Hash => &[(Privacy::Hash, Redacted::Hash), (Privacy::Drop, Redacted::Drop)],
            Privacy::Drop => &[(Privacy::Drop, Redacted::Drop)],
        };
        for (privacy, how) in attempts {
            let Some(body) = personal::redact(&event.body, *privacy, &self.key) else {
                return Treated::AsReceived;
            };
            let line = line::encode(&event.clone().with_body(Bytes::from(body), *how));
            if line.len() <= line::LINE_BYTES_MAX {
                return Treated::Instead(line, *how);
            }
        }
        Treated::TooLong
    }
}

impl fmt::Debug for Treatment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Treatment").field("privacy", &self.privacy).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"sixteen bytes or more";

    fn event(body: &str) -> Event {
        let received_at = "2026-07-09T12:00:00Z".parse().expect("instant");
        Event::received(Bytes::copy_from_slice(body.as_bytes()), None, false, received_at)
    }

    fn landed(privacy: Privacy, event: &Event) -> Event {
        match Treatment::new(privacy, KEY).of(event) {
            Treated::Instead(line, _) => line::decode(&line).expect("own line"),
            other => panic!("{other:?}"),
        }
    }

    const BODY: &str = r#"{"msg":{"id":"t1","emails":["ada@example.com"],"tag":"InTransit"}}"#;

    #[test]
    fn only_the_body_of_an_event_changes() {
        let event = event(BODY);
        for (privacy, how) in [(Privacy::Hash, Redacted::Hash), (Privacy::Drop, Redacted::Drop)] {
            let landed = landed(privacy, &event);

            assert_eq!(landed.redacted, Some(how));
            assert!(!String::from_utf8_lossy(&landed.body).contains("ada"));
            assert_eq!(Event { redacted: None, body: event.body.clone(), ..landed }, event);
        }
    }

    #[test]
    fn a_line_with_nothing_to_replace_travels_as_it_is() {
        let nobody = event(r#"{"msg":{"id":"t1"}}"#);
        assert_eq!(Treatment::new(Privacy::Drop, KEY).of(&nobody), Treated::AsReceived);
        assert_eq!(Treatment::keep().of(&event(BODY)), Treated::AsReceived);
    }

    #[test]
    fn what_would_not_fit_a_line_as_pseudonyms_is_dropped() {
        let many = vec!["1"; 100_000].join(",");
        let event = event(&format!(r#"{{"msg":{{"id":"t1","emails":[{many}]}}}}"#));
        assert_eq!(landed(Privacy::Hash, &event).redacted, Some(Redacted::Drop));

        let more = vec!["1"; 500_000].join(",");
        let event = self::event(&format!(r#"{{"msg":{{"id":"t1","emails":[{more}]}}}}"#));
        assert_eq!(Treatment::new(Privacy::Hash, KEY).of(&event), Treated::TooLong);
    }

    #[test]
    fn a_key_does_not_show() {
        let shown = format!("{:?}", Treatment::new(Privacy::Hash, KEY));
        assert!(shown.contains("Hash") && !shown.contains("115"), "{shown}");
    }
}
