//! Subscriptions that are declared: by an application's code, or by a configuration file. The log
//! is made to agree with it.

use super::{
    administer::{Administrator, Refusal},
    manage::{self, MOST_SUBSCRIPTIONS},
    replay,
    subscription::{Declared, Subscription},
};
use crate::{
    error::{Error, Result},
    log::AuditLog,
};

impl Administrator<'_> {
    /// Makes those that this log's source declares these. An error tells which of them it is about,
    /// if it is about one; then nothing was changed.
    pub(crate) fn declare(
        &self,
        place: &str,
        mut wanted: Vec<Subscription>,
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
            wanted[at].declared = Some(Declared {
                by: by.to_owned(),
                place: place.to_owned(),
            });
        }
        let is_ours = |one: &Subscription| {
            one.declared
                .as_ref()
                .is_some_and(|declared| declared.by == by)
        };
        let mut taken = None;
        let changed = manage::change(self.layout(), |all| {
            for (at, new) in wanted.iter().enumerate() {
                // One that was added by hand is taken over.
                let other = all
                    .iter()
                    .find(|one| one.name == new.name && one.declared.is_some() && !is_ours(one));
                if let Some(declared) = other.and_then(Subscription::declared_in) {
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
            if new > 0 && all.len() - gone.len() + new > MOST_SUBSCRIPTIONS {
                return Err(Error::invalid(
                    "subscriptions",
                    format!("a log has {MOST_SUBSCRIPTIONS} webhooks at most"),
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
                        manage::begin(self.layout(), all, new)?;
                    }
                    Some(found) => {
                        let declared = new.declared.clone();
                        let new = new.in_place_of(found);
                        if !found.differences(&new).is_empty() || found.declared.is_none() {
                            self.record(&self.changed(found, &new).detail("declared_in", place))?;
                            *found = new;
                            found.revision += 1;
                        }
                        found.declared = declared;
                    }
                }
            }
            Ok(())
        });
        changed.map_err(|refusal| (taken, refusal.into_error()))
    }
}

impl AuditLog {
    /// Makes the subscriptions that this application declares these: those that are missing are
    /// added and get what is recorded from now on, those whose settings changed go on where they
    /// are in the log, and those that it declared before and no longer does are removed. Each
    /// change is recorded (`audit.subscription.added`, `.changed`, `.removed`). One of a name that
    /// was added by hand is taken over.
    ///
    /// Call it once, at the start, with all of them. What is declared can be paused, tested and
    /// replayed from outside, and is changed and removed only here. An application is known by its
    /// source.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// use tracing_audit::{AuditLog, webhook::Subscription};
    ///
    /// let log = AuditLog::builder(dir.path()).source("billing").open()?;
    /// log.declare_subscriptions(vec![Subscription::new("siem", "https://siem.example.com/hooks/audit", ["auth.*"])])?;
    /// assert_eq!(log.subscriptions()?[0].subscription.declared_in(), Some("the application billing"));
    /// log.declare_subscriptions(vec![])?;
    /// assert!(log.subscriptions()?.is_empty());
    /// # log.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the subscription and the setting that can't be used, or says that
    /// there are too many: a log has 100 at most. [`Error::Conflict`] names one that is declared
    /// elsewhere. Nothing is changed then.
    pub fn declare_subscriptions(&self, subscriptions: Vec<Subscription>) -> Result<()> {
        let place = format!("the application {}", self.stream().source());
        self.declare_subscriptions_in(&place, subscriptions)
    }

    /// The same for subscriptions that are declared elsewhere than in the application's code: in
    /// `place`, such as the path of a configuration file. That is where whoever wants to change one
    /// is told to do it.
    ///
    /// # Errors
    ///
    /// As for [`declare_subscriptions`](Self::declare_subscriptions).
    pub fn declare_subscriptions_in(
        &self,
        place: &str,
        subscriptions: Vec<Subscription>,
    ) -> Result<()> {
        let names: Vec<String> = subscriptions
            .iter()
            .map(|one| one.name().to_owned())
            .collect();
        Administrator::new(self)
            .declare(place, subscriptions)
            .map_err(
                |(at, error)| match (at.and_then(|at| names.get(at)), error) {
                    (Some(name), Error::Invalid { parameter, problem }) => {
                        Error::invalid(format!("{name}: {parameter}"), problem)
                    }
                    (_, error) => error,
                },
            )
    }
}
