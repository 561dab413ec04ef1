//! The entries that match a filter, as a ZIP file that is written while they are found.
//!
//! Its entries are those of every archive: one per stream and day, its lines in the order of the
//! stream. The manifest has the same shape too, but stands at the end, because nothing is known
//! before.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use data_encoding::HEXLOWER;
use zip::{
    CompressionMethod, ZipWriter,
    result::ZipError,
    write::{SimpleFileOptions, StreamWriter},
};

use super::{
    filtered::{Filtered, go_on_if},
    gate::Gate,
    manifest::{self, Manifest, ManifestEntry, ManifestFile, ManifestPlace},
    plan::{Kind, files_since},
};
use crate::{
    entry::{Day, StreamId, Timestamp},
    error::{Result, if_there},
    query::RawEntry,
    store::{
        files::Listing,
        layout::{live_name, sealed_name},
        names::FileStem,
    },
};

/// Writes the whole archive.
pub(super) fn write(wanted: &Filtered, out: impl Write) -> io::Result<()> {
    // Before the files are listed.
    let complete_until = wanted.reader.complete_until().map_err(io::Error::other)?;
    let is_open = Cell::new(true);
    let mut zip = FilteredZip::new(Gate::new(out, &is_open), wanted, complete_until);
    let written = zip.files();
    is_open.set(written.is_ok());
    written?;
    zip.finish()
}

struct FilteredZip<'a, W: Write> {
    zip: ZipWriter<StreamWriter<W>>,
    wanted: &'a Filtered,
    manifest: Manifest,
    entry: Option<EntryInMaking>,
}

/// An entry of the archive while its lines are written.
struct EntryInMaking {
    described: ManifestEntry,
    crc: crc32fast::Hasher,
}

impl<'a, W: Write> FilteredZip<'a, W> {
    fn new(out: W, wanted: &'a Filtered, complete_until: Option<Timestamp>) -> Self {
        Self {
            zip: ZipWriter::new_stream(out),
            wanted,
            manifest: Manifest::of(&wanted.filter, complete_until),
            entry: None,
        }
    }

    /// Adds what matches in all files.
    fn files(&mut self) -> io::Result<()> {
        let wanted = self.wanted;
        let start = wanted.filter.start().unwrap_or(Timestamp::MIN);
        // Files are listed once: a file that is removed after this makes the export fail, and is not
        // left out silently.
        let all = files_since(wanted.reader.files(), start).map_err(io::Error::other)?;
        for ((day, stream), list) in all {
            for (stem, kind) in list {
                self.file(&stem, kind, (day, &stream))?;
            }
            self.end_entry();
        }
        Ok(())
    }

    /// Adds what matches in one file.
    fn file(&mut self, stem: &FileStem, kind: Kind, of: (Day, &StreamId)) -> io::Result<()> {
        let wanted = self.wanted;
        let mut count = 0;
        let mut written = Ok(());
        let read = wanted
            .reader
            .each_of_file(listing(stem, kind), &wanted.filter, |entry| {
                count += 1;
                written = self.line(&entry, of);
                go_on_if(&written)
            });
        written?;
        read.map_err(io::Error::other)?;
        match &mut self.entry {
            Some(entry) if count > 0 && wanted.names_files => {
                let file = described(wanted, stem, kind, count).map_err(io::Error::other)?;
                entry.described.files.push(file);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Adds one entry of the log to that of the archive, which begins with it if it is the first.
    fn line(&mut self, entry: &RawEntry, (day, stream): (Day, &StreamId)) -> io::Result<()> {
        let place = ManifestPlace {
            id: entry.id().to_owned(),
            seq: entry.seq(),
        };
        if self.entry.is_none() {
            let begun = EntryInMaking::new(day, stream.clone(), place.clone());
            let name = begun.described.name.as_str();
            self.zip.start_file(name, options()).map_err(as_io)?;
            self.entry = Some(begun);
        }
        let Some(begun) = &mut self.entry else {
            return Ok(());
        };
        for part in [entry.line(), b"\n"] {
            self.zip.write_all(part)?;
            begun.crc.update(part);
            begun.described.bytes += part.len() as u64;
        }
        begun.described.count += 1;
        begun.described.last = Some(place);
        self.wanted.count(entry);
        Ok(())
    }

    fn end_entry(&mut self) {
        if let Some(mut ended) = self.entry.take() {
            ended.described.crc32 = format!("{:08x}", ended.crc.finalize());
            self.manifest.entries.push(ended.described);
        }
    }

    /// Adds the manifest and ends the file.
    fn finish(mut self) -> io::Result<()> {
        self.zip
            .start_file(manifest::NAME, options())
            .map_err(as_io)?;
        self.zip.write_all(&self.manifest.to_json())?;
        self.zip.finish().map_err(as_io)?.into_inner().flush()
    }
}

impl EntryInMaking {
    fn new(day: Day, stream: StreamId, first: ManifestPlace) -> Self {
        let described = ManifestEntry {
            name: manifest::entry_name(day, &stream),
            stream,
            day,
            count: 0,
            bytes: 0,
            crc32: String::new(),
            first: Some(first),
            last: None,
            files: Vec::new(),
        };
        Self {
            described,
            crc: crc32fast::Hasher::new(),
        }
    }
}

fn listing(stem: &FileStem, kind: Kind) -> Listing {
    let mut listing = Listing {
        sealed: BTreeSet::new(),
        live: BTreeMap::new(),
    };
    match kind {
        Kind::Sealed => drop(listing.sealed.insert(stem.clone())),
        Kind::Live(len) => drop(listing.live.insert(stem.clone(), len)),
    }
    listing
}

/// A live file that was sealed since it was listed is described as the sealed one, which has the
/// same lines.
fn described(wanted: &Filtered, stem: &FileStem, kind: Kind, count: u64) -> Result<ManifestFile> {
    let index = if_there(wanted.reader.files().index(stem))?;
    let is_sealed = kind == Kind::Sealed || index.is_some();
    Ok(ManifestFile {
        name: if is_sealed {
            sealed_name(stem)
        } else {
            live_name(stem)
        },
        count,
        sha256: index.map(|index| HEXLOWER.encode(&index.sha256)),
    })
}

/// The entry may become longer than 4 GiB, which its header must say.
fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(true)
        .unix_permissions(0o600)
}

fn as_io(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        error => io::Error::other(error),
    }
}
