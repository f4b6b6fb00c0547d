//! Where the engines' languages differ, and how a script becomes statements of one of them. Pure.
//!
//! What Redshift lacks is from its Developer Guide: "Unsupported PostgreSQL features" (row constructors, constraints,
//! indexes, `VALUES` as a table), "Unsupported PostgreSQL functions" (`IS DISTINCT FROM`, `GENERATE_SERIES`), "Leader
//! node–only functions" (`NOW`) and "Reserved words" (`RAW`, `TAG`).

use crate::warehouse::literal;

/// Where the engines' languages differ.
pub(in crate::warehouse) struct Dialect {
    /// Type of a column of text that compares by bytes.
    pub(in crate::warehouse) text: &'static str,
    /// The same in a cast, which names no collation.
    string: &'static str,
    /// The instant at which the transaction began.
    now: &'static str,
    /// A surrogate key: 60 bits of a hash of a text.
    key: fn(&str) -> String,
    /// Microseconds since 1970 of an instant.
    micros: fn(&str) -> String,
    /// Seconds, with their fraction, from the second instant to the first.
    elapsed: fn(&str, &str) -> String,
    /// Every day that the marts know, as rows of a time `d`.
    series: &'static str,
    /// The whole numbers from 1 on, as rows of `nth`.
    counted: fn(u64) -> String,
    /// A text in a statement.
    literal: fn(&str) -> String,
    /// Says of a part of a statement that it is worked out by itself; empty where the planner may decide.
    materialized: &'static str,
    /// Whether rows compare as rows, and nulls by `is distinct from`.
    has_rows: bool,
    /// Lines that begin with one of these are meant.
    own_lines: &'static [&'static str],
    /// Names of ours that have to be quoted.
    reserved: &'static [&'static str],
}

/// DuckDB's.
pub(in crate::warehouse) const DUCKDB: Dialect = Dialect {
    text: "text",
    string: "text",
    now: "now()",
    key: |text| format!("cast('0x' || substr(md5({text}), 1, 15) as bigint)"),
    micros: |instant| format!("epoch_us({instant})"),
    elapsed: |to, from| format!("extract(epoch from ({to} - {from}))"),
    series: "select unnest(generate_series(timestamp '2009-01-01', timestamp '2040-12-31', interval 1 day)) as d",
    counted: |last| format!("select nth from generate_series(1, {last}) as series (nth)"),
    literal,
    materialized: "materialized",
    has_rows: true,
    own_lines: &["--no-pg "],
    reserved: &[],
};

/// PostgreSQL's.
pub(in crate::warehouse) const POSTGRES: Dialect = Dialect {
    text: "text collate \"C\"",
    string: "text",
    now: "now()",
    key: |text| format!("('x0' || substr(md5({text}), 1, 15))::bit(64)::bigint"),
    micros: |instant| format!("(extract(epoch from {instant}) * 1000000)"),
    elapsed: |to, from| format!("extract(epoch from ({to} - {from}))"),
    series: "select generate_series(timestamp '2009-01-01', timestamp '2040-12-31', interval '1 day') as d",
    counted: |last| format!("select nth from generate_series(1, {last}) as series (nth)"),
    literal,
    materialized: "",
    has_rows: true,
    own_lines: &["--pg "],
    reserved: &[],
};

/// The digits, of which Redshift makes its series.
macro_rules! digit {
    () => {
        "digit as (\n  select 0 as n union all select 1 union all select 2 union all select 3 union all select 4\n  \
         union all select 5 union all select 6 union all select 7 union all select 8 union all select 9\n)"
    };
}

/// Redshift's. Its TEXT is a varchar of 256 bytes, its texts compare by bytes already, and `sysdate` is the beginning of
/// the transaction, in the session's zone, which is UTC.
pub(in crate::warehouse) const REDSHIFT: Dialect = Dialect {
    text: "varchar(65535)",
    string: "varchar(65535)",
    now: "cast(sysdate as timestamptz)",
    key: |text| format!("strtol(substring(md5({text}), 1, 15), 16)"),
    // Its `extract` gives an instant's seconds as a float.
    micros: |instant| {
        format!("datediff(microsecond, timestamp '1970-01-01 00:00:00', {instant} at time zone 'UTC')")
    },
    elapsed: |to, from| {
        format!("(datediff(microsecond, {from} at time zone 'UTC', {to} at time zone 'UTC') / 1000000.0)")
    },
    series: concat!(
        "with ",
        digit!(),
        "\nselect cast(date '2009-01-01' + nth as timestamp) as d\n\
        from (\n  select a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n as nth\n  \
        from digit as a cross join digit as b cross join digit as c cross join digit as d cross join digit as e\n\
        ) as counted\nwhere date '2009-01-01' + nth <= date '2040-12-31'"
    ),
    counted: digits,
    literal: |text| {
        // Whether a backslash in a literal means itself is a setting, so none stands in one.
        let quoted: Vec<String> = text.split('\\').map(literal).collect();
        if quoted.len() == 1 { quoted.concat() } else { format!("({})", quoted.join(" || chr(92) || ")) }
    },
    materialized: "",
    has_rows: false,
    own_lines: &["--rs ", "--no-pg "],
    reserved: &["raw", "tag"],
};

/// 1 to `last` from as many digits as that has.
fn digits(last: u64) -> String {
    let names: Vec<String> = (0..last.to_string().len()).map(|place| format!("d{place}")).collect();
    let sum: Vec<String> = names
        .iter()
        .scan(1_u64, |weight, name| {
            let term = format!("{weight} * {name}.n");
            *weight = weight.saturating_mul(10);
            Some(term)
        })
        .collect();
    let tables: Vec<String> = names.iter().map(|name| format!("digit as {name}")).collect();
    format!(
        "with {}\nselect nth from (select 1 + {} as nth from {}) as series where nth <= {last}",
        digit!(),
        sum.join(" + "),
        tables.join(" cross join ")
    )
}

impl Dialect {
    /// The statements of a script in this dialect.
    pub(in crate::warehouse) fn statements(&self, script: &str) -> Vec<String> {
        let meant: Vec<&str> = script
            .lines()
            .map(|line| {
                let meant = self.own_lines.iter().find_map(|own| line.trim_start().strip_prefix(own));
                meant.unwrap_or(line)
            })
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect();
        self.expand(&meant.join("\n"))
            .split(';')
            .map(str::trim)
            .filter(|statement| !statement.is_empty())
            .map(|statement| self.quoted(statement))
            .collect()
    }

    /// A text in a statement.
    pub(in crate::warehouse) fn literal(&self, text: &str) -> String {
        (self.literal)(text)
    }

    /// The instant at which the transaction began.
    pub(in crate::warehouse) fn now(&self) -> &'static str {
        self.now
    }

    /// The whole numbers from 1 to `last`, as rows of `nth`.
    pub(in crate::warehouse) fn counted(&self, last: u64) -> String {
        (self.counted)(last)
    }

    /// Microseconds since 1970 of an instant.
    pub(in crate::warehouse) fn micros(&self, instant: &str) -> String {
        (self.micros)(instant)
    }

    /// Whether the row of the first values comes after the row of the second, value by value.
    pub(in crate::warehouse) fn after(&self, first: &[&str], second: &[&str]) -> String {
        if self.has_rows {
            return format!("({}) > ({})", first.join(", "), second.join(", "));
        }
        match (first, second) {
            ([a], [b]) => format!("{a} > {b}"),
            ([a, first @ ..], [b, second @ ..]) => {
                format!("({a} > {b} or ({a} = {b} and {}))", self.after(first, second))
            }
            _ => String::new(),
        }
    }

    /// Whether two values differ, null being a value: never null itself.
    fn compared(&self, a: &str, b: &str, is_different: bool) -> String {
        if self.has_rows {
            return format!("{a} is {}distinct from {b}", if is_different { "" } else { "not " });
        }
        format!(
            "(case when {a} is null and {b} is null then 0 when {a} is null or {b} is null then 1 \
             when {a} = {b} then 0 else 1 end = {})",
            u8::from(is_different)
        )
    }

    /// With what has to be quoted quoted, outside of texts and of quotes.
    pub(in crate::warehouse) fn quoted(&self, statement: &str) -> String {
        if self.reserved.is_empty() {
            return statement.to_owned();
        }
        let mut out = String::with_capacity(statement.len() + 64);
        let mut word = String::new();
        let mut open: Option<char> = None;
        for letter in statement.chars().chain(std::iter::once('\n')) {
            if open.is_none() && (letter.is_ascii_alphanumeric() || letter == '_') {
                word.push(letter);
                continue;
            }
            if self.reserved.contains(&word.as_str()) {
                out.push('"');
                out.push_str(&word);
                out.push('"');
            } else {
                out.push_str(&word);
            }
            word.clear();
            match open {
                Some(quote) if quote == letter => open = None,
                None if letter == '\'' || letter == '"' => open = Some(letter),
                _ => {}
            }
            out.push(letter);
        }
        out.pop();
        out
    }

    /// Fills what stands in braces, which may stand in each other: `{text}`, `{string}`, `{now}`, `{series}`,
    /// `{materialized}`, `{key(a)}`, `{version_key(id, instant)}`, `{micros(a)}`, `{elapsed(to, from)}`,
    /// `{differs(a, b)}`, `{same(a, b)}` and `{after(a, b; c, d)}`.
    fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            out.push_str(&rest[..start]);
            let inside = &rest[start + 1..];
            let end = closing(inside);
            let word = &inside[..end];
            match self.filled(word) {
                Some(filled) => out.push_str(&filled),
                // Filled by the caller.
                None => {
                    out.push('{');
                    out.push_str(word);
                    out.push('}');
                }
            }
            rest = inside.get(end + 1..).unwrap_or("");
        }
        out.push_str(rest);
        out
    }

    fn filled(&self, word: &str) -> Option<String> {
        match word {
            "text" => return Some(self.text.to_owned()),
            "string" => return Some(self.string.to_owned()),
            "now" => return Some(self.now.to_owned()),
            "series" => return Some(self.series.to_owned()),
            "materialized" => return Some(self.materialized.to_owned()),
            _ => {}
        }
        let (name, arguments) = word.strip_suffix(')')?.split_once('(')?;
        let rows: Vec<Vec<String>> = parts(arguments, ';')
            .into_iter()
            .map(|row| parts(row, ',').into_iter().map(|part| self.expand(part.trim())).collect())
            .collect();
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        match (name, rows.as_slice()) {
            // What is hashed may hold commas.
            ("key", _) => Some((self.key)(&self.expand(arguments))),
            ("micros", _) => Some((self.micros)(&self.expand(arguments))),
            ("version_key", [[id, from]]) => {
                let (string, micros) = (self.string, (self.micros)(from));
                Some((self.key)(&format!(
                    "cast({id} as {string}) || '|' || cast(cast({micros} as bigint) as {string})"
                )))
            }
            ("elapsed", [[to, from]]) => Some((self.elapsed)(to, from)),
            ("differs", [[a, b]]) => Some(self.compared(a, b, true)),
            ("same", [[a, b]]) => Some(self.compared(a, b, false)),
            ("after", [first, second]) if first.len() == second.len() => Some(self.after(first, second)),
            _ => None,
        }
    }
}

/// A text cut where `mark` stands outside of brackets.
fn parts(text: &str, mark: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            _ if letter == mark && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Where the brace is that closes what is open at the beginning.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_in_each_other() {
        let text = DUCKDB.expand("select {key(concat(a, {micros(b)}))} as {text} {as_of}");

        assert_eq!(
            text,
            "select cast('0x' || substr(md5(concat(a, epoch_us(b))), 1, 15) as bigint) as text {as_of}"
        );
    }

    #[test]
    fn a_version_has_the_same_key_on_every_engine() {
        let script = "{version_key(a.id, cast('1900-01-01' as timestamptz))}";

        assert_eq!(
            POSTGRES.expand(script),
            "('x0' || substr(md5(cast(a.id as text) || '|' || cast(cast((extract(epoch from cast('1900-01-01' as \
             timestamptz)) * 1000000) as bigint) as text)), 1, 15))::bit(64)::bigint"
        );
        assert_eq!(
            REDSHIFT.expand(script),
            "strtol(substring(md5(cast(a.id as varchar(65535)) || '|' || cast(cast(datediff(microsecond, timestamp \
             '1970-01-01 00:00:00', cast('1900-01-01' as timestamptz) at time zone 'UTC') as bigint) as \
             varchar(65535))), 1, 15), 16)"
        );
    }

    #[test]
    fn rows_compare_value_by_value() {
        let script = "{after(a.x, a.y, a.z; b.x, b.y, b.z)}";

        assert_eq!(POSTGRES.expand(script), "(a.x, a.y, a.z) > (b.x, b.y, b.z)");
        assert_eq!(
            REDSHIFT.expand(script),
            "(a.x > b.x or (a.x = b.x and (a.y > b.y or (a.y = b.y and a.z > b.z))))"
        );
    }

    #[test]
    fn null_is_a_value_like_others() {
        assert_eq!(
            DUCKDB.expand("{differs(a, b)} {same(a, b)}"),
            "a is distinct from b a is not distinct from b"
        );
        assert_eq!(
            REDSHIFT.expand("{same(a, b)}"),
            "(case when a is null and b is null then 0 when a is null or b is null then 1 when a = b then 0 else 1 \
             end = 0)"
        );
    }

    #[test]
    fn reserved_names_are_quoted_and_texts_are_left_alone() {
        let statement = "select t.tag, tags, 'raw tag', it''s \"tag\" from raw.x where tag = 'a''raw'";

        assert_eq!(
            REDSHIFT.quoted(statement),
            "select t.\"tag\", tags, 'raw tag', it''s \"tag\" from \"raw\".x where \"tag\" = 'a''raw'"
        );
        assert_eq!(POSTGRES.quoted(statement), statement);
        assert_eq!(REDSHIFT.quoted("raw"), "\"raw\"");
    }

    #[test]
    fn lines_of_another_engine_are_comments() {
        let script = "create table x (a {text})\n--rs distkey (a)\n--pg partition by hash (a)\n;";

        assert_eq!(DUCKDB.statements(script), ["create table x (a text)"]);
        assert_eq!(
            POSTGRES.statements(script),
            ["create table x (a text collate \"C\")\npartition by hash (a)"]
        );
        assert_eq!(REDSHIFT.statements(script), ["create table x (a varchar(65535))\ndistkey (a)"]);
    }

    #[test]
    fn no_backslash_stands_in_a_literal_of_redshift() {
        assert_eq!(REDSHIFT.literal("it's"), "'it''s'");
        assert_eq!(REDSHIFT.literal(r"a\'b"), "('a' || chr(92) || '''b')");
    }
}
