//! Files of lines that grow.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

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

/// Makes durable which files a directory has.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
