//! The lines of a block that may match: those with the bytes that every matching line has.
//!
//! For a question about certain tenants, a line is looked at more closely only if it names one of
//! them. So the time that an answer takes doesn't say whether other tenants' lines have what is
//! looked for.

use super::{
    condition::Condition,
    needle::{Haystack, Needle},
};

/// The bytes that every matching line contains.
#[derive(Clone, Debug, Default)]
pub(super) struct Needles {
    /// Of the tenants, if certain tenants are wanted.
    tenant: Option<Box<Needle>>,
    /// The rarest (by a guess) first.
    others: Vec<Needle>,
}

impl Needles {
    /// The needles of all conditions.
    pub(super) fn of(conditions: &[Condition]) -> Self {
        let (tenants, others): (Vec<_>, Vec<_>) = conditions
            .iter()
            .partition(|condition| condition.is_of_tenants());
        let rated = others
            .into_iter()
            .filter_map(|condition| Some((condition.rarity(), condition.needle()?)));
        let mut rated: Vec<_> = rated.collect();
        rated.sort_by_key(|(rarity, _)| *rarity);
        Self {
            tenant: tenants
                .into_iter()
                .find_map(Condition::needle)
                .map(Box::new),
            others: rated.into_iter().map(|(_, needle)| needle).collect(),
        }
    }

    /// Adds the needle of a condition that is rarer than all others.
    pub(super) fn add_rarest(&mut self, condition: &Condition) {
        self.others.splice(..0, condition.needle());
    }

    /// Whether lines are looked for in lower case too.
    pub(super) fn needs_lower(&self) -> bool {
        let is_lower = |needle: &Needle| matches!(needle, Needle::Lower(_));
        self.others.iter().any(is_lower)
    }

    /// Passes the lines that may match to `give`, without their LF.
    pub(super) fn each_line<'b>(&self, lines: Haystack<'b>, give: &mut dyn FnMut(&'b [u8])) {
        match (&self.tenant, self.others.split_first()) {
            (Some(tenant), _) => tenant.each_line(lines, &mut |line| {
                if self.others.iter().all(|needle| needle.is_in(line)) {
                    give(line.plain);
                }
            }),
            (None, Some((rarest, others))) => {
                if others.iter().all(|needle| needle.is_in(lines)) {
                    rarest.each_line(lines, &mut |line| give(line.plain));
                }
            }
            (None, None) => lines.each_line(&mut |line| give(line.plain)),
        }
    }
}
