//! How tests open a log: without watermarks or retention, sealed quickly, in seconds of their
//! clock.

use std::{sync::Arc, time::Duration};

use super::{
    SpaceAction, Watermarks, gzip::Level, health::Callback, health::Health, open::StoreOptions,
    retention::Retention, sealer::SealerOptions, writer::WriterOptions,
};

/// The options of a log whose source is `app`, with what each test changes in them.
pub(super) fn options(on_problem: Option<Callback>) -> StoreOptions {
    StoreOptions {
        permissions: None,
        source: "app".parse().unwrap(),
        journal_capacity: 1 << 16,
        journal_dir: None,
        needs_hash_keys: false,
        lifecycle: None,
        writer: WriterOptions {
            rotate_bytes: 1 << 20,
            rotate_age: Duration::from_secs(3600),
            sync_interval: Duration::from_secs(1),
            watermarks: Watermarks::default()
                .low(0, SpaceAction::Report)
                .very_low(0, SpaceAction::Report),
        },
        sealer: SealerOptions {
            level: Level::FASTEST,
            grace: Duration::from_secs(5),
            retention: Retention::unlimited(),
        },
        readers: |_, _| Ok(Vec::new()),
        health: Arc::new(Health::new(on_problem)),
    }
}
