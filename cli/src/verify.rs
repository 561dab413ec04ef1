//! `verify`: the problems of the log and their places, a line for each finding.

use std::io::{self, BufWriter, Write as _};

use tracing_audit::{
    AuditReader,
    reader::{FindingLevel, VerifyReport},
};

use super::{
    args::{ReportFormat, VerifyArgs},
    failure::{Failure, Outcome},
    output::{count, escaped},
    progress,
};

pub(super) fn run(args: &VerifyArgs) -> Result<Outcome, Failure> {
    let bar = progress::files("checking");
    let report = AuditReader::open(&args.dir.dir)?.verify(|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let mut out = BufWriter::new(io::stdout().lock());
    match args.format {
        ReportFormat::Text => write_text(&mut out, &report)?,
        ReportFormat::Json => writeln!(
            out,
            "{}",
            escaped(&serde_json::to_string(&report).map_err(io::Error::other)?)
        )?,
    }
    out.flush()?;
    Ok(Outcome::problem_if(!report.ok))
}

/// The findings, then one line about the whole.
pub(super) fn write_text(out: &mut impl io::Write, report: &VerifyReport) -> io::Result<()> {
    for finding in &report.findings {
        let level = match finding.level {
            FindingLevel::Note => "note",
            _ => "problem",
        };
        writeln!(
            out,
            "{level:<8} {}: {}",
            escaped(&finding.place),
            escaped(&finding.what)
        )?;
    }
    let problems = report.problems().count() as u64;
    let notes = report.notes().count() as u64;
    let files = format!(
        "{} and {}",
        count(report.sealed_files, "sealed file"),
        count(report.live_files, "live file")
    );
    let what = format!(
        "{} of {} in {files}",
        count(report.entries, "entry"),
        count(report.streams, "stream")
    );
    match (problems, notes) {
        (0, 0) => writeln!(out, "ok: {what}"),
        (0, notes) => writeln!(out, "ok: {what}; {}", count(notes, "note")),
        (problems, _) => writeln!(out, "{}: {what}", count(problems, "problem")),
    }
}
