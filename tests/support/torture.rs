//! The same fault tests for as long as somebody asks: `make torture HOURS=n`.

use std::io::Write;
use std::time::{Duration, Instant};

use super::oracle::Verdict;

/// Tests that share the hours.
const SHARES: f64 = 6.0;

/// The seed of each pass: one, unless `WAYBILL_TEST_HOURS` asks for as many as fit.
pub fn passes(seed: u64) -> impl Iterator<Item = u64> {
    let hours: f64 =
        std::env::var("WAYBILL_TEST_HOURS").ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let end = Instant::now() + Duration::from_secs_f64(hours * 3_600.0 / SHARES);
    (0..).map(move |pass| seed + pass).take_while(move |next| *next == seed || Instant::now() < end)
}

/// Prints what a pass found, and adds it to the table that `WAYBILL_TEST_TABLE` names. Panics unless it is clean.
pub fn conclude(what: &str, seed: u64, verdict: &Verdict) {
    println!("{what}, seed {seed:#x}: {verdict}");
    if let Some(path) = std::env::var_os("WAYBILL_TEST_TABLE") {
        let row = format!(
            "{what}\t{seed:#x}\t{}\t{}\t{}\t{}\t{}\t{}\n",
            verdict.faults,
            verdict.ok,
            verdict.unknown,
            verdict.refused,
            verdict.repeated,
            verdict.problems.len()
        );
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(row.as_bytes())).expect("the table can be written");
    }
    verdict.assert_clean();
}
