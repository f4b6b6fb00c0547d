//! The program: reads the command line, does it, and says how it went by its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match waybill::cli::parse(std::env::args_os()) {
        Ok((cli, flags)) => waybill::app::run(cli, flags),
        // Help, version or the fault, each to its own stream.
        Err(error) => waybill::app::answer(&error),
    }
}
