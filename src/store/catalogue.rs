//! The catalogues of the applications that write here, in `state/catalogue.json`, so that a program
//! that serves the log alone knows its event types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{document::Document, layout::Layout};
use crate::{
    entry::{Catalogue, Source},
    error::Result,
};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    sources: BTreeMap<String, Catalogue>,
}

fn document(layout: &Layout) -> Document {
    Document::new(layout, "catalogue", "catalogue")
}

/// The event types of all sources.
pub(crate) fn catalogue(layout: &Layout) -> Result<Catalogue> {
    Ok(Catalogue::of_sources(
        document(layout).read::<Stored>()?.sources,
    ))
}

/// Keeps what a source can record, in the place of what it could before. Nothing is written if that
/// is the same.
pub(crate) fn keep_catalogue(layout: &Layout, source: &Source, catalogue: Catalogue) -> Result<()> {
    let document = document(layout);
    if document.read::<Stored>()?.sources.get(source.as_str()) == Some(&catalogue) {
        return Ok(());
    }
    document.change(|stored: &mut Stored| {
        stored.sources.insert(source.as_str().to_owned(), catalogue);
        Ok(())
    })
}
