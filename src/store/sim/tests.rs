//! The double does to files what it says.

use super::*;
use crate::store::fs::{Fs, append_all};

fn at(path: &str) -> &Path {
    Path::new(path)
}

#[test]
fn only_what_was_synced_survives_a_crash() {
    let sim = SimFs::new();
    sim.create_dir_all(at("/log/live")).unwrap();
    let file = sim.create_new(at("/log/live/a")).unwrap();
    append_all(&*file, b"synced").unwrap();
    file.sync().unwrap();
    append_all(&*file, b" not").unwrap();
    for dir in ["/", "/log"] {
        sim.sync_dir(at(dir)).unwrap();
    }
    assert_eq!(sim.bytes("/log/live/a").unwrap(), b"synced not");
    let (named, unnamed) = (sim.clone(), copy(&sim));
    unnamed.crash();
    assert_eq!(
        unnamed.bytes("/log/live/a"),
        None,
        "its bytes were synced, its name was not"
    );
    named.sync_dir(at("/log/live")).unwrap();
    named.crash();
    assert_eq!(named.bytes("/log/live/a").unwrap(), b"synced");
    assert!(
        file.append(b"x").is_err(),
        "the handle died with its process"
    );
}

/// Another disk with the same on it.
fn copy(sim: &SimFs) -> SimFs {
    SimFs {
        disk: Arc::new(Mutex::new(sim.disk().copy())),
        ..SimFs::default()
    }
}

#[test]
fn what_was_written_over_is_durable_in_any_parts_until_it_is_synced() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let sim = SimFs::new();
        sim.put("/a", vec![b'1'; 1500]);
        sim.fail(|_, op| (op.what == "sync").then(eio));
        assert!(sim.overwrite(at("/a"), &[b'2'; 1000], 500).is_err());
        sim.crash_randomly(Model::Posix, seed);
        let bytes = sim.bytes("/a").unwrap();
        assert!(bytes[..500].iter().all(|byte| *byte == b'1'));
        kinds.insert([bytes[500], bytes[600], bytes[1400]]);
    }
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    let sim = SimFs::new();
    sim.put("/a", "12345678");
    sim.overwrite(at("/a"), b"xy", 6).unwrap();
    assert!(sim.overwrite(at("/a"), b"xy", 7).is_err());
    sim.crash();
    assert_eq!(sim.bytes("/a").unwrap(), b"123456xy");
}

#[test]
fn a_rename_is_durable_with_its_directory() {
    let sim = SimFs::new();
    sim.put("/log/tmp/a", "new");
    sim.put("/log/sealed/a", "old");
    sim.rename(at("/log/tmp/a"), at("/log/sealed/a")).unwrap();
    assert_eq!(sim.files("/"), [at("/log/sealed/a")]);
    let before = copy(&sim);
    before.crash();
    assert_eq!(
        (
            before.bytes("/log/tmp/a").unwrap(),
            before.bytes("/log/sealed/a").unwrap()
        ),
        (b"new".to_vec(), b"old".to_vec())
    );
    sim.sync_dir(at("/log/sealed")).unwrap();
    sim.crash();
    assert_eq!(sim.bytes("/log/sealed/a").unwrap(), b"new");
}

#[test]
fn a_crash_leaves_some_beginning_of_what_was_appended() {
    let mut lens = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let sim = SimFs::new();
        sim.put("/a", "1234");
        append_all(&*sim.open_write(at("/a")).unwrap(), b"5678").unwrap();
        sim.crash_randomly(Model::Posix, seed);
        let bytes = sim.bytes("/a").unwrap();
        let zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        assert!(
            b"12345678".starts_with(&bytes[..])
                || (bytes.starts_with(b"1234") && zeros(&bytes[4..])),
            "{bytes:?}"
        );
        lens.insert(bytes.len());
    }
    assert!(lens.len() > 2, "{lens:?}");
}

#[test]
fn a_cut_that_was_not_synced_comes_back() {
    let sim = SimFs::new();
    sim.put("/a", "12345678");
    let file = sim.open_write(at("/a")).unwrap();
    file.truncate(4).unwrap();
    append_all(&*file, b"x").unwrap();
    assert_eq!(sim.bytes("/a").unwrap(), b"1234x");
    sim.crash();
    assert_eq!(sim.bytes("/a").unwrap(), b"12345678");
}

#[test]
fn a_full_disk_takes_a_part_and_then_nothing() {
    let sim = SimFs::new();
    sim.limit(Some(6));
    let file = sim.create_new(at("/a")).unwrap();
    assert_eq!(file.append(b"12345678").unwrap(), 6);
    assert_eq!(
        file.append(b"78").unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    sim.remove_file(at("/a")).unwrap();
    assert_eq!(file.identity().unwrap().links, 0);
    assert!(
        file.append(b"78").is_err(),
        "who has it open keeps its room"
    );
    drop(file);
    assert_eq!(sim.space(at("/")).unwrap().free, 6);
}

#[test]
fn operations_fail_when_told_to() {
    let sim = SimFs::new();
    let file = sim.create_new(at("/a")).unwrap();
    sim.fail_nth(1);
    file.append(b"1").unwrap();
    assert!(file.append(b"2").is_err());
    file.append(b"3").unwrap();
    sim.stop_after(1);
    file.append(b"4").unwrap();
    assert!(file.sync().is_err() && file.append(b"5").is_err());
    sim.kill();
    assert_eq!(sim.bytes("/a").unwrap(), b"134");
    assert_eq!(
        sim.ops().iter().map(|op| op.what).collect::<Vec<_>>(),
        [
            "create_new",
            "append",
            "append",
            "append",
            "append",
            "sync",
            "append"
        ]
    );
}
