//! What the downloads are held against: programs that others wrote, and the text that went in.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod layout;
mod tools;

use std::{io, sync::Arc};

use flate2::{Compress, Compression, FlushCompress, Status};
use proptest::prelude::*;

use super::{
    deflate::Joined,
    pieces::{Blob, ReadAt},
};

/// A stored file in memory.
#[derive(Debug)]
struct MemoryBlob {
    name: String,
    bytes: Arc<Vec<u8>>,
}

impl Blob for MemoryBlob {
    fn identity(&self) -> String {
        self.name.clone()
    }

    fn open(&self) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(Memory(Arc::clone(&self.bytes))))
    }
}

struct Memory(Arc<Vec<u8>>);

impl ReadAt for Memory {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = &self.0[self.0.len().min(offset as usize)..];
        // Short reads, as any file may give.
        let n = buffer.len().min(rest.len()).min(40_000);
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

fn memory(name: &str, bytes: Vec<u8>) -> Arc<dyn Blob> {
    Arc::new(MemoryBlob { name: name.to_owned(), bytes: Arc::new(bytes) })
}

/// What a sealed file's block is: deflated, and fully flushed at the end.
fn block(text: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::default(), false);
    let mut packed = Vec::with_capacity(text.len() + 1024);
    let status = compress.compress_vec(text, &mut packed, FlushCompress::Full).unwrap();
    assert!(status == Status::Ok && compress.total_in() == text.len() as u64 && packed.len() < packed.capacity());
    packed
}

/// One of the parts that entries are made of.
#[derive(Clone, Debug)]
enum Part {
    Copied(Vec<u8>),
    Edge(Vec<u8>),
    Live(Vec<u8>),
}

impl Part {
    fn text(&self) -> &[u8] {
        match self {
            Self::Copied(text) | Self::Edge(text) | Self::Live(text) => text,
        }
    }
}

fn part() -> impl Strategy<Value = Part> {
    // Now and then longer than a stored block; few different bytes, so that compression has something to refer to.
    let text = || {
        (proptest::collection::vec(97..103_u8, 0..300), prop_oneof![9 => 1..3_usize, 1 => 200..400_usize]).prop_map(|(t, n)| t.repeat(n))
    };
    prop_oneof![text().prop_map(Part::Copied), text().prop_map(Part::Edge), text().prop_map(Part::Live)]
}

fn join(parts: &[Part]) -> Joined {
    let mut joined = Joined::default();
    for (number, part) in parts.iter().enumerate() {
        let text = part.text();
        let (len, crc) = (text.len() as u64, crc32fast::hash(text));
        match part {
            Part::Copied(text) => {
                let packed = block(text);
                let packed_len = packed.len() as u64;
                joined.copy(&memory(&format!("sealed {number}"), [b"other bytes".to_vec(), packed].concat()), 11, packed_len, len, crc);
            }
            Part::Edge(text) => joined.text(text),
            Part::Live(text) => joined.text_of(&memory(&format!("live {number}"), [b"more", &text[..]].concat()), 4, len, crc),
        }
    }
    joined
}
