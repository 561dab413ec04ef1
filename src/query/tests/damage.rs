//! A damaged file costs what is damaged, is told, and ends nothing.

use proptest::{prelude::*, sample::Index};

use super::*;

fn records(stream: usize) -> Vec<Record> {
    (1..=60)
        .map(|seq| Record {
            padding: 30_000,
            ..Record::new(stream, seq, seq as i64 * 1_000_000 + stream as i64)
        })
        .collect()
}

/// A sealed file of some blocks, and another one beside it.
fn two_files() -> (Log, Vec<Record>, Vec<Record>) {
    let (log, a, b) = (Log::new(), records(0), records(1));
    log.sealed(&stem(0, 1), &a.iter().map(Record::line).collect::<Vec<_>>());
    log.sealed(&stem(1, 1), &b.iter().map(Record::line).collect::<Vec<_>>());
    (log, a, b)
}

/// Everything still found is an entry as it was, once and in order; the undamaged file is there
/// whole; what is missing is told.
fn check(log: &Log, a: &[Record], b: &[Record]) -> (usize, Scanned) {
    let (found, scanned) = all(&log.reader(), &Filter::new(), Order::Desc);
    let both: Vec<_> = a.iter().chain(b).cloned().collect();
    let expected: Vec<_> = sorted(&both, Order::Desc)
        .into_iter()
        .filter(|line| found.contains(line))
        .collect();
    assert_eq!(found, expected);
    assert!(b.iter().all(|record| found.contains(&record.line())));
    let damaged = stem(0, 1).to_string();
    assert!(
        scanned
            .problems
            .iter()
            .all(|problem| problem.file.contains(&damaged)),
        "{:?}",
        scanned.problems
    );
    assert!(found.len() == both.len() || !scanned.problems.is_empty());
    (found.len() - b.len(), scanned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn of_a_damaged_file_the_whole_blocks_are_given(at: Index, flip in 1u8..=255, cut: bool, lose_index: bool) {
        let (log, a, b) = two_files();
        let path = log.layout.sealed(&stem(0, 1));
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= flip;
        }
        std::fs::write(&path, &bytes).unwrap();
        if lose_index {
            std::fs::remove_file(log.layout.index(&stem(0, 1))).unwrap();
        }
        let (left, scanned) = check(&log, &a, &b);
        prop_assert!(left == a.len() || !scanned.problems.is_empty());
    }

    #[test]
    fn a_damaged_index_costs_nothing(at: Index, flip in 1u8..=255) {
        let (log, a, b) = two_files();
        let path = log.layout.index(&stem(0, 1));
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        std::fs::write(&path, &bytes).unwrap();
        prop_assert_eq!(check(&log, &a, &b).0, a.len());
        let (found, _) = all(&log.reader(), &Filter::new().with("actor", "user-30").unwrap(), Order::Asc);
        prop_assert_eq!(found.len(), 2);
    }
}

#[test]
fn one_flipped_bit_costs_one_block() {
    let (log, a, b) = two_files();
    let path = log.layout.sealed(&stem(0, 1));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (left, scanned) = check(&log, &a, &b);
    assert!((45..60).contains(&left), "{left}");
    assert_eq!(scanned.problems.len(), 1, "{:?}", scanned.problems);
}

#[test]
fn the_live_twin_stands_in_for_a_sealed_file_that_was_cut_off() {
    let (log, a) = (Log::new(), records(0));
    log.append(&stem(0, 1), &a.iter().map(Record::line).collect::<Vec<_>>());
    log.seal(&stem(0, 1));
    let path = log.layout.sealed(&stem(0, 1));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let (found, scanned) = all(&log.reader(), &Filter::new(), Order::Asc);
    assert_eq!((found, scanned.problems.len()), (sorted(&a, Order::Asc), 1));
}

#[test]
fn a_line_that_is_no_entry_is_told_once_and_hides_no_other() {
    for sealed in [false, true] {
        let (log, a) = (Log::new(), records(0));
        let mut lines: Vec<_> = a.iter().map(Record::line).collect();
        lines.insert(3, "{\"torn".into());
        lines.insert(5, String::new());
        if sealed {
            log.sealed(&stem(0, 1), &lines)
        } else {
            log.append(&stem(0, 1), &lines)
        }
        for filter in [
            Filter::new(),
            Filter::new().with("severity", "info").unwrap(),
        ] {
            let (found, scanned) = all(&log.reader(), &filter, Order::Asc);
            assert_eq!(found, sorted(&a, Order::Asc));
            assert_eq!(scanned.problems.len(), 1, "{:?}", scanned.problems);
            assert!(
                scanned.problems[0].what.contains("line 4"),
                "{:?}",
                scanned.problems
            );
        }
    }
}
