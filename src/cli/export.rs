//! `export`: a part of the log as one file, or to stdout.
//!
//! A range of days is copied as it is packed, without packing it anew. What a filter picks out of
//! the lines is packed while it is found.

use std::{
    io::{self, BufWriter, IsTerminal as _, Read as _, Write},
    ops::{ControlFlow, Range},
    path::Path,
    sync::Arc,
};

use flate2::{Compression, write::GzEncoder};
use indicatif::ProgressBar;

use super::{
    args::{ExportArgs, ExportFormat},
    failure::{Failure, Outcome, warn},
    output_file::OutputFile,
    progress,
    query::tell_problems,
    stop::Stop,
};
use crate::{
    export::{filtered_zip::FilteredZip, plan::Plan},
    query::{AuditReader, Filter, Order, Scanned},
    record::Timestamp,
    store::{check_format, layout::Layout},
};

/// Where the file goes.
enum Target {
    Stdout(io::StdoutLock<'static>),
    File(OutputFile),
}

pub(super) fn run(args: &ExportArgs) -> Result<Outcome, Failure> {
    let filter = args.filter.filter()?;
    let to_stdout = args.output.as_os_str() == "-";
    let format = args
        .format
        .unwrap_or_else(|| ExportFormat::of_name(&args.output));
    if to_stdout && format != ExportFormat::Ndjson && io::stdout().is_terminal() {
        return Err(Failure::Usage("--output: a packed file is nothing for a terminal; give a file, or lead stdout into one".into()));
    }
    let dir = &args.dir.dir;
    check_format(&Layout::new(dir))?;
    let stop = Stop::on_signal();
    let mut target = if to_stdout {
        Target::Stdout(io::stdout().lock())
    } else {
        Target::File(OutputFile::create(&args.output)?)
    };
    let outcome = match format {
        ExportFormat::Zip | ExportFormat::Gz if !filter.has_field_filters() => {
            copy(dir, &filter, format, &mut target, &stop)?
        }
        format => pick(dir, &filter, format, &mut target, &stop)?,
    };
    match target {
        Target::File(file) => file.place()?,
        Target::Stdout(mut out) => out.flush()?,
    }
    Ok(outcome)
}

/// Puts the range together out of what is packed already.
fn copy(
    dir: &Path,
    filter: &Filter,
    format: ExportFormat,
    target: &mut Target,
    stop: &Stop,
) -> Result<Outcome, Failure> {
    let reader = AuditReader::open(dir)?;
    let range = Range {
        start: filter.start().unwrap_or(Timestamp::MIN),
        end: filter.end().unwrap_or(Timestamp::MAX),
    };
    // Live files are read to their last line: the log is another process's, which doesn't say how
    // much of it is durable.
    let plan = Plan::new(reader.files(), range)?;
    for problem in &plan.manifest().problems {
        warn(&format!(
            "warning: entries may be missing: {}: {}",
            problem.file, problem.problem
        ));
    }
    let outcome = Outcome::problem_if(!plan.manifest().problems.is_empty());
    let download = Arc::new(match format {
        ExportFormat::Zip => plan.into_zip()?,
        _ => plan.into_gzip(),
    });
    let bar = progress::bytes("exporting");
    bar.set_length(download.len());
    let mut reader = download.read_range(0..download.len());
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = reader
            .read(&mut buffer)
            .map_err(|e| Failure::failed(format!("cannot read the log: {e}")))?;
        if read == 0 {
            break;
        }
        target
            .write_all(buffer.get(..read).unwrap_or_default())
            .map_err(|e| target.failed(e))?;
        bar.inc(read as u64);
        go_on(stop)?;
    }
    bar.finish_and_clear();
    Ok(outcome)
}

/// Writes the entries that match, the oldest first.
fn pick(
    dir: &Path,
    filter: &Filter,
    format: ExportFormat,
    target: &mut Target,
    stop: &Stop,
) -> Result<Outcome, Failure> {
    let reader = AuditReader::open(dir)?;
    let bar = progress::entries("exporting");
    let scanned = match format {
        ExportFormat::Ndjson => {
            let mut out = BufWriter::with_capacity(128 * 1024, &mut *target);
            let scanned = each(&reader, filter, &bar, stop, |line| {
                write_line(&mut out, line)
            });
            flushed(scanned, |_| out.flush())
        }
        ExportFormat::Gz => {
            let mut out = GzEncoder::new(
                BufWriter::with_capacity(128 * 1024, &mut *target),
                Compression::new(6),
            );
            let scanned = each(&reader, filter, &bar, stop, |line| {
                write_line(&mut out, line)
            });
            flushed(scanned, |_| out.finish()?.flush())
        }
        ExportFormat::Zip => {
            let mut out =
                FilteredZip::new(BufWriter::with_capacity(128 * 1024, &mut *target), filter)?;
            let scanned = each(&reader, filter, &bar, stop, |line| out.line(line));
            flushed(scanned, |scanned| out.finish(scanned)?.flush())
        }
    };
    bar.finish_and_clear();
    let scanned = scanned.map_err(|error| match error {
        Stopped::Write(error) => target.failed(error),
        Stopped::Other(failure) => failure,
    })?;
    Ok(tell_problems(&scanned))
}

/// Why it ended too early.
enum Stopped {
    Write(io::Error),
    Other(Failure),
}

fn each(
    reader: &AuditReader,
    filter: &Filter,
    bar: &ProgressBar,
    stop: &Stop,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<Scanned, Stopped> {
    let mut stopped = None;
    let scanned = reader.each(filter, Order::Asc, |entry| {
        if let Err(error) = write(entry.line()) {
            stopped = Some(Stopped::Write(error));
        } else if let Err(failure) = go_on(stop) {
            stopped = Some(Stopped::Other(failure));
        }
        bar.inc(1);
        if stopped.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    match stopped {
        Some(stopped) => Err(stopped),
        None => scanned.map_err(|error| Stopped::Other(error.into())),
    }
}

/// Ends the output if all went into it.
fn flushed(
    scanned: Result<Scanned, Stopped>,
    flush: impl FnOnce(&Scanned) -> io::Result<()>,
) -> Result<Scanned, Stopped> {
    let scanned = scanned?;
    flush(&scanned).map_err(Stopped::Write)?;
    Ok(scanned)
}

fn write_line(out: &mut impl Write, line: &[u8]) -> io::Result<()> {
    out.write_all(line)?;
    out.write_all(b"\n")
}

fn go_on(stop: &Stop) -> Result<(), Failure> {
    if stop.asked() {
        Err(Failure::failed("interrupted; nothing was exported"))
    } else {
        Ok(())
    }
}

impl Target {
    fn failed(&self, error: io::Error) -> Failure {
        match self {
            Self::Stdout(_) => error.into(),
            Self::File(file) => file.failed(&error),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}
