//! A PDF file that is written object by object.
//!
//! Each object goes out as soon as it is made, and only its offset is kept: 8 bytes an object, and
//! a page has two objects. The objects that a reader needs first are written last: the list of the
//! pages, the catalog, and the table of the offsets. So a file that ends too early can't be opened.

use std::io::{self, Write};

use data_encoding::HEXLOWER;
use flate2::{Compression, write::ZlibEncoder};
use pdf_writer::{Chunk, Filter, Ref, Settings, Stream};

use super::limits;

/// The version of the format, and bytes that show that the file isn't text.
const HEADER: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n";

/// A file in the making.
pub(super) struct Document<W> {
    out: W,
    written: u64,
    /// Where the objects begin, by their numbers less one; 0 for one that isn't written yet.
    offsets: Vec<u64>,
}

/// The facts about a file that stand at its end.
pub(super) struct End {
    pub(super) catalog: Ref,
    pub(super) info: Ref,
    /// A name for the file that no other file has.
    pub(super) id: [u8; 16],
}

impl<W: Write> Document<W> {
    pub(super) fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(HEADER)?;
        Ok(Self {
            out,
            written: HEADER.len() as u64,
            offsets: Vec::new(),
        })
    }

    /// A number for an object that is written later.
    pub(super) fn reserve(&mut self) -> io::Result<Ref> {
        if self.offsets.len() == limits::OBJECTS {
            return Err(limits::too_long());
        }
        self.offsets.push(0);
        let number = i32::try_from(self.offsets.len()).map_err(io::Error::other)?;
        Ok(Ref::new(number))
    }

    /// Writes the object of this number, which `fill` makes.
    pub(super) fn write(&mut self, id: Ref, fill: impl FnOnce(&mut Chunk)) -> io::Result<()> {
        if self.written > limits::OFFSET {
            return Err(limits::too_long());
        }
        let mut object = Chunk::with_settings(Settings { pretty: false });
        fill(&mut object);
        if let Some(offset) = place(id).and_then(|place| self.offsets.get_mut(place)) {
            *offset = self.written;
        }
        self.put(object.as_bytes())
    }

    /// Writes a new object.
    pub(super) fn add(&mut self, fill: impl FnOnce(&mut Chunk, Ref)) -> io::Result<Ref> {
        let id = self.reserve()?;
        self.write(id, |object| fill(object, id))?;
        Ok(id)
    }

    /// Writes bytes as a new object, compressed. `describe` adds to its description.
    pub(super) fn add_packed(
        &mut self,
        bytes: &[u8],
        describe: impl FnOnce(&mut Stream<'_>),
    ) -> io::Result<Ref> {
        let packed = packed(bytes)?;
        self.add(|object, id| {
            let mut stream = object.stream(id, &packed);
            stream.filter(Filter::FlateDecode);
            describe(&mut stream);
        })
    }

    /// Writes the offsets and the end of the file.
    pub(super) fn finish(mut self, end: &End) -> io::Result<()> {
        let start = self.written;
        let count = self.offsets.len() + 1;
        let mut table = format!("xref\n0 {count}\n0000000000 65535 f\r\n");
        for offset in &self.offsets {
            table.push_str(&format!("{offset:010} 00000 n\r\n"));
            if table.len() > 16 * 1024 {
                self.out.write_all(table.as_bytes())?;
                table.clear();
            }
        }
        let id = HEXLOWER.encode(&end.id);
        let (catalog, info) = (end.catalog.get(), end.info.get());
        table.push_str(&format!(
            "trailer\n<</Size {count}/Root {catalog} 0 R/Info {info} 0 R/ID[<{id}><{id}>]>>\n\
             startxref\n{start}\n%%EOF\n"
        ));
        self.out.write_all(table.as_bytes())?;
        self.out.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Where the object's offset is in the list.
fn place(id: Ref) -> Option<usize> {
    usize::try_from(id.get()).ok()?.checked_sub(1)
}

pub(super) fn packed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::new(6));
    packed.write_all(bytes)?;
    packed.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_too_long_says_what_to_do() {
        let document = || Document::begin(Vec::new()).unwrap();
        let mut of_many_objects = document();
        of_many_objects.offsets = vec![0; limits::OBJECTS];
        let mut of_many_bytes = document();
        of_many_bytes.written = limits::OFFSET + 1;
        for mut document in [of_many_objects, of_many_bytes] {
            let added = document.add(|object, id| drop(object.indirect(id).dict()));
            let error = added.unwrap_err().to_string();
            assert!(error.contains("give a shorter range of time"), "{error}");
            assert_eq!(document.out, HEADER, "nothing more is written");
        }
    }
}
