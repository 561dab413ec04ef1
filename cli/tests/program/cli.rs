//! The `tracing-audit` program, run as from a shell.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part; what goes wrong here fails the test"
)]

use std::{
    io::BufReader,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value;

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracing-audit"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRACING_AUDIT_"))
    {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command line on a log.
pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    program().args(args).arg("--dir").arg(dir).output().unwrap()
}

/// A running program that doesn't outlive its test, however that ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    pub(crate) fn stdout(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().unwrap())
    }

    /// As Ctrl-C does; gives the exit code.
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        Command::new("kill")
            .args(["-INT", &self.0.id().to_string()])
            .status()
            .unwrap();
        self.0.wait().unwrap().code()
    }
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output
        .status
        .code()
        .unwrap_or_else(|| panic!("ended by a signal: {}", err(output)))
}

pub(crate) fn json_lines(output: &Output) -> Vec<Value> {
    out(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
