//! Bodies and requests that no well-behaved sender sends, and what must become of each.
//!
//! Made in code and the same in every run. A fate follows from `aftership::webhook`, which decides what is an event,
//! and from the strict JSON reader; the statuses follow from `receive` and from the HTTP library that it stands on.
//! No two bodies are equal, so each can be found again by its hash.
//!
//! Whoever sends a request keeps the connection open, passes over interim answers (100), and takes the next status
//! as the answer; a HEAD request's answer ends with its head. Requests named `cut: …` are not whole: a server waits
//! out its deadline (10 s) for the rest, so they are best sent beside each other.

mod bytes;
mod chunks;
mod depths;
mod draft;
mod heads;
mod lengths;
mod numbers;
mod signatures;
mod strings;
mod structures;
mod targets;
mod texts;
mod times;
mod webhooks;
mod wire;

/// A body to be sent with a right signature (and once without).
pub struct BodyCase {
    /// Unique.
    pub name: String,
    /// Unique too.
    pub bytes: Vec<u8>,
    /// What becomes of it when it is signed.
    pub fate: Fate,
}

/// What becomes of a signed body. All but [`Fate::TooLarge`] are answered 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A row of `raw.tracking_event`: a JSON object with `msg.id`, or with `msg.slug` and `msg.tracking_number`.
    Fact,
    /// A dead letter with this reason, a word of `lake::dead_letter::Reason`.
    Dead(&'static str),
    /// An event in the lake that the loader cannot hold: a row of `raw.rejected_row` with this reason.
    Rejected(&'static str),
    /// Refused with 413.
    TooLarge,
}

/// A raw HTTP request, and the statuses that are right for it.
pub struct RequestCase {
    /// Unique.
    pub name: String,
    /// Head and body as on the wire.
    pub bytes: Vec<u8>,
    /// Any of these; `None`: closing without an answer is right too.
    pub right: Vec<Option<u16>>,
    /// It is valid and signed, and must be an event: that of tracking `request-<place in the list>`. The other
    /// requests must be none.
    pub is_event: bool,
}

/// The largest body that is taken.
const BODY_BYTES_MAX: usize = 1_048_576;

const EMPTY: Fate = Fate::Dead("empty");
const NOT_JSON: Fate = Fate::Dead("not_json");
const TOO_DEEP: Fate = Fate::Dead("too_deep");
const NOT_AN_OBJECT: Fate = Fate::Dead("not_an_object");
const NO_TRACKING: Fate = Fate::Dead("no_tracking");
const ID_TOO_LONG: Fate = Fate::Rejected("tracking_id_too_long");

/// All bodies.
pub fn bodies() -> Vec<BodyCase> {
    let mut bodies = Bodies::default();
    numbers::add(&mut bodies);
    strings::add(&mut bodies);
    bytes::add(&mut bodies);
    structures::add(&mut bodies);
    depths::add(&mut bodies);
    webhooks::add(&mut bodies);
    times::add(&mut bodies);
    texts::add(&mut bodies);
    bodies.cases
}

/// All requests. `sign`: the signature header's value for a body.
pub fn requests(sign: &dyn Fn(&[u8]) -> String) -> Vec<RequestCase> {
    let mut requests = draft::Requests::new(sign);
    signatures::add(&mut requests);
    targets::add(&mut requests);
    heads::add(&mut requests);
    lengths::add(&mut requests);
    chunks::add(&mut requests);
    wire::add(&mut requests);
    requests.into_cases()
}

/// An event on one line.
const PLAIN: &str =
    r#"{"event":"tracking_update","event_id":"$EVENT","ts":1783598400,"msg":{"id":"$TRACKING"}}"#;

/// What stands before and after the text in question.
type Around = (&'static str, &'static str);

/// Nothing: the text is the whole body.
const BARE: Around = ("", "");
/// The text is a value inside the tracking.
const VALUE: Around =
    (r#"{"event":"tracking_update","event_id":"$EVENT","ts":1783598400,"msg":{"id":"$TRACKING","x":"#, "}}");
/// The text is what stands between the quotes of a string inside the tracking.
const STRING: Around = (
    r#"{"event":"tracking_update","event_id":"$EVENT","ts":1783598400,"msg":{"id":"$TRACKING","tag":""#,
    r#""}}"#,
);
/// The text is one or more members of the tracking.
const MEMBERS: Around =
    (r#"{"event":"tracking_update","event_id":"$EVENT","ts":1783598400,"msg":{"id":"$TRACKING","#, "}}");
/// The text is one or more members of the tracking, which has no id but these may give it one.
const TRACKING: Around = (r#"{"event":"tracking_update","event_id":"$EVENT","ts":1783598400,"msg":{"#, "}}");
/// The text is one or more members of the envelope.
const ENVELOPE: Around = (r#"{"msg":{"id":"$TRACKING"},"#, "}");

/// Collects bodies.
#[derive(Default)]
struct Bodies {
    cases: Vec<BodyCase>,
}

impl Bodies {
    /// One body: the template with the case's own names in it.
    fn add(&mut self, name: impl Into<String>, fate: Fate, template: impl AsRef<[u8]>) {
        let bytes = self.filled(template);
        self.cases.push(BodyCase { name: name.into(), bytes, fate });
    }

    /// One body for each text, with something around it. The text is its name.
    fn each<T: AsRef<[u8]>>(&mut self, theme: &str, fate: Fate, (before, after): Around, texts: &[T]) {
        for text in texts {
            let text = text.as_ref();
            let template = [before.as_bytes(), text, after.as_bytes()].concat();
            self.add(format!("{theme}: {}", text.escape_ascii()), fate, template);
        }
    }

    /// One body for each of the words that white space parts.
    fn words(&mut self, theme: &str, fate: Fate, around: Around, words: &str) {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        self.each(theme, fate, around, &words);
    }

    /// One body for each pair of name and text, with something around the text.
    fn named<T: AsRef<[u8]>>(
        &mut self,
        theme: &str,
        fate: Fate,
        (before, after): Around,
        texts: impl IntoIterator<Item = (&'static str, T)>,
    ) {
        for (name, text) in texts {
            let template = [before.as_bytes(), text.as_ref(), after.as_bytes()].concat();
            self.add(format!("{theme}: {name}"), fate, template);
        }
    }

    /// A template with the names of the case to come: `$EVENT` is a UUID, `$TRACKING` is `bad-<index>`.
    fn filled(&self, template: impl AsRef<[u8]>) -> Vec<u8> {
        let index = self.cases.len();
        let names = [("$EVENT", event_id(0, index)), ("$TRACKING", format!("bad-{index}"))];
        let mut filled = Vec::new();
        let mut rest = template.as_ref();
        while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
            filled.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let named = names.iter().find(|(place, _)| rest.starts_with(place.as_bytes()));
            let (name, place) = named.map_or(("$", "$"), |(place, name)| (name.as_str(), *place));
            filled.extend_from_slice(name.as_bytes());
            rest = &rest[place.len()..];
        }
        filled.extend_from_slice(rest);
        filled
    }
}

/// A UUID of our own for a case; `kind` tells bodies from requests.
fn event_id(kind: u8, index: usize) -> String {
    format!("bad00000-0000-4000-800{kind}-{index:012x}")
}

/// Bytes that nothing compresses, the same in every run: xorshift64*.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all_requests() -> Vec<RequestCase> {
        requests(&|body| format!("{:+>43}=", body.len()))
    }

    #[test]
    fn there_are_many_cases_and_no_two_share_a_name_or_a_body() {
        let (bodies, requests) = (bodies(), all_requests());

        assert!(bodies.len() >= 420, "{} bodies", bodies.len());
        assert!(requests.len() >= 200, "{} requests", requests.len());
        let names = bodies.iter().map(|case| &case.name).chain(requests.iter().map(|case| &case.name));
        let mut seen = HashSet::new();
        assert_eq!(names.filter(|name| !seen.insert(*name)).collect::<Vec<_>>(), [""; 0]);
        let mut seen = HashSet::new();
        let twins = bodies.iter().filter(|case| !seen.insert(&case.bytes)).map(|case| &case.name);
        assert_eq!(twins.collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn every_run_makes_the_same_cases() {
        let same = |(one, other): (BodyCase, BodyCase)| one.name == other.name && one.bytes == other.bytes;
        assert!(bodies().into_iter().zip(bodies()).all(same));
        let same = |(one, other): (RequestCase, RequestCase)| one.bytes == other.bytes;
        assert!(all_requests().into_iter().zip(all_requests()).all(same));
    }

    #[test]
    fn what_is_too_large_is_so_by_a_little_and_nothing_else_is() {
        for case in bodies() {
            let is_over = case.bytes.len() > BODY_BYTES_MAX;

            assert!(!is_over || case.fate == Fate::TooLarge, "{}", case.name);
            assert!(case.bytes.len() < BODY_BYTES_MAX + 1_000, "{}", case.name);
        }
    }

    #[test]
    fn reasons_are_of_the_closed_list() {
        for case in bodies() {
            if let Fate::Dead(reason) = case.fate {
                let known = ["empty", "not_json", "too_deep", "not_an_object", "no_tracking"];
                assert!(known.contains(&reason), "{}: {reason}", case.name);
            }
        }
    }

    #[test]
    fn every_request_has_a_right_status_and_events_have_200_alone() {
        for (index, case) in all_requests().iter().enumerate() {
            assert!((1..=3).contains(&case.right.len()), "{}", case.name);
            assert_eq!(case.is_event, case.right == [Some(200)], "{}", case.name);
            let own = format!("\"request-{index}\"");
            let is_whole = case.bytes.windows(own.len()).any(|part| part == own.as_bytes());
            let is_in_pieces = case.name.contains("chunk");
            assert!(!case.is_event || is_whole || is_in_pieces, "{} is not found by its tracking", case.name);
        }
    }

    #[test]
    fn names_are_one_printable_line() {
        let requests = all_requests();
        let names = requests.iter().map(|case| case.name.clone());
        for name in names.chain(bodies().into_iter().map(|case| case.name)) {
            assert!(name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && name.len() < 200, "{name}");
        }
    }
}
