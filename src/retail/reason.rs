//! What can be wrong, by name: the closed lists behind `raw.rejected_row.reason` and `raw.finding.rule`.

/// Why a file is rejected as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileReason {
    /// It cannot be unpacked, or ends in the middle.
    Damaged,
    /// It is larger, unpacked, than is read into memory.
    TooLarge,
    /// It is in UTF-16 or UTF-32, not UTF-8.
    Encoding,
    /// It is no text: it holds the first bytes of a packed or binary format.
    NotText,
    /// Its first line is a header, but not this dataset's.
    Header,
    /// It holds no line of data.
    Empty,
    /// Every line has another number of columns, or other delimiters.
    Columns,
    /// More lines than the contract allows are bad.
    TooManyBadLines,
    /// Its name declares a full snapshot, and its dataset has none, or the name holds no day.
    FullSnapshot,
}

impl FileReason {
    /// The name in `raw.rejected_row.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            FileReason::Damaged => "file_damaged",
            FileReason::TooLarge => "file_too_large",
            FileReason::Encoding => "file_encoding",
            FileReason::NotText => "file_not_text",
            FileReason::Header => "file_header",
            FileReason::Empty => "file_empty",
            FileReason::Columns => "file_columns",
            FileReason::TooManyBadLines => "file_too_many_bad_lines",
            FileReason::FullSnapshot => "file_full_snapshot",
        }
    }
}

/// Why a line is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineReason {
    /// Nothing in it.
    EmptyLine,
    /// Longer than any line of a shop.
    LineTooLong,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// U+0000 or another control character.
    ControlCharacter,
    /// Fewer columns than the contract has.
    TooFewColumns,
    /// More: mostly a delimiter inside a field that is not quoted.
    TooManyColumns,
    /// A quoted field that does not end on this line.
    QuoteNotClosed,
    /// Something between a closing quote and the next delimiter.
    TextAfterQuote,
    /// A header in the middle of the file.
    RepeatedHeader,
    /// No value where there must be one.
    Missing,
    /// No whole number, or not written as one.
    NotAnInteger,
    /// No amount of money, or not written as one.
    NotMoney,
    /// More than two decimals.
    TooPrecise,
    /// No time, or one that does not exist.
    NotATimestamp,
    /// A time with an offset, where the shop's own clock is meant.
    TimestampWithOffset,
    /// Beyond what the contract allows.
    OutOfRange,
    /// Longer than the contract allows.
    TextTooLong,
}

impl LineReason {
    /// All of them.
    pub const ALL: [LineReason; 17] = [
        LineReason::EmptyLine,
        LineReason::LineTooLong,
        LineReason::InvalidUtf8,
        LineReason::ControlCharacter,
        LineReason::TooFewColumns,
        LineReason::TooManyColumns,
        LineReason::QuoteNotClosed,
        LineReason::TextAfterQuote,
        LineReason::RepeatedHeader,
        LineReason::Missing,
        LineReason::NotAnInteger,
        LineReason::NotMoney,
        LineReason::TooPrecise,
        LineReason::NotATimestamp,
        LineReason::TimestampWithOffset,
        LineReason::OutOfRange,
        LineReason::TextTooLong,
    ];

    /// The name in `raw.rejected_row.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            LineReason::EmptyLine => "empty_line",
            LineReason::LineTooLong => "line_too_long",
            LineReason::InvalidUtf8 => "invalid_utf8",
            LineReason::ControlCharacter => "control_character",
            LineReason::TooFewColumns => "too_few_columns",
            LineReason::TooManyColumns => "too_many_columns",
            LineReason::QuoteNotClosed => "quote_not_closed",
            LineReason::TextAfterQuote => "text_after_quote",
            LineReason::RepeatedHeader => "repeated_header",
            LineReason::Missing => "missing_value",
            LineReason::NotAnInteger => "not_an_integer",
            LineReason::NotMoney => "not_money",
            LineReason::TooPrecise => "too_precise",
            LineReason::NotATimestamp => "not_a_timestamp",
            LineReason::TimestampWithOffset => "timestamp_with_offset",
            LineReason::OutOfRange => "out_of_range",
            LineReason::TextTooLong => "text_too_long",
        }
    }
}

/// How much a finding matters. Nothing is kept out for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warn,
}

impl Severity {
    /// The name in `raw.finding.severity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warn => "warn",
        }
    }
}

/// What is odd about content that loads all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A column without a single value.
    ColumnEmpty,
    /// A text as long as the column's limit: it may have been cut.
    TextAtLimit,
    /// A text that ends in `...`: it has been cut.
    TextEllipsis,
    /// A space at the beginning or end.
    EdgeSpace,
    /// Two spaces in a row.
    DoubleSpace,
    /// Letters beyond ASCII: right in UTF-8, wrong when anything between reads it as Latin-1.
    NonAscii,
    /// What UTF-8 looks like that was read as Latin-1 and written again.
    Mojibake,
    /// The same character over and over: masked by the source.
    Masked,
    /// A number kept as text because of its leading zero.
    LeadingZero,
    /// A quote inside a field that is not quoted: read as data.
    BareQuote,
    /// A delimiter inside a quoted field.
    QuotedDelimiter,
    /// A price of nothing.
    ZeroPrice,
    /// A line of no items.
    ZeroQuantity,
    /// A line of less than no items: a return.
    Return,
    /// The amount is not quantity times price.
    SubtotalMismatch,
    /// Rows alike in everything but the key.
    SameButKey,
    /// Two keys with one name.
    SameName,
    /// The same product twice in an order.
    ProductTwiceInOrder,
    /// Keys that do not grow with the order's date: no watermark could be trusted.
    KeyNotInDateOrder,
    /// Midnight in every row: the time of day was lost.
    NoTimeOfDay,
    /// Days between the first and the last without a single order.
    DayMissing,
    /// A day with twice the usual orders.
    DayDoubled,
    /// Ordered later than the file was made.
    OrderedInFuture,
    /// The last line has no end: the file may have been cut.
    LastLineUnended,
    /// Begins with a byte order mark.
    ByteOrderMark,
    /// Lines end as on Windows.
    CarriageReturn,
    /// The same key more than once in a file: the last one counts.
    KeyRepeated,
    /// A full snapshot whose rejected lines may be what it seems to lack: until they are replayed it says nothing of
    /// what is absent.
    SnapshotIncomplete,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 28] = [
        Rule::ColumnEmpty,
        Rule::TextAtLimit,
        Rule::TextEllipsis,
        Rule::EdgeSpace,
        Rule::DoubleSpace,
        Rule::NonAscii,
        Rule::Mojibake,
        Rule::Masked,
        Rule::LeadingZero,
        Rule::BareQuote,
        Rule::QuotedDelimiter,
        Rule::ZeroPrice,
        Rule::ZeroQuantity,
        Rule::Return,
        Rule::SubtotalMismatch,
        Rule::SameButKey,
        Rule::SameName,
        Rule::ProductTwiceInOrder,
        Rule::KeyNotInDateOrder,
        Rule::NoTimeOfDay,
        Rule::DayMissing,
        Rule::DayDoubled,
        Rule::OrderedInFuture,
        Rule::LastLineUnended,
        Rule::ByteOrderMark,
        Rule::CarriageReturn,
        Rule::KeyRepeated,
        Rule::SnapshotIncomplete,
    ];

    /// The name in `raw.finding.rule`.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::ColumnEmpty => "column_empty",
            Rule::TextAtLimit => "text_at_limit",
            Rule::TextEllipsis => "text_ellipsis",
            Rule::EdgeSpace => "edge_space",
            Rule::DoubleSpace => "double_space",
            Rule::NonAscii => "non_ascii",
            Rule::Mojibake => "mojibake",
            Rule::Masked => "masked",
            Rule::LeadingZero => "leading_zero",
            Rule::BareQuote => "bare_quote",
            Rule::QuotedDelimiter => "quoted_delimiter",
            Rule::ZeroPrice => "zero_price",
            Rule::ZeroQuantity => "zero_quantity",
            Rule::Return => "return",
            Rule::SubtotalMismatch => "subtotal_mismatch",
            Rule::SameButKey => "same_but_key",
            Rule::SameName => "same_name",
            Rule::ProductTwiceInOrder => "product_twice_in_order",
            Rule::KeyNotInDateOrder => "key_not_in_date_order",
            Rule::NoTimeOfDay => "no_time_of_day",
            Rule::DayMissing => "day_missing",
            Rule::DayDoubled => "day_doubled",
            Rule::OrderedInFuture => "ordered_in_future",
            Rule::LastLineUnended => "last_line_unended",
            Rule::ByteOrderMark => "byte_order_mark",
            Rule::CarriageReturn => "carriage_return",
            Rule::KeyRepeated => "key_repeated",
            Rule::SnapshotIncomplete => "snapshot_incomplete",
        }
    }

    /// How much it matters.
    pub fn severity(self) -> Severity {
        match self {
            Rule::Mojibake
            | Rule::ZeroPrice
            | Rule::ZeroQuantity
            | Rule::SubtotalMismatch
            | Rule::DayMissing
            | Rule::DayDoubled
            | Rule::OrderedInFuture
            | Rule::LastLineUnended
            | Rule::KeyRepeated
            | Rule::SnapshotIncomplete => Severity::Warn,
            _ => Severity::Info,
        }
    }
}
