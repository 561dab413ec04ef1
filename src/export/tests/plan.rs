//! A range of a real log: what is in the archive is what is in the range, and nothing on the disk
//! makes it something else.

use std::{collections::BTreeMap, fs, io::Read, sync::Arc};

use proptest::prelude::*;
use serde_json::Value;

use super::{
    log::{LOG, Log, SECOND, after, everything, line, time, unzip},
    tools::{all_agree, listing, piped, read, sha256},
};
use crate::{
    entry::Timestamp,
    export::plan::Plan,
    store::{
        files::Files,
        fs::{Fs, OsFs, append_all},
        gzip::Level,
        layout::Layout,
        names::FileStem,
        seal::seal,
        sim::SimFs,
    },
};

/// Any instant of those days, and often exactly that of a line.
fn instant() -> impl Strategy<Value = Timestamp> {
    let start = time("2026-11-20T21:00:00Z");
    let times: Vec<_> = LOG
        .lines
        .values()
        .flatten()
        .map(|(time, _)| *time)
        .collect();
    prop_oneof![
        (0..40 * 3_600 * SECOND).prop_map(move |micros| after(start, micros)),
        proptest::sample::select(times),
        (0..4_i32).prop_map(move |n| start.day().plus(n).start()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_archive_has_the_lines_of_its_range_and_its_manifest_says_which(from in instant(), to in instant()) {
        let range = from.min(to)..from.max(to);
        let archive = LOG.zip(range.clone());
        let (manifest, entries) = unzip(&archive);
        let expected = LOG.expected(&range);
        let found: BTreeMap<_, Vec<_>> = entries.iter().map(|(name, text)| (name.clone(), text.split_inclusive('\n').map(str::to_owned).collect())).collect();
        prop_assert_eq!(&found, &expected);

        prop_assert_eq!(&manifest["range"]["start"], &Value::from(range.start.to_string()));
        prop_assert_eq!(manifest["problems"].as_array().map(Vec::len), Some(0));
        prop_assert_eq!(manifest["entries"].as_array().map(Vec::len), Some(expected.len()));
        for (entry, (name, lines)) in manifest["entries"].as_array().unwrap().iter().zip(&expected) {
            let text = lines.concat();
            let place = |line: Option<&String>| {
                let record: Value = serde_json::from_str(line.unwrap()).unwrap();
                serde_json::json!({ "id": record["id"], "seq": record["seq"] })
            };
            prop_assert_eq!(&entry["name"], name);
            prop_assert_eq!(&entry["count"], lines.len());
            prop_assert_eq!(&entry["bytes"], text.len());
            prop_assert_eq!(&entry["crc32"], &format!("{:08x}", crc32fast::hash(text.as_bytes())));
            prop_assert_eq!(&entry["first"], &place(lines.first()));
            prop_assert_eq!(&entry["last"], &place(lines.last()));
            let counts: u64 = entry["files"].as_array().unwrap().iter().map(|file| file["count"].as_u64().unwrap()).sum();
            prop_assert_eq!(counts, lines.len() as u64);
        }

        let again = LOG.zip(range.clone());
        prop_assert_eq!((archive.len(), archive.etag()), (again.len(), again.etag()));
        prop_assert!(read(&archive, 0..u64::MAX) == read(&again, 0..u64::MAX));
        let gzip = Arc::new(LOG.plan(range).into_gzip());
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(gzip.read_range(0..u64::MAX)).read_to_string(&mut text).unwrap();
        prop_assert_eq!(text, entries.into_values().collect::<String>());
    }
}

#[test]
fn others_unpack_a_range_and_any_200_parts_of_it_are_slices() {
    // Cuts into the first block it has, into the last, and into the live file.
    let range = time("2026-11-20T22:13:14.15Z")..time("2026-11-22T03:21:00Z");
    let archive = LOG.zip(range.clone());
    let entries: Vec<_> = LOG
        .expected(&range)
        .into_iter()
        .map(|(name, lines)| (name, lines.concat()))
        .collect();
    assert_eq!(entries.len(), 4);
    let whole = read(&archive, 0..u64::MAX);
    let manifest = LOG.plan(range.clone()).manifest().to_json();
    let all = [(
        "manifest.json".to_owned(),
        String::from_utf8(manifest).unwrap(),
    )]
    .into_iter()
    .chain(entries)
    .collect::<Vec<_>>();
    all_agree(
        &archive,
        &listing(
            all.iter()
                .map(|(name, text)| (name.as_str(), text.as_bytes())),
        ),
    );
    assert!(
        piped("bsdtar", &["-xOf", "-"], &archive)
            == all
                .iter()
                .map(|(_, text)| text.as_str())
                .collect::<String>()
    );
    let gzip = Arc::new(LOG.plan(range).into_gzip());
    assert!(
        piped("gzip", &["-dc"], &gzip)
            == all[1..]
                .iter()
                .map(|(_, text)| text.as_str())
                .collect::<String>()
    );

    let mut random = 1_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..200 {
        let from = next(archive.len());
        let to = from + next(archive.len() - from + 1);
        assert!(
            read(&archive, from..to) == whole[from as usize..to as usize],
            "{from}..{to}"
        );
    }
}

#[test]
fn whole_blocks_are_copied_and_days_that_are_sealed_never_change() {
    let day = time("2026-11-21T00:00:00Z")..time("2026-11-22T00:00:00Z");
    let plan = LOG.plan(day.clone());
    assert!(plan.immutable() && plan.lines() == 2_701);
    assert!(
        !LOG.plan(day.start..time("2026-11-22T00:01:00Z"))
            .immutable()
    );
    let sealed: u64 = LOG
        .lines
        .keys()
        .filter(|stem| stem.day() == day.start.day())
        .map(|stem| LOG.layout.sealed(stem).metadata().unwrap().len())
        .sum();
    let archive = LOG.zip(day);
    assert!(
        archive.len() < sealed + 4_000,
        "{} of {sealed}",
        archive.len()
    );
    let (manifest, _) = unzip(&archive);
    for file in manifest["entries"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|entry| entry["files"].as_array().unwrap())
    {
        let bytes = fs::read(LOG.dir.path().join(file["name"].as_str().unwrap())).unwrap();
        assert_eq!(file["sha256"].as_str().unwrap(), sha256(&bytes));
    }
}

#[test]
fn what_cannot_be_read_is_left_out_and_named() {
    let mut log = Log::new();
    let stems: Vec<_> = (1..=4)
        .map(|n| {
            log.sealed(
                "billing-7f3a9c",
                n,
                &format!("2026-11-21T0{n}:00:00Z"),
                1_500,
                SECOND,
            )
        })
        .collect();
    // The first block of the first file, which the range cuts; the end of the second; all of the
    // third.
    let path = |n: usize| log.layout.sealed(&stems[n]);
    let mut bytes = fs::read(path(0)).unwrap();
    bytes[5_000] ^= 1;
    fs::write(path(0), bytes).unwrap();
    fs::File::options()
        .write(true)
        .open(path(1))
        .unwrap()
        .set_len(9_000)
        .unwrap();
    fs::write(path(2), "").unwrap();
    let (manifest, entries) = unzip(&log.zip(time("2026-11-21T01:00:10Z")..Timestamp::MAX));
    let problems: Vec<_> = manifest["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["file"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        problems,
        (0..3)
            .map(|n| format!("sealed/dt=2026-11-21/{}.jsonl.gz", stems[n]))
            .collect::<Vec<_>>()
    );
    assert!(
        !manifest
            .to_string()
            .contains(log.dir.path().to_str().unwrap()),
        "{manifest}"
    );
    let rest: String = log.lines[&stems[3]]
        .iter()
        .map(|(_, line)| line.as_str())
        .collect();
    assert!(entries["2026-11-21/billing-7f3a9c.jsonl"] == rest);
}

#[test]
fn a_lost_index_costs_time_and_nothing_else() {
    let mut log = Log::new();
    let stem = log.sealed("billing-7f3a9c", 1, "2026-11-21T00:00:00Z", 1_500, SECOND);
    let range = time("2026-11-21T00:05:00Z")..time("2026-11-21T00:20:00Z");
    let before = log.zip(range.clone());
    fs::remove_file(log.layout.index(&stem)).unwrap();
    assert_eq!(log.zip(range).etag(), before.etag());
}

#[test]
fn of_a_live_file_whole_lines_are_taken_and_made_durable_first() {
    let (fs, layout) = (SimFs::new(), Layout::new("/log"));
    fs.create_dir_all(&layout.live_dir()).unwrap();
    for dir in layout.live_dir().ancestors() {
        fs.sync_dir(dir).unwrap();
    }
    let stem = FileStem {
        born: time("2026-11-21T00:00:00Z"),
        stream: "billing-7f3a9c".parse().unwrap(),
        number: 1,
    };
    let lines: String = (1..=3)
        .map(|seq| line(stem.stream.as_str(), seq, after(stem.born, seq as i64)))
        .collect();
    let file = fs.create_new(&layout.live(&stem)).unwrap();
    fs.sync_dir(&layout.live_dir()).unwrap();
    append_all(&*file, lines.as_bytes()).unwrap();
    append_all(&*file, b"{\"stream\":\"billing-7f3a9c\",\"seq\":4").unwrap();

    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let files = Arc::new(Files::new(shared, layout.clone()));
    let plan = Plan::new(&files, everything()).unwrap();
    assert_eq!(plan.lines(), 3);
    let archive = Arc::new(plan.into_zip().unwrap());
    // To its first line, which comes after the manifest.
    let mut reader = archive.read_range(0..u64::MAX);
    let mut given = Vec::new();
    while !given.ends_with(b"{\"stream\":\"billing-7f3a9c\",") {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        given.extend(byte);
    }
    fs.crash();
    assert!(
        fs.bytes(layout.live(&stem))
            .unwrap()
            .starts_with(lines.as_bytes())
    );
}

#[test]
fn a_download_goes_on_when_its_live_file_is_sealed_and_removed() {
    let mut log = Log::new();
    let stem = log.live("billing-7f3a9c", 1, "2026-11-21T00:00:00Z", 1_000, SECOND);
    let archive = log.zip(everything());
    let before = read(&archive, 0..u64::MAX);
    log.seal(&stem);
    assert!(read(&archive, 0..u64::MAX) == before);
}

#[test]
fn a_download_ends_with_an_error_when_a_sealed_file_is_pruned_or_replaced() {
    let mut log = Log::new();
    let stem = log.sealed("billing-7f3a9c", 1, "2026-11-21T00:00:00Z", 1_000, SECOND);
    let archive = log.zip(everything());
    let path = log.layout.sealed(&stem);
    let bytes = fs::read(&path).unwrap();
    let fails = || {
        archive
            .read_range(0..u64::MAX)
            .read_to_end(&mut Vec::new())
            .is_err()
    };
    assert!(!fails());
    fs::remove_file(&path).unwrap();
    assert!(fails());
    fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
    assert!(fails());
    // One that is removed while it is being read is read to its end.
    fs::write(&path, &bytes).unwrap();
    let mut reader = archive.read_range(0..u64::MAX);
    reader.read_exact(&mut [0; 2_000]).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(
        reader.read_to_end(&mut Vec::new()).unwrap() as u64,
        archive.len() - 2_000
    );
}

#[test]
fn of_twins_the_sealed_one_is_taken_and_each_line_once() {
    let mut log = Log::new();
    let stem = log.live("billing-7f3a9c", 1, "2026-11-21T00:00:00Z", 500, SECOND);
    seal(&OsFs, &log.layout, &stem, Level::DEFAULT).unwrap();
    let plan = log.plan(everything());
    assert!(plan.immutable() && plan.lines() == 500);
}

#[test]
fn what_was_learnt_of_a_live_file_is_not_held_against_its_later_lines() {
    let mut log = Log::new();
    let stem = log.live("billing-7f3a9c", 1, "2026-11-21T00:00:00Z", 500, SECOND);
    let files = log.files();
    let later = time("2026-11-21T01:00:00Z")..time("2026-11-21T02:00:00Z");
    let lines = || Plan::new(&files, later.clone()).unwrap().lines();
    assert_eq!(lines(), 0);
    log.append(&stem, later.start);
    assert_eq!(lines(), 1);
    log.append(&stem, after(later.start, 7));
    assert_eq!(lines(), 2);

    // Nor is it held against the sealed file, with lines that came in between.
    let stem = log.live("billing-7f3a9c", 2, "2026-11-21T00:30:00Z", 500, SECOND);
    assert_eq!(lines(), 2);
    log.append(&stem, later.start);
    log.seal(&stem);
    assert_eq!(lines(), 3);
}

#[test]
fn lines_of_a_stream_that_was_recovered_days_later_are_found() {
    let mut log = Log::new();
    let stem = FileStem {
        born: time("2026-12-24T18:00:00Z"),
        stream: "billing-7f3a9c".parse().unwrap(),
        number: 1,
    };
    log.append(&stem, time("2026-11-21T12:00:00Z"));
    log.append(&stem, time("2026-12-24T18:00:00Z"));
    log.seal(&stem);
    let day = time("2026-11-21T00:00:00Z")..time("2026-11-22T00:00:00Z");
    let (_, entries) = unzip(&log.zip(day));
    assert_eq!(
        entries["2026-12-24/billing-7f3a9c.jsonl"],
        log.lines[&stem][0].1
    );
    // And in the first moment of a day, a file may still get a line that was made before.
    let stem = FileStem {
        born: time("2026-11-22T23:59:59Z"),
        number: 2,
        ..stem
    };
    log.append(&stem, time("2026-11-23T00:00:01Z"));
    log.seal(&stem);
    assert_eq!(
        log.plan(time("2026-11-23T00:00:00Z")..time("2026-11-24T00:00:00Z"))
            .lines(),
        1
    );
}

#[test]
fn a_line_that_is_no_record_stays_where_it_stood() {
    let mut log = Log::new();
    let stem = log.live("billing-7f3a9c", 1, "2026-11-21T00:00:00Z", 10, SECOND);
    log.write(&stem, b"overwritten by \xff\xfe something\n");
    log.append(&stem, time("2026-11-21T01:00:00Z"));
    let early = time("2026-11-21T00:00:00Z")..time("2026-11-21T00:30:00Z");
    for sealed in [false, true] {
        if sealed {
            log.seal(&stem);
        }
        assert_eq!(log.plan(early.end..Timestamp::MAX).lines(), 1);
        let plan = log.plan(early.clone());
        assert_eq!(plan.lines(), 11);
        let manifest: Value = serde_json::from_slice(&plan.manifest().to_json()).unwrap();
        assert!(
            manifest["problems"][0]["problem"]
                .as_str()
                .unwrap()
                .starts_with("1 of its lines"),
            "{manifest}"
        );
        assert_eq!(manifest["entries"][0]["last"]["seq"], 10);
    }
}

#[test]
fn an_empty_range_is_an_archive_with_a_manifest() {
    let archive = Log::new().zip(everything());
    let (manifest, entries) = unzip(&archive);
    assert!(entries.is_empty() && manifest["entries"].as_array().unwrap().is_empty());
    let gzip = Arc::new(Log::new().plan(everything()).into_gzip());
    assert_eq!(piped("gzip", &["-dc"], &gzip), "");
}
