//! The programs that people unpack our files with. One that is missing fails the test: what was not
//! tried is not known to work.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    thread,
};

use sha2::{Digest, Sha256};

use crate::export::pieces::Download;

/// An entry's name, length, and the SHA-256 of its content.
pub(super) type Listing = Vec<(String, u64, String)>;

pub(super) fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

pub(super) fn listing<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Listing {
    entries
        .into_iter()
        .map(|(name, content)| (name.to_owned(), content.len() as u64, sha256(content)))
        .collect()
}

/// Unpacks `archive` with all five, from a file where they need one and from a pipe where they can.
pub(super) fn all_agree(archive: &Arc<Download>, expected: &Listing) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.zip");
    write_sparse(archive, &path);
    all_test(archive, &path);
    assert_eq!(&by_python(&path), expected, "Python zipfile");
    assert_eq!(&by_java(archive), expected, "Java ZipInputStream");
    let names = expected
        .iter()
        .map(|(name, ..)| format!("{name}\n"))
        .collect::<String>();
    assert!(
        names == piped("bsdtar", &["-tf", "-"], archive),
        "bsdtar lists other names"
    );
}

/// Lets those with a test of their own run it.
pub(super) fn all_test(archive: &Arc<Download>, path: &Path) {
    let shown = path.to_str().unwrap();
    let said = succeeds("unzip", run("unzip", &["-tqq", shown], None));
    assert!(said.trim().is_empty(), "unzip warns: {said}");
    let said = succeeds("7z", run("7z", &["t", shown], None));
    assert!(
        said.contains("Everything is Ok") && !said.to_lowercase().contains("warning"),
        "7z warns: {said}"
    );
    // It checks what it unpacks, even if nobody wants to see it.
    piped("sh", &["-c", "bsdtar -xOf - >/dev/null"], archive);
}

pub(super) fn by_python(path: &Path) -> Listing {
    let script = "
import hashlib, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
for info in archive.infolist():
    assert info.external_attr >> 16 == 0o100600, oct(info.external_attr)
    content, sha = archive.open(info), hashlib.sha256()
    while chunk := content.read(1 << 20): sha.update(chunk)
    print(info.filename, info.file_size, sha.hexdigest())
";
    parse(&succeeds(
        "python3",
        run("python3", &["-c", script, path.to_str().unwrap()], None),
    ))
}

/// Java reads the entries one after the other as they come and never sees the directory at the end.
pub(super) fn by_java(archive: &Arc<Download>) -> Listing {
    let source = r#"
import java.io.*; import java.security.*; import java.util.*; import java.util.zip.*;
public class Unpack {
    public static void main(String[] args) throws Exception {
        var zip = new ZipInputStream(new BufferedInputStream(System.in, 1 << 20));
        var out = new PrintStream(new BufferedOutputStream(System.out));
        var buffer = new byte[1 << 20];
        for (ZipEntry entry; (entry = zip.getNextEntry()) != null; ) {
            var sha = MessageDigest.getInstance("SHA-256");
            long size = 0;
            for (int n; (n = zip.read(buffer)) > 0; size += n) sha.update(buffer, 0, n);
            out.println(entry.getName() + " " + size + " " + HexFormat.of().formatHex(sha.digest()));
        }
        System.in.transferTo(OutputStream.nullOutputStream());
        out.flush();
    }
}"#;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("Unpack.java");
    std::fs::write(&path, source).unwrap();
    parse(&piped("java", &[path.to_str().unwrap()], archive))
}

fn parse(said: &str) -> Listing {
    let line = |line: &str| {
        let [name, len, sha] = line
            .rsplitn(3, ' ')
            .collect::<Vec<_>>()
            .try_into()
            .map(|[sha, len, name]: [&str; 3]| [name, len, sha])
            .unwrap();
        (name.to_owned(), len.parse().unwrap(), sha.to_owned())
    };
    said.lines().map(line).collect()
}

/// What the program says about the archive that comes in at its standard input.
pub(super) fn piped(program: &str, args: &[&str], archive: &Arc<Download>) -> String {
    succeeds(program, run(program, args, Some(archive)))
}

fn succeeds(program: &str, output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && (errors.is_empty() || program == "7z"),
        "{program}: {} {errors}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(program: &str, args: &[&str], input: Option<&Arc<Download>>) -> Output {
    let package = match program {
        "7z" => "p7zip-full",
        "bsdtar" => "libarchive-tools",
        "java" => "openjdk-17-jdk-headless",
        other => other,
    };
    let mut child = Command::new(program)
        .args(args)
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run {program} ({e}): apt-get install {package}"));
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        if let (Some(mut stdin), Some(archive)) = (stdin, input) {
            // A program that stops reading early has failed, and says why itself.
            scope.spawn(move || {
                archive
                    .read_range(0..u64::MAX)
                    .chunks()
                    .try_for_each(|chunk| stdin.write_all(&chunk.unwrap()))
            });
        }
        child.wait_with_output().unwrap()
    })
}

/// Writes it with holes where it is zero, for a test with gigabytes of nothing.
pub(super) fn write_sparse(archive: &Arc<Download>, path: &Path) {
    let mut file = File::create(path).unwrap();
    for chunk in archive.read_range(0..u64::MAX).chunks() {
        for page in chunk.unwrap().chunks(4096) {
            if *page == [0; 4096][..page.len()] {
                file.seek(SeekFrom::Current(page.len() as i64)).unwrap();
            } else {
                file.write_all(page).unwrap();
            }
        }
    }
    file.set_len(archive.len()).unwrap();
}

pub(super) fn read(archive: &Arc<Download>, range: std::ops::Range<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive.read_range(range).read_to_end(&mut bytes).unwrap();
    bytes
}
