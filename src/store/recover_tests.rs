//! What recovery adds is filed where it is looked for.

use std::{path::Path, sync::Arc};

use super::*;
use crate::{
    entry::Day,
    query::{AuditReader, Filter, Order},
    store::{
        assemble::assemble, gzip::Level, seal, set_clock::SetClock, sim::SimFs,
        test_options::options,
    },
};

#[test]
fn what_is_recovered_days_later_is_found_on_the_day_that_it_is_stamped_with() {
    let (fs, today) = (SimFs::new(), Timestamp::now());
    let clock = Arc::new(SetClock::new("2026-01-10T10:00:00Z"));
    let dir = Path::new("/log");
    let process = fs.process();
    let mut parts = assemble(Arc::new(process.clone()), clock.clone(), dir, options(None)).unwrap();
    for _ in 0..2 {
        let source = "app".parse().unwrap();
        let event = OwnEntry::new("test.event", Severity::Info, "Something").render(&source);
        parts.producer.push(&event).unwrap();
        if parts.producer.used() < 500 {
            parts.writer.step().unwrap();
        }
    }
    process.end();

    clock.jump_to(&today.to_string());
    let days = recover_and_find(&fs, &*clock, &parts.stream, "audit.log.recovered");
    assert_eq!(days, ["2026-01-10".parse().unwrap(), today.day()]);
}

#[test]
fn what_is_recovered_while_the_clock_is_behind_is_found_on_the_day_that_it_is_stamped_with() {
    let (fs, today) = (SimFs::new(), Timestamp::now());
    let clock = Arc::new(SetClock::new(&today.to_string()));
    let process = fs.process();
    let (fs_of_log, dir) = (Arc::new(process.clone()), Path::new("/log"));
    let parts = assemble(fs_of_log, clock.clone(), dir, options(None)).unwrap();
    let event = OwnEntry::new("test.event", Severity::Info, "Something");
    let event = event.render(&"app".parse().unwrap());
    parts.producer.push(&event).unwrap();
    process.end();
    clock.jump_to("2026-01-10T10:00:00Z");
    let days = recover_and_find(&fs, &*clock, &parts.stream, "test.event");
    assert_eq!(days, [today.day()]);
}

/// Recovers the stream, seals its files, finds the entry of this type among those of today; gives
/// the days of the files.
fn recover_and_find(
    fs: &SimFs,
    clock: &dyn Clock,
    stream: &StreamId,
    event_type: &str,
) -> Vec<Day> {
    let (layout, today) = (Layout::new("/log"), Timestamp::now());
    let recovered = recover(fs, &layout, clock, stream).unwrap().unwrap();
    let days: Vec<_> = recovered.files.iter().map(FileStem::day).collect();
    for stem in &recovered.files {
        seal::seal(fs, &layout, stem, Level::FASTEST).unwrap();
        fs.remove_file(&layout.live(stem)).unwrap();
    }
    let day = today.day().to_string();
    let of_today = [("event_type", event_type), ("start_date", day.as_str())];
    let reader = AuditReader::open_on(Arc::new(fs.clone()), layout).unwrap();
    let mut found = 0;
    let filter = Filter::parse(of_today).unwrap();
    reader
        .each(&filter, Order::Asc, |_| {
            found += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(found, 1);
    days
}

#[test]
fn who_follows_a_dead_stream_sees_its_live_file_never_shorter() {
    let fs = SimFs::new();
    let clock = Arc::new(SetClock::new("2026-01-10T10:00:00Z"));
    let dir = Path::new("/log");
    let process = fs.process();
    let mut parts = assemble(Arc::new(process.clone()), clock.clone(), dir, options(None)).unwrap();
    let source = "app".parse().unwrap();
    let event = OwnEntry::new("test.event", Severity::Info, "Something").render(&source);
    parts.producer.push(&event).unwrap();
    parts.writer.step().unwrap();
    process.end();

    let layout = Layout::new(dir);
    let live = fs.files(layout.live_dir()).remove(0);
    let before = fs.bytes(&live).unwrap();
    assert!(before.ends_with(b"\n"), "a line was written");
    let begun = fs.op_count() as usize;
    recover(&fs, &layout, &*clock, &parts.stream)
        .unwrap()
        .unwrap();
    assert!(fs.bytes(&live).unwrap().starts_with(&before));
    let ops = fs.ops();
    let cuts = ops[begun..].iter().filter(|op| op.what == "truncate");
    assert_eq!(cuts.count(), 0, "{ops:?}");
}
