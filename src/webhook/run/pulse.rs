//! Notices that the log has grown, once for all webhooks: they read only then.
//!
//! It looks at the names and lengths of the live files, whichever process writes them. What it
//! misses is found a second later.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    thread,
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    error::{Error, Result},
    store::layout::Layout,
};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Changes when the log has grown.
pub(in crate::webhook) type Pulse = watch::Receiver<u64>;

/// Begins to look, on a thread that ends when nobody wants to know any more.
pub(in crate::webhook) fn start(layout: &Layout) -> Result<Pulse> {
    let (sender, pulse) = watch::channel(0);
    let dir = layout.live_dir();
    let watch = move || {
        while !sender.is_closed() {
            // A directory that can't be read is reported by those who read the log.
            if let Ok(seen) = look(&dir) {
                sender.send_if_modified(|last| std::mem::replace(last, seen) != seen);
            }
            thread::sleep(LOOK_EVERY);
        }
    };
    let started = thread::Builder::new()
        .name("audit-pulse".into())
        .spawn(watch);
    started
        .map(|_| pulse)
        .map_err(Error::io("start a thread for", layout.root()))
}

/// The names and lengths of a directory's files, as a number.
fn look(dir: &Path) -> io::Result<u64> {
    // In any order: a directory gives its files as it likes.
    let mut sum = 0_u64;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // One that is gone by now was there a moment ago, and will be missing the next time.
        let Ok(found) = entry.metadata() else {
            continue;
        };
        let mut hasher = DefaultHasher::new();
        (entry.file_name(), found.ino(), found.len()).hash(&mut hasher);
        sum = sum.wrapping_add(hasher.finish());
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_files_that_come_grow_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let mut seen = vec![look(dir.path()).unwrap()];
        file("a", "");
        seen.push(look(dir.path()).unwrap());
        file("a", "one\n");
        seen.push(look(dir.path()).unwrap());
        file("b", "two\n");
        seen.push(look(dir.path()).unwrap());
        fs::remove_file(dir.path().join("a")).unwrap();
        seen.push(look(dir.path()).unwrap());
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
