//! One line taken apart into its fields.
//!
//! A library would do for good files. What matters here is what is wrong with a bad one, where, and that a quote left
//! open costs one line and not the four hundred behind it; the libraries at hand take such lines for data.

use std::borrow::Cow;

use super::contract::Quoting;
use super::reason::LineReason;

/// One field, and where it begins in its line, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// Without its quotes.
    pub text: Cow<'a, str>,
    /// Offset in the line.
    pub at: usize,
    /// Whether it was quoted.
    pub is_quoted: bool,
}

/// What is wrong with a line, in which column (counted from 0) and at which byte of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFault {
    /// What.
    pub reason: LineReason,
    /// Where, if it is in a column.
    pub column: Option<usize>,
    /// Where, in bytes from the beginning of the line.
    pub at: usize,
    /// More words for a person.
    pub detail: String,
}

/// Splits a line, without its end, into `fields`.
pub fn split<'a>(
    line: &'a str,
    delimiter: u8,
    quoting: Quoting,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), LineFault> {
    fields.clear();
    let bytes = line.as_bytes();
    let mut at = 0;
    loop {
        if quoting == Quoting::Optional && bytes.get(at) == Some(&b'"') {
            let (text, end) = quoted(line, at, fields.len())?;
            fields.push(Field { text, at, is_quoted: true });
            match bytes.get(end) {
                None => return Ok(()),
                Some(byte) if *byte == delimiter => at = end + 1,
                Some(_) => {
                    return Err(LineFault {
                        reason: LineReason::TextAfterQuote,
                        column: Some(fields.len() - 1),
                        at: end,
                        detail: "between a closing quote and the next delimiter stands something: quote the whole \
                                 field, and write each quote inside it twice"
                            .to_owned(),
                    });
                }
            }
        } else {
            let rest = &bytes[at..];
            let end =
                rest.iter().position(|byte| *byte == delimiter).map_or(bytes.len(), |length| at + length);
            fields.push(Field { text: Cow::Borrowed(&line[at..end]), at, is_quoted: false });
            if end == bytes.len() {
                return Ok(());
            }
            at = end + 1;
        }
    }
}

/// The field whose opening quote stands at `start`, and where it ends, behind its closing quote.
fn quoted(line: &str, start: usize, column: usize) -> Result<(Cow<'_, str>, usize), LineFault> {
    let bytes = line.as_bytes();
    let inside = start + 1;
    let mut at = inside;
    let mut has_doubled = false;
    loop {
        match bytes[at..].iter().position(|byte| *byte == b'"') {
            None => {
                return Err(LineFault {
                    reason: LineReason::QuoteNotClosed,
                    column: Some(column),
                    at: start,
                    detail: "the quote that opens this field is not closed on the line".to_owned(),
                });
            }
            Some(length) => {
                at += length;
                if bytes.get(at + 1) == Some(&b'"') {
                    has_doubled = true;
                    at += 2;
                } else {
                    let text = &line[inside..at];
                    let text = if has_doubled {
                        Cow::Owned(text.replace("\"\"", "\""))
                    } else {
                        Cow::Borrowed(text)
                    };
                    return Ok((text, at + 1));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(line: &str) -> Result<Vec<String>, LineReason> {
        let mut fields = Vec::new();
        split(line, b',', Quoting::Optional, &mut fields).map_err(|fault| fault.reason)?;
        Ok(fields.into_iter().map(|field| field.text.into_owned()).collect())
    }

    #[test]
    fn fields_are_split_with_and_without_quotes() {
        assert_eq!(texts(r#"1,"a,b",c"#), Ok(vec!["1".into(), "a,b".into(), "c".into()]));
        assert_eq!(texts(r#""Fan 20""","",x"#), Ok(vec!["Fan 20\"".into(), "".into(), "x".into()]));
        assert_eq!(texts(r#"Fan 20" wide,,"#), Ok(vec!["Fan 20\" wide".into(), "".into(), "".into()]));
        assert_eq!(texts(""), Ok(vec!["".into()]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let fault = |line: &str| {
            let mut fields = Vec::new();
            let fault = split(line, b',', Quoting::Optional, &mut fields).expect_err("a fault");
            (fault.reason, fault.column, fault.at)
        };

        assert_eq!(fault(r#"1,"open,2"#), (LineReason::QuoteNotClosed, Some(1), 2));
        assert_eq!(fault(r#"1,"a"b,2"#), (LineReason::TextAfterQuote, Some(1), 5));
    }

    #[test]
    fn without_quoting_a_quote_is_a_character() {
        let mut fields = Vec::new();
        split(r#""a,b""#, b',', Quoting::None, &mut fields).expect("fields");
        let texts: Vec<_> = fields.iter().map(|field| field.text.as_ref()).collect();
        assert_eq!(texts, ["\"a", "b\""]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Another implementation wrote it.
        #[test]
        fn what_a_library_writes_is_read_back(
            fields in proptest::collection::vec("[ -~äé€]{0,12}", 1..7),
        ) {
            let mut writer = ::csv::WriterBuilder::new().from_writer(Vec::new());
            writer.write_record(&fields).expect("in memory");
            let written = String::from_utf8(writer.into_inner().expect("in memory")).expect("UTF-8");
            let line = written.strip_suffix('\n').expect("a line");

            prop_assert_eq!(texts(line), Ok(fields));
        }

        #[test]
        fn no_line_is_too_odd(line in "\\PC{0,40}") {
            let _ = texts(&line);
        }
    }
}
