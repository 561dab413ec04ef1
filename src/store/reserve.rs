//! Space kept back for the moment when there is none: enough to write what is pending and the
//! record that says the disk is full.

use std::path::PathBuf;

use super::{
    fs::{self, Fs},
    layout::Layout,
};
use crate::entry::StreamId;

/// More than the writer's largest batch.
const SIZE: usize = 2 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    filled: bool,
}

impl Reserve {
    pub(super) fn new(layout: &Layout, stream: &StreamId) -> Self {
        Self {
            path: layout.tmp_dir().join(format!("{stream}.reserve")),
            filled: false,
        }
    }

    /// Takes the space, if there is some.
    pub(super) fn fill(&mut self, fs: &dyn Fs) {
        if self.filled {
            return;
        }
        // Not having a reserve loses no event; it is tried again.
        let Ok(file) = fs.create_new(&self.path) else {
            return;
        };
        self.filled = fs::append_all(&*file, &vec![0; SIZE])
            .and_then(|()| file.sync())
            .is_ok();
        if !self.filled {
            let _ = fs.remove_file(&self.path);
        }
    }

    /// Gives the space back; false if there was none to give.
    pub(super) fn release(&mut self, fs: &dyn Fs) -> bool {
        std::mem::take(&mut self.filled) && fs.remove_file(&self.path).is_ok()
    }
}
