//! Set-ups of the tests of several rooms inside.

use std::{fs, path::Path};

use crate::{
    query::RawEntry,
    store::layout::Layout,
    webhook::{Webhook, settings::stored::Stored},
};

/// The entry of this number in a stream, with an id of its own.
pub(in crate::webhook) fn entry(n: u8) -> RawEntry {
    let line = format!(
        r#"{{"stream":"a-1","seq":{n},"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c{n:02x}","timestamp":"2025-01-15T10:30:00.123456Z","event_type":"a.b"}}"#
    );
    RawEntry::from_line(line.as_bytes()).unwrap()
}

/// A directory made ready for a log.
pub(in crate::webhook) fn layout(dir: &Path) -> Layout {
    let layout = Layout::new(dir);
    for part in [layout.live_dir(), layout.sealed_dir(), layout.locks_dir()] {
        fs::create_dir_all(part).unwrap();
    }
    fs::write(layout.format_file(), "tracing-audit 1\n").unwrap();
    layout
}

/// The webhook with the key "e.1", which gets entries like that.
pub(in crate::webhook) fn stored() -> Stored {
    let webhook = Webhook::new("e", "https://example.com/", ["a.*"]);
    Stored::new("1".to_owned(), webhook)
}
