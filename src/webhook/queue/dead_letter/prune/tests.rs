//! What goes when, by simulated days.

use std::{cell::RefCell, fs};

use super::*;
use crate::webhook::queue::dead_letter::{DeadLetter, delivered, of_key};

const DAY: i64 = 24 * 3600 * 1_000_000;

fn put_aside(layout: &Layout, id: &str, bytes: usize) {
    DeadLetter::new("e", id, 3, &"x".repeat(bytes), &[])
        .append(layout, "e.1")
        .unwrap();
}

fn put_one_entry_aside(layout: &Layout, id: &str) {
    let line = r#"{"stream":"a-1","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2025-01-15T10:30:00.123456Z","event_type":"a.b"}"#;
    let entry = crate::query::Entry::from_line(line.as_bytes()).unwrap();
    DeadLetter::new("e", id, 3, "x", &[entry])
        .append(layout, "e.1")
        .unwrap();
}

/// What is put aside from now on stands in another file.
fn close_last(layout: &Layout) {
    let last = files::of(layout, "e.1").unwrap().len() - 1;
    set_changed(layout, last, Timestamp::from_micros(DAY));
}

fn left(layout: &Layout) -> Vec<String> {
    of_key(layout, "e.1", 0, 100)
        .unwrap()
        .1
        .into_iter()
        .map(|letter| letter.delivery_id)
        .collect()
}

fn set_changed(layout: &Layout, number: usize, changed: Timestamp) {
    let file = &files::of(layout, "e.1").unwrap()[number];
    let time =
        std::time::UNIX_EPOCH + Duration::from_micros(u64::try_from(changed.as_micros()).unwrap());
    fs::File::options()
        .write(true)
        .open(&file.path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

/// Prunes after so many days; gives the requests that it told of, and why they went.
fn pruned(layout: &Layout, known: &mut Known, day: u32, most_bytes: u64) -> Vec<(u64, String)> {
    pruned_at(layout, known, (at(day), steady(day)), most_bytes)
}

fn pruned_at(
    layout: &Layout,
    known: &mut Known,
    now: (Timestamp, Instant),
    most_bytes: u64,
) -> Vec<(u64, String)> {
    let told = RefCell::new(Vec::new());
    let record = |record: OwnEntry| {
        let line: serde_json::Value =
            serde_json::from_slice(&[b"{", &record.render(&"a".parse()?)[..]].concat()).unwrap();
        told.borrow_mut().push((
            line["details"]["deliveries"].as_u64().unwrap(),
            line["details"]["reason"].to_string(),
        ));
        Ok(())
    };
    // What did not work out is not what was told.
    let _ = known.prune(layout, now, most_bytes, &record);
    told.into_inner()
}

fn at(day: u32) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + i64::from(day) * DAY)
}

fn steady(day: u32) -> Instant {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *START + Duration::from_secs(u64::from(day) * 24 * 3600)
}

fn age() -> Vec<(u64, String)> {
    vec![(1, r#""age""#.to_owned())]
}

fn with_outbox() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    fs::create_dir_all(dir.path().join("state")).unwrap();
    Queue::default().save(&layout, "e.1").unwrap();
    (dir, layout)
}

#[test]
fn the_oldest_go_when_they_are_too_many_and_what_was_delivered_is_not_told() {
    let (_dir, layout) = with_outbox();
    let mut known = Known::default();
    // Three files of one big letter each, and one of small ones.
    for id in ["a", "b", "c"] {
        put_aside(&layout, id, 5 << 20);
    }
    put_aside(&layout, "d", 10);
    put_aside(&layout, "e", 10);
    delivered(&layout, "e.1", "a").unwrap();
    assert_eq!(pruned(&layout, &mut known, 0, 16 << 20), []);
    assert_eq!(
        (
            files::of(&layout, "e.1").unwrap().len(),
            left(&layout).len()
        ),
        (4, 4)
    );
    assert_eq!(
        pruned(&layout, &mut known, 0, 12 << 20),
        [],
        "it was delivered since"
    );
    assert_eq!(files::of(&layout, "e.1").unwrap().len(), 3);
    let places = index(&layout, "e.1").unwrap();
    assert_eq!(
        pruned(&layout, &mut known, 0, 1 << 20),
        [(2, r#""total_bytes""#.to_owned())]
    );
    assert_eq!(left(&layout), ["d", "e"]);
    // Who noted where they stand finds those that are there, and learns that others are not.
    let found: Vec<_> = places
        .into_iter()
        .map(|at| {
            read(&layout, "e.1", at)
                .unwrap()
                .map(|letter| letter.delivery_id)
        })
        .collect();
    assert_eq!(
        found,
        [None, None, Some("d".to_owned()), Some("e".to_owned())]
    );
    // What is put aside later goes on behind them.
    put_aside(&layout, "f", 10);
    assert_eq!(left(&layout), ["d", "e", "f"]);
}

#[test]
fn what_is_old_goes_unless_it_is_being_sent_again() {
    let (_dir, layout) = with_outbox();
    let mut known = Known::default();
    for (day, id) in [(0, "a"), (10, "b"), (20, "c")] {
        put_aside(&layout, id, 10);
        assert_eq!(pruned(&layout, &mut known, day, MOST_BYTES), []);
        close_last(&layout);
    }
    let places = index(&layout, "e.1").unwrap();
    let replaying = Some(queue::Replaying::DeadLetters {
        from: places[1].offset,
        to: u64::MAX,
    });
    Queue {
        replaying,
        ..Queue::default()
    }
    .save(&layout, "e.1")
    .unwrap();
    assert_eq!(pruned(&layout, &mut known, 30, MOST_BYTES), []);
    assert_eq!(pruned(&layout, &mut known, 31, MOST_BYTES), age());
    assert_eq!(pruned(&layout, &mut known, 41, MOST_BYTES), []);
    assert_eq!(left(&layout), ["b", "c"]);
    Queue::default().save(&layout, "e.1").unwrap();
    assert_eq!(pruned(&layout, &mut known, 41, MOST_BYTES), age());
    assert_eq!(left(&layout), ["c"]);
    assert_eq!(
        pruned(&layout, &mut known, 51, MOST_BYTES),
        age(),
        "the last file goes as well"
    );
    assert!(left(&layout).is_empty() && pruned(&layout, &mut known, 100, MOST_BYTES).is_empty());
    assert_eq!(super::pruned(&layout, "e.1"), 0, "they had no entries");
    // What comes then stands behind all that ever was.
    put_aside(&layout, "d", 10);
    assert!(index(&layout, "e.1").unwrap()[0].offset > places[2].offset);
    assert_eq!(files::of(&layout, "e.1").unwrap().len(), 1);
    // Nothing is kept of a webhook that is no more.
    pruned(&layout, &mut known, 101, MOST_BYTES);
    fs::remove_file(queue::document(&layout, "e.1").path()).unwrap();
    assert_eq!(pruned(&layout, &mut known, 132, MOST_BYTES), age());
    assert!(files::of(&layout, "e.1").unwrap().is_empty());
}

#[test]
fn a_clock_that_jumps_makes_nothing_old() {
    let (_dir, layout) = with_outbox();
    let mut known = Known::default();
    put_aside(&layout, "a", 10);
    // It was given up in 1970, and the clock is put right; then it is far ahead, in this process
    // and the next.
    set_changed(&layout, 0, Timestamp::from_micros(DAY));
    assert_eq!(
        pruned_at(
            &layout,
            &mut known,
            (Timestamp::from_micros(DAY), steady(0)),
            MOST_BYTES
        ),
        []
    );
    assert_eq!(
        pruned_at(&layout, &mut known, (at(0), steady(0)), MOST_BYTES),
        []
    );
    assert_eq!(
        pruned_at(&layout, &mut known, (at(20_000), steady(1)), MOST_BYTES),
        []
    );
    assert_eq!(
        pruned_at(
            &layout,
            &mut Known::default(),
            (at(40_000), steady(1)),
            MOST_BYTES
        ),
        []
    );
    // No dispatcher ran for a day, after which the clock was put back; and then someone does.
    let mut known = Known::default();
    assert_eq!(
        pruned_at(&layout, &mut known, (at(2), steady(0)), MOST_BYTES),
        []
    );
    assert_eq!(pruned(&layout, &mut known, 28, MOST_BYTES), []);
    assert_eq!(pruned(&layout, &mut known, 29, MOST_BYTES), age());
}

#[test]
fn what_can_not_be_recorded_stays() {
    let (_dir, layout) = with_outbox();
    let mut known = Known::default();
    put_aside(&layout, "a", 10);
    assert_eq!(pruned(&layout, &mut known, 0, MOST_BYTES), []);
    assert!(
        known
            .prune(&layout, (at(31), steady(31)), MOST_BYTES, &|_| Err(
                Error::Closed
            ))
            .is_err()
    );
    assert_eq!(left(&layout), ["a"]);
    assert_eq!(
        pruned(&layout, &mut known, 31, MOST_BYTES),
        [],
        "it is not tried again at once"
    );
    assert_eq!(pruned(&layout, &mut known, 32, MOST_BYTES), age());
}

#[test]
fn what_can_not_be_removed_is_told_and_counted_once() {
    let (_dir, layout) = with_outbox();
    let mut known = Known::default();
    put_one_entry_aside(&layout, "a");
    // A line that is of a letter, and is none.
    let path = files::of(&layout, "e.1").unwrap().remove(0).path;
    fs::write(
        &path,
        [&fs::read(&path).unwrap()[..], b"{\"delivery_id\":\"b\"}\n"].concat(),
    )
    .unwrap();
    assert_eq!(pruned(&layout, &mut known, 0, MOST_BYTES), []);
    // The count can't be written.
    let count = document(&layout, "e.1").path().to_owned();
    fs::create_dir(&count).unwrap();
    assert_eq!(pruned(&layout, &mut known, 31, MOST_BYTES), age());
    assert_eq!(pruned(&layout, &mut known, 32, MOST_BYTES), []);
    fs::remove_dir(&count).unwrap();
    assert_eq!(pruned(&layout, &mut known, 33, MOST_BYTES), []);
    assert_eq!(super::pruned(&layout, "e.1"), 1);
    assert!(left(&layout).is_empty() && !path.exists());
}
