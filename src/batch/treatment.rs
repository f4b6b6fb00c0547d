//! What is done to the personal data in a body before it lands. Pure.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::aftership::personal::{self, Privacy};
use crate::event::{Event, Redacted, line};
use crate::lake::suppressed::Suppressed;

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

    /// Treats an event that the strict reader takes. Who is erased lands erased, whatever is done to others.
    pub fn of(&self, event: &Event, suppressed: &Suppressed) -> Treated {
        if let Some(body) = erased(event, suppressed) {
            let line = line::encode(&event.clone().with_body(Bytes::from(body), Redacted::Erased));
            let fits = line.len() <= line::LINE_BYTES_MAX;
            return if fits { Treated::Instead(line, Redacted::Erased) } else { Treated::TooLong };
        }
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

/// What is left of the body when it is about somebody erased.
fn erased(event: &Event, suppressed: &Suppressed) -> Option<Vec<u8>> {
    if suppressed.is_empty() {
        return None;
    }
    personal::erase_marked(&event.body, suppressed.key(), |trackings, people| {
        suppressed.extent(trackings, people, event.received_at).map(|extent| extent.with_numbers)
    })
}

impl fmt::Debug for Treatment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Treatment").field("privacy", &self.privacy).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::lake::suppressed::Entry;

    use super::*;

    const KEY: &[u8] = b"sixteen bytes or more";

    fn event(body: &str) -> Event {
        let received_at = "2026-07-09T12:00:00Z".parse().expect("instant");
        Event::received(Bytes::copy_from_slice(body.as_bytes()), None, false, received_at)
    }

    fn nobody() -> Suppressed {
        Suppressed::default()
    }

    fn landed(privacy: Privacy, event: &Event) -> Event {
        match Treatment::new(privacy, KEY).of(event, &nobody()) {
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
    fn who_is_erased_lands_erased_whatever_is_done_to_others() {
        let entry = Entry {
            v: 1,
            id: "e1".to_owned(),
            at: "2026-07-09T12:00:00Z".parse().expect("instant"),
            key_id: "k".to_owned(),
            subject: None,
            people: vec![personal::pseudonym("ADA@example.com", KEY)],
            trackings: Vec::new(),
            with_numbers: false,
        };
        let suppressed = Suppressed::new(KEY, "k".to_owned()).with(entry);
        let late = Event { received_at: "2026-07-09T12:00:01Z".parse().expect("instant"), ..event(BODY) };
        for privacy in Privacy::ALL {
            let treatment = Treatment::new(privacy, KEY);
            let Treated::Instead(line, how) = treatment.of(&event(BODY), &suppressed) else { panic!() };

            assert_eq!(how, Redacted::Erased);
            let landed = line::decode(&line).expect("own line");
            assert_eq!(landed.body, r#"{"msg":{"id":"t1","emails":[null],"tag":"InTransit"}}"#);
            assert_eq!(landed.body_sha256, event(BODY).body_sha256);
            assert_eq!(treatment.of(&late, &suppressed), treatment.of(&late, &nobody()), "an order after it");
        }
    }

    #[test]
    fn a_line_with_nothing_to_replace_travels_as_it_is() {
        let empty = event(r#"{"msg":{"id":"t1"}}"#);
        assert_eq!(Treatment::new(Privacy::Drop, KEY).of(&empty, &nobody()), Treated::AsReceived);
        assert_eq!(Treatment::keep().of(&event(BODY), &nobody()), Treated::AsReceived);
    }

    #[test]
    fn what_would_not_fit_a_line_as_pseudonyms_is_dropped() {
        let many = vec!["1"; 100_000].join(",");
        let event = event(&format!(r#"{{"msg":{{"id":"t1","emails":[{many}]}}}}"#));
        assert_eq!(landed(Privacy::Hash, &event).redacted, Some(Redacted::Drop));

        let more = vec!["1"; 500_000].join(",");
        let event = self::event(&format!(r#"{{"msg":{{"id":"t1","emails":[{more}]}}}}"#));
        assert_eq!(Treatment::new(Privacy::Hash, KEY).of(&event, &nobody()), Treated::TooLong);
    }

    #[test]
    fn a_key_does_not_show() {
        let shown = format!("{:?}", Treatment::new(Privacy::Hash, KEY));
        assert!(shown.contains("Hash") && !shown.contains("115"), "{shown}");
    }
}
