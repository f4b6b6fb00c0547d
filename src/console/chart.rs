//! Charts as inline SVG: a title and a description for those who cannot see them, colours by class. Pure.
//!
//! What a chart shows stands beside it as a table; nothing is told by colour alone.

use std::fmt::Write;

use super::html::{Markup, put};

/// Names a chart on its page, for its title and description.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    /// Of this chart alone on its page.
    pub(super) id: &'static str,
    /// What it shows.
    pub(super) title: &'a str,
    /// What there is to see.
    pub(super) says: &'a str,
}

/// A pair of numbers as SVG takes them.
fn place(value: f64) -> String {
    format!("{:.1}", if value.is_finite() { value } else { 0.0 })
}

fn open(out: &mut Markup, named: Named<'_>, class: &'static str, width: f64, height: f64) {
    put!(out, "<svg class=\"");
    out.raw(class);
    put!(out, "\" role=\"img\" aria-labelledby=\"", { named.id }, "-t ", { named.id }, "-d\" viewBox=\"0 0 ");
    put!(out, { place(width) }, " ", { place(height) }, "\"><title id=\"", { named.id }, "-t\">");
    put!(out, { named.title }, "</title><desc id=\"", { named.id }, "-d\">", { named.says }, "</desc>");
}

/// A line without axes, for a small place: the shape of the last minutes. Gaps stay gaps.
pub(super) fn spark(named: Named<'_>, values: &[Option<f64>]) -> Markup {
    const WIDTH: f64 = 240.0;
    const HEIGHT: f64 = 40.0;
    let top = values.iter().flatten().fold(0.0_f64, |top, value| top.max(*value));
    let step = WIDTH / (values.len().max(2) - 1) as f64;
    let y = |value: f64| HEIGHT - 2.0 - if top > 0.0 { value / top * (HEIGHT - 6.0) } else { 0.0 };
    let mut out = Markup::new();
    open(&mut out, named, "spark", WIDTH, HEIGHT);
    put!(out, "<line class=\"base\" x1=\"0\" x2=\"240\" y1=\"38.5\" y2=\"38.5\"/>");
    for run in runs(values) {
        let mut line = String::new();
        for (index, value) in &run {
            // Writing to a string cannot fail.
            let _ = write!(line, "{},{} ", place(*index as f64 * step), place(y(*value)));
        }
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let (from, to) = (place(first.0 as f64 * step), place(last.0 as f64 * step));
        put!(out, "<polygon class=\"area\" points=\"", { from }, ",38 ", { line }, { to }, ",38\"/>");
        put!(out, "<polyline class=\"line\" points=\"", { line.trim_end() }, "\"/>");
    }
    if let Some(Some(value)) = values.last() {
        put!(out, "<circle class=\"dot\" r=\"2.6\" cx=\"237\" cy=\"", { place(y(*value)) }, "\"/>");
    }
    put!(out, "</svg>");
    out
}

/// Stretches without gaps, each value with its place.
fn runs(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut runs = vec![Vec::new()];
    for (index, value) in values.iter().enumerate() {
        match value {
            Some(value) => {
                if let Some(run) = runs.last_mut() {
                    run.push((index, *value));
                }
            }
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// A bar of a chart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    /// Beneath it, where there is room.
    pub(super) label: String,
    /// Its height.
    pub(super) value: f64,
    /// Its value in words.
    pub(super) says: String,
}

/// Bars side by side over a scale with round numbers.
pub(super) fn bars(named: Named<'_>, bars: &[Bar], tick: impl Fn(f64) -> String) -> Markup {
    const WIDTH: f64 = 960.0;
    const HEIGHT: f64 = 260.0;
    const LEFT: f64 = 64.0;
    const FOOT: f64 = 26.0;
    const HEAD: f64 = 10.0;
    let (top, ticks) = scale(bars.iter().fold(0.0_f64, |top, bar| top.max(bar.value)));
    let y = |value: f64| HEIGHT - FOOT - value / top * (HEIGHT - FOOT - HEAD);
    let step = (WIDTH - LEFT) / bars.len().max(1) as f64;
    // About ten labels fit.
    let every = bars.len().div_ceil(10).max(1);
    let mut out = Markup::new();
    open(&mut out, named, "bars", WIDTH, HEIGHT);
    for value in ticks {
        let at = place(y(value));
        put!(out, "<line class=\"grid\" x1=\"64\" x2=\"960\" y1=\"", { at }, "\" y2=\"", { at }, "\"/>");
        put!(out, "<text class=\"tick\" x=\"56\" text-anchor=\"end\" y=\"", { place(y(value) + 4.0) }, "\">");
        put!(out, { tick(value) }, "</text>");
    }
    for (index, bar) in bars.iter().enumerate() {
        let x = LEFT + index as f64 * step;
        let height = (y(0.0) - y(bar.value.max(0.0))).max(if bar.value > 0.0 { 1.0 } else { 0.0 });
        put!(out, "<g class=\"bar\"><title>", { bar.label }, ": ", { bar.says }, "</title><rect x=\"");
        put!(out, { place(x + step * 0.14) }, "\" width=\"", { place(step * 0.72) }, "\" y=\"");
        put!(out, { place(y(0.0) - height) }, "\" height=\"", { place(height) }, "\" rx=\"1.5\"/></g>");
        if (bars.len() - 1 - index).is_multiple_of(every) {
            // The last one ends with the chart, or it would be cut.
            let is_last = index + 1 == bars.len();
            let (anchor, x) = if is_last { ("end", WIDTH) } else { ("middle", x + step / 2.0) };
            put!(out, "<text class=\"tick\" y=\"252\" text-anchor=\"", { anchor }, "\" x=\"", { place(x) });
            put!(out, "\">", { bar.label }, "</text>");
        }
    }
    put!(out, "</svg>");
    out
}

/// The end of a scale that a value fits on, and its ticks: round numbers, four or five of them.
fn scale(value: f64) -> (f64, Vec<f64>) {
    let value = if value.is_finite() && value > 0.0 { value } else { 1.0 };
    let rough = value / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step =
        factors.iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(power * 10.0);
    let count = (value / step).ceil().max(1.0) as u32;
    (step * f64::from(count), (0..=count).map(|index| step * f64::from(index)).collect())
}

/// Something on the way of a parcel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stop {
    /// Seconds since any fixed instant.
    pub(super) second: f64,
    /// In words.
    pub(super) says: String,
    /// What it counts as: `good`, `warn` or `calm`.
    pub(super) tone: &'static str,
}

/// Stops along a line of time. Shapes differ with the tone, not colours alone.
pub(super) fn way(named: Named<'_>, stops: &[Stop]) -> Markup {
    const WIDTH: f64 = 960.0;
    let first = stops.iter().fold(f64::INFINITY, |least, stop| least.min(stop.second));
    let last = stops.iter().fold(f64::NEG_INFINITY, |most, stop| most.max(stop.second));
    let span = if last > first { last - first } else { 1.0 };
    let mut out = Markup::new();
    open(&mut out, named, "way", WIDTH, 34.0);
    put!(out, "<line class=\"base\" x1=\"12\" x2=\"948\" y1=\"17\" y2=\"17\"/>");
    for stop in stops {
        let x = 14.0 + (stop.second - first) / span * (WIDTH - 28.0);
        put!(out, "<g class=\"stop ");
        out.raw(stop.tone);
        put!(out, "\"><title>", { stop.says }, "</title>");
        match stop.tone {
            "good" => put!(out, "<circle r=\"8\" cy=\"17\" cx=\"", { place(x) }, "\"/>"),
            "warn" => put!(out, "<path d=\"M", { place(x) }, " 7 l9 17 h-18 z\"/>"),
            _ => put!(out, "<circle r=\"5\" cy=\"17\" cx=\"", { place(x) }, "\"/>"),
        }
        put!(out, "</g>");
    }
    put!(out, "</svg>");
    out
}

/// A value against its limit, as a filled part of a line.
pub(super) fn gauge(named: Named<'_>, value: f64, limit: f64) -> Markup {
    let part = if limit > 0.0 { (value / limit).clamp(0.0, 1.0) } else { 0.0 };
    let tone = if value > limit { "over" } else { "within" };
    let mut out = Markup::new();
    open(&mut out, named, "gauge", 240.0, 10.0);
    put!(out, "<rect class=\"whole\" width=\"240\" height=\"10\" rx=\"3\"/><rect class=\"");
    out.raw(tone);
    put!(out, "\" height=\"10\" rx=\"3\" width=\"", { place((part * 240.0).max(3.0)) }, "\"/></svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: Named<'static> = Named { id: "x", title: "Events", says: "up & down" };

    #[test]
    fn a_chart_says_what_it_shows() {
        let chart = spark(NAMED, &[Some(1.0), None, Some(2.0), Some(0.5)]).into_string();

        assert!(
            chart.starts_with("<svg class=\"spark\" role=\"img\" aria-labelledby=\"x-t x-d\""),
            "{chart}"
        );
        assert!(
            chart.contains("<title id=\"x-t\">Events</title><desc id=\"x-d\">up &amp; down</desc>"),
            "{chart}"
        );
        assert_eq!(chart.matches("<polyline").count(), 2, "a gap stays a gap: {chart}");
    }

    #[test]
    fn nothing_to_show_is_a_chart_too() {
        assert!(!spark(NAMED, &[]).into_string().contains("NaN"));
        assert!(!bars(NAMED, &[], |value| value.to_string()).into_string().contains("NaN"));
        assert!(!way(NAMED, &[]).into_string().contains("inf"));
        assert!(!gauge(NAMED, 1.0, 0.0).into_string().contains("NaN"));
    }

    #[test]
    fn a_scale_has_round_ends_above_its_value() {
        for (value, top, ticks) in [(0.0, 1.0, 5), (7.0, 8.0, 5), (100.0, 100.0, 5), (1_234.0, 1_500.0, 4)] {
            let (end, found) = scale(value);

            assert_eq!((end, found.len()), (top, ticks), "{value}");
        }
    }

    #[test]
    fn bars_name_their_values() {
        let bar =
            |label: &str, value: f64| Bar { label: label.to_owned(), value, says: format!("{value} sold") };

        let chart = bars(NAMED, &[bar("1 July", 3.0), bar("2 July", 0.0)], |value| value.to_string());

        let chart = chart.into_string();
        assert!(
            chart.contains("<title>1 July: 3 sold</title>") && chart.contains("height=\"0.0\""),
            "{chart}"
        );
    }
}
