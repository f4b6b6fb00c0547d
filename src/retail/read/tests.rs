use proptest::prelude::*;

use crate::retail::value::money;

use super::*;

fn source(key: &str) -> Source {
    let modified_at = "2026-07-10T03:00:00Z".parse().expect("an instant");
    Source { key: key.to_owned(), bytes: 0, modified_at }
}

fn file(dataset: Dataset, text: &[u8]) -> ShopFile {
    ShopFile::read(
        dataset,
        source(&format!("{}/2026-07-09.csv", dataset.as_str())),
        Bytes::copy_from_slice(text),
    )
}

fn rejects(dataset: Dataset, text: &str) -> Vec<(u64, &'static str, Option<&'static str>)> {
    file(dataset, text.as_bytes())
        .report
        .rejects
        .iter()
        .map(|reject| (reject.line, reject.reason, reject.column))
        .collect()
}

fn verdict_of(dataset: Dataset, text: &[u8]) -> (&'static str, String) {
    let (reason, detail) = file(dataset, text).report.verdict.expect("it is rejected as a whole");
    (reason.as_str(), detail)
}

fn rows(file: &ShopFile) -> Vec<(u64, Vec<String>)> {
    let mut rows = Vec::new();
    let each = file.for_each_row(|line, values| {
        rows.push((line, values.iter().map(|value| format!("{value:?}")).collect()));
        Ok::<(), std::convert::Infallible>(())
    });
    match each {
        Ok(()) => rows,
        Err(never) => match never {},
    }
}

const ITEMS: &str = "1,10,100,2,20.00,10.0\n2,10,101,1,5.5,5.50\n";

#[test]
fn good_lines_become_rows_with_or_without_a_header_a_mark_and_returns() {
    let plain = rows(&file(Dataset::OrderItems, ITEMS.as_bytes()));
    assert_eq!(plain.len(), 2);
    assert_eq!(plain[0].1[4..], ["Cents(2000)", "Cents(1000)"]);

    let header = "order_item_id,order_item_order_id,order_item_product_id,order_item_quantity,order_item_subtotal,\
                  order_item_product_price\n";
    let others = [
        format!("{header}{ITEMS}"),
        format!("\u{feff}{ITEMS}"),
        format!("\u{feff}{}{ITEMS}", header.to_uppercase()),
        ITEMS.replace('\n', "\r\n"),
        ITEMS.trim_end().to_owned(),
    ];
    for other in others {
        let read = file(Dataset::OrderItems, other.as_bytes());
        let without_lines = |rows: Vec<(u64, Vec<String>)>| -> Vec<Vec<String>> {
            rows.into_iter().map(|(_, values)| values).collect()
        };
        assert_eq!(without_lines(rows(&read)), without_lines(plain.clone()), "{other:?}");
        assert_eq!(read.report.lines, 2);
        assert_eq!(read.report.money_cents, 2550);
    }
}

#[test]
fn a_bad_line_costs_itself_and_says_where_and_why() {
    let good = "9,1,x,,1.00,\n";
    let of = |line: &str| {
        let text = format!("{}{line}\n{good}", good.repeat(20));
        let found = rejects(Dataset::Products, &text);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert_eq!(found[0].0, 21, "{line}");
        (found[0].1, found[0].2)
    };

    assert_eq!(of(""), ("empty_line", None));
    assert_eq!(of("1,1,Kit, red,,1.00,"), ("too_many_columns", None));
    assert_eq!(of("1,1"), ("too_few_columns", None));
    assert_eq!(of("1,1,\"open,,1.00,"), ("quote_not_closed", Some("product_name")));
    assert_eq!(of("1,1,\"a\"b,,1.00,"), ("text_after_quote", Some("product_name")));
    assert_eq!(of("one,1,x,,1.00,"), ("not_an_integer", Some("product_id")));
    assert_eq!(of("1.0,1,x,,1.00,"), ("not_an_integer", Some("product_id")));
    assert_eq!(of("01,1,x,,1.00,"), ("not_an_integer", Some("product_id")));
    assert_eq!(of(" 1,1,x,,1.00,"), ("not_an_integer", Some("product_id")));
    assert_eq!(of("99999999999,1,x,,1.00,"), ("out_of_range", Some("product_id")));
    assert_eq!(of("0,1,x,,1.00,"), ("out_of_range", Some("product_id")));
    assert_eq!(of("1,1,,,1.00,"), ("missing_value", Some("product_name")));
    assert_eq!(of("1,1,x,,,"), ("missing_value", Some("product_price")));
    assert_eq!(of("1,1,x,,$1.00,"), ("not_money", Some("product_price")));
    assert_eq!(of("1,1,x,,1e3,"), ("not_money", Some("product_price")));
    assert_eq!(of("1,1,x,,NaN,"), ("not_money", Some("product_price")));
    assert_eq!(of("1,1,x,,1.,"), ("not_money", Some("product_price")));
    assert_eq!(of("1,1,x,,1.005,"), ("too_precise", Some("product_price")));
    assert_eq!(of("1,1,x,,-1.00,"), ("out_of_range", Some("product_price")));
    assert_eq!(of("1,1,x,,-0.01,"), ("out_of_range", Some("product_price")));
    assert_eq!(of(&format!("1,1,{},,1.00,", "x".repeat(46))), ("text_too_long", Some("product_name")));
    assert_eq!(of("1,1,a\u{0}b,,1.00,"), ("control_character", None));
    assert_eq!(of(&format!("1,1,x,,1.00,{}", "x".repeat(70_000))), ("line_too_long", None));
    let header =
        "product_id,product_category_id,product_name,product_description,product_price,product_image";
    assert_eq!(of(header), ("repeated_header", Some("product_id")));
}

#[test]
fn times_are_the_shops_own_clock() {
    let good = "1,2013-07-25 00:00:00.0,11,CLOSED\n".repeat(20);
    let of = |clock: &str| {
        let found = rejects(Dataset::Orders, &format!("{good}2,{clock},11,CLOSED\n"));
        found.first().map(|found| found.1)
    };

    for clock in ["2013-07-25", "2013-07-25 23:59:59", "2013-07-25T00:00:00.123456", "2016-02-29 12:00:00"] {
        assert_eq!(of(clock), None, "{clock}");
    }
    for clock in ["2013-07-25 00:00:00Z", "2013-07-25T00:00:00+02:00", "2013-07-25 00:00:00.0-05"] {
        assert_eq!(of(clock), Some("timestamp_with_offset"), "{clock}");
    }
    for clock in
        ["25/07/2013", "2013-02-30", "2013-07-25 24:00:00", "2013-07-25 00:00:60", "1374710400", "2013-7-5"]
    {
        assert_eq!(of(clock), Some("not_a_timestamp"), "{clock}");
    }
    assert_eq!(of("0213-07-25"), Some("out_of_range"));
    assert_eq!(of("2999-01-01"), Some("out_of_range"));
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_place() {
    let good = "1,1,x,,1.00,\n".repeat(20);
    let text = [good.as_bytes(), b"2,1,Caf\xe9,,1.00,\n"].concat();

    let found = file(Dataset::Products, &text).report.rejects;

    assert_eq!((found[0].reason, found[0].column), ("invalid_utf8", Some("product_name")));
    assert_eq!(found[0].byte_offset, Some((good.len() + 7) as u64));
    assert_eq!(found[0].raw, &b"2,1,Caf\xe9,,1.00,"[..]);
}

#[test]
fn a_file_of_the_wrong_form_is_rejected_whole_with_what_to_do() {
    let of = |text: &[u8]| verdict_of(Dataset::OrderItems, text);

    assert_eq!(of(b"").0, "file_empty");
    let header = "order_item_id,order_item_order_id,order_item_product_id,order_item_quantity,order_item_subtotal,\
                  order_item_product_price\n";
    assert_eq!(of(header.as_bytes()).0, "file_empty");
    let (reason, detail) = of(b"id,order,product,quantity,subtotal,price\n1,10,100,2,20.00,10.00\n");
    assert_eq!(reason, "file_header");
    assert!(detail.contains("expected order_item_id,"), "{detail}");
    let (reason, detail) = of(ITEMS.replace(',', ";").as_bytes());
    assert_eq!(reason, "file_columns");
    assert!(detail.contains("separated by ';'"), "{detail}");
    assert_eq!(of(b"1,2\n3,4\n").0, "file_columns");
    // One bad value does not make the first line a header.
    let bad_first = format!("N/A,10,100,2,20.00,10.00\n{}", ITEMS.repeat(20));
    assert_eq!(rejects(Dataset::OrderItems, &bad_first), [(1, "not_an_integer", Some("order_item_id"))]);
    let utf16: Vec<u8> = "\u{feff}1,2".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(of(&utf16).0, "file_encoding");
    assert_eq!(of(&utf16[2..]).0, "file_encoding");
    assert_eq!(of(b"PK\x03\x04whatever").0, "file_not_text");
    let many_bad = format!("{ITEMS}{}", "x,1,1,1,1,1\n".repeat(8));
    assert_eq!(of(many_bad.as_bytes()).0, "file_too_many_bad_lines");

    let cut = {
        use std::io::Write;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(ITEMS.repeat(500).as_bytes()).expect("in memory");
        let mut packed = packed.finish().expect("in memory");
        packed.truncate(packed.len() - 4);
        packed
    };
    let read = ShopFile::read(Dataset::OrderItems, source("order_items/a.csv.gz"), Bytes::from(cut));
    assert_eq!(read.report.verdict.as_ref().map(|(reason, _)| reason.as_str()), Some("file_damaged"));
    assert_eq!(rows(&read), []);
}

#[test]
fn what_is_odd_is_counted_and_loads() {
    let text = "1,2,Tab  let,,0.00,http://x/...\n2,2,Tab  let,,0.0,http://x/...\n3,2,\"a,b\",,5,\n4,2,20\" fan,,5,\n";

    let read = file(Dataset::Products, text.as_bytes());

    let found: Vec<_> = read
        .report
        .findings
        .iter()
        .map(|finding| (finding.rule.as_str(), finding.column, finding.count, finding.examples.join(" ")))
        .collect();
    let expected = [
        ("column_empty", Some("product_description"), 1, ""),
        ("text_ellipsis", Some("product_image"), 2, "1 2"),
        ("double_space", Some("product_name"), 2, "1 2"),
        ("bare_quote", Some("product_name"), 1, "4"),
        ("quoted_delimiter", Some("product_name"), 1, "3"),
        ("zero_price", None, 2, "1 2"),
        ("same_but_key", None, 1, "2"),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(rule, column, count, examples)| (rule, column, count, examples.to_owned()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(read.report.rejects, []);
    assert_eq!(rows(&read).len(), 4);
}

#[test]
fn repaired_lines_take_the_place_of_those_of_their_file() {
    let lines = vec![(685, Bytes::from_static(b"685,31,\"a,b\",,1.00,")), (9, Bytes::from_static(b"x"))];

    let read = ShopFile::repaired(Dataset::Products, source("products/2026-07-09.csv"), 0, "r1", lines);

    assert_eq!(read.ledger_name, "products/2026-07-09.csv#r1");
    assert_eq!(rows(&read).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [685]);
    assert_eq!(read.report.rejects[0].line, 9);
    assert_eq!(read.report.verdict, None);

    // A first line that is still bad is no header; the same text twice is two repairs.
    let repair = |line: u64, text: &'static str| {
        let lines =
            vec![(line, Bytes::from_static(text.as_bytes())), (7, Bytes::from_static(b"7,31,b,,1.00,"))];
        ShopFile::repaired(Dataset::Products, source("products/2026-07-09.csv"), 0, "r2", lines)
    };
    let still_bad = repair(3, "abc,1,x,,1.00,");
    assert_eq!((still_bad.report.verdict.clone(), rows(&still_bad).len()), (None, 1));
    assert_ne!(repair(3, "3,1,x,,1.00,").sha256, repair(9, "3,1,x,,1.00,").sha256);
}

fn named(key: &str, text: &str) -> ShopFile {
    let dataset = Dataset::named(key.split('/').next().expect("a folder")).expect("a dataset");
    ShopFile::read(dataset, source(key), Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn a_full_snapshot_of_orders_or_lines_is_rejected_as_a_whole() {
    let orders = "1,2013-07-25 00:00:00.0,11,CLOSED\n";
    for (key, text) in [("orders/2026-07-09.full.csv", orders), ("order_items/2026-07-09.FULL.csv", ITEMS)] {
        let read = named(key, text);

        let (reason, detail) = read.report.verdict.clone().expect("it is rejected as a whole");
        assert_eq!(
            (reason.as_str(), rows(&read).len(), read.report.lines),
            ("file_full_snapshot", 0, 0),
            "{key}"
        );
        assert!(detail.contains("under a name without .full"), "{detail}");
    }
    // Packed or not, and whatever is in it.
    assert_eq!(
        named("orders/2026-07-09.full.csv.gz", "no gzip").report.verdict.map(|(reason, _)| reason.as_str()),
        Some("file_full_snapshot")
    );
    assert_eq!(named("orders/2026-07-09.csv", orders).report.verdict, None);
}

#[test]
fn a_full_snapshot_without_a_day_is_rejected_as_a_whole() {
    let departments = "2,Fitness\n";
    let (reason, detail) = named("departments/all.full.csv", departments).report.verdict.expect("rejected");

    assert_eq!(reason.as_str(), "file_full_snapshot");
    assert!(detail.contains("write the day"), "{detail}");
    assert_eq!(named("departments/2026/2026-07-09/all.full.csv", departments).report.verdict, None);
}

#[test]
fn a_full_snapshot_with_rejected_lines_says_that_it_is_incomplete() {
    let good = "9,1,x,,1.00,\n".repeat(20);
    let bad = format!("{good}one,1,x,,1.00,\n8,1,x,,2.00,\n2,1,x,y\n");
    let found = |read: &ShopFile| {
        let found = read.report.findings.iter().find(|finding| finding.rule == Rule::SnapshotIncomplete);
        found.map(|finding| (finding.count, finding.line, finding.examples.join(", ")))
    };

    let snapshot = named("products/2026-07-09.full.csv", &bad);

    assert!(snapshot.is_full && snapshot.is_snapshot());
    assert_eq!(
        found(&snapshot),
        Some((2, 21, "nothing counts as absent until all are replayed: line 21, line 23".to_owned()))
    );
    assert_eq!(found(&named("products/2026-07-09.full.csv", &good)), None);
    // Of what is new or changed nobody asks what is absent.
    let delta = named("products/2026-07-09.csv", &bad);
    assert_eq!((delta.is_full, found(&delta)), (false, None));
    // Nor is what is repaired the whole of it, even where a line is still wrong.
    let repaired = ShopFile::repaired(
        Dataset::Products,
        source("products/2026-07-09.full.csv"),
        0,
        "r1",
        vec![(21, Bytes::from_static(b"one,1,x,,1.00,")), (23, Bytes::from_static(b"2,1,x,y,1.00,"))],
    );
    assert_eq!((repaired.is_full, repaired.is_snapshot()), (true, false));
    assert_eq!((found(&repaired), repaired.report.rejects.len()), (None, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever comes: every line is a row or a reject, once, and each reject has its line's bytes.
    #[test]
    fn every_line_is_a_row_or_a_reject(lines in proptest::collection::vec(line(), 0..30)) {
        let text = lines.join(&b"\n"[..]);
        let read = file(Dataset::OrderItems, &text);

        if read.report.verdict.is_none() {
            let good = rows(&read).len() as u64;
            prop_assert_eq!(good + read.report.rejects.len() as u64, read.report.lines);
        }
        for reject in &read.report.rejects {
            let index = usize::try_from(reject.line).expect("a line") - 1;
            let line = text.split(|byte| *byte == b'\n').nth(index).expect("that line");
            prop_assert_eq!(line.strip_suffix(b"\r").unwrap_or(line), reject.raw.as_ref());
        }
    }

    #[test]
    fn money_is_what_was_written(cents in -999_999_999_999_i64..=999_999_999_999) {
        let sign = if cents < 0 { "-" } else { "" };
        let text = format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100);
        prop_assert_eq!(money(&text), Ok(cents));
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (1..99_u32, 1..9_u32, 1..9_u32, -3..9_i32, 1..99_u32)
            .prop_map(|(id, order, product, quantity, price)| {
                let subtotal = quantity * i32::try_from(price).expect("small");
                format!("{id},{order},{product},{quantity},{subtotal}.0,{price}.00").into_bytes()
            }),
        1 => proptest::collection::vec(any::<u8>().prop_filter("one line", |byte| *byte != b'\n'), 0..40),
        1 => "[0-9,\"a.\\- ]{0,30}".prop_map(String::into_bytes),
    ]
}
