//! The `tracing-audit` program; all of it is in the library, next to the rooms it works with.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_audit::cli::main()
}
