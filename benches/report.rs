//! The printed table: figures, and each as a ratio to the limit taken in the same run.

/// One line of the table.
struct Line {
    what: String,
    figures: Vec<(&'static str, String)>,
}

/// All lines.
pub struct Report {
    lines: Vec<Line>,
    is_pinned: bool,
}

impl Report {
    pub fn new(is_pinned: bool) -> Report {
        Report { lines: Vec::new(), is_pinned }
    }

    pub fn add(&mut self, what: &str, figures: Vec<(&'static str, String)>) {
        eprintln!(
            "  {what}: {}",
            figures.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
        );
        self.lines.push(Line { what: what.to_owned(), figures });
    }

    pub fn print(&self) {
        println!();
        if !self.is_pinned {
            println!("(taskset is missing: server and generator share all cores, so ratios are rough)");
        }
        let width = self.lines.iter().map(|line| line.what.len()).max().unwrap_or(0);
        for line in &self.lines {
            let figures: Vec<String> =
                line.figures.iter().map(|(name, value)| format!("{name:>12} {value:<9}")).collect();
            println!("{:<width$} {}", line.what, figures.join(" "));
        }
    }
}
