//! Lines like those of a real log, for tests and measurements: the same for the same numbers, 450
//! bytes on average.

use std::io::Write as _;

use super::{
    blob::{Blob as _, FileBlob},
    fs::OsFs,
    gzip::Walk,
    layout::Layout,
    names::FileStem,
    rebuild::write_index,
    summary::IndexBuilder,
};
use crate::entry::Timestamp;

/// A file of the stream `billing-7f3a9c`, by its number there; one is born each hour.
pub(crate) fn stem(number: u32) -> FileStem {
    let born = Timestamp::from_micros(1_795_255_200_000_000 + i64::from(number) * 3_600_000_000);
    FileStem {
        born,
        stream: "billing-7f3a9c".parse().unwrap(),
        number,
    }
}

/// The line of this number, without its LF.
pub(crate) fn line(seq: u64) -> String {
    let time = Timestamp::from_micros(1_795_255_200_000_000 + seq as i64 * 700);
    let r = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let user = r >> 55;
    let scan = r >> 44;
    let event = ["login", "logout", "read", "changed"][(r >> 62) as usize];
    let id = r.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 16;
    let request = r ^ (r >> 29);
    format!(
        r#"{{"stream":"billing-7f3a9c","seq":{seq},"id":"0193f2a4-7c1e-7d31-9f65-{id:012x}","timestamp":"{time}","schema_version":"1.0","event_type":"auth.session.{event}","category":"auth","action":"{event}","severity":"info","source":"billing","actor":{{"type":"user","id":"user-{user}","name":"user{user}@company.com"}},"resource":{{"type":"scan","id":"scan-{scan}"}},"outcome":{{"type":"success"}},"description":"User {user} did {event}","ip_address":"192.0.2.{}","context":{{"request_id":"{request:016x}"}}}}"#,
        r >> 56
    )
}

/// Lines from number `first` on, each with its LF.
pub(crate) fn lines(first: u64, count: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for seq in first..first + count {
        let _ = writeln!(out, "{}", line(seq));
    }
    out
}

/// Puts an index of this version of the format in the place of a sealed file's own.
pub(crate) fn index_of_version(version: u32, layout: &Layout, stem: &FileStem) {
    let sealed = FileBlob::open(&OsFs, layout.sealed(stem)).unwrap();
    let mut walk = Walk::new(&sealed).unwrap();
    let mut builder = IndexBuilder::of_version(version, stem.clone());
    let mut plain = Vec::new();
    while let Some(packed_len) = walk.next(&mut plain).unwrap() {
        builder.push(&plain, packed_len);
    }
    let built = builder.finish(sealed.len(), walk.sha256());
    write_index(&OsFs, layout, &built).unwrap();
}

/// How long this thread has run: what others do on the machine doesn't count.
pub(crate) fn cpu_time() -> std::time::Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
