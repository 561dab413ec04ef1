//! `recover`: completes what processes left that ended without closing their log.

use std::io::{self, Write as _};

use super::{
    args::RecoverArgs,
    failure::{Failure, Outcome, warn},
    output::{count, escaped},
    stop::Stop,
};
use crate::store::maintain;

pub(super) fn run(args: &RecoverArgs) -> Result<Outcome, Failure> {
    // The signals wait: each step can be cut short, but then the next start has it to do.
    let _stop = Stop::on_signal();
    let mut out = io::stdout().lock();
    let (mut streams, mut problems) = (0, 0_u64);
    let mut written = Ok(());
    maintain::recover_now(&args.dir.dir, |rescued| {
        for problem in &rescued.problems {
            problems += 1;
            warn(&format!("problem: stream {}: {problem}", rescued.stream));
        }
        if rescued.records == 0 && rescued.sealed == 0 {
            return;
        }
        streams += 1;
        let records = count(rescued.records, "entry");
        let files = count(rescued.sealed, "file");
        let what = format!(
            "stream {}: {records} from its journal, {files} sealed",
            rescued.stream
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
