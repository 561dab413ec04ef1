//! Downloads that are made while they are sent.

use axum::body::Body;

use super::{body::body, ending::Ending, state::State};
use crate::export::filtered::Filtered;

/// The body of such a download.
pub(super) fn stream(
    app: &State,
    slots: impl Send + 'static,
    ending: Ending,
    mut wanted: Filtered,
) -> Body {
    body(app, slots, ending, move |writer| {
        // A filter without matches writes nothing, so a failed write would never show that the
        // client is gone.
        wanted.reader = wanted.reader.cancelled_by(&writer.cancel());
        wanted.write_to(writer)
    })
}
