//! Webhooks that are declared: by an application's code, or by a configuration file. The log
//! is made to agree with it.

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
    /// Makes those that this log's source declares these. An error tells which of them it is about,
    /// if it is about one; then nothing was changed.
    pub(crate) fn declare(
        &self,
        place: &str,
        wanted: Vec<Webhook>,
    ) -> Result<(), (Option<usize>, Error)> {
        let by = self.log.stream().source();
        for at in 0..wanted.len() {
            let of_this = |error| (Some(at), error);
            if wanted[..at]
                .iter()
                .any(|other| other.name == wanted[at].name)
            {
                return Err(of_this(Error::invalid(
                    "name",
                    format!("{:?} is declared twice", wanted[at].name),
                )));
            }
            wanted[at].prepare().map_err(of_this)?;
        }
        let declared = Declared {
            by: by.to_owned(),
            place: place.to_owned(),
        };
        let is_ours = |one: &Stored| {
            one.declared
                .as_ref()
                .is_some_and(|declared| declared.by == by)
        };
        let mut taken = None;
        let changed = stored::change(self.layout(), |all| {
            for (at, new) in wanted.iter().enumerate() {
                // One that was added by hand is taken over.
                let other = all
                    .iter()
                    .find(|one| one.name == new.name && one.declared.is_some() && !is_ours(one));
                if let Some(declared) = other.and_then(Stored::declared_in) {
                    taken = Some(at);
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
                replay::forget(self.layout(), &name)?;
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
        changed.map_err(|refusal| (taken, refusal.into_error()))
    }
}
