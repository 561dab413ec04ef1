//! The formats of the application's own, by name: a webhook outlives the process that made it,
//! so it can only name its format.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::{Format, name::listed};
use crate::{
    error::{Error, Result},
    webhook::settings::check_name,
};

static FORMATS: RwLock<BTreeMap<String, Arc<dyn Format>>> = RwLock::new(BTreeMap::new());

/// Makes a format known to this process under a name, for
/// [`Webhook::own_format`](crate::webhook::Webhook::own_format).
///
/// Register it before adding a webhook with it and before
/// [`Webhooks::run`](crate::webhook::Webhooks::run), in each process that may deliver. A process
/// that doesn't know the format can't serve its webhooks: it records that, and their entries wait.
///
/// # Errors
///
/// [`Error::Invalid`] for a name that is not 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`, or that
/// is taken.
pub fn register_format(name: &str, format: impl Format + 'static) -> Result<()> {
    check_name(name)?;
    let mut formats = FORMATS.write().unwrap_or_else(PoisonError::into_inner);
    if formats.contains_key(name) {
        return Err(Error::invalid(
            "name",
            format!("there is a format {name:?} already"),
        ));
    }
    formats.insert(name.to_owned(), Arc::new(format));
    Ok(())
}

/// The format of this name.
pub(in crate::webhook) fn own_format(name: &str) -> Result<Arc<dyn Format>> {
    let formats = FORMATS.read().unwrap_or_else(PoisonError::into_inner);
    formats.get(name).map(Arc::clone).ok_or_else(|| {
        let known: Vec<_> = formats.keys().map(String::as_str).collect();
        let known = listed(&known);
        Error::invalid(
            "own_format",
            format!("this program has no format {name:?} registered; it has {known}"),
        )
    })
}
