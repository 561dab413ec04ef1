//! A range of the log beyond what 32 bits count: unpacked, and in the archive.
//!
//! The log is one file of a few blocks that stands in for many, so that it needs neither the room
//! nor the time of a real one. Planning and reading an archive see no difference.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::Command,
    sync::Arc,
};

use super::{block, log::time, memory, tools::read};
use crate::{
    entry::{Day, Timestamp},
    error::Result,
    export::{
        deflate::Joined,
        pieces::{Download, Stored},
        plan::Plan,
    },
    store::{
        blob::Blob,
        blooms::Blooms,
        files::{Files, SealedFiles},
        fs::OsFs,
        gzip::{self, BLOCK_LEN},
        index::{Index, Key},
        layout::Layout,
        names::FileStem,
        summary::IndexBuilder,
    },
};

const BLOCKS: usize = 256;
/// Of 64 MiB each: somewhat more than 4 GiB together.
const FILES: u32 = 66;

/// One sealed file under the names of many.
#[derive(Debug)]
struct Repeated {
    index: Index,
    file: Arc<dyn Stored>,
}

impl Repeated {
    /// Files whose blocks all have this text, which becomes these deflate bytes.
    fn new(text: &[u8], packed: &[u8]) -> Self {
        let mut builder = IndexBuilder::new(stem(1));
        for _ in 0..BLOCKS {
            builder.push(text, packed.len() as u32);
        }
        let trailer = gzip::trailer(builder.crc(), builder.plain_len());
        let bytes = [&gzip::HEADER, &packed.repeat(BLOCKS)[..], &trailer].concat();
        Self {
            index: builder.finish(bytes.len() as u64, [7; 32]).index,
            file: memory("sealed", bytes),
        }
    }
}

impl SealedFiles for Repeated {
    fn days(&self) -> Result<Vec<Day>> {
        Ok(vec![stem(1).day()])
    }

    fn list(&self, _: Day) -> Result<Vec<FileStem>> {
        Ok((1..=FILES).map(stem).collect())
    }

    fn open(&self, _: &FileStem) -> Result<Arc<dyn Blob>> {
        self.file.open()
    }

    fn index(&self, stem: &FileStem) -> Result<Option<Index>> {
        let mut index = self.index.clone();
        index.stem = stem.clone();
        Ok(Some(index))
    }

    fn blooms(&self, _: &Index, _: Key) -> Result<Blooms> {
        Ok(Blooms::unknown())
    }
}

fn stem(number: u32) -> FileStem {
    FileStem {
        born: time("2026-11-21T10:00:00Z"),
        stream: "billing-7f3a9c".parse().unwrap(),
        number,
    }
}

/// A record with a note.
fn line(stream: &str, note: &str) -> String {
    format!(
        concat!(
            r#"{{"stream":"{}","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2026-11-21T10:00:00.000000Z","#,
            r#""event_type":"auth.login","details":{{"note":"{}"}}}}"#,
            "\n"
        ),
        stream, note
    )
}

/// As long as the shortest block.
fn text() -> Vec<u8> {
    let rest = BLOCK_LEN / 4 - line("billing-7f3a9c", "").len();
    line("billing-7f3a9c", &"x".repeat(rest))
        .into_bytes()
        .repeat(4)
}

/// The archive of the whole range: the long stream, and a short one after it.
fn archive(dir: &Path, sealed: Repeated) -> Arc<Download> {
    let layout = Layout::new(dir);
    std::fs::create_dir_all(layout.live_dir()).unwrap();
    let after = FileStem {
        stream: "later-000001".parse().unwrap(),
        ..stem(1)
    };
    std::fs::write(layout.live(&after), line("later-000001", "short")).unwrap();
    let files = Files::with_sealed(Arc::new(OsFs), layout, Arc::new(sealed));
    let plan = Plan::new(&Arc::new(files), Timestamp::MIN..Timestamp::MAX).unwrap();
    assert_eq!(plan.lines(), u64::from(FILES) * BLOCKS as u64 * 4 + 1);
    assert!(
        plan.manifest().problems.is_empty(),
        "{:?}",
        plan.manifest().problems
    );
    Arc::new(plan.into_zip().unwrap())
}

/// Writes parts of it, and holes between them.
fn write_parts(archive: &Arc<Download>, path: &Path, parts: [std::ops::Range<u64>; 2]) {
    let mut file = File::create(path).unwrap();
    file.set_len(archive.len()).unwrap();
    for part in parts {
        file.seek(SeekFrom::Start(part.start)).unwrap();
        file.write_all(&read(archive, part)).unwrap();
    }
}

/// What the program says; it must be content.
fn says(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("cannot run {program}: {e}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {said}");
    said
}

/// Python's view of the directory: each entry's name, both lengths, and where it begins.
fn directory(path: &Path) -> Vec<(String, u64, u64, u64)> {
    let script = "
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
for info in archive.infolist(): print(info.filename, info.file_size, info.compress_size, info.header_offset)
# Its checksum is compared when all of it was read.
assert archive.read(archive.infolist()[-1]).endswith(b'\"short\"}}\\n')
";
    let said = says("python3", &["-c", script, path.to_str().unwrap()]);
    let line = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let name = words.next().unwrap();
        let [plain, packed, offset] = [(); 3].map(|()| words.next().unwrap().parse().unwrap());
        (name, plain, packed, offset)
    };
    said.lines().map(line).collect()
}

/// It is found by the directory, behind what is long.
fn tests_the_short_one(path: &Path) {
    let path = path.to_str().unwrap();
    let said = says("unzip", &["-tqq", path, SHORT]);
    assert!(said.trim().is_empty(), "unzip warns: {said}");
    let said = says("7z", &["t", path, SHORT]);
    assert!(
        said.contains("Everything is Ok") && !said.to_lowercase().contains("warning"),
        "7z warns: {said}"
    );
}

const LONG: &str = "2026-11-21/billing-7f3a9c.jsonl";
const SHORT: &str = "2026-11-21/later-000001.jsonl";

#[test]
fn a_stream_longer_than_four_gigabytes_is_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let (text, path) = (text(), dir.path().join("audit.zip"));
    assert_eq!(text.len(), BLOCK_LEN);
    let archive = archive(dir.path(), Repeated::new(&text, &block(&text)));
    assert!(archive.len() < 64 << 20, "{} bytes", archive.len());
    std::fs::write(&path, read(&archive, 0..u64::MAX)).unwrap();
    // It compares the checksum of all 4 GiB, and takes a sixth of the time that unzip does.
    says(
        "sh",
        &[
            "-c",
            "bsdtar -xOf \"$0\" >/dev/null",
            path.to_str().unwrap(),
        ],
    );
    tests_the_short_one(&path);
    let directory = directory(&path);
    let [_, (name, plain, ..), (short, ..)] = &directory[..] else {
        panic!("{directory:?}")
    };
    assert_eq!(
        (name.as_str(), *plain, short.as_str()),
        (LONG, u64::from(FILES) * (64 << 20), SHORT)
    );
}

#[test]
fn an_archive_longer_than_four_gigabytes_is_read_from_both_ends_and_in_the_middle() {
    const EDGE: u64 = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let (text, path) = (text(), dir.path().join("audit.zip"));
    let mut stored = Joined::default();
    stored.text(&text);
    let mut packed = read(&Arc::new(stored.finish().into_download()), 0..u64::MAX);
    packed.truncate(packed.len() - gzip::END.len());

    let archive = archive(dir.path(), Repeated::new(&text, &packed));
    write_parts(
        &archive,
        &path,
        [0..EDGE, archive.len() - EDGE..archive.len()],
    );
    let directory = directory(&path);
    let [_, (name, plain, len, header), (short, _, _, offset)] = &directory[..] else {
        panic!("{directory:?}")
    };
    let all = u64::from(FILES) * BLOCKS as u64 * packed.len() as u64;
    assert_eq!(
        (name.as_str(), *plain, *len),
        (
            LONG,
            u64::from(FILES) * (64 << 20),
            all + gzip::END.len() as u64
        )
    );
    assert_eq!(short, SHORT);
    assert!(*offset > 4 << 30 && *len > 4 << 30);
    tests_the_short_one(&path);

    // The content ends where the next entry begins.
    let start = offset - len;
    assert!(start > *header);
    for at in [0, 12_345, (4 << 30) - start - 1000, all / 2, all - EDGE / 4] {
        let expected: Vec<u8> = packed
            .iter()
            .cycle()
            .skip((at % packed.len() as u64) as usize)
            .take(EDGE as usize / 4)
            .copied()
            .collect();
        assert!(
            read(&archive, start + at..start + at + EDGE / 4) == expected,
            "at byte {at}"
        );
    }
}
