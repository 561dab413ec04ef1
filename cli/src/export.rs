//! `export`: a part of the log as one file, or to stdout.

use std::io::{self, IsTerminal as _, Write};

use indicatif::ProgressBar;
use tracing_audit::{AuditReader, Error, reader::ExportFormat};

use super::{
    args::ExportArgs,
    exported,
    failure::{Failure, Outcome, warn},
    output_file::OutputFile,
    owner, progress,
    stop::Stop,
};

/// The output of the export.
struct Target {
    sink: Sink,
    bar: ProgressBar,
    /// Whether the bar shows what is written, not what is read.
    counts_written: bool,
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
    let format = format(args, to_stdout)?;
    if to_stdout && !is_for_terminals(format) && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "--output: this format can't be shown on a terminal; give the name of a file, or redirect stdout"
                .into(),
        ));
    }
    let reader = AuditReader::open(&args.dir.dir)?;
    let mut export = reader.export(&filter, format).map_err(not_read)?;
    let way = export.progress()?;
    let sink = if to_stdout {
        Sink::Stdout(io::stdout().lock())
    } else {
        Sink::File(OutputFile::create(&args.output)?)
    };
    // A pipe may have waited for its reader, which a signal ends.
    let stop = Stop::on_signal();
    let bar = match (export.bytes(), &way) {
        (Some(bytes), _) => progress::bytes("exporting", bytes),
        (None, Some(way)) => progress::read("exporting", way.total()),
        (None, None) => ProgressBar::hidden(),
    };
    let shown = way.clone().map(|way| (way, bar.clone()));
    let asked = stop.clone();
    let export = export.requested_by(owner::operator_name());
    let export = export.cancel_when(move || {
        if let Some((way, bar)) = &shown {
            bar.set_position(way.passed());
        }
        asked.asked()
    });
    let mut target = Target {
        sink,
        bar,
        counts_written: way.is_none(),
        failed: None,
    };
    let written = export.write_to(&mut target);
    target.bar.finish_and_clear();
    let exported = written.map_err(|error| match target.failed.take() {
        _ if stop.asked() => Failure::failed("interrupted; the export is not whole"),
        Some(failure) => failure,
        None => match error.downcast() {
            Ok(error) => not_read(error),
            Err(error) => Failure::failed(format!("cannot read the log: {error}")),
        },
    })?;
    if let Sink::File(file) = target.sink {
        file.place()?;
    }
    for problem in &exported.problems {
        warn(&format!("warning: {}: {}", problem.file, problem.what));
    }
    if !args.quiet {
        let name = match to_stdout {
            true => "the output".to_owned(),
            false => args.output.display().to_string(),
        };
        warn(&exported::summary(
            &exported,
            filter.has_field_filters(),
            &name,
        ));
    }
    Ok(Outcome::problem_if(!exported.problems.is_empty()))
}

/// The format, with the form of CSV.
fn format(args: &ExportArgs, to_stdout: bool) -> Result<ExportFormat, Failure> {
    let mut format = named_format(args, to_stdout)?;
    if let ExportFormat::Csv(options) = &mut format {
        options.details = args.csv_details.unwrap_or_default();
        options.bom = args.csv_bom;
    } else if args.csv_details.is_some() || args.csv_bom {
        return Err(Failure::Usage(format!(
            "--csv-details and --csv-bom are for CSV, and the format is {}; leave them out, or give \
             --format csv",
            format.as_str()
        )));
    }
    Ok(format)
}

/// The format that is given, or that the file's name asks for: they must not differ.
fn named_format(args: &ExportArgs, to_stdout: bool) -> Result<ExportFormat, Failure> {
    if to_stdout || args.output.is_dir() {
        return Ok(args.format.unwrap_or(ExportFormat::Zip));
    }
    let of_name = ExportFormat::of_file(&args.output);
    match args.format {
        None => of_name.map_err(Failure::of_flag),
        Some(format) if of_name.as_ref().is_ok_and(|of_name| *of_name != format) => {
            Err(Failure::Usage(format!(
                "--format: {} isn't the format that the name of {} says; leave --format out, or give \
                 another name",
                format.as_str(),
                args.output.display()
            )))
        }
        Some(format) => Ok(format),
    }
}

/// In JSON, the control characters of an event's texts are escaped.
fn is_for_terminals(format: ExportFormat) -> bool {
    matches!(format, ExportFormat::Ndjson | ExportFormat::Json)
}

fn not_read(error: Error) -> Failure {
    match error {
        Error::NotWhole { .. } => Failure::failed(format!(
            "{error}; 'tracing-audit query --limit 0' shows what is left of a damaged log"
        )),
        error => error.into(),
    }
}

impl Target {
    /// Keeps the reason, with the file's name, for the error of the command.
    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let again = io::Error::from(error.kind());
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(match &self.sink {
                    // Another command has done its work when its reader goes away; an export hasn't.
                    Sink::Stdout(_) if error.kind() == io::ErrorKind::BrokenPipe => {
                        Failure::failed("the output's reader is gone; the export is not whole")
                    }
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
        if self.counts_written {
            self.bar.inc(written as u64);
        }
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
