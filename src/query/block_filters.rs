//! Which blocks of a sealed file can have what a filter wants.

use super::filter::Filter;
use crate::{
    error::Error,
    store::{blooms::Blooms, files::Files, index::Key, names::FileStem},
};

/// The Bloom filters of one sealed file, of the keys that a filter asks for.
pub(super) struct BlockFilters(Vec<(Key, Blooms)>);

impl BlockFilters {
    /// Reads them from the file's index. If the filters of a key can't be read, `report` gets the
    /// error, and any block may have what is wanted.
    pub(super) fn read(
        files: &Files,
        stem: &FileStem,
        filter: &Filter,
        mut report: impl FnMut(Error),
    ) -> Self {
        let mut blooms = Vec::new();
        for key in filter.keys() {
            match files.blooms(stem, key) {
                Ok(of_key) => blooms.push((key, of_key)),
                Err(error) => report(error),
            }
        }
        Self(blooms)
    }

    /// Whether a block can have an entry that the filter wants.
    pub(super) fn may_match(&self, block: usize, filter: &Filter) -> bool {
        filter.may_match(|key, tenant, value| {
            let of_key = self.0.iter().find(|(of, _)| *of == key);
            of_key.is_none_or(|(_, blooms)| match tenant {
                Some(tenant) => blooms.may_contain_of(block, tenant, value),
                None => blooms.may_contain(block, value),
            })
        })
    }
}
