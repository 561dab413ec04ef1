//! Downloads of the entries that match a filter, made while they are sent.

use std::sync::{Arc, atomic::Ordering};

use axum::body::Body;

use super::{
    body::body,
    state::{Slot, State},
};
use crate::export::filtered::Filtered;

/// The body of such a download.
pub(super) fn stream(app: &State, slots: [Slot; 2], mut wanted: Filtered) -> Body {
    let cut = Arc::clone(&app.counts.cut_exports);
    body(app, slots, move |writer| {
        // A filter without matches writes nothing, so a failed write would never show that the
        // client is gone.
        wanted.reader = wanted.reader.cancelled_by(&writer.cancel());
        let scanned = wanted.write_to(writer)?;
        if !scanned.problems.is_empty() {
            // Only a ZIP has a place to say so.
            cut.fetch_add(1, Ordering::Relaxed);
            let problems = &scanned.problems;
            tracing::warn!(target: "tracing_audit", "a download is incomplete, because entries \
                could not be read: {problems:?}");
        }
        Ok(())
    })
}
