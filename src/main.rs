//! The program: reads the command line, does it, and says how it went by its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let (cli, flags) = match waybill::cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        // Prints help, version or the fault, each to its own stream.
        Err(error) => error.exit(),
    };
    waybill::app::run(cli, flags)
}
