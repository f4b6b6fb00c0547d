//! Whether a file as a whole is fit to be loaded, and why not, with what to do.

use std::io::Read;

use bytes::Bytes;

use super::{FILE_BYTES_MAX, Line, Reject, Report};
use crate::retail::contract::{Column, ColumnKind, Contract, Dataset, Header};
use crate::retail::csv::{self, Field};
use crate::retail::reason::{FileReason, LineReason};
use crate::retail::value::value;

pub(super) fn unpack(stored: &Bytes) -> Result<Bytes, (FileReason, String)> {
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

pub(super) fn bom_length(text: &[u8]) -> usize {
    if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

/// What can be told from the first bytes.
pub(super) fn form(text: &[u8]) -> Result<(), (FileReason, String)> {
    let head = &text[..text.len().min(4096)];
    let wrong = |reason, detail: &str| Err((reason, detail.to_owned()));
    if text.len() > FILE_BYTES_MAX {
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

/// Of a dataset that is only ever sent as what is new or changed.
pub(super) fn never_full(dataset: Dataset) -> (FileReason, String) {
    let name = dataset.as_str();
    let text = format!(
        "the name ends in .full.csv and so declares to hold all {name} there are, which are never sent whole: if these are \
         what is new or changed, write them under a name without .full"
    );
    (FileReason::FullSnapshot, text)
}

/// The newest bytes of a name take the place of the older ones: what these lacked, and since when, would be forgotten.
pub(super) fn undated() -> (FileReason, String) {
    let text = "the name ends in .full.csv and holds no day: what the file lacks would begin anew with each upload; write the \
                day into its name or folder, such as products/2026-07-09.full.csv";
    (FileReason::FullSnapshot, text.to_owned())
}

/// Whether the first line is the contract's header.
pub(super) fn header(contract: &Contract, first: Option<Line<'_>>) -> Result<bool, (FileReason, String)> {
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

pub(super) fn verdict(contract: &Contract, report: &Report, is_repair: bool) -> Option<(FileReason, String)> {
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
