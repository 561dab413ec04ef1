//! Keeps what failed from looking finished.
//!
//! The encoders of gzip and ZIP write their end when they are dropped, so that a file which could
//! not be made whole would unpack without an error. Behind a gate that is closed, they write nothing
//! more.

use std::{
    cell::Cell,
    io::{self, Write},
};

/// Lets through what is written while it is open.
pub(super) struct Gate<'a, W> {
    out: W,
    is_open: &'a Cell<bool>,
}

impl<'a, W> Gate<'a, W> {
    pub(super) fn new(out: W, is_open: &'a Cell<bool>) -> Self {
        Self { out, is_open }
    }
}

impl<W: Write> Write for Gate<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_open.get() {
            self.out.write(bytes)
        } else {
            Ok(bytes.len())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
