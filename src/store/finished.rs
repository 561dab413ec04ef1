//! The digest of a file that a writer finished, and how the sealer makes up for a later change.
//!
//! Between the end of a file and its sealing anyone may take lines out of it, and what is left may
//! still be sound. So the writer hands over with a file how long it is and which numbers it has;
//! what is missing is recorded as lost before the file is sealed.

use super::{
    fs::Fs,
    health::Problem,
    layout::Layout,
    lines::Lines,
    names::FileStem,
    numbers::Numbers,
    own_journal, removed,
    sealer::{Pending, Sealer, SealerPlace},
};
use crate::{
    entry::{OwnEntry, Seq, Severity, Source, scan::scan},
    error::{Error, Result},
    journal::PushError,
};

/// A file that its writer finished.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(super) stem: FileStem,
    /// How many bytes it has.
    pub(super) len: u64,
    /// The number of its first entry, and the one after its last.
    pub(super) first: Seq,
    pub(super) next: Seq,
    /// The numbers between these that are recorded as lost or as removed.
    pub(super) lost: Numbers,
}

impl Written {
    /// How many entries it has.
    pub(super) fn entries(&self) -> u64 {
        let last = self.next.0.saturating_sub(1);
        let there = self.lost.missing(self.first.0, last);
        there.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// The numbers that it had, and that are not among these.
    fn missing(&self, mut present: Numbers) -> Vec<(u64, u64)> {
        for (first, last) in self.lost.within(0, u64::MAX) {
            present.add(first, last);
        }
        present.missing(self.first.0, self.next.0.saturating_sub(1))
    }
}

impl Sealer {
    /// Whether one of our own files is not as long as it was written, or gone.
    pub(super) fn is_changed(&self, pending: &Pending) -> Result<bool> {
        let SealerPlace { fs, layout, .. } = &self.place;
        let Some(written) = &pending.written else {
            return Ok(false);
        };
        let path = layout.live(&pending.stem);
        let found = fs.identity(&path).map_err(Error::io("look at", path))?;
        Ok(match found {
            Some(found) => found.len != written.len,
            None => self.is_gone(&pending.stem),
        })
    }

    /// Makes one of our own files sound that someone changed, records what is missing in it, and
    /// reports that. Says whether it can be sealed now; `None` if there is nothing left to be
    /// sealed.
    pub(super) fn make_up(&self, pending: &mut Pending) -> Result<Option<bool>> {
        let SealerPlace { fs, layout, .. } = &self.place;
        let path = layout.live(&pending.stem);
        let is_sound = self.repair(&pending.stem);
        let found = fs.identity(&path).map_err(Error::io("look at", &path))?;
        if found.is_none() && !self.is_gone(&pending.stem) {
            // The file is sealed; a foreign file in the place of its twin was moved away.
            return Ok(Some(is_sound));
        }
        self.record_missing(pending)?;
        let len = found.map_or(0, |found| found.len);
        if let Some(written) = &mut pending.written {
            written.len = len;
        }
        // An empty file is removed by the next recovery.
        Ok((len > 0).then_some(is_sound))
    }

    /// Records as lost what a file of ours had and has no longer, unless its removal is recorded:
    /// another process may have pruned a file that this one only thinks it could not seal.
    pub(super) fn record_missing(&self, pending: &mut Pending) -> Result<()> {
        let SealerPlace {
            fs,
            layout,
            health,
            own,
            ..
        } = &self.place;
        let Some(written) = &mut pending.written else {
            return Ok(());
        };
        let path = layout.live(&pending.stem);
        let present = numbers_in(&**fs, layout, &pending.stem)?;
        if !written.missing(present.clone()).is_empty() {
            let recorded = removed::all_recorded(&**fs, layout)?;
            for (first, last) in recorded.numbers(&pending.stem.stream) {
                written.lost.add(first, last);
            }
        }
        let missing = written.missing(present);
        let source: Source = own.source().parse()?;
        for (first, last) in missing {
            let count = last - first + 1;
            let what =
                "Someone else removed entries from a live file before it was sealed; they are lost";
            let entry = OwnEntry::new("audit.log.lost", Severity::Critical, what)
                .detail("count", count)
                .detail("after_seq", first - 1)
                .detail("file", pending.stem.to_string());
            match own_journal::push(&self.pruner.producer, &mut entry.render(&source)) {
                Ok(_) => {}
                Err(PushError::Closed) => return Err(Error::Closed),
                Err(PushError::Full | PushError::TooLong) => {
                    let full = std::io::Error::other("the journal is full");
                    return Err(Error::io("record what is missing in", path)(full));
                }
            }
            written.lost.add(first, last);
            let what = format!(
                "{count} entries from number {first} on were removed from {} before it was sealed; \
                 they are recorded as lost",
                path.display()
            );
            health.report(&Problem::LiveFileLost(what));
        }
        Ok(())
    }
}

/// The numbers of the entries in a live file; none if it is gone.
fn numbers_in(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Numbers> {
    let path = layout.live(stem);
    let mut numbers = Numbers::default();
    let file = match fs.open_read(&path).map_err(Error::io("open", &path)) {
        Err(error) if error.is_not_found() => return Ok(numbers),
        file => file?,
    };
    let len = file.identity().map_err(Error::io("look at", &path))?.len;
    let mut lines = Lines::new(&*file, len);
    while let Some(line) = lines.next().map_err(Error::io("read", &path))? {
        let fields = scan(line.text).filter(|_| line.ended);
        let ours = fields.filter(|fields| fields.stream == stem.stream.as_str().as_bytes());
        if let Some(fields) = ours {
            numbers.add(fields.seq, fields.seq);
        }
    }
    Ok(numbers)
}
