//! A file as rows: read twice, so that memory holds its bytes and never all of its rows.
//!
//! [`ShopFile::read`] looks at every line, says what is wrong, and decides whether the file is fit to be loaded;
//! [`ShopFile::for_each_row`] then gives its good lines one by one.

mod fit;

use bytes::Bytes;
use jiff::Timestamp;

use crate::event::BodySha256;

use super::contract::{Contract, Dataset, Kind};
use super::csv::{self, Field, LineFault};
use super::name::{self, Version};
use super::profile::{Finding, Profile};
use super::reason::{FileReason, LineReason, Rule};
pub use super::value::Value;
use super::value::value;

/// Bytes of one file, unpacked. A larger one is to be split; a month of a large shop is far below.
pub const FILE_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// Bytes of one line.
pub const LINE_BYTES_MAX: usize = 48_000;
/// Below this size files are also looked at as a whole: for repetitions and holes.
const DEEP_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Rejected lines whose bytes are kept when the file as a whole is rejected: enough to see what is wrong.
const SAMPLES_MAX: usize = 20;

/// A line that is kept out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// 1-based; 0 for the file as a whole.
    pub line: u64,
    /// Where in the unpacked file the fault is.
    pub byte_offset: Option<u64>,
    /// The column, if the fault is in one.
    pub column: Option<&'static str>,
    /// From the closed lists of [`super::reason`].
    pub reason: &'static str,
    /// More words for a person.
    pub detail: String,
    /// The line's bytes, without its end.
    pub raw: Bytes,
}

/// What reading found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Lines of data, the header not counted.
    pub lines: u64,
    /// Whether there is a header.
    pub has_header: bool,
    /// The lines kept out, in their order.
    pub rejects: Vec<Reject>,
    /// What is odd and loads all the same.
    pub findings: Vec<Finding>,
    /// Sum of the contract's money column over the good lines, in hundredths.
    pub money_cents: i64,
    /// Whether a key may be there more than once: keys that ascend from line to line are not.
    pub has_repeats: bool,
    /// Why nothing of the file can be loaded, with what to do.
    pub verdict: Option<(FileReason, String)>,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Key below the root of the shop's files.
    pub key: String,
    /// Bytes as stored.
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub modified_at: Timestamp,
}

/// A file of the shop, read once.
#[derive(Debug, Clone)]
pub struct ShopFile {
    /// Where it comes from.
    pub source: Source,
    /// Its name in the ledger: the key, or the key and a replay's id.
    pub ledger_name: String,
    /// What it is of.
    pub dataset: Dataset,
    /// Of the bytes as stored, lower-case hex.
    pub sha256: String,
    /// Orders the versions of its rows.
    pub version: Version,
    /// Whether it declares to hold every row there is, as of its version; of repaired lines, whether their file does.
    pub is_full: bool,
    /// What reading found.
    pub report: Report,
    text: Bytes,
    repair: Option<Repair>,
}

/// What repaired lines are of.
#[derive(Debug, Clone)]
struct Repair {
    /// Which of the bytes that the file's name has had.
    generation: i32,
    /// Which line of the file each of them is.
    numbers: Vec<u64>,
}

impl ShopFile {
    /// Reads the file whose stored bytes these are.
    pub fn read(dataset: Dataset, source: Source, stored: Bytes) -> ShopFile {
        let version = name::version(&source.key, source.modified_at);
        let sha256 = BodySha256::of(&stored).to_hex();
        let unpacked = if name::is_gzip(&source.key) { fit::unpack(&stored) } else { Ok(stored) };
        let mut file = ShopFile {
            ledger_name: source.key.clone(),
            is_full: name::is_full(&source.key),
            source,
            dataset,
            sha256,
            version,
            report: Report::default(),
            text: Bytes::new(),
            repair: None,
        };
        match unpacked {
            _ if file.is_full && dataset.contract().kind == Kind::Delta => {
                file.report.verdict = Some(fit::never_full(dataset));
            }
            _ if file.is_full && !file.version.is_dated => file.report.verdict = Some(fit::undated()),
            Ok(text) => file.look(text),
            Err(verdict) => file.report.verdict = Some(verdict),
        }
        file
    }

    /// Lines of `source`, repaired or as they were, that take part in it as if they had been right at once.
    ///
    /// `generation`: which of the bytes that the file's name has had. A line holds no line feed.
    pub fn repaired(
        dataset: Dataset,
        source: Source,
        generation: i32,
        replay: &str,
        lines: Vec<(u64, Bytes)>,
    ) -> ShopFile {
        let version = name::version(&source.key, source.modified_at);
        let (mut numbers, mut text, mut identity) = (Vec::new(), Vec::new(), source.key.clone().into_bytes());
        for (number, line) in lines {
            numbers.push(number);
            text.extend_from_slice(&line);
            text.push(b'\n');
            // Two lines may be repaired to the same text: they are two repairs.
            identity.extend_from_slice(format!("\n{generation}:{number}:").as_bytes());
            identity.extend_from_slice(&line);
        }
        let text = Bytes::from(text);
        let mut file = ShopFile {
            ledger_name: format!("{}#{replay}", source.key),
            sha256: BodySha256::of(&identity).to_hex(),
            is_full: name::is_full(&source.key),
            source,
            dataset,
            version,
            report: Report::default(),
            text: Bytes::new(),
            repair: Some(Repair { generation, numbers }),
        };
        file.look(text);
        file
    }

    /// The text, unpacked.
    pub fn unpacked_bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// Whether these are lines of another file, repaired.
    pub fn is_repair(&self) -> bool {
        self.repair.is_some()
    }

    /// Whether it is a full snapshot itself, and not lines of one that were repaired.
    pub fn is_snapshot(&self) -> bool {
        self.is_full && !self.is_repair()
    }

    /// For repaired lines: which of the bytes that their file's name has had.
    pub fn source_generation(&self) -> Option<i32> {
        self.repair.as_ref().map(|repair| repair.generation)
    }

    /// The same without the lines that are rejected.
    pub fn without_rejects(&self) -> ShopFile {
        let mut file = self.clone();
        file.report.lines -= file.report.rejects.len() as u64;
        file.report.rejects.clear();
        file
    }

    /// Calls `with` for each good line, with its number and its values in the order of the contract's columns, those
    /// that are not kept among them.
    pub fn for_each_row<E>(&self, mut with: impl FnMut(u64, &[Value<'_>]) -> Result<(), E>) -> Result<(), E> {
        if self.report.verdict.is_some() {
            return Ok(());
        }
        let contract = self.dataset.contract();
        let mut fields = Vec::new();
        let mut values = Vec::new();
        for line in self.lines(self.report.has_header) {
            if parse(contract, line.text, &mut fields, &mut values).is_ok() {
                with(line.number, &values)?;
            }
        }
        Ok(())
    }

    fn lines(&self, skip_header: bool) -> impl Iterator<Item = Line<'_>> {
        let numbers = self.repair.as_ref().map(|repair| repair.numbers.as_slice());
        // A mark in the middle of a file is a fault of its line, also when that line is looked at again.
        let at = if self.is_repair() { 0 } else { fit::bom_length(&self.text) };
        Lines { text: &self.text, at, index: 0 }.skip(usize::from(skip_header)).map(move |line| match numbers
        {
            Some(numbers) => {
                let index = usize::try_from(line.number).unwrap_or(usize::MAX) - 1;
                Line { number: numbers.get(index).copied().unwrap_or(line.number), ..line }
            }
            None => line,
        })
    }

    fn look(&mut self, text: Bytes) {
        self.text = text;
        let is_repair = self.is_repair();
        if !is_repair && let Err(verdict) = fit::form(&self.text) {
            self.report.verdict = Some(verdict);
            return;
        }
        let contract = self.dataset.contract();
        let mut report = Report::default();
        let mut profile = Profile::new(contract, self.text.len() <= DEEP_BYTES_MAX);
        if !is_repair && fit::bom_length(&self.text) > 0 {
            profile.note(Rule::ByteOrderMark, None, 1, "");
        }
        if !self.text.is_empty() && self.text.last() != Some(&b'\n') {
            profile.note(Rule::LastLineUnended, None, 0, "");
        }
        let first_line = if is_repair { Ok(false) } else { fit::header(contract, self.lines(false).next()) };
        match first_line {
            Ok(has_header) => report.has_header = has_header,
            Err(verdict) => {
                self.report.verdict = Some(verdict);
                return;
            }
        }
        let mut fields = Vec::new();
        let mut values = Vec::new();
        let mut money: i128 = 0;
        let money_index = contract.money_index();
        let mut last_key = i64::MIN;
        for line in self.lines(report.has_header) {
            report.lines += 1;
            match parse(contract, line.text, &mut fields, &mut values) {
                Ok(()) => {
                    if let Some(Value::Cents(cents)) = money_index.and_then(|index| values.get(index)) {
                        money += i128::from(*cents);
                    }
                    if let Some(Value::Int(key)) = values.get(contract.key_index()) {
                        report.has_repeats |= *key <= last_key;
                        last_key = *key;
                    }
                    profile.row(line.number, line.has_return, &fields, &values, self.version);
                }
                Err(fault) => report.rejects.push(Reject {
                    line: line.number,
                    byte_offset: Some((line.at + fault.at) as u64),
                    column: fault
                        .column
                        .and_then(|index| contract.columns.get(index))
                        .map(|column| column.name.as_str()),
                    reason: fault.reason.as_str(),
                    detail: fault.detail,
                    raw: kept(contract, &self.text, line.text),
                }),
            }
        }
        report.money_cents = i64::try_from(money).unwrap_or(i64::MAX);
        report.verdict = fit::verdict(contract, &report, is_repair);
        if report.verdict.is_some() {
            report.rejects.truncate(SAMPLES_MAX);
        } else if self.is_full && !is_repair {
            note_incomplete(&mut profile, &report.rejects);
        }
        report.findings = profile.finish();
        self.report = report;
    }
}

/// One line of a file.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    number: u64,
    /// Offset of its first byte.
    at: usize,
    /// Without its end.
    text: &'a [u8],
    /// It ended as on Windows.
    has_return: bool,
}

/// The lines of a text: each ends with a line feed, the last one may lack it.
struct Lines<'a> {
    text: &'a Bytes,
    at: usize,
    index: u64,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let at = self.at;
        let rest = self.text.get(at..).filter(|rest| !rest.is_empty())?;
        let length = memchr(rest).unwrap_or(rest.len());
        self.at = at + length + 1;
        self.index += 1;
        let text = &rest[..length];
        let has_return = text.last() == Some(&b'\r');
        let text = if has_return { &text[..text.len() - 1] } else { text };
        Some(Line { number: self.index, at, text, has_return })
    }
}

/// What may be kept of a rejected line: all of it, unless a column must not be kept anywhere. Then that column is left
/// empty; of a line that cannot be told apart nothing is kept, and its number says where it is.
fn kept(contract: &Contract, text: &Bytes, line: &[u8]) -> Bytes {
    if contract.columns.iter().all(|column| column.is_kept) {
        return text.slice_ref(line);
    }
    let mut fields = Vec::new();
    let is_split = std::str::from_utf8(line)
        .is_ok_and(|line| csv::split(line, contract.delimiter as u8, contract.quoting, &mut fields).is_ok());
    if !is_split || fields.len() != contract.columns.len() {
        return Bytes::new();
    }
    let mut kept = Vec::with_capacity(line.len());
    for (index, column) in contract.columns.iter().enumerate() {
        if index > 0 {
            kept.push(contract.delimiter as u8);
        }
        if column.is_kept {
            let end = fields.get(index + 1).map_or(line.len(), |next| next.at - 1);
            kept.extend_from_slice(&line[fields[index].at..end]);
        }
    }
    Bytes::from(kept)
}

/// Any of these lines may be the row that the snapshot seems to lack.
fn note_incomplete(profile: &mut Profile, rejects: &[Reject]) {
    for (index, reject) in rejects.iter().enumerate() {
        let hint = if index == 0 { "nothing counts as absent until all are replayed: " } else { "" };
        let line = reject.line;
        profile.note(Rule::SnapshotIncomplete, None, line, format_args!("{hint}line {line}"));
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

/// One line as values.
fn parse<'a>(
    contract: &'static Contract,
    bytes: &'a [u8],
    fields: &mut Vec<Field<'a>>,
    values: &mut Vec<Value<'a>>,
) -> Result<(), LineFault> {
    let fault = |reason, column, at, detail: String| Err(LineFault { reason, column, at, detail });
    if bytes.is_empty() {
        return fault(LineReason::EmptyLine, None, 0, "the line is empty".to_owned());
    }
    if bytes.len() > LINE_BYTES_MAX {
        let detail = format!("the line is longer than {LINE_BYTES_MAX} bytes");
        return fault(LineReason::LineTooLong, None, 0, detail);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let column = bytes[..at].iter().filter(|byte| **byte == contract.delimiter as u8).count();
            let detail = format!("byte 0x{:02x} is not UTF-8: the file may be in Latin-1", bytes[at]);
            return fault(LineReason::InvalidUtf8, Some(column), at, detail);
        }
    };
    if let Some(at) = bytes.iter().position(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
        let detail = format!("control character 0x{:02x}", bytes[at]);
        return fault(LineReason::ControlCharacter, None, at, detail);
    }
    csv::split(text, contract.delimiter as u8, contract.quoting, fields)?;
    let expected = contract.columns.len();
    if fields.len() != expected {
        let reason =
            if fields.len() < expected { LineReason::TooFewColumns } else { LineReason::TooManyColumns };
        let hint = if fields.len() > expected { ": a field with a comma must be quoted" } else { "" };
        let at = fields.get(expected).map_or(bytes.len(), |field| field.at);
        return fault(reason, None, at, format!("{} columns instead of {expected}{hint}", fields.len()));
    }
    values.clear();
    for (index, (column, field)) in contract.columns.iter().zip(fields.iter()).enumerate() {
        match value(contract, column, field) {
            Ok(value) => values.push(value),
            Err((reason, detail)) => {
                let is_repeated_header =
                    index == 0 && field.text.trim().eq_ignore_ascii_case(&contract.columns[0].name);
                let reason = if is_repeated_header { LineReason::RepeatedHeader } else { reason };
                return fault(reason, Some(index), field.at, detail);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
