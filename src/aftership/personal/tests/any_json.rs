//! JSON made at random, and what must be left of it.

use proptest::prelude::*;

use super::*;

/// A leaf as written, what it says, and whether it is a contact.
type Leaf = (&'static str, &'static str, bool);

const OURS: &str = "hmac:0123456789abcdef0123456789abcdef";

const LEAVES: &[Leaf] = &[
    ("null", "", false),
    (r#""""#, "", false),
    (r#"" \t""#, " \t", false),
    (r#""Jane""#, "Jane", false),
    (r#""J\u00fcrgen \/ \"x\" \\""#, "Jürgen / \"x\" \\", false),
    (r#""\ud83d\udce6""#, "📦", false),
    (r#""]}{[,:""#, "]}{[,:", false),
    (r#"" Jane@Example.com""#, " Jane@Example.com", true),
    (r#""+49 431 5550100""#, "+49 431 5550100", true),
    (r#""hmac:0123456789abcdef0123456789abcdef""#, OURS, true),
    ("-0", "-0", false),
    ("1e400", "1e400", false),
    ("12.50", "12.50", false),
    ("true", "true", false),
];

/// A member's name as written, and what it says.
const NAMES: &[(&str, &str)] = &[
    (r#""msg""#, "msg"),
    (r#""m\u0073g""#, "msg"),
    (r#""customers""#, "customers"),
    (r#""signed_by""#, "signed_by"),
    (r#""first_mile""#, "first_mile"),
    (r#""courier_tracking_link""#, "courier_tracking_link"),
    (r#""custom_fields""#, "custom_fields"),
    (r#""checkpoints""#, "checkpoints"),
    (r#""id""#, "id"),
    (r#""""#, ""),
    (r#""msg.customers""#, "msg.customers"),
    (r#""customers[]""#, "customers[]"),
];

#[derive(Debug, Clone)]
enum Tree {
    Leaf(Leaf),
    List(Vec<Tree>),
    Members(Vec<((&'static str, &'static str), Tree)>),
}

fn any_tree() -> impl Strategy<Value = Tree> {
    prop::sample::select(LEAVES).prop_map(Tree::Leaf).prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
            prop::collection::vec((prop::sample::select(NAMES), inner), 0..5).prop_map(Tree::Members),
        ]
    })
}

/// Writes a tree twice: as it came, and as it should be.
struct Writer {
    privacy: Privacy,
    spaces: Box<dyn Iterator<Item = &'static str>>,
    before: String,
    after: String,
}

impl Writer {
    fn both(&mut self, text: &str) {
        let space = self.spaces.next().unwrap_or_default();
        self.before.extend([text, space]);
        self.after.extend([text, space]);
    }

    fn write(&mut self, tree: &Tree, names: &[String]) {
        match tree {
            Tree::Leaf(leaf) => {
                self.before.push_str(leaf.0);
                let after = self.expected(*leaf, names);
                self.after.push_str(&after);
                self.both("");
            }
            Tree::List(values) => {
                self.both("[");
                for (index, value) in values.iter().enumerate() {
                    self.both(if index > 0 { "," } else { "" });
                    self.write(value, names);
                }
                self.both("]");
            }
            Tree::Members(members) => {
                self.both("{");
                for (index, ((written, name), value)) in members.iter().enumerate() {
                    self.both(if index > 0 { "," } else { "" });
                    self.both(written);
                    self.both(":");
                    self.write(value, &[names, &[(*name).to_owned()]].concat());
                }
                self.both("}");
            }
        }
    }

    fn expected(&self, (written, text, is_contact): Leaf, names: &[String]) -> String {
        let goes = is_listed(FIELDS, names) || (is_listed(CONTACT_FIELDS, names) && is_contact);
        match self.privacy {
            _ if !goes || text.trim().is_empty() => written.to_owned(),
            Privacy::Drop => "null".to_owned(),
            _ if text == OURS => written.to_owned(),
            _ => format!("\"{}\"", pseudonym(text, KEY)),
        }
    }
}

proptest! {
    #[test]
    fn of_any_json_the_listed_leaves_change_and_no_other_byte(
        trees in prop::collection::vec((prop::sample::select(&NAMES[..3]), any_tree()), 1..4),
        spaces in prop::collection::vec(prop::sample::select(vec!["", "", " ", "\n", "\r\n\t"]), 1..9),
        privacy in prop::sample::select(BOTH.to_vec()),
    ) {
        let spaces = Box::new(spaces.into_iter().cycle());
        let mut writer = Writer { privacy, spaces, before: String::new(), after: String::new() };
        writer.write(&Tree::Members(trees), &[]);
        let (before, after) = (writer.before, writer.after);
        let expected = (before != after).then(|| after.clone().into_bytes());

        prop_assert_eq!(redact(before.as_bytes(), privacy, KEY), expected);
        prop_assert_eq!(redact(after.as_bytes(), privacy, KEY), None);
        prop_assert!(json::parse(after.as_bytes()).is_ok());
    }

    #[test]
    fn any_name_is_hashed_as_it_reads(name in ".{1,40}", is_ascii: bool) {
        let written = serde_json::to_string(&name).expect("text");
        // The same name with every character escaped.
        let escaped: String = name.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let written = if is_ascii { format!("\"{escaped}\"") } else { written };
        let hidden = pseudonym(&name, KEY);
        let expected = (!name.trim().is_empty()).then(|| format!(r#"{{"msg":{{"emails":["{hidden}"]}}}}"#).into_bytes());

        prop_assert_eq!(redact(format!(r#"{{"msg":{{"emails":[{written}]}}}}"#).as_bytes(), Privacy::Hash, KEY), expected);
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in 0..400usize,
        byte: u8,
    ) {
        let mut body = br#"{"msg":{"customers":[{"name":"J\u00fcrgen","email":"j@example.com"}],"first_mile":{"courier_tracking_link":"x"},"custom_fields":{"a":"+49 431 5550100"},"checkpoints":[{"message":"x"}]}}"#.to_vec();
        let at = at % body.len();
        body[at] = byte;
        for privacy in BOTH {
            let _ = redact(&bytes, privacy, KEY);
            if let Some(redacted) = redact(&body, privacy, KEY) {
                prop_assert!(json::parse(&redacted).is_ok());
            }
        }
    }
}
