//! `prune`: removes sealed files that are past their retention, and records that in the log.

use std::{
    io::{self, Write as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use tracing_audit::{
    AuditLog, AuditReader, Error, Retention,
    retention::{ClockWait, PruneReason, Pruned, PrunedFile},
};

use super::{
    args::PruneArgs,
    failure::{Failure, Outcome, warn},
    maintain,
    output::{bytes, count, table},
    stop::Stop,
};

/// How long to wait for another process that prunes the log, as its application does each minute.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(args: &PruneArgs) -> Result<Outcome, Failure> {
    if args.retention_days.is_none() && args.max_bytes.is_none() && args.min_free_bytes.is_none() {
        return Err(Failure::Usage(
            "nothing says which files to remove; give --retention-days, --max-bytes or \
             --min-free-bytes"
                .into(),
        ));
    }
    let mut retention = args
        .retention_days
        .map_or(Retention::unlimited(), Retention::days);
    if let Some(bytes) = args.max_bytes {
        retention = retention.max_bytes(bytes);
    }
    if let Some(bytes) = args.min_free_bytes {
        retention = retention.min_free_bytes(bytes);
    }
    let dir = &args.dir.dir;
    if args.dry_run {
        let preview = AuditReader::open(dir)?.prune_preview(&retention, args.trust_clock)?;
        show(&preview.files, preview.held, "would be removed")?;
        return Ok(outcome(preview.waiting));
    }
    // The log is opened to record what is removed. A directory without a log is left as it is.
    AuditReader::open(dir)?;
    // A removal that was begun is finished: the log has already recorded it.
    let stop = Stop::on_signal();
    let log = maintain::log(dir)?.open()?;
    if args.trust_clock {
        log.trust_clock()?;
    }
    let pruned = prune_in_turn(&log, &retention, &stop, PATIENCE);
    log.close()?;
    let pruned = pruned?;
    show(&pruned.files, pruned.held, "removed")?;
    Ok(outcome(pruned.waiting))
}

/// Prunes as soon as no other process does.
fn prune_in_turn(
    log: &AuditLog,
    retention: &Retention,
    stop: &Stop,
    patience: Duration,
) -> Result<Pruned, Failure> {
    let start = Instant::now();
    loop {
        let lock = match log.prune_by(retention) {
            Err(Error::Locked { path }) => path,
            pruned => return Ok(pruned?),
        };
        if stop.asked() || start.elapsed() >= patience {
            return Err(still_held(&lock, start.elapsed()));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn still_held(lock: &Path, waited: Duration) -> Failure {
    Failure::failed(format!(
        "nothing was removed: after {} s another process still holds {}. It may be the \
         application, `tracing-audit serve`, `prune` or `hold`; `lslocks` or `fuser` says which. \
         Try again when it is done",
        waited.as_secs(),
        lock.display()
    ))
}

/// Reports the files that wait for the clock; a problem if the clock is far ahead of the time that
/// it has proved.
fn outcome(waiting: Option<ClockWait>) -> Outcome {
    let Some(waiting) = waiting else {
        return Outcome::Fine;
    };
    warn(&waiting.to_string());
    match waiting.is_far_ahead() {
        true => Outcome::ProblemFound,
        false => Outcome::Fine,
    }
}

fn show(files: &[PrunedFile], held: u64, verb: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let total: u64 = files.iter().map(PrunedFile::bytes).sum();
    if !files.is_empty() {
        let mut table = table(&["FILE", "ENTRIES", "SIZE", "BECAUSE OF"]);
        for file in files {
            let entries = file
                .entries()
                .map_or_else(|| "unreadable".to_owned(), |entries| entries.to_string());
            let because = match file.reason() {
                PruneReason::Age => "its age",
                PruneReason::TotalBytes => "--max-bytes",
                _ => "--min-free-bytes",
            };
            table.add_row([
                file.name(),
                entries,
                bytes(file.bytes()),
                because.to_owned(),
            ]);
        }
        writeln!(out, "{}", table.trim_fmt())?;
    }
    writeln!(
        out,
        "{} {verb}, {}",
        count(files.len() as u64, "file"),
        bytes(total)
    )?;
    if held > 0 {
        writeln!(
            out,
            "holds keep {} that would be removed as well; see `tracing-audit hold list`",
            count(held, "file")
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn it_waits_for_whoever_prunes_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let log = maintain::log(dir.path()).unwrap().open().unwrap();
        let path = dir.path().join("state/locks/prune.lock");
        let retention = Retention::unlimited().max_bytes(0);
        let held = File::create(&path).unwrap();
        held.try_lock().unwrap();
        let in_turn = |patience| prune_in_turn(&log, &retention, &Stop::default(), patience);

        let Err(Failure::Failed(what)) = in_turn(Duration::from_millis(10)) else {
            panic!("the lock is held");
        };
        assert!(what.contains(path.to_str().unwrap()), "{what}");

        let pruned = thread::scope(|scope| {
            let pruning = scope.spawn(|| in_turn(Duration::from_secs(60)));
            thread::sleep(Duration::from_millis(200));
            drop(held);
            pruning.join().unwrap()
        });
        assert_eq!(pruned.unwrap().files.len(), 0);
        log.close().unwrap();
    }
}
