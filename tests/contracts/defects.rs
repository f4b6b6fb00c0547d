//! Every kind of defect that a shop's file can have, each at many random places: found, at the right line and with the
//! right reason, and nothing is lost in silence. What is only odd loads, and is named.

use std::collections::BTreeSet;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use waybill::retail::Dataset;
use waybill::retail::read::{ShopFile, Source};
use waybill::retail::reason::{FileReason, LineReason, Rule};

/// Lines of a clean file.
const LINES: usize = 120;
/// Random places at which each kind is seeded.
const PLACES: u64 = 250;

/// What a defect must come to.
enum Found {
    /// The line is kept out.
    Line(LineReason, Option<&'static str>),
    /// The file is rejected.
    File(FileReason),
    /// The line loads, and is named.
    Odd(Rule),
}

use Found::{File, Line, Odd};

/// Lines of a clean file, without their ends.
fn clean(dataset: Dataset, random: &mut fastrand::Rng) -> Vec<String> {
    let line = |id: usize, random: &mut fastrand::Rng| match dataset {
        Dataset::Departments => format!("{id},Department {id}"),
        Dataset::Categories => format!("{id},{},Category {id}", random.u32(1..9)),
        Dataset::Products => {
            format!(
                "{id},{},\"Product {id}\",words,{}.99,http://images/{id}",
                random.u32(1..9),
                random.u32(1..90)
            )
        }
        Dataset::Customers => {
            format!("{id},First{id},Last{id},e{id},p{id},{id} Lake Road,City,NY,{}", 12_000 + id)
        }
        Dataset::Orders => {
            let (day, hour) = (1 + id * 27 / LINES, random.u32(1..24));
            format!("{id},2026-06-{day:02} {hour:02}:30:00.0,{},COMPLETE", random.u32(1..900))
        }
        Dataset::OrderItems => {
            let (quantity, cents) = (random.u32(1..5), random.u32(100..9_999));
            let total = quantity * cents;
            format!(
                "{id},{id},{},{quantity},{}.{:02},{}.{:02}",
                random.u32(1..900),
                total / 100,
                total % 100,
                cents / 100,
                cents % 100
            )
        }
    };
    (1..=LINES).map(|id| line(id, random)).collect()
}

fn name(dataset: Dataset) -> String {
    format!("{}/2026-06-30.csv", dataset.as_str())
}

fn read(dataset: Dataset, key: &str, bytes: Vec<u8>) -> ShopFile {
    let source = Source {
        key: key.to_owned(),
        bytes: bytes.len() as u64,
        modified_at: "2026-07-01T03:00:00Z".parse().expect("an instant"),
    };
    ShopFile::read(dataset, source, Bytes::from(bytes))
}

/// A field of a line, made something else.
fn with(line: &str, column: usize, value: &str) -> String {
    let mut fields: Vec<&str> = line.split(',').collect();
    fields[column] = value;
    fields.join(",")
}

/// What is done to one line.
type OfLine = fn(&str) -> Vec<u8>;

/// Each kind: the dataset, its name, what is done to a line, and what must come of it.
const OF_LINES: &[(Dataset, &str, OfLine, Found)] = &[
    (Dataset::Orders, "nothing in the line", |_| Vec::new(), Line(LineReason::EmptyLine, None)),
    (
        Dataset::Products,
        "a line of a megabyte and more",
        |line| with(line, 2, &"x".repeat(2_000_000)).into_bytes(),
        Line(LineReason::LineTooLong, None),
    ),
    (
        Dataset::Customers,
        "a Latin-1 letter",
        |line| [line.as_bytes(), b"\xe9"].concat(),
        Line(LineReason::InvalidUtf8, None),
    ),
    (
        Dataset::Products,
        "half a UTF-8 letter",
        |line| {
            with(line, 3, "caf?")
                .replace('?', "\u{fffd}")
                .into_bytes()
                .iter()
                .map(|byte| if *byte == 0xef { 0xc3 } else { *byte })
                .collect()
        },
        Line(LineReason::InvalidUtf8, None),
    ),
    (
        Dataset::Products,
        "a null character",
        |line| with(line, 3, "a\0b").into_bytes(),
        Line(LineReason::ControlCharacter, None),
    ),
    (
        Dataset::Departments,
        "an escape character",
        |line| format!("{line}\u{1b}[0m").into_bytes(),
        Line(LineReason::ControlCharacter, None),
    ),
    (
        Dataset::OrderItems,
        "a column too few",
        |line| line.rsplit_once(',').expect("columns").0.as_bytes().to_vec(),
        Line(LineReason::TooFewColumns, None),
    ),
    (
        Dataset::Categories,
        "cut in the middle",
        |line| line.as_bytes()[..line.find(',').expect("columns")].to_vec(),
        Line(LineReason::TooFewColumns, None),
    ),
    (
        Dataset::Products,
        "a comma in a name without quotes",
        |line| with(line, 2, "Paddle, red").into_bytes(),
        Line(LineReason::TooManyColumns, None),
    ),
    (
        Dataset::OrderItems,
        "two lines in one",
        |line| format!("{line},{line}").into_bytes(),
        Line(LineReason::TooManyColumns, None),
    ),
    (
        Dataset::Products,
        "a quote that does not close",
        |line| with(line, 2, "\"Paddle").into_bytes(),
        Line(LineReason::QuoteNotClosed, None),
    ),
    (
        Dataset::Products,
        "text behind a closing quote",
        |line| with(line, 2, "\"Paddle\" red").into_bytes(),
        Line(LineReason::TextAfterQuote, None),
    ),
    (
        Dataset::Orders,
        "the header once more",
        |_| b"order_id,order_date,order_customer_id,order_status".to_vec(),
        Line(LineReason::RepeatedHeader, None),
    ),
    (
        Dataset::Orders,
        "no key",
        |line| with(line, 0, "").into_bytes(),
        Line(LineReason::Missing, Some("order_id")),
    ),
    (
        Dataset::OrderItems,
        "no price",
        |line| with(line, 5, "").into_bytes(),
        Line(LineReason::Missing, Some("order_item_product_price")),
    ),
    (
        Dataset::Products,
        "no name",
        |line| with(line, 2, "").into_bytes(),
        Line(LineReason::Missing, Some("product_name")),
    ),
    (
        Dataset::Orders,
        "no status",
        |line| with(line, 3, "").into_bytes(),
        Line(LineReason::Missing, Some("order_status")),
    ),
    (
        Dataset::OrderItems,
        "a word for a number",
        |line| with(line, 3, "two").into_bytes(),
        Line(LineReason::NotAnInteger, Some("order_item_quantity")),
    ),
    (
        Dataset::OrderItems,
        "a fraction for a number",
        |line| with(line, 3, "1.5").into_bytes(),
        Line(LineReason::NotAnInteger, Some("order_item_quantity")),
    ),
    (
        Dataset::Orders,
        "a number with a leading zero",
        |line| with(line, 2, "007").into_bytes(),
        Line(LineReason::NotAnInteger, Some("order_customer_id")),
    ),
    (
        Dataset::Orders,
        "a number with a space",
        |line| with(line, 2, " 7").into_bytes(),
        Line(LineReason::NotAnInteger, Some("order_customer_id")),
    ),
    (
        Dataset::Orders,
        "a number with an exponent",
        |line| with(line, 2, "1e3").into_bytes(),
        Line(LineReason::NotAnInteger, Some("order_customer_id")),
    ),
    (
        Dataset::Customers,
        "a number that no integer holds",
        |line| with(line, 0, "99999999999").into_bytes(),
        Line(LineReason::OutOfRange, Some("customer_id")),
    ),
    (
        Dataset::OrderItems,
        "a number that nothing holds",
        |line| with(line, 1, "99999999999999999999999").into_bytes(),
        Line(LineReason::NotAnInteger, Some("order_item_order_id")),
    ),
    (
        Dataset::OrderItems,
        "a negative key",
        |line| with(line, 1, "-5").into_bytes(),
        Line(LineReason::OutOfRange, Some("order_item_order_id")),
    ),
    (
        Dataset::OrderItems,
        "a quantity beyond belief",
        |line| with(line, 3, "2000000").into_bytes(),
        Line(LineReason::OutOfRange, Some("order_item_quantity")),
    ),
    (
        Dataset::OrderItems,
        "a negative price",
        |line| with(line, 5, "-1.00").into_bytes(),
        Line(LineReason::OutOfRange, Some("order_item_product_price")),
    ),
    (
        Dataset::OrderItems,
        "a decimal comma",
        |line| with(line, 4, "\"12,50\"").into_bytes(),
        Line(LineReason::NotMoney, Some("order_item_subtotal")),
    ),
    (
        Dataset::OrderItems,
        "a currency sign",
        |line| with(line, 5, "$12.50").into_bytes(),
        Line(LineReason::NotMoney, Some("order_item_product_price")),
    ),
    (
        Dataset::Products,
        "thousands with a point",
        |line| with(line, 4, "1.299.00").into_bytes(),
        Line(LineReason::NotMoney, Some("product_price")),
    ),
    (
        Dataset::Products,
        "money that is no number",
        |line| with(line, 4, "NaN").into_bytes(),
        Line(LineReason::NotMoney, Some("product_price")),
    ),
    (
        Dataset::OrderItems,
        "a third decimal",
        |line| with(line, 4, "10.005").into_bytes(),
        Line(LineReason::TooPrecise, Some("order_item_subtotal")),
    ),
    (
        Dataset::OrderItems,
        "a float's rest",
        |line| with(line, 4, "59.980000001").into_bytes(),
        Line(LineReason::TooPrecise, Some("order_item_subtotal")),
    ),
    (
        Dataset::Orders,
        "a day that there is not",
        |line| with(line, 1, "2026-02-30 10:00:00").into_bytes(),
        Line(LineReason::NotATimestamp, Some("order_date")),
    ),
    (
        Dataset::Orders,
        "day and month exchanged",
        |line| with(line, 1, "2026-25-06 10:00:00").into_bytes(),
        Line(LineReason::NotATimestamp, Some("order_date")),
    ),
    (
        Dataset::Orders,
        "an American date",
        |line| with(line, 1, "06/25/2026").into_bytes(),
        Line(LineReason::NotATimestamp, Some("order_date")),
    ),
    (
        Dataset::Orders,
        "seconds since 1970",
        |line| with(line, 1, "1782345600").into_bytes(),
        Line(LineReason::NotATimestamp, Some("order_date")),
    ),
    (
        Dataset::Orders,
        "the 25th hour",
        |line| with(line, 1, "2026-06-05 24:30:00").into_bytes(),
        Line(LineReason::NotATimestamp, Some("order_date")),
    ),
    (
        Dataset::Orders,
        "a time with an offset",
        |line| with(line, 1, "2026-06-05T10:00:00+02:00").into_bytes(),
        Line(LineReason::TimestampWithOffset, Some("order_date")),
    ),
    (
        Dataset::Orders,
        "a time of UTC",
        |line| with(line, 1, "2026-06-05T10:00:00Z").into_bytes(),
        Line(LineReason::TimestampWithOffset, Some("order_date")),
    ),
    (
        Dataset::Orders,
        "the year 1970",
        |line| with(line, 1, "1970-01-01 00:00:00").into_bytes(),
        Line(LineReason::OutOfRange, Some("order_date")),
    ),
    (
        Dataset::Orders,
        "the year 9999",
        |line| with(line, 1, "9999-12-31 00:00:00").into_bytes(),
        Line(LineReason::OutOfRange, Some("order_date")),
    ),
    (
        Dataset::Products,
        "a name too long",
        |line| with(line, 2, &"x".repeat(46)).into_bytes(),
        Line(LineReason::TextTooLong, Some("product_name")),
    ),
    (
        Dataset::Customers,
        "columns one to the right",
        |line| with(line, 0, "").replacen(",First", "First", 1).into_bytes(),
        Line(LineReason::TooFewColumns, None),
    ),
    // What loads and is named.
    (
        Dataset::OrderItems,
        "an amount that is not quantity times price",
        |line| with(line, 4, "0.01").into_bytes(),
        Odd(Rule::SubtotalMismatch),
    ),
    (Dataset::OrderItems, "a return", |line| with(line, 3, "-1").into_bytes(), Odd(Rule::Return)),
    (Dataset::OrderItems, "no items", |line| with(line, 3, "0").into_bytes(), Odd(Rule::ZeroQuantity)),
    (Dataset::OrderItems, "a price of nothing", |line| with(line, 5, "0").into_bytes(), Odd(Rule::ZeroPrice)),
    (
        Dataset::Products,
        "a product for nothing",
        |line| with(line, 4, "0.00").into_bytes(),
        Odd(Rule::ZeroPrice),
    ),
    (
        Dataset::Orders,
        "ordered after the file was made",
        |line| with(line, 1, "2026-07-20 10:00:00").into_bytes(),
        Odd(Rule::OrderedInFuture),
    ),
    (
        Dataset::Customers,
        "UTF-8 that was read as Latin-1",
        |line| with(line, 2, "MuÃ±oz").into_bytes(),
        Odd(Rule::Mojibake),
    ),
    (
        Dataset::Customers,
        "letters beyond ASCII",
        |line| with(line, 2, "Muñoz").into_bytes(),
        Odd(Rule::NonAscii),
    ),
    (
        Dataset::Customers,
        "a space at the end",
        |line| with(line, 5, "1 Lake Road ").into_bytes(),
        Odd(Rule::EdgeSpace),
    ),
    (
        Dataset::Customers,
        "two spaces",
        |line| with(line, 5, "1  Lake Road").into_bytes(),
        Odd(Rule::DoubleSpace),
    ),
    (Dataset::Customers, "a masked name", |line| with(line, 1, "XXXXXXXXX").into_bytes(), Odd(Rule::Masked)),
    (
        Dataset::Customers,
        "a ZIP code with a leading zero",
        |line| with(line, 8, "00725").into_bytes(),
        Odd(Rule::LeadingZero),
    ),
    (
        Dataset::Products,
        "a quote in a name",
        |line| with(line, 2, "Paddle 7\" long").into_bytes(),
        Odd(Rule::BareQuote),
    ),
    (
        Dataset::Products,
        "a quoted comma",
        |line| with(line, 2, "\"Paddle, red\"").into_bytes(),
        Odd(Rule::QuotedDelimiter),
    ),
    (
        Dataset::Products,
        "a name that may have been cut",
        |line| with(line, 2, &"x".repeat(45)).into_bytes(),
        Odd(Rule::TextAtLimit),
    ),
    (
        Dataset::Products,
        "an address that was cut",
        |line| with(line, 5, "http://images/pad...").into_bytes(),
        Odd(Rule::TextEllipsis),
    ),
    (
        Dataset::Orders,
        "a line that ends as on Windows",
        |line| format!("{line}\r").into_bytes(),
        Odd(Rule::CarriageReturn),
    ),
];

#[test]
fn every_kind_of_defect_is_found_at_every_place() {
    assert!(OF_LINES.iter().filter(|kind| matches!(kind.3, Line(..))).count() >= 40);
    for (number, (dataset, what, spoil, expected)) in OF_LINES.iter().enumerate() {
        let is_large = *what == "a line of a megabyte and more";
        for place in 0..if is_large { 5 } else { PLACES } {
            let mut random = fastrand::Rng::with_seed(number as u64 * 1_000 + place);
            let lines = clean(*dataset, &mut random);
            // The first line may be taken for a header: what becomes of it then is the file's own test.
            let at = random.usize(1..LINES);
            let mut bytes = Vec::new();
            for (index, line) in lines.iter().enumerate() {
                bytes.extend(if index == at { spoil(line) } else { line.clone().into_bytes() });
                bytes.push(b'\n');
            }
            let file = read(*dataset, &name(*dataset), bytes);
            let (report, line) = (&file.report, at as u64 + 1);
            let told = format!("{what}, line {line}, seed {number}/{place}: {:?}", report.rejects);
            assert_eq!(report.verdict, None, "{told}");
            assert_eq!(report.lines, LINES as u64, "{told}");
            let mut kept = Vec::new();
            let each = file.for_each_row(|line, _| {
                kept.push(line);
                Ok::<(), std::convert::Infallible>(())
            });
            match each {
                Ok(()) => {}
                Err(never) => match never {},
            }
            let others: Vec<u64> = (1..=LINES as u64).filter(|other| *other != line).collect();
            match expected {
                Line(reason, column) => {
                    assert_eq!(report.rejects.len(), 1, "{told}");
                    let reject = &report.rejects[0];
                    assert_eq!((reject.line, reject.reason), (line, reason.as_str()), "{told}");
                    if column.is_some() {
                        assert_eq!(reject.column, *column, "{told}");
                    }
                    assert_eq!(kept, others, "all others load: {told}");
                }
                Odd(rule) => {
                    assert_eq!(report.rejects, [], "{told}");
                    assert_eq!(kept.len(), LINES, "{told}");
                    let finding = report.findings.iter().find(|finding| finding.rule == *rule);
                    let finding = finding.unwrap_or_else(|| panic!("{told}: {:?}", report.findings));
                    assert_eq!((finding.line, finding.count), (line, 1), "{told}");
                }
                File(_) => unreachable!("a line does not reject its file"),
            }
        }
    }
}

/// What is done to a file as a whole: its bytes, from its lines.
type OfFile = fn(&[String], &mut fastrand::Rng) -> Vec<u8>;

fn text(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

/// Each kind: its name, the file's end, what is done, and what must come of it.
const OF_FILES: &[(&str, &str, OfFile, Found)] = &[
    ("no byte", "csv", |_, _| Vec::new(), File(FileReason::Empty)),
    (
        "a header alone",
        "csv",
        |_, _| b"order_id,order_date,order_customer_id,order_status\n".to_vec(),
        File(FileReason::Empty),
    ),
    (
        "another dataset's header",
        "csv",
        |lines, _| {
            [b"product_id,product_category_id,product_name,product_price\n".to_vec(), text(lines)].concat()
        },
        File(FileReason::Header),
    ),
    (
        "a header with a column renamed",
        "csv",
        |lines, _| [b"order_id,ordered,order_customer_id,order_status\n".to_vec(), text(lines)].concat(),
        File(FileReason::Header),
    ),
    (
        "semicolons",
        "csv",
        |lines, _| text(lines).iter().map(|byte| if *byte == b',' { b';' } else { *byte }).collect(),
        File(FileReason::Columns),
    ),
    (
        "tabs",
        "csv",
        |lines, _| text(lines).iter().map(|byte| if *byte == b',' { b'\t' } else { *byte }).collect(),
        File(FileReason::Columns),
    ),
    (
        "a column more in every line",
        "csv",
        |lines, _| lines.iter().flat_map(|line| format!("{line},x\n").into_bytes()).collect(),
        File(FileReason::Columns),
    ),
    (
        "UTF-16",
        "csv",
        |lines, _| {
            [
                vec![0xff, 0xfe],
                String::from_utf8(text(lines))
                    .expect("UTF-8")
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes)
                    .collect(),
            ]
            .concat()
        },
        File(FileReason::Encoding),
    ),
    (
        "UTF-16 without its mark",
        "csv",
        |lines, _| {
            String::from_utf8(text(lines)).expect("UTF-8").encode_utf16().flat_map(u16::to_le_bytes).collect()
        },
        File(FileReason::Encoding),
    ),
    (
        "a spreadsheet",
        "csv",
        |lines, _| [b"PK\x03\x04".to_vec(), text(lines)].concat(),
        File(FileReason::NotText),
    ),
    ("packed and not called so", "csv", |lines, _| gzip(&text(lines)), File(FileReason::NotText)),
    (
        "cut gzip",
        "csv.gz",
        |lines, random| {
            let packed = gzip(&text(lines));
            let end = random.usize(1..packed.len() - 8);
            packed[..end].to_vec()
        },
        File(FileReason::Damaged),
    ),
    (
        "a bit of gzip flipped",
        "csv.gz",
        |lines, random| {
            let mut packed = gzip(&text(lines));
            let end = packed.len();
            packed[random.usize(end - 8..end)] ^= 0x10;
            packed
        },
        File(FileReason::Damaged),
    ),
    ("no gzip at all", "csv.gz", |lines, _| text(lines), File(FileReason::Damaged)),
    (
        "too many bad lines",
        "csv",
        |lines, random| {
            let bad: BTreeSet<usize> = (0..40).map(|_| random.usize(1..LINES)).collect();
            text(
                &lines
                    .iter()
                    .enumerate()
                    .map(
                        |(index, line)| {
                            if bad.contains(&index) { with(line, 1, "yesterday") } else { line.clone() }
                        },
                    )
                    .collect::<Vec<_>>(),
            )
        },
        File(FileReason::TooManyBadLines),
    ),
    (
        "a day without orders",
        "csv",
        |lines, random| {
            let day = format!("2026-06-{:02} ", random.u32(5..22));
            text(
                &lines
                    .iter()
                    .flat_map(|line| {
                        (0..6).map(move |copy| {
                            with(
                                line,
                                0,
                                &(line.split(',').next().expect("a key").parse::<u32>().expect("a number")
                                    * 10
                                    + copy)
                                    .to_string(),
                            )
                        })
                    })
                    .filter(|line| !line.contains(&day))
                    .collect::<Vec<_>>(),
            )
        },
        Odd(Rule::DayMissing),
    ),
    (
        "a day with twice the orders",
        "csv",
        |lines, random| {
            let day = format!("2026-06-{:02} ", random.u32(5..22));
            text(
                &lines
                    .iter()
                    .flat_map(|line| {
                        (0..if line.contains(&day) { 14 } else { 6 }).map(move |copy| {
                            with(
                                line,
                                0,
                                &(line.split(',').next().expect("a key").parse::<u32>().expect("a number")
                                    * 20
                                    + copy)
                                    .to_string(),
                            )
                        })
                    })
                    .collect::<Vec<_>>(),
            )
        },
        Odd(Rule::DayDoubled),
    ),
    (
        "no end of the last line",
        "csv",
        |lines, _| {
            let mut bytes = text(lines);
            bytes.pop();
            bytes
        },
        Odd(Rule::LastLineUnended),
    ),
    (
        "a byte order mark",
        "csv",
        |lines, _| [b"\xef\xbb\xbf".to_vec(), text(lines)].concat(),
        Odd(Rule::ByteOrderMark),
    ),
    (
        "midnight everywhere",
        "csv",
        |lines, _| {
            text(
                &lines
                    .iter()
                    .map(|line| {
                        let day: String = line.split(',').nth(1).expect("a time").chars().take(10).collect();
                        with(line, 1, &format!("{day} 00:00:00.0"))
                    })
                    .collect::<Vec<_>>(),
            )
        },
        Odd(Rule::NoTimeOfDay),
    ),
    (
        "a key twice",
        "csv",
        |lines, random| {
            let mut lines = lines.to_vec();
            let at = random.usize(1..LINES);
            lines[at] = with(&lines[at], 0, "1");
            text(&lines)
        },
        Odd(Rule::KeyRepeated),
    ),
    (
        "keys that do not grow with the date",
        "csv",
        |lines, random| {
            let mut lines = lines.to_vec();
            let at = random.usize(LINES / 2..LINES);
            lines[at] = with(&lines[at], 1, "2026-06-01 10:00:00");
            text(&lines)
        },
        Odd(Rule::KeyNotInDateOrder),
    ),
];

#[test]
fn every_defect_of_a_whole_file_is_found() {
    for (number, (what, end, spoil, expected)) in OF_FILES.iter().enumerate() {
        for place in 0..50 {
            let mut random = fastrand::Rng::with_seed(900_000 + number as u64 * 1_000 + place);
            let lines = clean(Dataset::Orders, &mut random);
            let bytes = spoil(&lines, &mut random);
            let file = read(Dataset::Orders, &format!("orders/2026-06-30.{end}"), bytes);
            let report = &file.report;
            let told = format!("{what}, seed {number}/{place}: {:?} {:?}", report.verdict, report.findings);
            match expected {
                File(reason) => {
                    let (found, detail) = report.verdict.as_ref().unwrap_or_else(|| panic!("{told}"));
                    assert_eq!(found, reason, "{told}");
                    assert!(detail.len() > 20, "says what to do: {told}");
                }
                Odd(rule) => {
                    assert_eq!(report.verdict, None, "{told}");
                    assert!(report.findings.iter().any(|finding| finding.rule == *rule), "{told}");
                }
                Line(..) => unreachable!("a file is no line"),
            }
        }
    }
}

/// What is not spoiled has nothing that these tests look for.
#[test]
fn a_clean_file_is_clean() {
    for dataset in Dataset::ALL {
        for seed in 0..50 {
            let lines = clean(dataset, &mut fastrand::Rng::with_seed(seed));
            let file = read(dataset, &name(dataset), text(&lines));
            let looked_for: Vec<_> = file
                .report
                .findings
                .iter()
                .filter(|finding| {
                    OF_LINES
                        .iter()
                        .any(|kind| kind.0 == dataset && matches!(kind.3, Odd(rule) if rule == finding.rule))
                })
                .collect();
            assert_eq!(
                (file.report.verdict, file.report.rejects, looked_for.len()),
                (None, vec![], 0),
                "{dataset:?} {seed}"
            );
        }
    }
}
