//! Sealing loses nothing, whatever happens and whenever; and what is wrong with a sealed file is
//! found.

use std::{cell::Cell, path::PathBuf, process::Command};

use proptest::prelude::*;

use super::*;
use crate::store::{
    fs::OsFs,
    rebuild::read_index,
    samples::{lines, stem},
    sim::{Model, SimFs},
    verify::verify_sealed,
};

thread_local! {
    /// Whether this thread gets no other to help it.
    pub(super) static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// A log with one finished live file, on a simulated disk.
fn sim(live: &[u8]) -> (SimFs, Layout) {
    let (sim, layout) = (SimFs::new(), Layout::new("/log"));
    for dir in [layout.sealed_dir(), layout.index_dir(), layout.tmp_dir()] {
        sim.put(dir.join("x"), "");
        sim.remove_file(&dir.join("x")).unwrap();
        sim.sync_dir(&dir).unwrap();
    }
    sim.put(layout.live(&stem(1)), live);
    (sim, layout)
}

/// A block and the beginning of another.
fn live() -> Vec<u8> {
    lines(1, 700)
}

fn seal_it(sim: &SimFs, layout: &Layout) -> Result<Index> {
    seal(sim, layout, &stem(1), Level::FASTEST)
}

#[test]
fn gzip_and_we_read_what_was_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let (layout, stem, plain) = (Layout::new(dir.path()), stem(7), lines(5_000, 3_000));
    OsFs.create_dir_all(&layout.live_dir()).unwrap();
    std::fs::write(layout.live(&stem), &plain).unwrap();
    let index = seal(&OsFs, &layout, &stem, Level::DEFAULT).unwrap();
    assert_eq!(Index::read(&OsFs, &layout.index(&stem)).unwrap(), index);
    assert_eq!(
        (
            index.lines,
            index.first_seq.0,
            index.last_seq.0,
            index.plain_len
        ),
        (3_000, 5_000, 7_999, plain.len() as u64)
    );
    let path = layout.sealed(&stem);
    assert!(
        Command::new("gzip")
            .arg("-t")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        Command::new("zcat").arg(&path).output().unwrap().stdout,
        plain
    );
    let sum = Command::new("sha256sum")
        .arg(&path)
        .output()
        .unwrap()
        .stdout;
    let hex = data_encoding::HEXLOWER.encode(&index.sha256);
    assert!(sum.starts_with(hex.as_bytes()));
    assert_eq!(
        verify_sealed(&OsFs, &layout, &stem, &mut |_, _| Ok(false)).unwrap(),
        index
    );
    assert!(layout.live(&stem).exists() && verified(&OsFs, &layout, &stem).unwrap().is_some());
    assert_eq!(std::fs::read_dir(layout.tmp_dir()).unwrap().count(), 0);
}

#[test]
fn a_file_is_sealed_without_another_thread() {
    let sealed = |alone| {
        let (sim, layout) = sim(&lines(1, 3_000));
        ALONE.set(alone);
        let index = seal_it(&sim, &layout);
        ALONE.set(false);
        (index.unwrap(), sim.bytes(layout.sealed(&stem(1))).unwrap())
    };
    assert_eq!(sealed(true), sealed(false));
}

#[test]
fn sealing_twice_is_sealing_once() {
    let (sim, layout) = sim(&live());
    let index = seal_it(&sim, &layout).unwrap();
    let before = sim.op_count();
    assert_eq!(seal_it(&sim, &layout).unwrap(), index);
    assert!(
        sim.ops()
            .iter()
            .skip(before as usize)
            .all(|op| ["open_read", "read", "sync_dir"].contains(&op.what))
    );
}

#[test]
fn any_operation_may_fail() {
    for n in 0.. {
        let (sim, layout) = sim(&live());
        sim.fail_nth(n);
        let result = seal_it(&sim, &layout);
        let touched = sim.ops();
        sim.heal();
        for path in sim.files(layout.sealed_dir()) {
            assert_eq!(path, layout.sealed(&stem(1)));
            verify_sealed(&sim, &layout, &stem(1), &mut |_, _| Ok(false))
                .unwrap_or_else(|e| panic!("operation {n}: {e}"));
        }
        assert_eq!(
            sim.files(layout.tmp_dir()),
            [] as [PathBuf; 0],
            "operation {n}, {:?}",
            touched.last()
        );
        let index = seal_it(&sim, &layout).unwrap();
        assert_eq!(
            verify_sealed(&sim, &layout, &stem(1), &mut |_, _| Ok(false)).unwrap(),
            index
        );
        if result.is_ok() && touched.len() as u64 <= n {
            assert!(n > 20, "only {n} operations to fail");
            return;
        }
    }
}

#[test]
fn death_and_power_loss_between_any_two_operations() {
    let plain = live();
    let mut finished = false;
    for n in 0.. {
        for crash in [None, Some(None), Some(Some(1))] {
            let (sim, layout) = sim(&plain);
            sim.stop_after(n);
            finished = seal_it(&sim, &layout).is_ok();
            let lose_power = |sim: &SimFs| match crash {
                None => sim.kill(),
                Some(None) => sim.crash(),
                Some(Some(seed)) => sim.crash_randomly(Model::Posix, seed * 1_000 + n),
            };
            lose_power(&sim);
            assert_eq!(sim.bytes(layout.live(&stem(1))).unwrap(), plain);
            for path in sim.files(layout.sealed_dir()) {
                let whole = rebuild(&FileBlob::open(&sim, path).unwrap(), &stem(1))
                    .unwrap_or_else(|e| panic!("stopped after {n}: {e}"));
                assert_eq!(whole.index.plain_len, plain.len() as u64);
            }
            // The next process seals again, finds it good, and lets the live twin go; then the
            // power fails once more.
            assert!(
                verified(&sim, &layout, &stem(1)).unwrap().is_none()
                    || !sim.files(layout.sealed_dir()).is_empty()
            );
            let index = seal_it(&sim, &layout).unwrap();
            assert!(verified(&sim, &layout, &stem(1)).unwrap().is_some());
            sim.remove_file(&layout.live(&stem(1))).unwrap();
            sim.sync_dir(&layout.live_dir()).unwrap();
            sim.crash();
            assert_eq!(
                verify_sealed(&sim, &layout, &stem(1), &mut |_, _| Ok(false)).unwrap(),
                index,
                "stopped after {n}"
            );
            assert!(
                read_index(
                    &sim,
                    &layout,
                    &FileBlob::open(&sim, layout.sealed(&stem(1))).unwrap(),
                    &stem(1)
                )
                .unwrap()
                .is_some()
            );
        }
        if finished {
            break;
        }
    }
}

#[test]
fn a_twin_whose_name_is_not_durable_is_made_so_before_the_live_one_goes() {
    let (sim, layout) = sim(&live());
    let day = layout.sealed_day(stem(1).day());
    sim.fail({
        let day = day.clone();
        move |_, op| (op.what == "sync_dir" && op.path == day).then(|| io::Error::other("no"))
    });
    assert!(seal_it(&sim, &layout).is_err());
    assert!(
        verified(&sim, &layout, &stem(1)).is_err(),
        "it is there, but may be gone after a crash"
    );
    sim.heal();
    assert!(verified(&sim, &layout, &stem(1)).unwrap().is_some());
    sim.crash();
    assert_eq!(sim.files(layout.sealed_dir()), [layout.sealed(&stem(1))]);
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let plain = live();
    let needed = {
        let (sim, layout) = sim(&plain);
        seal_it(&sim, &layout).unwrap();
        sim.used()
    };
    for limit in (plain.len() as u64..needed)
        .step_by(3_001)
        .chain([needed - 1])
    {
        let (sim, layout) = sim(&plain);
        sim.limit(Some(limit));
        let Err(Error::Io { source, .. }) = seal_it(&sim, &layout) else {
            panic!("{limit} of {needed} bytes are too few")
        };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(sim.files("/log"), [layout.live(&stem(1))]);
        sim.limit(Some(needed));
        seal_it(&sim, &layout).unwrap();
    }
}

#[test]
fn what_is_not_finished_is_not_sealed() {
    for (plain, message) in [
        (&b""[..], "it is empty"),
        (&live()[..1_000], "its last line is torn (byte 999)"),
    ] {
        let (sim, layout) = sim(plain);
        assert!(
            seal_it(&sim, &layout)
                .unwrap_err()
                .to_string()
                .ends_with(message)
        );
        assert_eq!(sim.files("/log"), [layout.live(&stem(1))]);
    }
}

#[test]
fn the_live_twin_stays_unless_the_sealed_one_has_it_all() {
    let (sim, layout) = sim(&live());
    let (sealed, live_path) = (layout.sealed(&stem(1)), layout.live(&stem(1)));
    assert!(verified(&sim, &layout, &stem(1)).unwrap().is_none());
    seal_it(&sim, &layout).unwrap();
    let whole = sim.bytes(&sealed).unwrap();
    for cut in [0, 1, 10, 20, whole.len() / 2, whole.len() - 1] {
        sim.put(&sealed, &whole[..cut]);
        assert!(
            verified(&sim, &layout, &stem(1)).unwrap().is_none(),
            "cut at {cut}"
        );
    }
    sim.put(&sealed, whole.clone());
    assert!(verified(&sim, &layout, &stem(1)).unwrap().is_some());
    for other in [
        lines(1, 701),
        lines(1, 699),
        live()
            .iter()
            .map(|b| if *b == b'7' { b'8' } else { *b })
            .collect(),
    ] {
        sim.put(&live_path, other);
        assert!(verified(&sim, &layout, &stem(1)).unwrap().is_none());
    }
}

#[test]
fn a_damaged_twin_is_mended_from_the_live_file_while_that_is_there() {
    let (sim, layout) = sim(&live());
    let index = seal_it(&sim, &layout).unwrap();
    let whole = sim.bytes(layout.sealed(&stem(1))).unwrap();
    sim.put(layout.sealed(&stem(1)), &whole[..5_000]);
    assert_eq!(seal_it(&sim, &layout).unwrap(), index);
    assert_eq!(sim.bytes(layout.sealed(&stem(1))).unwrap(), whole);
    sim.put(layout.sealed(&stem(1)), &whole[..5_000]);
    sim.remove_file(&layout.live(&stem(1))).unwrap();
    assert!(matches!(seal_it(&sim, &layout), Err(Error::Damaged { .. })));
}

/// Seals these lines and gives what verifying says after `change`.
fn verify_after(plain: &[u8], change: impl FnOnce(&SimFs, &Layout)) -> String {
    let (sim, layout) = sim(plain);
    seal_it(&sim, &layout).unwrap();
    change(&sim, &layout);
    match verify_sealed(&sim, &layout, &stem(1), &mut |_, _| Ok(false)) {
        Ok(_) => String::new(),
        Err(e) => e.to_string(),
    }
}

#[test]
fn any_changed_byte_of_either_file_is_found() {
    let plain = lines(1, 5);
    let (sim, layout) = sim(&plain);
    seal_it(&sim, &layout).unwrap();
    for path in [layout.sealed(&stem(1)), layout.index(&stem(1))] {
        let whole = sim.bytes(&path).unwrap();
        for at in 0..whole.len() {
            for flip in [1, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                sim.put(&path, bytes);
                let message = verify_sealed(&sim, &layout, &stem(1), &mut |_, _| Ok(false))
                    .unwrap_err()
                    .to_string();
                assert!(
                    message.starts_with(&format!("{} is damaged: ", path.display())),
                    "{at}: {message}"
                );
            }
            sim.put(&path, &whole[..at]);
            assert!(
                verify_sealed(&sim, &layout, &stem(1), &mut |_, _| Ok(false)).is_err(),
                "cut at {at}"
            );
        }
        sim.put(&path, [&whole[..], b"x"].concat());
        assert!(verify_sealed(&sim, &layout, &stem(1), &mut |_, _| Ok(false)).is_err());
        sim.put(&path, whole);
    }
    verify_sealed(&sim, &layout, &stem(1), &mut |_, _| Ok(false)).unwrap();
}

#[test]
fn verifying_says_which_line_is_wrong() {
    assert_eq!(
        verify_after(&live(), |sim, layout| sim
            .remove_file(&layout.index(&stem(1)))
            .unwrap()),
        ""
    );
    let gap = [lines(1, 700), lines(702, 70)].concat();
    assert!(verify_after(&gap, |_, _| {}).ends_with("line 701 has the number 702, after 700"));
    let torn = [&lines(1, 3)[..], b"{\"torn\n", &lines(5, 2)].concat();
    assert!(verify_after(&torn, |_, _| {}).ends_with("line 4 is not an entry"));
    let foreign =
        String::from_utf8(lines(1, 3))
            .unwrap()
            .replacen("billing-7f3a9c", "billing-000000", 1);
    assert!(
        verify_after(foreign.as_bytes(), |_, _| {})
            .ends_with("line 1 is of the stream \"billing-000000\"")
    );
}

#[test]
fn a_file_that_was_exchanged_for_a_true_one_is_found() {
    let message = verify_after(&live(), |sim, layout| {
        let mut plain = live();
        let at = memchr::memmem::find(&plain, b"\"seq\":600,").unwrap() + 400;
        plain[at] ^= 1;
        let other = SimFs::new();
        other.put(layout.live(&stem(1)), plain);
        seal_it(&other, layout).unwrap();
        sim.put(
            layout.sealed(&stem(1)),
            other.bytes(layout.sealed(&stem(1))).unwrap(),
        );
    });
    assert!(
        message.contains(".jsonl.gz is damaged: the block of ")
            && message.ends_with("has another checksum than its index noted"),
        "{message}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_lines_can_be_sealed_and_read(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2_000), 1..20), copies in 1usize..30) {
        let mut plain = Vec::new();
        for text in std::iter::repeat_n(&texts, copies).flatten() {
            plain.extend(text.iter().filter(|b| **b != b'\n'));
            plain.push(b'\n');
        }
        let (sim, layout) = sim(&plain);
        let index = seal_it(&sim, &layout).unwrap();
        let blob = FileBlob::open(&sim, layout.sealed(&stem(1))).unwrap();
        let (mut unpacker, mut block, mut all) = (Unpacker::new(), Vec::new(), Vec::new());
        for row in &index.blocks {
            prop_assert_eq!(row.plain_offset, all.len() as u64);
            unpacker.block(&blob, row, &mut block).unwrap();
            all.extend_from_slice(&block);
        }
        prop_assert!(all == plain && verified(&sim, &layout, &stem(1)).unwrap().is_some());
        prop_assert_eq!(rebuild(&blob, &stem(1)).unwrap().index, index);
    }
}

/// `cargo test --release --lib sealing_speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn sealing_speed() {
    use crate::store::samples::cpu_time;
    let dir = tempfile::tempdir().unwrap();
    let (layout, plain) = (Layout::new(dir.path()), lines(1, 150_000));
    OsFs.create_dir_all(&layout.live_dir()).unwrap();
    let rate = |bytes: usize, begin: std::time::Duration| {
        bytes as f64 / (cpu_time() - begin).as_secs_f64() / 1e6
    };
    println!(
        "{} MB, {} bytes a line",
        plain.len() / 1_000_000,
        plain.len() / 150_000
    );
    for level in [1, 3, 6] {
        let stem = stem(level);
        std::fs::write(layout.live(&stem), &plain).unwrap();
        let live = FileBlob::open(&OsFs, layout.live(&stem)).unwrap();
        let begin = cpu_time();
        let tmp = TmpFile::create(&OsFs, &layout, "x").unwrap();
        compress(&tmp, &live, &stem, Level::new(level).unwrap()).unwrap();
        let compressing = rate(plain.len(), begin);
        drop(tmp);
        let begin = cpu_time();
        let index = seal(&OsFs, &layout, &stem, Level::new(level).unwrap()).unwrap();
        let sealing = rate(plain.len(), begin);
        let blob = FileBlob::open(&OsFs, layout.sealed(&stem)).unwrap();
        let (mut unpacker, mut block) = (Unpacker::new(), Vec::new());
        let begin = cpu_time();
        for row in &index.blocks {
            unpacker.block(&blob, row, &mut block).unwrap();
        }
        let inflating = rate(plain.len(), begin);
        let begin = cpu_time();
        rebuild(&blob, &stem).unwrap();
        let rebuilding = rate(plain.len(), begin);
        let begin = cpu_time();
        verify_sealed(&OsFs, &layout, &stem, &mut |_, _| Ok(false)).unwrap();
        let verifying = rate(plain.len(), begin);
        let mut builder = IndexBuilder::new(stem.clone());
        let begin = cpu_time();
        let mut blocks = Blocks::new(&live);
        while let Some(block) = blocks.next().unwrap() {
            builder.push(block, 0);
        }
        let indexing = rate(plain.len(), begin);
        let index_len = std::fs::metadata(layout.index(&stem)).unwrap().len();
        println!(
            "level {level}: compress+index {compressing:.0}, seal {sealing:.0}, inflate {inflating:.0}, index {indexing:.0}, rebuild {rebuilding:.0}, verify {verifying:.0} MB/s; {:.2}:1, index {:.2} % of the gzip",
            plain.len() as f64 / index.packed_len as f64,
            100.0 * index_len as f64 / index.packed_len as f64,
        );
    }
}
