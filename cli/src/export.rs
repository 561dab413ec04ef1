//! `export`: a part of the log as one file, or to stdout.

use std::{
    io::{self, IsTerminal as _, Write},
    path::Path,
};

use indicatif::ProgressBar;
use tracing_audit::{AuditReader, reader::ExportFormat};

use super::{
    args::ExportArgs,
    failure::{Failure, Outcome},
    output_file::OutputFile,
    progress,
    query::tell_problems,
    stop::Stop,
};

/// The output of the export.
struct Target {
    sink: Sink,
    bar: ProgressBar,
    /// Why nothing more can be written.
    failed: Option<Failure>,
}

enum Sink {
    Stdout(io::StdoutLock<'static>),
    File(OutputFile),
}

pub(super) fn run(args: &ExportArgs) -> Result<Outcome, Failure> {
    let filter = args.filter.filter()?;
    let to_stdout = args.output.as_os_str() == "-";
    let format = args.format.unwrap_or_else(|| format_of(&args.output));
    if to_stdout && format != ExportFormat::Ndjson && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "--output: a compressed file can't be shown on a terminal; give \
            a file, or redirect stdout"
                .into(),
        ));
    }
    let reader = AuditReader::open(&args.dir.dir)?;
    let stop = Stop::on_signal();
    let sink = if to_stdout {
        Sink::Stdout(io::stdout().lock())
    } else {
        Sink::File(OutputFile::create(&args.output)?)
    };
    let asked = stop.clone();
    let export = reader
        .export(&filter, format)?
        .cancel_when(move || asked.asked());
    let bar = match export.bytes() {
        Some(bytes) => progress::bytes("exporting", bytes),
        None => progress::written("exporting"),
    };
    let mut target = Target {
        sink,
        bar,
        failed: None,
    };
    let scanned = export.write_to(&mut target);
    target.bar.finish_and_clear();
    let scanned = scanned.map_err(|error| match target.failed.take() {
        _ if stop.asked() => Failure::failed("interrupted; nothing was exported"),
        Some(failure) => failure,
        None => Failure::failed(format!("cannot read the log: {error}")),
    })?;
    if let Sink::File(file) = target.sink {
        file.place()?;
    }
    Ok(tell_problems(&scanned))
}

/// The format that a file's name asks for: ZIP unless it says otherwise.
fn format_of(path: &Path) -> ExportFormat {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => ExportFormat::Gzip,
        Some("ndjson" | "jsonl") => ExportFormat::Ndjson,
        _ => ExportFormat::Zip,
    }
}

impl Target {
    /// Keeps the reason, with the file's name, for the error of the command.
    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let again = io::Error::from(error.kind());
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(match &self.sink {
                    Sink::Stdout(_) => error.into(),
                    Sink::File(file) => file.failed(&error),
                });
            }
            again
        })
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.sink {
            Sink::Stdout(out) => out.write(bytes),
            Sink::File(file) => file.write(bytes),
        };
        let written = self.noted(written)?;
        self.bar.inc(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = match &mut self.sink {
            Sink::Stdout(out) => out.flush(),
            Sink::File(file) => file.flush(),
        };
        self.noted(flushed)
    }
}
