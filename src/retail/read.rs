//! A file as rows: read twice, so that memory holds its bytes and never all of its rows.
//!
//! [`ShopFile::read`] looks at every line, says what is wrong, and decides whether the file is fit to be loaded;
//! [`ShopFile::for_each_row`] then gives its good lines one by one.

use std::io::Read;

use bytes::Bytes;
use jiff::Timestamp;

use crate::event::BodySha256;

use super::contract::{Column, ColumnKind, Contract, Dataset, Header, Kind};
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
        let unpacked = if name::is_gzip(&source.key) { unpack(&stored) } else { Ok(stored) };
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
                file.report.verdict = Some(never_full(dataset));
            }
            _ if file.is_full && !file.version.is_dated => file.report.verdict = Some(undated()),
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
        let at = if self.is_repair() { 0 } else { bom_length(&self.text) };
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
        if !is_repair && let Err(verdict) = self.look_at_form() {
            self.report.verdict = Some(verdict);
            return;
        }
        let contract = self.dataset.contract();
        let mut report = Report::default();
        let mut profile = Profile::new(contract, self.text.len() <= DEEP_BYTES_MAX);
        if !is_repair && bom_length(&self.text) > 0 {
            profile.note(Rule::ByteOrderMark, None, 1, "");
        }
        if !self.text.is_empty() && self.text.last() != Some(&b'\n') {
            profile.note(Rule::LastLineUnended, None, 0, "");
        }
        let first_line = if is_repair { Ok(false) } else { header(contract, self.lines(false).next()) };
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
        report.verdict = verdict(contract, &report, is_repair);
        if report.verdict.is_some() {
            report.rejects.truncate(SAMPLES_MAX);
        } else if self.is_full && !is_repair {
            note_incomplete(&mut profile, &report.rejects);
        }
        report.findings = profile.finish();
        self.report = report;
    }

    /// What can be told from the first bytes.
    fn look_at_form(&self) -> Result<(), (FileReason, String)> {
        let head = &self.text[..self.text.len().min(4096)];
        let wrong = |reason, text: &str| Err((reason, text.to_owned()));
        if self.text.len() > FILE_BYTES_MAX {
            return wrong(FileReason::TooLarge, "the file is larger than 2 GiB unpacked: split it");
        }
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return wrong(FileReason::Encoding, "the file is in UTF-16: write it in UTF-8");
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"\x1f\x8b") || head.starts_with(b"PAR1") {
            return wrong(
                FileReason::NotText,
                "the file is packed or binary (zip, gzip or Parquet) and its name does not say so: name gzip .csv.gz, \
                 or export as CSV",
            );
        }
        // UTF-16 without its mark: every other byte of plain text is zero.
        let zeros = head.iter().filter(|byte| **byte == 0).count();
        if zeros * 4 > head.len() {
            return wrong(FileReason::Encoding, "the file looks like UTF-16: write it in UTF-8");
        }
        Ok(())
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

/// Of a dataset that is only ever sent as what is new or changed.
fn never_full(dataset: Dataset) -> (FileReason, String) {
    let name = dataset.as_str();
    let text = format!(
        "the name ends in .full.csv and so declares to hold all {name} there are, which are never sent whole: if these are \
         what is new or changed, write them under a name without .full"
    );
    (FileReason::FullSnapshot, text)
}

/// The newest bytes of a name take the place of the older ones: what these lacked, and since when, would be forgotten.
fn undated() -> (FileReason, String) {
    let text = "the name ends in .full.csv and holds no day: what the file lacks would begin anew with each upload; write the \
                day into its name or folder, such as products/2026-07-09.full.csv";
    (FileReason::FullSnapshot, text.to_owned())
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

fn bom_length(text: &[u8]) -> usize {
    if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

fn unpack(stored: &Bytes) -> Result<Bytes, (FileReason, String)> {
    let mut text = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    match flate2::read::MultiGzDecoder::new(stored.as_ref()).take(limit).read_to_end(&mut text) {
        Ok(_) if text.len() > FILE_BYTES_MAX => {
            Err((FileReason::TooLarge, "the file is larger than 2 GiB unpacked: split it".to_owned()))
        }
        Ok(_) => Ok(Bytes::from(text)),
        Err(error) => Err((
            FileReason::Damaged,
            format!("the file cannot be unpacked ({error}): it may have been cut on its way, send it again"),
        )),
    }
}

/// Whether the first line is the contract's header.
fn header(contract: &Contract, first: Option<Line<'_>>) -> Result<bool, (FileReason, String)> {
    let Some(first) = first else { return Ok(false) };
    let Ok(text) = std::str::from_utf8(first.text) else { return Ok(false) };
    let mut fields = Vec::new();
    if csv::split(text, contract.delimiter as u8, contract.quoting, &mut fields).is_err() {
        return Ok(false);
    }
    let is_name = |field: &Field<'_>| {
        let text = field.text.trim();
        contract.columns.iter().any(|column| column.name.eq_ignore_ascii_case(text))
    };
    let names: Vec<&str> = contract.columns.iter().map(|column| column.name.as_str()).collect();
    let is_header = fields.len() == names.len()
        && fields.iter().zip(&names).all(|(field, name)| field.text.trim().eq_ignore_ascii_case(name));
    // Meant as a header: it names a column, or nothing stands where numbers and times must. One bad value does not make
    // a line of data a header.
    let is_value = |(column, field): (&Column, &Field<'_>)| {
        column.kind != ColumnKind::Text && value(contract, column, field).is_ok()
    };
    let has_value = contract.columns.iter().zip(&fields).any(is_value);
    let begins_with_word = fields.first().is_some_and(|field| {
        field.text.trim().starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
    });
    let is_meant = fields.iter().any(is_name) || (begins_with_word && !has_value);
    let expected = names.join(",");
    match (contract.header, is_header, is_meant) {
        (Header::No, true, _) => {
            Err((FileReason::Header, "the file begins with column names, and none are expected".to_owned()))
        }
        (_, true, _) => Ok(true),
        (_, false, true) => Err((
            FileReason::Header,
            format!(
                "the column names in the first line are not those of {}: expected {expected}",
                contract.dataset.as_str()
            ),
        )),
        (Header::Yes, false, false) => {
            Err((FileReason::Header, format!("the first line must hold the column names: {expected}")))
        }
        (_, false, false) => Ok(false),
    }
}

fn verdict(contract: &Contract, report: &Report, is_repair: bool) -> Option<(FileReason, String)> {
    if is_repair {
        return None;
    }
    if report.lines == 0 {
        let text =
            "the file holds no line of data: if that is right, send nothing; if not, the export failed";
        return Some((FileReason::Empty, text.to_owned()));
    }
    let bad = report.rejects.len() as u64;
    let allowed = u64::from(contract.bad_lines_max_percent) * report.lines / 100;
    // A small file may have a bad line, too.
    if bad <= allowed.max(1) && bad < report.lines {
        return None;
    }
    let first = report.rejects.first()?;
    let is_shape = |reject: &&Reject| {
        reject.reason == LineReason::TooFewColumns.as_str()
            || reject.reason == LineReason::TooManyColumns.as_str()
    };
    let shapes = report.rejects.iter().filter(is_shape).count() as u64;
    let counted = format!(
        "{bad} of {} lines are bad; the first is line {}: {}",
        report.lines, first.line, first.detail
    );
    if shapes * 10 >= bad * 9 && shapes * 2 >= report.lines {
        let guess = [';', '\t', '|'].into_iter().find(|delimiter| {
            first.raw.iter().filter(|byte| **byte == *delimiter as u8).count() + 1 == contract.columns.len()
        });
        let hint = match guess {
            Some(delimiter) => format!(
                "; the fields seem to be separated by {delimiter:?} instead of {:?}",
                contract.delimiter
            ),
            None => "; is it a file of another dataset?".to_owned(),
        };
        return Some((FileReason::Columns, format!("{counted}{hint}")));
    }
    let limit = contract.bad_lines_max_percent;
    Some((
        FileReason::TooManyBadLines,
        format!("{counted}; at most {limit} % may be bad, so nothing of it is loaded"),
    ))
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
