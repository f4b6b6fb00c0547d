//! `make bench`: what the goals are measured with. Everything in one run on one machine, as ratios to a limit taken
//! in the same run: the server on core 0, generator and stand-ins on core 1.

#![allow(unreachable_pub, reason = "a bench has no outside")]

mod compare;
mod cost;
mod freshness;
mod generator;
mod overload;
mod process;
mod report;
mod rolling;
mod running;
mod shop;
mod steps;

#[path = "../tests/support/balancer.rs"]
mod balancer;
#[path = "../tests/support/openloop.rs"]
mod openloop;
#[path = "../tests/support"]
mod children {
    pub mod process;
}
#[path = "../tests/support/standin/mod.rs"]
mod standin;

use report::Report;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The same program is its own yardstick, as a process beside the server under test.
    if arguments.get(1).map(String::as_str) == Some("bare-server") {
        runtime.block_on(steps::bare_server());
        return;
    }
    if arguments.get(1).map(String::as_str) == Some("bare-read") {
        steps::bare_read(&arguments[2]);
        return;
    }
    // `cargo bench` passes --bench; a number sets the seconds of each step, or the lines of the warehouse.
    let seconds = arguments.iter().find_map(|argument| argument.parse::<u64>().ok()).unwrap_or(8);
    if arguments.iter().any(|argument| argument == "warehouse") {
        // All cores: servers and threads of their own are part of what is measured.
        let mut report = Report::new(true);
        let only =
            ["duckdb", "postgres"].into_iter().find(|name| arguments.iter().any(|given| given == name));
        runtime.block_on(shop::run(seconds, only, &mut report));
        report.print();
        return;
    }
    if arguments.iter().any(|argument| argument == "freshness") {
        // All cores, as `up` has them; the load takes its share.
        let mut report = Report::new(true);
        let events = arguments.iter().filter_map(|argument| argument.parse::<u64>().ok()).nth(1).unwrap_or(0);
        runtime.block_on(freshness::run(events, seconds, &mut report));
        report.print();
        return;
    }
    if arguments.iter().any(|argument| argument == "cost") {
        let mut report = Report::new(true);
        runtime.block_on(cost::run(seconds, &mut report));
        report.print();
        return;
    }
    if arguments.iter().any(|argument| argument == "compare") {
        let mut report = Report::new(true);
        runtime.block_on(compare::run(&mut report));
        report.print();
        return;
    }
    if arguments.iter().any(|argument| argument == "rolling") {
        // All cores: receivers, balancer and load share them.
        let mut report = Report::new(true);
        let rounds = arguments.iter().find_map(|argument| argument.parse::<u64>().ok()).unwrap_or(20);
        runtime.block_on(rolling::run(rounds, &mut report));
        report.print();
        return;
    }
    let is_pinned = process::pin_self(1);
    let mut report = Report::new(is_pinned);
    if arguments.iter().any(|argument| argument == "overload") {
        runtime.block_on(overload::run(seconds, &mut report));
        report.print();
        return;
    }
    runtime.block_on(steps::receive_steps(seconds, &mut report));
    runtime.block_on(steps::batch_and_load(&mut report));
    report.print();
}
