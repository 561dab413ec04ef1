//! Sealed files are found by day and name; their indexes come back when lost.

use std::path::PathBuf;

use super::*;
use crate::{
    error::Error,
    store::{
        gzip::Level,
        index::Block,
        samples::{lines, stem},
        seal::seal,
        sim::SimFs,
    },
};

/// A log with these sealed files, 700 lines each.
fn log(numbers: &[u32]) -> (SimFs, Layout, Files) {
    let (sim, layout) = (SimFs::new(), Layout::new("/log"));
    for &number in numbers {
        sim.put(
            layout.live(&stem(number)),
            lines(1 + u64::from(number) * 700, 700),
        );
        seal(&sim, &layout, &stem(number), Level::FASTEST).unwrap();
    }
    let files = Files::new(Arc::new(sim.clone()), layout.clone());
    (sim, layout, files)
}

fn rows(files: &Files, number: u32) -> Vec<Block> {
    files.index(&stem(number)).unwrap().blocks.clone()
}

#[test]
fn files_are_listed_by_day_and_nothing_else_is() {
    let (sim, layout, files) = log(&[30, 1, 2]);
    let day = stem(1).day();
    let dir = layout.sealed_day(day);
    let foreign = [
        layout.sealed_dir().join("MANIFEST.json"),
        layout.sealed_dir().join("dt=2026-11-21 (copy)/x"),
        dir.join("README"),
        dir.join(format!("{}.jsonl", stem(1))),
        dir.join(format!("{}.jsonl.gz", stem(30))),
        dir.join(format!("{}.jsonl.gz.tmp", stem(2))),
    ];
    for path in &foreign {
        sim.put(path, "x");
    }
    let all = BTreeSet::from([stem(1), stem(2), stem(30)]);
    assert_eq!(files.since(None).unwrap().sealed, all);
    let days = dirs::sealed_days(&sim, &layout).unwrap();
    assert_eq!(days, [day, stem(30).day()]);
    assert_eq!(
        dirs::sealed(&sim, &layout, day).unwrap(),
        [stem(1), stem(2)]
    );
    assert_eq!(dirs::sealed(&sim, &layout, day.plus(9)).unwrap(), []);
    let mut found = dirs::foreign(&sim, &layout).unwrap();
    let mut expected = foreign.to_vec();
    expected[1].pop();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn an_index_is_read_once() {
    let (sim, _, files) = log(&[1]);
    let first = files.index(&stem(1)).unwrap();
    let ops = sim.op_count();
    assert!(Arc::ptr_eq(&first, &files.index(&stem(1)).unwrap()) && sim.op_count() == ops);
}

#[test]
fn a_lost_or_damaged_index_is_made_again() {
    let (sim, layout, files) = log(&[1]);
    let (rows_before, path) = (rows(&files, 1), layout.index(&stem(1)));
    let bytes = sim.bytes(&path).unwrap();
    for damage in [
        None,
        Some(bytes[..100].to_vec()),
        Some(vec![0; 5_000]),
        Some([&bytes[..80], b"\xff", &bytes[81..]].concat()),
    ] {
        match damage {
            Some(bytes) => sim.put(&path, bytes),
            None => sim.remove_file(&path).unwrap(),
        }
        let files = Files::new(Arc::new(sim.clone()), layout.clone());
        assert_eq!(rows(&files, 1), rows_before);
        assert_eq!(sim.bytes(&path).unwrap(), bytes);
    }
}

#[test]
fn filters_that_were_damaged_after_their_index_was_read_are_made_again() {
    let (sim, layout, files) = log(&[1]);
    let path = layout.index(&stem(1));
    let ask = || {
        files
            .blooms(&stem(1), Key::Request)
            .unwrap()
            .may_contain(0, b"nobody's")
    };
    assert!(!ask());
    let bytes = sim.bytes(&path).unwrap();
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    sim.put(&path, damaged);
    assert!(!ask());
    assert_eq!(sim.bytes(&path).unwrap(), bytes);
    sim.remove_file(&path).unwrap();
    assert!(!ask());
    assert_eq!(sim.bytes(&path).unwrap(), bytes);
}

#[test]
fn a_tally_that_is_lost_is_made_again() {
    let (sim, layout, files) = log(&[1]);
    let path = layout.index(&stem(1));
    let count = || {
        let tally = files.tally(&stem(1)).unwrap().unwrap();
        let minutes = tally.entries.minutes.iter();
        minutes.map(|(_, counts)| counts.count).sum::<u64>()
    };
    let before = count();
    assert!(before > 0);
    let bytes = sim.bytes(&path).unwrap();
    sim.remove_file(&path).unwrap();
    assert_eq!(count(), before);
    assert!(sim.bytes(&path).unwrap() == bytes);
}

#[test]
fn a_log_on_a_full_disk_can_be_read_without_its_index() {
    let (sim, layout, files) = log(&[1]);
    let before = rows(&files, 1);
    sim.remove_file(&layout.index(&stem(1))).unwrap();
    sim.limit(Some(0));
    let files = Files::new(Arc::new(sim.clone()), layout.clone());
    assert_eq!(rows(&files, 1), before);
    let ops = sim.op_count();
    assert!(
        files
            .blooms(&stem(1), Key::Actor)
            .unwrap()
            .may_contain(0, b"nobody"),
        "nothing is known, so all is possible"
    );
    assert_eq!(
        sim.op_count(),
        ops,
        "the file isn't read again for every question"
    );
    assert_eq!(sim.files(layout.tmp_dir()), [] as [PathBuf; 0]);
}

#[test]
fn what_is_being_read_stays_when_it_is_removed() {
    let (sim, layout, files) = log(&[1]);
    let blob = files.open_sealed(&stem(1)).unwrap();
    let bytes = sim.bytes(layout.sealed(&stem(1))).unwrap();
    sim.remove_file(&layout.sealed(&stem(1))).unwrap();
    let mut read = vec![0; bytes.len()];
    crate::store::blob::read_exact(&*blob, &mut read, 0).unwrap();
    assert!(read == bytes && blob.len() == bytes.len() as u64);
    let Err(Error::Io { source, .. }) = files.open_sealed(&stem(1)) else {
        panic!("it is gone")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_damaged_file_has_no_index() {
    let (sim, layout, _) = log(&[1]);
    let path = layout.sealed(&stem(1));
    let bytes = sim.bytes(&path).unwrap();
    sim.put(&path, &bytes[..bytes.len() - 1]);
    let files = Files::new(Arc::new(sim.clone()), layout);
    assert!(
        matches!(files.index(&stem(1)), Err(Error::Damaged { path: named, .. }) if named == path)
    );
}

#[test]
fn live_files_that_come_grow_and_go_change_the_growth() {
    let (sim, layout, files) = log(&[]);
    let mut seen = vec![files.growth().unwrap()];
    let mut look = || seen.push(files.growth().unwrap());
    for (number, text) in [(1, ""), (1, "one\n"), (2, "two\n")] {
        sim.put(layout.live(&stem(number)), text);
        look();
    }
    sim.remove_file(&layout.live(&stem(1))).unwrap();
    look();
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
}
