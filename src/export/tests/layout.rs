//! Whatever the pieces: others unpack the file, any range of it is a slice of it, and ZIP64 comes
//! where it must and only there.

use std::{
    io::{self, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use flate2::read::MultiGzDecoder;
use proptest::prelude::*;

use super::{
    Part, join, memory, part,
    tools::{all_agree, all_test, by_java, by_python, listing, piped, read, write_sparse},
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    export::{
        deflate::Joined,
        pieces::{Download, Pieces, Stored},
        zip::ZipLayout,
    },
    store::blob::Blob,
};

fn noon() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn zip(entries: &[(String, Vec<Part>)]) -> Arc<Download> {
    let mut zip = ZipLayout::default();
    for (name, parts) in entries {
        zip.deflated(name, noon(), join(parts)).unwrap();
    }
    Arc::new(zip.finish())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_archive_holds_what_went_in_and_any_range_is_a_slice(
        contents in proptest::collection::vec(proptest::collection::vec(part(), 0..5), 0..6),
        ranges in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 20),
    ) {
        let entries: Vec<_> = contents.into_iter().enumerate().map(|(n, parts)| (format!("day/entry-{n}.jsonl"), parts)).collect();
        let archive = zip(&entries);
        let whole = read(&archive, 0..u64::MAX);
        prop_assert_eq!(whole.len() as u64, archive.len());
        for (from, to) in ranges {
            let (from, to) = (from.index(whole.len() + 1), to.index(whole.len() + 1));
            let expected = whole.get(from..to).unwrap_or_default();
            prop_assert_eq!(&read(&archive, from as u64..to as u64), expected);
            let chunks: io::Result<Vec<_>> = archive.read_range(from as u64..to as u64).chunks().collect();
            prop_assert_eq!(&chunks.unwrap().concat(), expected);
        }
        let mut zip = zip::ZipArchive::new(Cursor::new(whole)).unwrap();
        prop_assert_eq!(zip.len(), entries.len());
        for (n, (name, parts)) in entries.iter().enumerate() {
            let mut file = zip.by_index(n).unwrap();
            prop_assert_eq!(file.name().unwrap(), name.as_str());
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            prop_assert_eq!(content, parts.iter().flat_map(Part::text).copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_same_parts_make_one_gzip_file(parts in proptest::collection::vec(part(), 0..8)) {
        let file = Arc::new(join(&parts).into_gzip());
        let packed = read(&file, 0..u64::MAX);
        prop_assert_eq!(packed.len() as u64, file.len());
        let mut content = Vec::new();
        MultiGzDecoder::new(&packed[..]).read_to_end(&mut content).unwrap();
        prop_assert_eq!(content, parts.iter().flat_map(Part::text).copied().collect::<Vec<_>>());
    }
}

#[test]
fn others_unpack_every_kind_of_part() {
    let long = b"a live line longer than any stored block can be\n".repeat(5_000);
    let parts = [
        vec![
            Part::Copied(b"copied\n".repeat(9_000)),
            Part::Edge(b"edge\n".to_vec()),
            Part::Live(long.clone()),
        ],
        vec![
            Part::Edge(long),
            Part::Copied(b"1\n".to_vec()),
            Part::Copied(b"2\n".repeat(99)),
            Part::Copied(Vec::new()),
        ],
        vec![],
    ];
    let entries: Vec<_> = parts
        .into_iter()
        .zip(["2026-11-21/a.jsonl", "2026-11-21/é ü.jsonl", "empty"])
        .map(|(p, n)| (n.to_owned(), p))
        .collect();
    let contents: Vec<_> = entries
        .iter()
        .map(|(_, parts)| {
            parts
                .iter()
                .flat_map(Part::text)
                .copied()
                .collect::<Vec<_>>()
        })
        .collect();
    let archive = zip(&entries);
    all_agree(
        &archive,
        &listing(
            entries
                .iter()
                .map(|(name, _)| name.as_str())
                .zip(contents.iter().map(Vec::as_slice)),
        ),
    );
    assert_eq!(
        piped("bsdtar", &["-xOf", "-"], &archive).into_bytes(),
        contents.concat()
    );
    let gzip = entries
        .iter()
        .fold(Joined::default(), |mut all, (_, parts)| {
            all.append(join(parts));
            all
        });
    assert_eq!(
        piped("gzip", &["-dc"], &Arc::new(gzip.into_gzip())).into_bytes(),
        contents.concat()
    );
}

#[test]
fn seventy_thousand_entries_need_zip64_and_one_less_than_65535_do_not() {
    const END64: &[u8] = b"PK\x06\x06";
    let archive = |count: u32| {
        let mut zip = ZipLayout::default();
        for n in 0..count {
            let mut content = Joined::default();
            content.text(n.to_string().as_bytes());
            zip.deflated(&format!("2026-11-21/{n}.jsonl"), noon(), content)
                .unwrap();
        }
        Arc::new(zip.finish())
    };
    let tail = |archive: &Arc<Download>| read(archive, archive.len() - 98..u64::MAX);
    assert!(!tail(&archive(65_534)).windows(4).any(|w| w == END64));
    assert!(tail(&archive(65_535)).starts_with(END64));
    let entries: Vec<_> = (0..70_000)
        .map(|n| (format!("2026-11-21/{n}.jsonl"), n.to_string()))
        .collect();
    all_agree(
        &archive(70_000),
        &listing(
            entries
                .iter()
                .map(|(name, content)| (name.as_str(), content.as_bytes())),
        ),
    );
}

/// Gigabytes of nothing.
#[derive(Debug)]
struct Zeros;

impl Stored for Zeros {
    fn identity(&self) -> String {
        "zeros".to_owned()
    }

    fn open(&self) -> Result<Arc<dyn Blob>> {
        Ok(Arc::new(Self))
    }
}

impl Blob for Zeros {
    fn path(&self) -> &Path {
        Path::new("zeros")
    }

    fn len(&self) -> u64 {
        u64::MAX
    }

    fn read_at(&self, buffer: &mut [u8], _: u64) -> io::Result<usize> {
        buffer.fill(0);
        Ok(buffer.len())
    }
}

#[test]
#[ignore = "takes a minute"]
fn others_unpack_more_than_four_gigabytes() {
    const MIB: u64 = 1 << 20;
    let zeros: Arc<dyn Stored> = Arc::new(Zeros);
    let crc = crc32fast::hash(&vec![0; MIB as usize]);
    let mut long = Joined::default();
    for n in 0..4 * 1024 + 16 {
        long.text_of(&zeros, n * MIB, MIB, crc);
    }
    // Short in the archive, too long for 32 bits once unpacked.
    let packed = super::block(&vec![0; MIB as usize]);
    let (packed_len, sealed) = (packed.len() as u64, memory("sealed", packed));
    let mut dense = Joined::default();
    for _ in 0..4 * 1024 + 16 {
        dense.copy(&sealed, 0, packed_len, MIB, crc);
    }
    let mut short = Joined::default();
    short.text(b"beyond four gigabytes\n");
    let mut zip = ZipLayout::default();
    zip.deflated("dense", noon(), dense).unwrap();
    zip.deflated("long", noon(), long).unwrap();
    zip.deflated("short", noon(), short).unwrap();
    let archive = Arc::new(zip.finish());
    assert!(archive.len() > 4 << 30);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.zip");
    write_sparse(&archive, &path);
    all_test(&archive, &path);
    let unpacked = by_java(&archive);
    assert_eq!(unpacked, by_python(&path));
    let lens: Vec<_> = unpacked
        .iter()
        .map(|(name, len, _)| (name.as_str(), *len))
        .collect();
    assert_eq!(
        lens,
        [("dense", 4112 * MIB), ("long", 4112 * MIB), ("short", 22)]
    );
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let accepts = |name: &str| ZipLayout::default().stored(name, noon(), b"").is_ok();
    assert!(
        accepts("2026-11-21/billing-7f3a9c.jsonl")
            && accepts("manifest.json")
            && accepts("a..b/...c")
    );
    for name in [
        "",
        "/etc/passwd",
        "..",
        "a/../../b",
        "./a",
        "a//b",
        "a/",
        "a\\..\\b",
        "C:evil",
        "a\0b",
        "a\nb",
        &"x".repeat(65_536),
    ] {
        assert!(!accepts(name), "{name:?}");
    }
}

#[test]
fn times_outside_of_what_a_zip_can_say_are_the_nearest_it_can() {
    for time in [
        Timestamp::MIN,
        Timestamp::MAX,
        noon(),
        "1979-12-31T23:59:59Z".parse().unwrap(),
        "2038-02-01T00:00:00Z".parse().unwrap(),
    ] {
        let mut zip = ZipLayout::default();
        zip.stored("a", time, b"content").unwrap();
        all_agree(&Arc::new(zip.finish()), &listing([("a", &b"content"[..])]));
    }
}

#[test]
fn the_entity_tag_changes_with_every_byte_and_every_slice() {
    let tag = |bytes: &[u8], name: &str, offset: u64, len: u64| {
        let mut pieces = Pieces::default();
        pieces.bytes(bytes);
        pieces.slice(&memory(name, vec![0; 20]), offset, len);
        pieces.into_download().etag().to_owned()
    };
    let tags = [
        tag(b"a", "x", 0, 9),
        tag(b"b", "x", 0, 9),
        tag(b"a", "y", 0, 9),
        tag(b"a", "x", 1, 9),
        tag(b"a", "x", 0, 8),
        tag(b"ax", "", 0, 9),
    ];
    let different: std::collections::HashSet<_> = tags.iter().collect();
    assert_eq!(different.len(), tags.len());
    assert_eq!(tags[0], tag(b"a", "x", 0, 9));
}

/// A file that loses its end and then is gone, while someone downloads.
#[derive(Debug)]
struct Fading(AtomicUsize);

impl Stored for Fading {
    fn identity(&self) -> String {
        "fading".to_owned()
    }

    fn open(&self) -> Result<Arc<dyn Blob>> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => memory("short", vec![1; 10]).open(),
            _ => Err(Error::damaged("fading", "it is gone")),
        }
    }
}

#[test]
fn a_file_that_is_gone_ends_the_download_with_an_error_and_no_other_bytes() {
    let fading: Arc<dyn Stored> = Arc::new(Fading(AtomicUsize::new(0)));
    let mut pieces = Pieces::default();
    pieces.bytes(b"before");
    pieces.slice(&fading, 0, 11);
    let download = Arc::new(pieces.into_download());
    let mut bytes = Vec::new();
    assert_eq!(
        download
            .read_range(0..u64::MAX)
            .read_to_end(&mut bytes)
            .unwrap_err()
            .kind(),
        io::ErrorKind::UnexpectedEof
    );
    assert_eq!(bytes, [b"before".to_vec(), vec![1; 10]].concat());
    let mut chunks = download.read_range(0..u64::MAX).chunks();
    assert!(
        chunks
            .next()
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("it is gone")
    );
    assert!(chunks.next().is_none());
}
