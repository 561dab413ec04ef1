//! What the downloads are held against: programs that others wrote, and the text that went in.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod filtered;
mod four_gigabytes;
mod layout;
mod log;
#[cfg(feature = "pdf")]
mod pdf;
mod plan;
mod speed;
mod tools;
mod underneath;

use std::{io, path::Path, sync::Arc};

use proptest::prelude::*;

use super::{deflate::Joined, pieces::Stored};
use crate::{
    error::Result,
    store::{
        blob::Blob,
        gzip::{Level, Packer},
    },
};

/// A stored file in memory.
#[derive(Clone, Debug)]
struct Memory {
    name: String,
    bytes: Arc<Vec<u8>>,
}

impl Stored for Memory {
    fn identity(&self) -> String {
        self.name.clone()
    }

    fn open(&self) -> Result<Arc<dyn Blob>> {
        Ok(Arc::new(self.clone()))
    }
}

impl Blob for Memory {
    fn path(&self) -> &Path {
        Path::new(&self.name)
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = &self.bytes[self.bytes.len().min(offset as usize)..];
        // Short reads, as any file may give.
        let n = buffer.len().min(rest.len()).min(40_000);
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

fn memory(name: &str, bytes: Vec<u8>) -> Arc<dyn Stored> {
    Arc::new(Memory {
        name: name.to_owned(),
        bytes: Arc::new(bytes),
    })
}

/// A sealed file's block.
fn block(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    Packer::new(Level::DEFAULT)
        .block(text, &mut packed)
        .unwrap();
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
    // Now and then longer than a stored block; few different bytes, so that compression has
    // something to refer to.
    let text = || {
        (
            proptest::collection::vec(97..103_u8, 0..300),
            prop_oneof![9 => 1..3_usize, 1 => 200..400_usize],
        )
            .prop_map(|(t, n)| t.repeat(n))
    };
    prop_oneof![
        text().prop_map(Part::Copied),
        text().prop_map(Part::Edge),
        text().prop_map(Part::Live)
    ]
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
                joined.copy(
                    &memory(
                        &format!("sealed {number}"),
                        [b"other bytes".to_vec(), packed].concat(),
                    ),
                    11,
                    packed_len,
                    len,
                    crc,
                );
            }
            Part::Edge(text) => joined.text(text),
            Part::Live(text) => joined.text_of(
                &memory(&format!("live {number}"), [b"more", &text[..]].concat()),
                4,
                len,
                crc,
            ),
        }
    }
    joined
}
