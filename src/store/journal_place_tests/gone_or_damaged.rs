//! Recovery without the journal: the numbers of the stream go on after its last file, and a damaged
//! journal or pointer is kept.

use super::*;
use crate::{entry::json::members, store::samples};

#[test]
fn the_numbers_go_on_where_all_files_are_sealed() {
    for with_index in [true, false] {
        let mut run = Run::new(0);
        run.disk.heal();
        let process = run.disk.process();
        let mut options = options();
        options.writer.rotate_bytes = 1;
        let fs = Arc::new(process.clone());
        let mut parts = assemble(fs, run.clock.clone(), Path::new(DIR), options).unwrap();
        for _ in 0..3 {
            run.record(&parts.producer);
            for _ in 0..4 {
                parts.writer.step().unwrap();
                parts.sealer.take_all();
                parts.sealer.turn();
                run.clock.pass(Duration::from_secs(2));
            }
        }
        process.end();
        let files = |dir: PathBuf| run.disk.files(dir);
        assert_eq!(files(run.layout.live_dir()).len(), 0);
        assert_eq!(files(run.layout.sealed_dir()).len(), 3);
        if !with_index {
            let last = files(run.layout.index_dir()).pop().unwrap();
            run.disk.take_away(last);
        }
        run.take_journal_away();
        run.recover(u64::MAX / 2).unwrap();
        assert_eq!(run.check(&run.recorded, "all sealed"), 1);
        let sealed = files(run.layout.sealed_dir()).pop().unwrap();
        let sealed = sealed.to_string_lossy().into_owned();
        // File 4 is left out, because the dead process may have begun it.
        assert!(sealed.ends_with("-00000005.jsonl.gz"), "{sealed}");
        let streams = streams(&run.disk, Path::new(DIR)).unwrap();
        let last: Value = serde_json::from_str(&streams[parts.stream.as_str()][3]).unwrap();
        assert_eq!(
            (&last["seq"], &last["details"]["after_seq"]),
            (&4.into(), &3.into())
        );
    }
}

#[test]
fn the_numbers_go_on_where_all_files_are_pruned() {
    let mut run = Run::new(0);
    run.disk.heal();
    let process = run.disk.process();
    let fs = Arc::new(process.clone());
    let mut parts = assemble(fs, run.clock.clone(), Path::new(DIR), options()).unwrap();
    run.record(&parts.producer);
    parts.writer.step().unwrap();
    process.end();
    let live = run.disk.files(run.layout.live_dir());
    live.iter().for_each(|path| run.disk.take_away(path));
    run.take_journal_away();
    let mut file = samples::stem(7);
    file.stream = parts.stream.clone();
    let row = members! {"file": file.to_string(), "first_seq": 21, "last_seq": 40};
    let pruned = OwnEntry::new("audit.log.pruned", Severity::Info, "").detail("files", vec![row]);
    let mut line = br#"{"stream":"other-00000a","seq":1,"#.to_vec();
    line.extend(pruned.render(&"other".parse().unwrap()));
    line.push(b'\n');
    file.stream = "other-00000a".parse().unwrap();
    run.disk.put(run.layout.live(&file), line);
    // Also if an attempt fails before, which leaves an empty file.
    for operations in [20, 22, 24, u64::MAX / 2] {
        let _ = run.recover(operations);
    }
    let streams = streams(&run.disk, Path::new(DIR)).unwrap();
    let first: Value = serde_json::from_str(&streams[parts.stream.as_str()][0]).unwrap();
    assert_eq!(
        (&first["seq"], &first["details"]["after_seq"]),
        (&41.into(), &40.into())
    );
    let files = run.disk.files(run.layout.sealed_dir());
    let ours = |path: &&PathBuf| path.to_string_lossy().contains(parts.stream.as_str());
    let last = files
        .iter()
        .rfind(ours)
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert!(last.ends_with("-00000009.jsonl.gz"), "{files:?}");
}

#[test]
fn a_damaged_journal_is_kept_in_the_log_and_a_damaged_pointer_too() {
    for (of_pointer, kept) in [(false, "ring.damaged"), (true, "at.damaged")] {
        let run = Run::new(operations() / 2);
        run.disk.heal();
        let dir = match of_pointer {
            true => run.layout.journal_dir(),
            false => ELSEWHERE.into(),
        };
        for path in run.disk.files(dir) {
            run.disk.change(path, |bytes| bytes[3] ^= 0xff);
        }
        let problems = run.recover(u64::MAX / 2).unwrap();
        assert!(
            problems.iter().any(|what| what.contains(kept)),
            "{problems:?}"
        );
        let left = run.disk.files(run.layout.journal_dir());
        let name = |path: &PathBuf| path.to_string_lossy().ends_with(kept);
        assert!(left.len() == 1 && left.iter().all(name), "{left:?}");
        assert!(!run.verify().unwrap().ok);
        assert_eq!(run.recover(u64::MAX / 2).unwrap(), Vec::<String>::new());
    }
}
