//! Files of lines that grow, and are written anew now and then.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use crate::store::access;

/// Adds text that ends with a line's end to a file that no other adds to. A text that was written
/// in part is taken back: it is tried again, and a full disk has no room for pieces.
pub(super) fn add(
    file: &File,
    text: &[u8],
    write: impl FnOnce(&File, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let len = file.metadata()?.len();
    let mut last = [b'\n'];
    if len > 0 {
        file.read_exact_at(&mut last, len - 1)?;
    }
    let added = if last == *b"\n" {
        write(file, text)
    } else {
        // A death cut the last line off; it must not take this one with it.
        write(file, &[b"\n", text].concat())
    };
    if added.is_err() {
        // If that fails as well, the next line begins anew.
        let _ = file.set_len(len);
    }
    added
}

/// Replaces a file by one of these lines; durable on return.
pub(super) fn replace(path: &Path, lines: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
    let tmp = path.with_extension("jsonl.tmp");
    match fs::remove_file(&tmp) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    let file = access::open_private(&tmp, OpenOptions::new().append(true))?;
    let mut out = io::BufWriter::new(&file);
    for line in lines {
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    drop(out);
    file.sync_all()?;
    fs::rename(&tmp, path)?;
    sync(path.parent().unwrap_or(Path::new(".")))
}

/// Makes durable which files a directory has.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
