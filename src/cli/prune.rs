//! `prune`: removes sealed files that are past their retention, and records that in the log.

use std::{
    io::{self, Write as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    args::PruneArgs,
    failure::{Failure, Outcome, warn},
    output::{bytes, count, table},
    stop::Stop,
};
use crate::{
    AuditLog, Retention,
    store::{Doomed, Pruned, Waiting, check_format, layout::Layout, maintain},
};

/// So long it is waited for others that prune the log, as its application does each minute.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(args: &PruneArgs) -> Result<Outcome, Failure> {
    if args.retention_days.is_none() && args.max_bytes.is_none() && args.min_free_bytes.is_none() {
        return Err(Failure::Usage(
            "say which files to remove: --retention-days, --max-bytes or --min-free-bytes".into(),
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
        let preview = maintain::would_prune(
            dir,
            &retention,
            args.trust_clock,
            crate::webhook::unread::readings,
        )?;
        show(&preview.files, preview.held, "would be removed")?;
        return Ok(outcome(preview.waiting));
    }
    // A log is opened for the record of what goes; a directory without one is left as it is.
    check_format(&Layout::new(dir))?;
    // What was begun is finished: its record is already written.
    let stop = Stop::on_signal();
    let log = AuditLog::of_tool(dir).open()?;
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
        if let Some(pruned) = log.prune_now(retention)? {
            return Ok(pruned);
        }
        if stop.asked() || start.elapsed() >= patience {
            return Err(still_held(log.dir(), start.elapsed()));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn still_held(dir: &Path, waited: Duration) -> Failure {
    let lock = maintain::prune_lock(&Layout::of(dir));
    Failure::failed(format!(
        "nothing was removed: after {} s another process still holds {}. It may be the application, \
         `tracing-audit serve`, `prune` or `hold`; `lslocks` or `fuser` says which. Try again when it \
         is done",
        waited.as_secs(),
        lock.display()
    ))
}

/// Says what waits for the clock; a problem if the clock is far ahead of what it has proved.
fn outcome(waiting: Option<Waiting>) -> Outcome {
    let Some(waiting) = waiting else {
        return Outcome::Fine;
    };
    warn(&waiting.to_string());
    match waiting.is_much {
        true => Outcome::ProblemFound,
        false => Outcome::Fine,
    }
}

fn show(files: &[Doomed], held: u64, verb: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    if !files.is_empty() {
        let mut table = table(&["FILE", "ENTRIES", "SIZE", "BECAUSE OF"]);
        for file in files {
            let lines = file
                .lines
                .map_or_else(|| "unreadable".to_owned(), |lines| lines.to_string());
            let because = match file.reason.as_str() {
                "age" => "its age",
                "total_bytes" => "--max-bytes",
                _ => "--min-free-bytes",
            };
            table.add_row([
                file.stem.to_string(),
                lines,
                bytes(file.bytes),
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
            "{} more would be, but a hold keeps them; see `tracing-audit hold list`",
            count(held, "file")
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::lock::Lock;

    #[test]
    fn it_waits_for_whoever_prunes_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::of_tool(dir.path()).open().unwrap();
        let path = maintain::prune_lock(&Layout::of(dir.path()));
        let retention = Retention::unlimited().max_bytes(0);
        let held = Lock::try_take(&path).unwrap().unwrap();
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
