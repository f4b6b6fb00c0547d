//! Markup in which everything is escaped that does not stand in our own source. Pure.

use std::fmt::{self, Display, Write};

/// A piece of a page. Literals of this program get in as they are, everything else as text: see [`put!`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Markup(String);

impl Markup {
    /// Nothing yet.
    pub(super) fn new() -> Markup {
        Markup::default()
    }

    /// Takes a literal as it is. Nothing that came from outside can be one.
    pub(super) fn raw(&mut self, literal: &'static str) {
        self.0.push_str(literal);
    }

    /// Takes a value as text, fit for content and for quoted attributes.
    pub(super) fn text(&mut self, value: &dyn Display) {
        // Writing to a string cannot fail.
        let _ = write!(Escaped(&mut self.0), "{value}");
    }

    /// Takes markup.
    pub(super) fn push(&mut self, other: &Markup) {
        self.0.push_str(&other.0);
    }

    /// The page's text.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(letter),
                // Neither is allowed in a page, and some would hide what follows.
                _ if letter.is_control() => self.0.push(char::REPLACEMENT_CHARACTER),
                _ => self.0.push(letter),
            }
        }
        Ok(())
    }
}

/// Appends to a [`Markup`]: literals as they are, `{ value }` as text, `[markup]` as markup.
macro_rules! put {
    (@one $out:expr, { $value:expr }) => {
        $out.text(&$value)
    };
    (@one $out:expr, [ $markup:expr ]) => {
        $out.push(&$markup)
    };
    (@one $out:expr, $literal:literal) => {
        $out.raw($literal)
    };
    ($out:expr, $($part:tt),+ $(,)?) => {{
        $( put!(@one $out, $part); )+
    }};
}
pub(in crate::console) use put;

/// One row of a list of terms.
pub(super) fn term(out: &mut Markup, name: &'static str, value: &Markup) {
    put!(out, "<div><dt>");
    out.raw(name);
    put!(out, "</dt><dd>", [value], "</dd></div>");
}

/// A value as markup.
pub(super) fn text(value: &dyn Display) -> Markup {
    let mut out = Markup::new();
    out.text(value);
    out
}

/// A word about a state, told by shape and words as well as by colour. `tone`: `good`, `warn`, `bad` or `calm`.
pub(super) fn badge(tone: &'static str, word: &dyn Display) -> Markup {
    let mut out = Markup::new();
    put!(out, "<span class=\"badge ");
    out.raw(tone);
    put!(out, "\">");
    out.text(word);
    put!(out, "</span>");
    out
}

/// A button of a form or table that leads somewhere.
pub(super) fn link(href: &str, words: &dyn Display) -> Markup {
    let mut out = Markup::new();
    put!(out, "<a href=\"", { href }, "\">");
    out.text(words);
    put!(out, "</a>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_stays_text() {
        let mut out = Markup::new();
        let evil = "<script>alert('x')</script>&\"\u{0}";

        put!(out, "<a title=\"", { evil }, "\">", [text(&evil)], "</a>");

        let escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}";
        assert_eq!(out.into_string(), format!("<a title=\"{escaped}\">{escaped}</a>"));
    }
}
