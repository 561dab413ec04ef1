//! Webhooks that are declared by an application's code, or by a configuration file: the log is made
//! to agree with the declaration.
//!
//! A webhook belongs to the source and the place that declare it, and no other place changes or
//! removes it. When the place is a file and that file is gone, the next place of the same source
//! that declares a webhook of this name takes it over.

use std::{collections::HashSet, fs, path::Path};

use crate::{
    error::{Error, Result},
    webhook::{
        admin::{Administrator, Refusal},
        queue::replay,
        settings::{
            Webhook,
            stored::{self, Declared, MOST_WEBHOOKS, Stored},
        },
    },
};

impl Administrator<'_> {
    /// Makes `wanted` the webhooks that this log's source declares in this place. After an error
    /// nothing has changed.
    pub(super) fn declare(&self, place: &str, wanted: Vec<Webhook>) -> Result<()> {
        let wanted = checked(wanted)?;
        let by = self.log.stream().source();
        let declared = Declared {
            by: by.to_owned(),
            place: place.to_owned(),
        };
        let is_ours = |one: &Stored| {
            let declared = one.declared.as_ref();
            declared.is_some_and(|found| found.by == by && is_same(&found.place, place))
        };
        // A webhook that was added by hand, or by a file that was moved, is taken over.
        let is_free = |one: &Stored| {
            let declared = one.declared.as_ref();
            declared.is_none_or(|found| found.by == by && is_gone(&found.place))
        };
        let changed = stored::change(self.layout(), |all| {
            for new in &wanted {
                let mut others = all.iter().filter(|one| !is_ours(one) && !is_free(one));
                let other = others.find(|one| one.name == new.name);
                if let Some(declared) = other.and_then(Stored::declared_in) {
                    return Err(Refusal::Declared(new.name.clone(), declared.to_owned()));
                }
            }
            let gone: Vec<String> = all
                .iter()
                .filter(|one| is_ours(one) && !wanted.iter().any(|new| new.name == one.name))
                .map(|one| one.name.clone())
                .collect();
            let new = wanted
                .iter()
                .filter(|new| !all.iter().any(|one| one.name == new.name))
                .count();
            if new > 0 && all.len() - gone.len() + new > MOST_WEBHOOKS {
                return Err(Error::invalid(
                    "webhooks",
                    format!("a log has {MOST_WEBHOOKS} webhooks at most"),
                )
                .into());
            }
            for name in gone {
                self.record(&self.removed(&name))?;
                all.retain(|one| one.name != name);
                replay::forget(self.layout(), &name, u64::MAX)?;
            }
            for new in wanted {
                match all.iter_mut().find(|one| one.name == new.name) {
                    None => {
                        self.record(&self.added(&new).detail("declared_in", place))?;
                        stored::begin(self.layout(), all, new, Some(declared.clone()))?;
                    }
                    Some(found) => {
                        if found.settings != new || found.declared.is_none() {
                            self.record(&self.changed(found, &new).detail("declared_in", place))?;
                            found.set(new);
                        }
                        found.declared = Some(declared.clone());
                    }
                }
            }
            Ok(())
        });
        changed.map_err(Refusal::into_error)
    }
}

/// These webhooks as they can be kept. An error names the webhook that it is about.
fn checked(wanted: Vec<Webhook>) -> Result<Vec<Webhook>> {
    let mut names = HashSet::new();
    let mut check = |webhook: Webhook| {
        if !names.insert(webhook.name.clone()) {
            let problem = format!("{:?} is declared twice; rename one of them", webhook.name);
            return Err(Error::invalid("name", problem));
        }
        let webhook = webhook.with_absolute_paths(None)?;
        webhook.prepare()?;
        Ok(webhook)
    };
    let wanted = wanted.into_iter().map(|webhook| {
        let name = webhook.name.clone();
        check(webhook).map_err(|error| match error {
            Error::Invalid { parameter, problem } => {
                Error::invalid(format!("{name}: {parameter}"), problem)
            }
            error => error,
        })
    });
    wanted.collect()
}

/// Whether two places are one. An older version followed the links of a file's path.
fn is_same(one: &str, other: &str) -> bool {
    let followed = |place: &str| {
        let path = Path::new(place);
        path.is_absolute()
            .then(|| fs::canonicalize(path).ok())
            .flatten()
    };
    one == other || followed(one).is_some_and(|one| followed(other) == Some(one))
}

/// Whether a place is a file that is no longer there.
pub(super) fn is_gone(place: &str) -> bool {
    let path = Path::new(place);
    path.is_absolute() && matches!(path.try_exists(), Ok(false))
}
