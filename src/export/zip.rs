//! The layout of a ZIP file whose entries are pieces (PKWARE APPNOTE 6.3).
//!
//! Sizes and CRC-32 stand in front of each entry, never behind it, so the file can be unpacked from
//! a pipe. ZIP64 is used only where a number needs it. The bytes depend on nothing but names, times
//! and contents.

use chrono::{DateTime, Datelike, Timelike};

use super::{
    deflate::Joined,
    pieces::{Download, Pieces},
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
};

/// A 32-bit number that says: look in the ZIP64 field.
const IN_ZIP64: u32 = u32::MAX;
/// A 16-bit number that says the same.
const IN_ZIP64_COUNT: u16 = u16::MAX;
/// The version of the format that a reader must know: 2.0 for deflate, 4.5 for ZIP64.
const NEEDS_DEFLATE: u16 = 20;
const NEEDS_ZIP64: u16 = 45;
/// Made on Unix by a program that knows ZIP64: the attributes are a Unix mode.
const MADE_BY: u16 = 3 << 8 | NEEDS_ZIP64;
/// A regular file that its owner can read and write.
const MODE: u32 = 0o100_600 << 16;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;

#[derive(Clone, Copy)]
enum Method {
    Stored = 0,
    Deflated = 8,
}

/// A ZIP file being laid out.
#[derive(Debug, Default)]
pub(crate) struct ZipLayout {
    file: Pieces,
    directory: Vec<u8>,
    entries: u64,
}

impl ZipLayout {
    /// Adds a compressed entry. Fails if the name could lead out of the folder that the archive is
    /// unpacked in.
    pub(crate) fn deflated(
        &mut self,
        name: &str,
        modified: Timestamp,
        content: Joined,
    ) -> Result<()> {
        let (crc, plain_len) = (content.crc(), content.plain_len());
        self.entry(
            name,
            modified,
            Method::Deflated,
            crc,
            plain_len,
            content.finish(),
        )
    }

    /// Adds an entry as it is.
    pub(crate) fn stored(&mut self, name: &str, modified: Timestamp, content: &[u8]) -> Result<()> {
        let mut packed = Pieces::default();
        packed.bytes(content);
        self.entry(
            name,
            modified,
            Method::Stored,
            crc32fast::hash(content),
            packed.len(),
            packed,
        )
    }

    fn entry(
        &mut self,
        name: &str,
        modified: Timestamp,
        method: Method,
        crc: u32,
        plain_len: u64,
        packed: Pieces,
    ) -> Result<()> {
        let name_len = check_name(name)?;
        let (packed_len, offset) = (packed.len(), self.file.len());
        // In front of an entry, the ZIP64 field must hold both sizes or none; in the directory we
        // do the same.
        let long = needs_zip64(packed_len) || needs_zip64(plain_len);
        let far = needs_zip64(offset);
        let times = times(modified);

        let sizes: &[u64] = if long { &[plain_len, packed_len] } else { &[] };
        let position: &[u64] = if far { &[offset] } else { &[] };

        let mut common = Vec::new();
        common
            .u16(if long || far {
                NEEDS_ZIP64
            } else {
                NEEDS_DEFLATE
            })
            .u16(FLAGS)
            .u16(method as u16);
        common.u16(times.dos_time).u16(times.dos_date).u32(crc);
        common.u32(if long { IN_ZIP64 } else { packed_len as u32 });
        common.u32(if long { IN_ZIP64 } else { plain_len as u32 });
        common.u16(name_len);

        let extra = [zip64_extra(sizes), times.extra.clone()].concat();
        let mut header = b"PK\x03\x04".to_vec();
        header.extend(&common);
        header.u16(extra.len() as u16).extend(name.as_bytes());
        header.extend(extra);
        self.file.bytes(&header);
        self.file.append(packed);

        let extra = [zip64_extra(&[sizes, position].concat()), times.extra].concat();
        let directory = &mut self.directory;
        directory.extend(b"PK\x01\x02");
        directory.u16(MADE_BY).extend(common);
        // No comment, first disk, not known to be text.
        directory
            .u16(extra.len() as u16)
            .u16(0)
            .u16(0)
            .u16(0)
            .u32(MODE);
        directory
            .u32(if far { IN_ZIP64 } else { offset as u32 })
            .extend(name.as_bytes());
        directory.extend(extra);
        self.entries += 1;
        Ok(())
    }

    /// The file, with its directory at the end.
    pub(crate) fn finish(mut self) -> Download {
        let offset = self.file.len();
        let len = self.directory.len() as u64;
        self.file.bytes(&self.directory);
        let many = self.entries >= u64::from(IN_ZIP64_COUNT);
        let mut end = Vec::new();
        if many || needs_zip64(offset) || needs_zip64(len) {
            end.extend(b"PK\x06\x06");
            // The length of the rest of this record; then its disk and the directory's.
            end.u64(44).u16(MADE_BY).u16(NEEDS_ZIP64).u32(0).u32(0);
            end.u64(self.entries)
                .u64(self.entries)
                .u64(len)
                .u64(offset)
                .extend(b"PK\x06\x07");
            // Where that record is, on which of how many disks.
            end.u32(0).u64(offset + len).u32(1);
        }
        let entries = if many {
            IN_ZIP64_COUNT
        } else {
            self.entries as u16
        };
        end.extend(b"PK\x05\x06");
        end.u16(0).u16(0).u16(entries).u16(entries);
        end.u32(if needs_zip64(len) {
            IN_ZIP64
        } else {
            len as u32
        });
        end.u32(if needs_zip64(offset) {
            IN_ZIP64
        } else {
            offset as u32
        })
        .u16(0);
        self.file.bytes(&end);
        self.file.into_download()
    }
}

fn needs_zip64(number: u64) -> bool {
    number >= u64::from(IN_ZIP64)
}

/// The extra field with the numbers that did not fit; empty if all did.
fn zip64_extra(numbers: &[u64]) -> Vec<u8> {
    let mut extra = Vec::new();
    if !numbers.is_empty() {
        extra.u16(1).u16(size_of_val(numbers) as u16);
        for number in numbers {
            extra.u64(*number);
        }
    }
    extra
}

struct Times {
    dos_date: u16,
    dos_time: u16,
    extra: Vec<u8>,
}

/// The time in both of ZIP's ways: DOS fields, from 1980 to 2107, that readers take for local time;
/// and the extra field that Info-ZIP defined, in UTC, as far as its 32 bits go.
fn times(time: Timestamp) -> Times {
    let at = DateTime::from_timestamp_micros(time.as_micros()).unwrap_or_default();
    let (dos_date, dos_time) = match at.year() {
        ..1980 => (1 << 5 | 1, 0),
        year @ 1980..=2107 => (
            (year as u16 - 1980) << 9 | (at.month() as u16) << 5 | at.day() as u16,
            (at.hour() as u16) << 11 | (at.minute() as u16) << 5 | (at.second() as u16 / 2),
        ),
        2108.. => (127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29),
    };
    let mut extra = Vec::new();
    if let Ok(seconds) = i32::try_from(time.as_micros().div_euclid(1_000_000)) {
        extra.extend(b"UT\x05\x00\x01");
        extra.extend(seconds.to_le_bytes());
    }
    Times {
        dos_date,
        dos_time,
        extra,
    }
}

/// Refuses every name that an unpacker could take for a place outside of its folder; gives the
/// length.
fn check_name(name: &str) -> Result<u16> {
    let part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.contains(|c: char| c.is_control() || matches!(c, '\\' | ':'))
    };
    match u16::try_from(name.len()) {
        Ok(len) if name.split('/').all(part) => Ok(len),
        _ => Err(Error::invalid(
            "name in the archive",
            format!("{name:?} must be a plain relative path with at most 65,535 bytes"),
        )),
    }
}

/// Numbers, little-endian as everything in a ZIP file.
trait PutNumber {
    fn u16(&mut self, number: u16) -> &mut Self;
    fn u32(&mut self, number: u32) -> &mut Self;
    fn u64(&mut self, number: u64) -> &mut Self;
}

impl PutNumber for Vec<u8> {
    fn u16(&mut self, number: u16) -> &mut Self {
        self.extend(number.to_le_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.extend(number.to_le_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.extend(number.to_le_bytes());
        self
    }
}
