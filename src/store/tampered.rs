//! What the writer does about a live file that someone else deleted, replaced or cut.
//!
//! A deleted file can still be read through the handle that wrote it, so all of it is written
//! again. Of a file that was cut, what the journal holds is written again; what was durable and is
//! gone is said in the log.

use super::{
    health::Problem,
    live::{Live, Tampered},
    writer::{BATCH, Writer},
};
use crate::{
    error::{Error, Result},
    record::{OwnRecord, Severity},
};

impl Writer {
    /// Notices a live file that was deleted, replaced or cut, and makes up for it.
    pub(super) fn check_live(&mut self) -> Result<()> {
        let Some(live) = &self.state.live else {
            return Ok(());
        };
        let path = self.layout.live(&live.stem);
        let tampered = live
            .tampered(&*self.fs, &self.layout)
            .map_err(Error::io("look at", &path))?;
        match tampered {
            None => Ok(()),
            Some(Tampered::Gone) => self.restore_live(),
            Some(Tampered::Cut { len }) => {
                let what = format!(
                    "{} was cut from {} to {len} bytes; what the journal holds is written again",
                    path.display(),
                    live.len
                );
                self.health.report(&Problem::LiveFileLost(what));
                let own = OwnRecord::new(
                    "audit.log.live_file_cut",
                    Severity::Critical,
                    "The live file was cut by someone else",
                )
                .detail("file", live.stem.to_string())
                .detail("bytes_before", live.len)
                .detail("bytes_after", len);
                self.state.own_pending.push_back(own);
                self.start_over_after_cut(len);
                Ok(())
            }
        }
    }

    /// The file lost its end: what is durable elsewhere is not touched, what the journal holds is
    /// written again.
    fn start_over_after_cut(&mut self, len: u64) {
        if let Some(live) = &mut self.state.live {
            live.len = len.min(live.len);
            live.synced = live.synced.min(live.len);
            let mut tail = [0; 1];
            // A torn line at the new end is left for recovery to repair, which is what seals the
            // file then.
            let torn = live.len > 0
                && (live.read_at(&mut tail, live.len - 1).unwrap_or(0) == 0 || tail != [b'\n']);
            if torn {
                let live = self.state.live.take();
                drop(live);
            }
        }
        self.start_over();
    }

    /// Writes the deleted file again, from the handle that still reaches it.
    fn restore_live(&mut self) -> Result<()> {
        let Some(gone) = self.state.live.take() else {
            return Ok(());
        };
        let stem = self.next_stem();
        let copied = Live::create(&*self.fs, &self.layout, stem).and_then(|mut copy| {
            let mut buffer = vec![0; BATCH];
            let mut at = 0;
            while at < gone.len {
                let part = buffer.len().min((gone.len - at) as usize);
                let read = gone
                    .read_at(&mut buffer[..part], at)
                    .map_err(Error::io("read", self.layout.live(&gone.stem)))?;
                if read == 0 {
                    return Err(Error::damaged(
                        self.layout.live(&gone.stem),
                        "it ends early",
                    ));
                }
                if let Err(error) = copy.append(&buffer[..read]) {
                    // Half a copy would be lines twice, once the other half is there.
                    let path = self.layout.live(&copy.stem);
                    let _ = self.fs.remove_file(&path);
                    return Err(Error::io("write", path)(error));
                }
                at += read as u64;
            }
            Ok(copy)
        });
        match copied {
            Ok(copy) => {
                let what = format!(
                    "{gone} was deleted or replaced; its lines were written again to {copy}",
                    gone = gone.stem,
                    copy = copy.stem
                );
                self.health.report(&Problem::LiveFileLost(what));
                let own = OwnRecord::new(
                    "audit.log.live_file_restored",
                    Severity::Critical,
                    "The live file was deleted or replaced",
                )
                .detail("file", gone.stem.to_string())
                .detail("restored_as", copy.stem.to_string());
                self.state.own_pending.push_back(own);
                self.state.live = Some(copy);
                self.state.unsynced = true;
                self.sync()
            }
            Err(error) => {
                // The handle is kept, and the copy tried again.
                self.state.live = Some(gone);
                Err(error)
            }
        }
    }
}
