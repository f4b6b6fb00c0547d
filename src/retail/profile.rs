//! What is odd about a file that loads all the same: counted by rule, with the keys of the first few.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::hash::{BuildHasher, Hash, Hasher};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::contract::{Contract, Dataset};
use super::csv::Field;
use super::name::Version;
use super::reason::Rule;
use super::value::Value;

/// Keys that a finding names.
const EXAMPLES_MAX: usize = 5;
/// A day with so many times the median's orders is odd.
const DOUBLED: f64 = 1.75;
/// Below this median a day's orders say nothing.
const MEDIAN_MIN: u32 = 20;

/// One kind of oddity in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// The column, if it is about one.
    pub column: Option<&'static str>,
    /// How often.
    pub count: u64,
    /// The first line, 0 when it is about the file as a whole.
    pub line: u64,
    /// Keys or days of the first few.
    pub examples: Vec<String>,
}

/// Gathers findings over the good lines of a file.
pub(super) struct Profile {
    contract: &'static Contract,
    found: BTreeMap<(Rule, Option<usize>), Finding>,
    rows: u64,
    nulls: Vec<u64>,
    deep: Option<Deep>,
}

/// The library's own hashing costs as much as reading a line does.
type Seen<T> = HashSet<T, foldhash::fast::RandomState>;

/// What takes memory with each row.
#[derive(Default)]
struct Deep {
    keys: Seen<i64>,
    /// Hash of all columns but the key.
    contents: Seen<u64>,
    names: Seen<u64>,
    products_of_orders: Seen<(i64, i64)>,
    days: BTreeMap<Date, u32>,
    newest: Option<Date>,
    has_time_of_day: bool,
}

impl Profile {
    pub(super) fn new(contract: &'static Contract, is_deep: bool) -> Profile {
        Profile {
            contract,
            found: BTreeMap::new(),
            rows: 0,
            nulls: vec![0; contract.columns.len()],
            deep: is_deep.then(Deep::default),
        }
    }

    /// Counts a finding; an empty example is none.
    pub(super) fn note(&mut self, rule: Rule, column: Option<usize>, line: u64, example: impl Display) {
        let contract = self.contract;
        let finding = self.found.entry((rule, column)).or_insert_with(|| Finding {
            rule,
            column: column.and_then(|index| contract.columns.get(index)).map(|column| column.name.as_str()),
            count: 0,
            line,
            examples: Vec::new(),
        });
        finding.count += 1;
        // Written only when it is kept: most lines have nothing to say, or what many have said.
        if finding.examples.len() < EXAMPLES_MAX {
            let example = example.to_string();
            if !example.is_empty() {
                finding.examples.push(example);
            }
        }
    }

    pub(super) fn row(
        &mut self,
        line: u64,
        has_return: bool,
        fields: &[Field<'_>],
        values: &[Value<'_>],
        version: Version,
    ) {
        self.rows += 1;
        let key = match values.first() {
            Some(Value::Int(key)) => *key,
            _ => 0,
        };
        if has_return {
            self.note(Rule::CarriageReturn, None, line, key);
        }
        for (index, (field, value)) in fields.iter().zip(values).enumerate() {
            match value {
                Value::Null => self.nulls[index] += 1,
                Value::Text(text) => self.text(line, index, key, field, text),
                _ => {}
            }
        }
        self.content(line, key, values, version);
        if let Some(mut deep) = self.deep.take() {
            deep.row(self, line, key, values);
            self.deep = Some(deep);
        }
    }

    fn text(&mut self, line: u64, index: usize, key: i64, field: &Field<'_>, text: &str) {
        let contract = self.contract;
        let column = &contract.columns[index];
        let mut note = |rule| self.note(rule, Some(index), line, key);
        if !text.is_ascii() {
            note(Rule::NonAscii);
            if is_mojibake(text) {
                note(Rule::Mojibake);
            }
        }
        // A limit of a few characters is a code, not a text that gets cut.
        if column
            .chars_max
            .is_some_and(|limit| limit > 20 && text.len() >= limit && text.chars().count() == limit)
        {
            note(Rule::TextAtLimit);
        }
        if text.ends_with("...") {
            note(Rule::TextEllipsis);
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            note(Rule::EdgeSpace);
        }
        if text.contains("  ") {
            note(Rule::DoubleSpace);
        }
        if text.len() >= 4 && text.bytes().all(|byte| byte == b'X' || byte == b'*') {
            note(Rule::Masked);
        }
        if column.name.ends_with("zipcode") && text.starts_with('0') {
            note(Rule::LeadingZero);
        }
        if !field.is_quoted && text.contains('"') {
            note(Rule::BareQuote);
        }
        if field.is_quoted && text.contains(contract.delimiter) {
            note(Rule::QuotedDelimiter);
        }
    }

    fn content(&mut self, line: u64, key: i64, values: &[Value<'_>], version: Version) {
        match (self.contract.dataset, values) {
            (Dataset::Products, [_, _, _, _, Value::Cents(0), ..]) => {
                self.note(Rule::ZeroPrice, None, line, key);
            }
            (
                Dataset::OrderItems,
                [_, _, _, Value::Int(quantity), Value::Cents(subtotal), Value::Cents(price), ..],
            ) => {
                if *quantity == 0 {
                    self.note(Rule::ZeroQuantity, None, line, key);
                }
                if *quantity < 0 {
                    self.note(Rule::Return, None, line, key);
                }
                if quantity.checked_mul(*price) != Some(*subtotal) {
                    self.note(Rule::SubtotalMismatch, None, line, key);
                }
                if *price == 0 {
                    self.note(Rule::ZeroPrice, None, line, key);
                }
            }
            (Dataset::Orders, [_, Value::Clock(ordered_at), ..]) => {
                let day = TimeZone::UTC.to_datetime(*ordered_at).date();
                // A file named by its day holds that day; clocks and zones differ by a day at most.
                if version.closes_on.tomorrow().and_then(Date::tomorrow).is_ok_and(|last| day > last) {
                    self.note(Rule::OrderedInFuture, None, line, key);
                }
            }
            _ => {}
        }
    }

    pub(super) fn finish(mut self) -> Vec<Finding> {
        if self.rows > 1 {
            for index in 0..self.nulls.len() {
                if self.nulls[index] == self.rows {
                    self.note(Rule::ColumnEmpty, Some(index), 0, "");
                }
            }
        }
        if let Some(deep) = self.deep.take() {
            deep.finish(&mut self);
        }
        self.found.into_values().collect()
    }
}

impl Deep {
    fn row(&mut self, profile: &mut Profile, line: u64, key: i64, values: &[Value<'_>]) {
        if !self.keys.insert(key) {
            profile.note(Rule::KeyRepeated, None, line, key);
            return;
        }
        let (rule, is_new, example) = match (profile.contract.dataset, values) {
            (Dataset::Products, [_, _, product, _, price, image, ..]) => {
                (Rule::SameButKey, self.contents.insert(hash(&[product, price, image])), key)
            }
            (Dataset::Customers, [_, rest @ ..]) => {
                let rest: Vec<&Value<'_>> = rest.iter().collect();
                (Rule::SameButKey, self.contents.insert(hash(&rest)), key)
            }
            (Dataset::Departments, [_, called, ..]) | (Dataset::Categories, [_, _, called, ..]) => {
                (Rule::SameName, self.names.insert(hash(&[called])), key)
            }
            (Dataset::OrderItems, [_, Value::Int(order), Value::Int(product), ..]) => {
                let is_new = self.products_of_orders.insert((*order, *product));
                (Rule::ProductTwiceInOrder, is_new, *order)
            }
            (Dataset::Orders, [_, Value::Clock(ordered_at), ..]) => {
                let clock = TimeZone::UTC.to_datetime(*ordered_at);
                let day = clock.date();
                *self.days.entry(day).or_insert(0) += 1;
                if self.newest.is_some_and(|newest| day < newest) {
                    profile.note(Rule::KeyNotInDateOrder, None, line, key);
                }
                self.newest = self.newest.max(Some(day));
                self.has_time_of_day |= clock.time() != jiff::civil::Time::midnight();
                return;
            }
            _ => return,
        };
        if !is_new {
            profile.note(rule, None, line, example);
        }
    }

    fn finish(self, profile: &mut Profile) {
        let (Some((first, _)), Some((last, _))) = (self.days.first_key_value(), self.days.last_key_value())
        else {
            return;
        };
        if self.days.len() > 1 && !self.has_time_of_day {
            profile.note(Rule::NoTimeOfDay, None, 0, "");
        }
        let mut counts: Vec<u32> = self.days.values().copied().collect();
        counts.sort_unstable();
        let median = counts[counts.len() / 2];
        if median < MEDIAN_MIN {
            return;
        }
        for day in first.series(jiff::Span::new().days(1)).take_while(|day| day <= last) {
            match self.days.get(&day) {
                None => profile.note(Rule::DayMissing, None, 0, day),
                Some(count) if f64::from(*count) > f64::from(median) * DOUBLED => {
                    profile.note(
                        Rule::DayDoubled,
                        None,
                        0,
                        format_args!("{day} ({count}, usually {median})"),
                    );
                }
                Some(_) => {}
            }
        }
    }
}

fn hash(values: &[&Value<'_>]) -> u64 {
    let mut hasher = foldhash::quality::FixedState::default().build_hasher();
    for value in values {
        match value {
            Value::Null => 0_u8.hash(&mut hasher),
            Value::Int(number) | Value::Cents(number) => number.hash(&mut hasher),
            Value::Text(text) => text.hash(&mut hasher),
            Value::Clock(instant) => instant.as_microsecond().hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Two bytes of UTF-8 that were read as two letters of Latin-1 or Windows-1252.
fn is_mojibake(text: &str) -> bool {
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let follows = letters
            .peek()
            .is_some_and(|next| ('\u{80}'..='\u{bf}').contains(next) || "€™“”–—œž".contains(*next));
        if matches!(letter, 'Ã' | 'Â' | 'â') && follows {
            return true;
        }
    }
    false
}
