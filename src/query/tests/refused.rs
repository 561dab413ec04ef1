//! Following a log of which one day can't be listed: it is told of, and nothing else waits for it.

use std::{
    io,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use uuid::Uuid;

use super::{meddled::Meddled, *};
use crate::error::Error;

fn lines(stream: usize, seqs: std::ops::RangeInclusive<u64>) -> Vec<String> {
    seqs.map(|seq| Record::new(stream, seq, seq as i64 * 1_000_000).line())
        .collect()
}

fn of_day(stream: usize, number: u32) -> FileStem {
    FileStem {
        born: Timestamp::from_micros(START + i64::from(number) * 86_400_000_000),
        ..stem(stream, number)
    }
}

fn given(tail: &mut Tail) -> Vec<(String, u64)> {
    let entries = tail.poll(99).unwrap();
    entries
        .iter()
        .map(|entry| (entry.stream()[..4].to_owned(), entry.seq().0))
        .collect()
}

#[test]
fn a_day_that_cannot_be_listed_holds_up_nothing_but_what_follows_it_in_its_streams() {
    let log = Log::new();
    let refused: Arc<Mutex<Option<PathBuf>>> = Arc::default();
    let asked = refused.clone();
    let fs = Meddled::refusing(move |path| match asked.lock().unwrap().as_deref() {
        Some(refused) if refused == path => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Ok(()),
    });
    let reader = AuditReader::open_on(Arc::new(fs), log.layout.clone()).unwrap();
    let entries = |stream: &str, seqs: std::ops::RangeInclusive<u64>| {
        seqs.map(|seq| (stream.to_owned(), seq)).collect::<Vec<_>>()
    };
    log.sealed(&of_day(0, 1), &lines(0, 1..=3));
    log.sealed(&of_day(1, 2), &lines(1, 1..=3));
    let mut running = reader.resume(Filter::new(), &Default::default()).unwrap();
    assert_eq!(given(&mut running).len(), 6);
    let places = running.places();

    *refused.lock().unwrap() = Some(log.layout.sealed_day(of_day(0, 2).day()));
    // One file of the stream is in that day, and one behind it.
    log.sealed(&of_day(0, 2), &lines(0, 4..=6));
    log.append(&of_day(0, 3), &lines(0, 7..=9));
    log.append(&of_day(2, 1), &lines(2, 1..=1));
    let resumed = reader.resume(Filter::new(), &places).unwrap();
    let mut tails = [running, resumed];
    for tail in &mut tails {
        assert_eq!(given(tail), entries("app2", 1..=1));
        let told: Vec<_> = tail
            .take_problems()
            .into_iter()
            .map(|problem| format!("{}: {}", problem.file, problem.what))
            .collect();
        assert_eq!(
            told,
            ["sealed/dt=2026-11-23: cannot list it: permission denied"]
        );
        assert_eq!(
            (given(tail).len(), tail.take_problems().len()),
            (0, 0),
            "it is told once"
        );
    }
    assert_eq!(
        tails[0].places(),
        tails[1].places(),
        "no place is forgotten"
    );

    *refused.lock().unwrap() = None;
    for tail in &mut tails {
        assert_eq!(given(tail), entries("app0", 4..=9));
        assert_eq!(tail.take_problems(), []);
    }
}

#[test]
fn an_entry_in_a_file_that_cannot_be_read_now_does_not_count_as_not_there() {
    let log = Log::new();
    let refused: Arc<Mutex<Option<PathBuf>>> = Arc::default();
    let asked = refused.clone();
    let fs = Arc::new(Meddled::refusing(move |path| {
        match asked.lock().unwrap().as_deref() {
            Some(refused) if refused == path => Err(io::Error::other("too many open files")),
            _ => Ok(()),
        }
    }));
    let record = Record::new(0, 1, 1_000_000);
    let id = Uuid::try_parse(&record.id()).unwrap();
    let stem = stem(0, 1);
    let look = |file: PathBuf| {
        let reader = AuditReader::open_on(fs.clone(), log.layout.clone()).unwrap();
        *refused.lock().unwrap() = Some(file);
        let error = reader.get(id).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        *refused.lock().unwrap() = None;
        assert!(reader.get(id).unwrap().is_some());
    };
    log.append(&stem, &[record.line()]);
    look(log.layout.live(&stem));
    log.seal(&stem);
    log.unlink(&stem);
    look(log.layout.sealed(&stem));
}

/// Otherwise, the time that a look-up takes would say whether others have such an entry.
#[test]
fn what_a_caller_may_not_see_is_not_even_looked_for() {
    let log = Log::new();
    let stem = stem(0, 1);
    let record = Record::new(0, 1, 1_000_000);
    log.sealed(&stem, &[record.line()]);
    let sealed = log.layout.sealed(&stem);
    let refused = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&refused);
    let fs = Arc::new(Meddled::refusing(move |path| {
        match path == sealed && asked.load(Ordering::Relaxed) {
            true => Err(io::Error::other("too many open files")),
            false => Ok(()),
        }
    }));
    let reader = AuditReader::open_on(fs, log.layout.clone()).unwrap();
    let id = Uuid::try_parse(&record.id()).unwrap();
    let of = |actor: &str| reader.get_of(Filter::parse([("actor", actor)]).unwrap(), id);
    assert!(of("user-1").unwrap().is_some());
    assert!(of("user-2").unwrap().is_none());
    // The index is remembered, and says whose entries the file has.
    refused.store(true, Ordering::Relaxed);
    assert!(of("user-1").is_err());
    assert!(of("user-2").unwrap().is_none());
}
