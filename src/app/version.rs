//! What is printed instead of doing a command: help, the version, or what is wrong with the command line.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;

/// Prints it; `--version` also says which DuckDB library this program found, since that lies beside it as a file.
pub fn answer(error: &clap::Error) -> ExitCode {
    // Nobody may be there to read it.
    let _ = error.print();
    // `-V` is one line.
    if error.kind() == ErrorKind::DisplayVersion && error.to_string().trim_end().contains('\n') {
        let _ = writeln!(io::stdout(), "DuckDB  {}", duckdb_version());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(super::EXIT_USAGE))
}

fn duckdb_version() -> String {
    let asked = duckdb::Connection::open_in_memory().and_then(|connection| connection.version());
    asked.unwrap_or_else(|error| format!("cannot be asked: {error}"))
}
