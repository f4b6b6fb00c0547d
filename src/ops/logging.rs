//! Logs on stderr: text on a terminal, JSON elsewhere.
//!
//! `WAYBILL_LOG` (else `RUST_LOG`) chooses what is logged. Nobody logs bodies, header values or secrets, and panics
//! are logged by their place alone, since their text may hold what was being worked on.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::{PoisonError, RwLock};

use indicatif::ProgressBar;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// What is logged when nothing is said: our own lines, and what others warn of.
const USUAL: &str = "warn,waybill=info";

/// Beside a live status line: what somebody should look at.
const QUIET: &str = "warn";

/// Starts logging. `shows_status`: this command draws a live line on a terminal, which lines of news would drown.
pub fn init(shows_status: bool) {
    let is_terminal = io::stderr().is_terminal();
    let usual = if shows_status && is_terminal { QUIET } else { USUAL };
    let given = ["WAYBILL_LOG", "RUST_LOG"].iter().find_map(|name| std::env::var(name).ok());
    let (filter, fault) = filter(given.as_deref(), usual);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Stderr);
    // Fails only when logging was started before; then that goes on.
    let _ = if is_terminal {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    if let Some(fault) = fault {
        tracing::warn!(fault, "cannot read the log filter, going on with the usual one");
    }
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(place, thread, "panicked");
    }));
}

/// From now on, log lines go above this bar instead of through it.
pub fn write_above(bar: ProgressBar) {
    *BAR.write().unwrap_or_else(PoisonError::into_inner) = Some(bar);
}

fn filter(given: Option<&str>, usual: &str) -> (EnvFilter, Option<String>) {
    match given.filter(|text| !text.trim().is_empty()).map(EnvFilter::try_new) {
        None => (EnvFilter::new(usual), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(usual), Some(error.to_string())),
    }
}

static BAR: RwLock<Option<ProgressBar>> = RwLock::new(None);

/// stderr, with the bar out of the way. The subscriber writes one whole line at a time.
#[derive(Debug, Clone, Copy)]
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let bar = BAR.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Nobody may be able to read it (a full disk, a reader that left): the line is lost, and nothing else.
        let _ = match bar {
            Some(bar) if !bar.is_hidden() && !bar.is_finished() => {
                bar.suspend(|| io::stderr().write_all(line))
            }
            _ => io::stderr().write_all(line),
        };
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Stderr;

    fn make_writer(&'a self) -> Self::Writer {
        Stderr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_leaves_the_usual_one() {
        let (found, fault) = filter(Some("waybill=loudly"), USUAL);

        assert_eq!(found.to_string(), EnvFilter::new(USUAL).to_string());
        assert!(fault.is_some());
    }

    #[test]
    fn a_given_filter_wins_and_an_empty_one_is_none() {
        assert_eq!(filter(Some("waybill=debug"), USUAL).0.to_string(), "waybill=debug");
        assert_eq!(filter(Some(" "), QUIET).0.to_string(), QUIET);
    }
}
