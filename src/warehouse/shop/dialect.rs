//! Where the two engines' languages differ, and how a script becomes statements of one of them. Pure.

use crate::warehouse::plan::split;

/// Where the engines' languages differ.
pub(in crate::warehouse) struct Dialect {
    /// Type of text that compares by bytes.
    pub(in crate::warehouse) text: &'static str,
    /// A surrogate key: 60 bits of a hash of a text.
    pub(in crate::warehouse) key: fn(&str) -> String,
    /// Microseconds since 1970 of an instant.
    pub(in crate::warehouse) micros: fn(&str) -> String,
    /// Every day that the marts know.
    pub(in crate::warehouse) series: &'static str,
    /// Whether lines that begin with `--pg` are meant, or those with `--no-pg`.
    pub(in crate::warehouse) is_postgres: bool,
}

/// DuckDB's.
pub(in crate::warehouse) const DUCKDB: Dialect = Dialect {
    text: "text",
    key: |text| format!("cast('0x' || substr(md5({text}), 1, 15) as bigint)"),
    micros: |instant| format!("epoch_us({instant})"),
    series: "unnest(generate_series(timestamp '2009-01-01', timestamp '2040-12-31', interval 1 day))",
    is_postgres: false,
};

/// PostgreSQL's.
pub(in crate::warehouse) const POSTGRES: Dialect = Dialect {
    text: "text collate \"C\"",
    key: |text| format!("('x0' || substr(md5({text}), 1, 15))::bit(64)::bigint"),
    micros: |instant| format!("(extract(epoch from {instant}) * 1000000)"),
    series: "generate_series(timestamp '2009-01-01', timestamp '2040-12-31', interval '1 day')",
    is_postgres: true,
};

impl Dialect {
    /// The statements of a script in this dialect.
    pub(in crate::warehouse) fn statements(&self, script: &str) -> Vec<String> {
        let lines: Vec<String> = script
            .lines()
            .map(|line| {
                let prefix = if self.is_postgres { "--pg " } else { "--no-pg " };
                line.trim_start().strip_prefix(prefix).unwrap_or(line).to_owned()
            })
            .collect();
        let without_comments: Vec<&str> =
            lines.iter().map(String::as_str).filter(|line| !line.trim_start().starts_with("--")).collect();
        split(&self.expand(&without_comments.join("\n")))
    }

    /// Fills `{text}`, `{series}`, and `{key(…)}` and `{micros(…)}`, which may stand in each other.
    fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            out.push_str(&rest[..start]);
            let inside = &rest[start + 1..];
            let end = closing(inside);
            let word = &inside[..end];
            let argument = |name: &str| {
                let argument = word.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?;
                Some(self.expand(argument))
            };
            if word == "text" {
                out.push_str(self.text);
            } else if word == "series" {
                out.push_str(self.series);
            } else if let Some(argument) = argument("key") {
                out.push_str(&(self.key)(&argument));
            } else if let Some(argument) = argument("micros") {
                out.push_str(&(self.micros)(&argument));
            } else {
                // Filled by the caller.
                out.push('{');
                out.push_str(word);
                out.push('}');
            }
            rest = inside.get(end + 1..).unwrap_or("");
        }
        out.push_str(rest);
        out
    }
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
}
