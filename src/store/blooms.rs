//! The Bloom filters of one key, of all blocks of a file.

use super::{bloom, codec::Decoder, index::Block};

/// One key's filters, of all blocks of a file.
#[derive(Debug)]
pub(crate) struct Blooms {
    /// As on disk: the offsets, then the filters.
    section: Vec<u8>,
    opaque: Vec<bool>,
    /// Whether the filters hold pairs of a tenant and a value.
    has_pairs: bool,
}

impl Blooms {
    pub(super) fn new(section: Vec<u8>, blocks: &[Block], has_pairs: bool) -> Self {
        Self {
            section,
            opaque: blocks.iter().map(|block| block.opaque).collect(),
            has_pairs,
        }
    }

    /// The filters when there is no index: every block may hold everything.
    pub(crate) fn unknown() -> Self {
        Self {
            section: Vec::new(),
            opaque: Vec::new(),
            has_pairs: false,
        }
    }

    /// Whether the block may hold a line with this value, given as it stands in a line
    /// ([`escape`](crate::entry::scan::escape)d).
    pub(crate) fn may_contain(&self, block: usize, value: &[u8]) -> bool {
        self.filter(block)
            .is_none_or(|filter| bloom::may_contain(filter, bloom::hash(value)))
    }

    /// The same for a line of this tenant. Filters without pairs say only whether the value is
    /// there for any tenant.
    pub(crate) fn may_contain_of(&self, block: usize, tenant: &[u8], value: &[u8]) -> bool {
        if !self.has_pairs {
            return self.may_contain(block, value);
        }
        let (tenant, value) = (bloom::tenant(tenant), bloom::hash(value));
        self.filter(block)
            .is_none_or(|filter| bloom::may_contain_pair(filter, tenant, value))
    }

    /// The filter of a block; `None` if the block may hold everything.
    fn filter(&self, block: usize) -> Option<&[u8]> {
        if self.opaque.get(block).copied().unwrap_or(true) {
            return None;
        }
        let filters = (self.opaque.len() + 1) * 4;
        let offset = |n: usize| {
            let offset = Decoder::new(self.section.get(n * 4..)?).u32()?;
            Some(filters + offset as usize)
        };
        self.section.get(offset(block)?..offset(block + 1)?)
    }
}
