//! `recover`: completes the streams of processes that ended without closing their log.

use std::io::{self, Write as _};

use tracing_audit::AuditLog;

use super::{
    args::RecoverArgs,
    failure::{Failure, Outcome, warn},
    output::{count, escaped},
    owner::act_as_owner,
    stop::Stop,
};

pub(super) fn run(args: &RecoverArgs) -> Result<Outcome, Failure> {
    act_as_owner(&args.dir.dir)?;
    // The signals wait: each step can be cut short, but then the next start has it to do.
    let _stop = Stop::on_signal();
    let mut out = io::stdout().lock();
    let mut streams = 0;
    let mut problems = 0_u64;
    let mut written = Ok(());
    AuditLog::recover(&args.dir.dir, |completed| {
        for problem in &completed.problems {
            problems += 1;
            warn(&format!("problem: stream {}: {problem}", completed.stream));
        }
        if completed.entries == 0 && completed.sealed_files == 0 {
            return;
        }
        streams += 1;
        let entries = count(completed.entries, "entry");
        let files = count(completed.sealed_files, "file");
        let what = format!(
            "stream {}: {entries} from its journal, {files} sealed",
            completed.stream
        );
        if written.is_ok() {
            written = writeln!(out, "{}", escaped(&what));
        }
    })?;
    written?;
    match (streams, problems) {
        (0, 0) => writeln!(out, "nothing was left over")?,
        (streams, 0) => writeln!(out, "{} completed", count(streams, "stream"))?,
        (streams, problems) => writeln!(
            out,
            "{} completed, {}",
            count(streams, "stream"),
            count(problems, "problem")
        )?,
    }
    Ok(Outcome::problem_if(problems > 0))
}
