//! Each real damage is one problem, which names its place; what the log itself accounts for is a
//! note.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tracing_audit::{
    AuditLog, AuditLogBuilder, AuditReader, Retention, audit,
    reader::{Finding, FindingKind, VerifyReport},
};
use tracing_subscriber::prelude::*;

fn verify(dir: &Path) -> VerifyReport {
    AuditReader::open(dir).unwrap().verify(|_, _| {}).unwrap()
}

fn small_files(dir: &Path) -> AuditLogBuilder {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("shop")
        .rotate_bytes(1000)
        .live_grace(Duration::ZERO)
        .retention(Retention::unlimited())
}

/// A log of one stream: six sealed files or more, and a live one of 20 entries at the end.
fn log() -> tempfile::TempDir {
    // The last 20 entries are more than a file may hold: a slow machine writes them in two batches
    // and rotates between these, or seals their file before the log is closed.
    let mut logs = (0..100).map(|_| written());
    let dir = logs
        .find(|dir| lines_of_the_last_live_file(dir.path()) >= 20)
        .expect("a log whose last 20 entries are in its live file");
    seal_but_last(dir.path());
    dir
}

fn written() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = small_files(dir.path()).open().unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..24 {
            // Rotation is looked at once a batch, so the batches are many.
            audit!("shop.sold", n, "Sold {n}").wait().unwrap();
        }
        for n in 0..20 {
            audit!("shop.bought", n, "Bought {n}");
        }
    });
    log.close().unwrap();
    dir
}

fn lines_of_the_last_live_file(dir: &Path) -> usize {
    crate::support::files(&dir.join("live"))
        .pop()
        .map_or(0, |live| fs::read_to_string(live).unwrap().lines().count())
}

/// Another process seals what the first left; the last file stays live, as it came.
fn seal_but_last(dir: &Path) {
    let last = crate::support::files(&dir.join("live")).pop().unwrap();
    let (name, text) = (
        last.file_name().unwrap().to_owned(),
        fs::read(&last).unwrap(),
    );
    seal_all(dir);
    fs::write(dir.join("live").join(&name), text).unwrap();
    for path in crate::support::files(dir) {
        let twin = path
            .to_string_lossy()
            .contains(name.to_str().unwrap().trim_end_matches(".jsonl"));
        if twin && !path.starts_with(dir.join("live")) {
            fs::remove_file(path).unwrap();
        }
    }
}

fn seal_all(dir: &Path) {
    let log = small_files(dir).open().unwrap();
    crate::support::until("all files are sealed", || {
        crate::support::files(&dir.join("live")).is_empty()
    });
    log.close().unwrap();
}

fn copy(from: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for path in crate::support::files(from) {
        let to = dir.path().join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&path, to).unwrap();
    }
    dir
}

struct Files {
    sealed: Vec<PathBuf>,
    live: PathBuf,
}

impl Files {
    fn of(dir: &Path) -> Self {
        Self {
            sealed: crate::support::files(&dir.join("sealed")),
            live: crate::support::files(&dir.join("live")).pop().unwrap(),
        }
    }

    fn index(sealed: &Path) -> PathBuf {
        let path = sealed.to_str().unwrap();
        path.replace("/sealed/", "/index/")
            .replace(".jsonl.gz", ".idx")
            .into()
    }

    fn remove(&self, n: usize) {
        fs::remove_file(&self.sealed[n]).unwrap();
        fs::remove_file(Self::index(&self.sealed[n])).unwrap();
    }

    /// A name as that of a sealed file, for another number of its stream.
    fn numbered(&self, n: usize, number: u32) -> PathBuf {
        let name = self.sealed[n].to_str().unwrap();
        let end = name.len() - "00000001.jsonl.gz".len();
        format!("{}{number:08}.jsonl.gz", &name[..end]).into()
    }

    fn edit(&self, edit: impl FnOnce(&mut Vec<String>)) {
        let text = fs::read_to_string(&self.live).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        edit(&mut lines);
        fs::write(&self.live, lines.join("\n") + "\n").unwrap();
    }
}

/// The name of a file below the log's directory.
fn name(path: &Path) -> String {
    let text = path.to_str().unwrap();
    let at = ["/sealed/", "/live/", "/index/"]
        .iter()
        .find_map(|part| text.find(part));
    text[at.unwrap() + 1..].to_owned()
}

type Damage = fn(&Files) -> (FindingKind, String);

const DAMAGES: &[(&str, Damage)] = &[
    ("a middle file is removed", |files| {
        files.remove(2);
        (FindingKind::Missing, name(&files.sealed[1]))
    }),
    ("a middle file is removed, but for its index", |files| {
        fs::remove_file(&files.sealed[2]).unwrap();
        (FindingKind::Missing, name(&files.sealed[3]))
    }),
    ("the first file is removed", |files| {
        files.remove(0);
        (FindingKind::Missing, "its first".into())
    }),
    ("the first files are removed", |files| {
        (0..3).for_each(|n| files.remove(n));
        (FindingKind::Missing, name(&files.sealed[3]))
    }),
    ("the last file is removed, but for its index", |files| {
        fs::remove_file(&files.live).unwrap();
        fs::remove_file(files.sealed.last().unwrap()).unwrap();
        let index = Files::index(files.sealed.last().unwrap());
        (FindingKind::Missing, name(&index))
    }),
    ("a byte of a sealed file is changed", |files| {
        let mut bytes = fs::read(&files.sealed[2]).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&files.sealed[2], bytes).unwrap();
        (FindingKind::Damaged, name(&files.sealed[2]))
    }),
    ("a sealed file is cut", |files| {
        let bytes = fs::read(&files.sealed[2]).unwrap();
        fs::write(&files.sealed[2], &bytes[..bytes.len() / 2]).unwrap();
        (FindingKind::Damaged, name(&files.sealed[2]))
    }),
    (
        "a sealed file is replaced by another of the stream",
        |files| {
            fs::copy(&files.sealed[3], &files.sealed[2]).unwrap();
            (FindingKind::Damaged, name(&files.sealed[2]))
        },
    ),
    ("an index is changed", |files| {
        let index = Files::index(&files.sealed[2]);
        let mut bytes = fs::read(&index).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&index, bytes).unwrap();
        (FindingKind::Damaged, name(&index))
    }),
    ("a sealed file is there under a second number", |files| {
        let second = files.numbered(2, 90);
        fs::copy(&files.sealed[2], &second).unwrap();
        (FindingKind::OutOfOrder, name(&second))
    }),
    ("a foreign file is among the sealed ones", |files| {
        let foreign = files.sealed[0].with_file_name("notes.txt");
        fs::write(&foreign, "mine").unwrap();
        (FindingKind::Foreign, name(&foreign))
    }),
    ("a sealed file is in the folder of another day", |files| {
        let day = files.sealed[0]
            .parent()
            .unwrap()
            .with_file_name("dt=2020-02-29");
        let foreign = day.join(files.sealed[0].file_name().unwrap());
        fs::create_dir(&day).unwrap();
        fs::copy(&files.sealed[0], &foreign).unwrap();
        (FindingKind::Foreign, name(&foreign))
    }),
    ("a foreign file is among the live ones", |files| {
        let foreign = files.live.with_file_name("core");
        fs::write(&foreign, "mine").unwrap();
        (FindingKind::Foreign, name(&foreign))
    }),
    ("an entry is removed", |files| {
        files.edit(|lines| drop(lines.remove(10)));
        (FindingKind::Missing, name(&files.live))
    }),
    ("an entry is doubled", |files| {
        files.edit(|lines| lines.insert(10, lines[9].clone()));
        (FindingKind::OutOfOrder, name(&files.live))
    }),
    ("entries change places", |files| {
        files.edit(|lines| lines.swap(9, 10));
        (FindingKind::OutOfOrder, name(&files.live))
    }),
    ("an entry of another stream is inserted", |files| {
        files.edit(|lines| {
            let stream = lines[9].find("shop-").unwrap();
            let mut other = lines[9].clone();
            other.replace_range(stream + 5..stream + 11, "000000");
            lines.insert(10, other);
        });
        (FindingKind::Damaged, name(&files.live))
    }),
    ("a line that is not an entry is inserted", |files| {
        files.edit(|lines| lines.insert(10, "rotated".into()));
        (FindingKind::Damaged, name(&files.live))
    }),
];

#[test]
fn each_damage_is_one_problem_that_names_its_place() {
    let log = log();
    let whole = verify(log.path());
    assert!(whole.ok && whole.findings.is_empty(), "{whole:#?}");
    for (damage, inflict) in DAMAGES {
        let dir = copy(log.path());
        let files = Files::of(dir.path());
        let (kind, place) = inflict(&files);
        let names_it = |report: &VerifyReport| {
            let problems: Vec<&Finding> = report.problems().collect();
            let named = |problem: &&&Finding| {
                problem.kind == kind
                    && (problem.place.contains(&place) || problem.what.contains(&place))
            };
            let wanted = if kind == FindingKind::OutOfOrder {
                1..=2
            } else {
                1..=1
            };
            assert!(!report.ok, "{damage}");
            assert!(
                wanted.contains(&problems.len()) && problems.iter().any(|p| named(&p)),
                "{damage} in {place}: {report:#?}"
            );
        };
        names_it(&verify(dir.path()));
    }
}

#[test]
fn a_line_that_is_cut_for_good_is_a_problem() {
    let dir = log();
    let files = Files::of(dir.path());
    let text = fs::read(&files.live).unwrap();
    fs::write(&files.live, &text[..text.len() - 30]).unwrap();
    let report = verify(dir.path());
    let problems: Vec<_> = report.problems().collect();
    assert_eq!(problems.len(), 1, "{report:#?}");
    assert_eq!(problems[0].place, name(&files.live), "{report:#?}");
}

#[test]
fn a_damage_is_found_in_a_sealed_file_as_in_a_live_one() {
    let dir = log();
    Files::of(dir.path()).edit(|lines| drop(lines.remove(10)));
    seal_all(dir.path());
    let report = verify(dir.path());
    let problems: Vec<_> = report.problems().collect();
    assert_eq!(problems.len(), 1, "{report:#?}");
    assert!(
        problems[0].kind == FindingKind::Missing && problems[0].what.contains("sealed/"),
        "{report:#?}"
    );
}

#[test]
fn what_retention_removed_is_a_note_and_what_someone_else_did_is_not() {
    let dir = log();
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let files = Files::of(dir.path());
    let keep: u64 = files.sealed[3..].iter().map(size).sum::<u64>() + 400;
    let pruner = small_files(dir.path())
        .retention(Retention::unlimited().max_bytes(keep))
        .open()
        .unwrap();
    crate::support::until("the first files are removed", || !files.sealed[1].exists());
    pruner.close().unwrap();
    let report = verify(dir.path());
    assert!(report.ok, "{report:#?}");
    assert!(
        report.notes().any(|note| note.kind == FindingKind::Pruned),
        "{report:#?}"
    );
    // The entry says which entries retention removed, so it doesn't excuse more.
    let left = crate::support::files(&dir.path().join("sealed"));
    let victim = left
        .iter()
        .find(|path| files.sealed.contains(path))
        .unwrap();
    fs::remove_file(victim).unwrap();
    let _ = fs::remove_file(Files::index(victim));
    let report = verify(dir.path());
    assert!(
        report
            .problems()
            .any(|found| found.kind == FindingKind::Missing),
        "{report:#?}"
    );
}

#[test]
fn a_removal_stays_known_when_its_entry_is_removed_itself() {
    let dir = tempfile::tempdir().unwrap();
    let shop = small_files(dir.path()).open().unwrap();
    let sells = |events: u64| {
        let subscriber = tracing_subscriber::registry().with(shop.layer());
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..events {
                audit!("shop.sold", n, "Sold {n}").wait().unwrap();
            }
        });
        crate::support::until("all but the last file are sealed", || {
            crate::support::files(&dir.path().join("live")).len() <= 1
        });
    };
    let of = |source: &str| -> Vec<PathBuf> {
        let mut files = crate::support::files(&dir.path().join("sealed"));
        files.retain(|path| name(path).contains(&format!("-{source}-")));
        files
    };
    let pruner = |source: &str, bytes: u64| {
        small_files(dir.path())
            .source(source)
            .retention(Retention::unlimited().max_bytes(bytes))
            .open()
            .unwrap()
    };
    sells(20);
    let first = of("shop").remove(0);
    let early = pruner("early", 1500);
    crate::support::until("the first file is removed", || !first.exists());
    early.close().unwrap();
    sells(60);
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let late = pruner("late", of("shop").iter().map(size).sum::<u64>() / 2);
    let live = || crate::support::files(&dir.path().join("live"));
    crate::support::until("the entry about it is removed", || {
        late.request_pruning();
        let unsealed = live().iter().any(|path| name(path).contains("-early-"));
        !unsealed && of("early").is_empty()
    });
    assert!(!of("shop").is_empty());
    let report = verify(dir.path());
    assert!(report.ok, "{report:#?}");
    assert!(
        report.notes().any(|note| note.kind == FindingKind::Pruned),
        "{report:#?}"
    );
}
