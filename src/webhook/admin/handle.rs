//! The handle by which an application manages the webhooks of its log. The entries about its
//! changes name the system as the actor, or whom the application names.

use serde_json::{Map, Value};

use super::{Administrator, Refusal, delivery::DeliveryReport, report::WebhookReport};
use crate::{
    entry::{Actor, Author},
    error::Result,
    log::AuditLog,
    query::AuditReader,
    webhook::{
        http::sign::SigningSecret,
        queue::{
            attempts::{self, Attempt},
            dead_letter::DeadLetter,
            replay::{Replay, ReplayCount},
        },
        run::{
            Dispatcher,
            presence::{DispatcherReport, Presence},
        },
        settings::Webhook,
    },
};

/// The webhooks of a log. Made by [`AuditLog::webhooks`].
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// use tracing_audit::webhook::Webhook;
///
/// let webhooks = log.webhooks();
/// webhooks.add(Webhook::new("siem", "https://siem.example.com/hooks/audit", ["auth.*"]))?;
/// let dispatcher = webhooks.run()?; // hold it as long as the application runs
///
/// for report in webhooks.list()? {
///     println!("{}: {} deliveries wait", report.webhook.name(), report.waiting_deliveries);
/// }
/// drop(dispatcher); // before the log is closed
/// # Ok::<(), tracing_audit::Error>(())
/// ```
///
/// Every change is recorded before it is made. Methods that return a `bool` or an `Option` return
/// `false` or `None` if there is no webhook of this name.
#[derive(Clone, Copy, Debug)]
pub struct Webhooks<'a> {
    log: &'a AuditLog,
    actor: Option<&'a Actor>,
}

impl AuditLog {
    /// The log's webhooks: to manage them, and to have them delivered.
    pub fn webhooks(&self) -> Webhooks<'_> {
        Webhooks {
            log: self,
            actor: None,
        }
    }
}

impl<'a> Webhooks<'a> {
    /// Names the actor who changes webhooks, and has deliveries sent again. The entries about that
    /// have the actor's type, id and name. Default: the application itself, as `system`.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// use tracing_audit::{Actor, webhook::Webhook};
    ///
    /// let ann = Actor::user("user-9").name("ann@example.com");
    /// let siem = Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*"]);
    /// log.webhooks().by(&ann).add(siem)?;
    /// # let query = tracing_audit::Query::parse([("event_type", "audit.webhook.added")])?;
    /// # let page = tracing_audit::AuditReader::open(log.dir())?.page(&query)?;
    /// # assert_eq!(page.entries[0].actor_id(), "user-9");
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    #[must_use]
    pub fn by(self, actor: &'a Actor) -> Self {
        Self {
            actor: Some(actor),
            ..self
        }
    }

    /// Delivers events to the log's webhooks until the [`Dispatcher`] is dropped, on a thread of
    /// its own. Among the processes that share a directory one delivers; when it dies, another that
    /// called this method goes on, within a second.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn run(&self) -> Result<Dispatcher> {
        Dispatcher::start(self.log)
    }

    /// Adds a webhook, which gets the entries that are recorded from now on. The addition is
    /// recorded (`audit.webhook.added`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) names the setting that can't be used;
    /// [`Error::Conflict`](crate::Error::Conflict) says that the name is taken, or that the log has
    /// 100 webhooks already, which is the limit.
    pub fn add(&self, webhook: Webhook) -> Result<()> {
        self.administrator()
            .add(webhook)
            .map_err(Refusal::into_error)
    }

    /// Replaces all settings of the webhook of this name. It keeps its cursor, and stays paused if
    /// it is. The change is recorded (`audit.webhook.changed`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) names the setting that can't be used;
    /// [`Error::Conflict`](crate::Error::Conflict) says where the webhook is declared.
    pub fn set(&self, webhook: Webhook) -> Result<bool> {
        let name = webhook.name().to_owned();
        is_there(self.administrator().change(&name, |_| Ok((webhook, ()))))
    }

    /// Changes some settings of a webhook, as a JSON merge patch (RFC 7396) does: `null` restores
    /// the default. The names of the settings are those of [`Webhook::from_settings`]. The webhook
    /// keeps its cursor. The change is recorded (`audit.webhook.changed`).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// use serde_json::json;
    /// use tracing_audit::webhook::Webhook;
    ///
    /// log.webhooks().add(Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*"]))?;
    /// let patch = json!({"severity": ["error", "critical"], "tenant_id": null});
    /// assert!(log.webhooks().patch("siem", patch.as_object().unwrap())?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    pub fn patch(&self, name: &str, patch: &Map<String, Value>) -> Result<bool> {
        let changed = |found: &Webhook| Ok((found.patched(patch)?, ()));
        is_there(self.administrator().change(name, changed))
    }

    /// Removes a webhook; entries that wait for it are not sent. The removal is recorded
    /// (`audit.webhook.removed`).
    ///
    /// # Errors
    ///
    /// If the webhooks can't be written. [`Error::Conflict`](crate::Error::Conflict) says where the
    /// webhook is declared, if it is: it must be removed there, unless the file that declared it is
    /// gone.
    pub fn remove(&self, name: &str) -> Result<bool> {
        is_there(self.administrator().remove(name))
    }

    /// Declares the webhooks of this application: after the call, the log has exactly these from
    /// it. A new webhook is added and gets the entries that are recorded from now on. A webhook
    /// whose settings changed keeps its cursor. A webhook that the application declared before and
    /// no longer declares is removed. A webhook of the same name that was added by hand is taken
    /// over. Each change is recorded (`audit.webhook.added`, `.changed`, `.removed`).
    ///
    /// Call it once, at the start, with all of them. A declared webhook can be paused, tested and
    /// replayed from outside, but changed and removed only here. An application is known by its
    /// source.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// use tracing_audit::{AuditLog, webhook::Webhook};
    ///
    /// let log = AuditLog::builder(dir.path()).source("billing").open()?;
    /// let siem = Webhook::new("siem", "https://siem.example.com/hooks/audit", ["auth.*"]);
    /// log.webhooks().declare(vec![siem])?;
    /// let report = log.webhooks().get("siem")?.expect("it was declared");
    /// assert_eq!(report.declared_in(), Some("the application billing"));
    /// log.webhooks().declare(vec![])?;
    /// assert!(log.webhooks().list()?.is_empty());
    /// # log.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) names the webhook and the setting that can't be
    /// used, or says that there are too many: a log has 100 at most.
    /// [`Error::Conflict`](crate::Error::Conflict) names a webhook that is declared elsewhere. In
    /// each case nothing is changed.
    pub fn declare(&self, webhooks: Vec<Webhook>) -> Result<()> {
        let place = format!("the application {}", self.log.stream().source());
        self.declare_in(&place, webhooks)
    }

    /// Declares webhooks that stand in `place` instead of the application's code, such as the
    /// absolute path of a configuration file. Attempts to change them elsewhere fail, and the error
    /// names the place.
    ///
    /// Each place of an application owns the webhooks that it declares: the webhooks of another
    /// place are not removed, and their names are refused. If that other place is a file that is
    /// gone, its webhook is taken over instead.
    ///
    /// # Errors
    ///
    /// As for [`declare`](Self::declare).
    pub fn declare_in(&self, place: &str, webhooks: Vec<Webhook>) -> Result<()> {
        self.administrator().declare(place, webhooks)
    }

    /// Takes over a webhook that is declared by an application or a file that is gone, so that it
    /// can be changed and removed like one that was [added](Self::add). It keeps its settings and
    /// its cursor. An application or a file that still declares it takes it back with its next
    /// [`declare`](Self::declare). A webhook that isn't declared stays as it is. The change is
    /// recorded (`audit.webhook.taken_over`).
    ///
    /// ```
    /// use tracing_audit::webhook::Webhook;
    ///
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// let siem = Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*"]);
    /// log.webhooks().declare(vec![siem])?;
    /// assert!(log.webhooks().remove("siem").is_err());
    ///
    /// log.webhooks().take_over("siem")?;
    /// log.webhooks().remove("siem")?;
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the webhooks can't be written.
    pub fn take_over(&self, name: &str) -> Result<bool> {
        is_there(self.administrator().take_over(name))
    }

    /// Sets the HTTP proxy of all webhooks that name [none of their own](Webhook::proxy); `None`
    /// removes it. The setting is kept in the log's directory, so it holds in every process that
    /// delivers or tests, until it is changed. The change is recorded
    /// (`audit.webhook.proxy_changed`), without the proxy's password.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// log.webhooks().set_proxy(Some("http://proxy.corp.example:3128"))?;
    /// log.webhooks().set_proxy(None)?;
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) if it isn't a proxy's URL, or if the variable or
    /// file that it names does not exist.
    pub fn set_proxy(&self, proxy: Option<&str>) -> Result<()> {
        self.administrator().set_proxy(proxy)
    }

    /// Holds a webhook's deliveries back. Entries that are recorded meanwhile wait in the log, for
    /// as long as the log's retention. The pause is recorded (`audit.webhook.paused`).
    ///
    /// # Errors
    ///
    /// If the webhooks can't be written.
    pub fn pause(&self, name: &str) -> Result<bool> {
        is_there(self.administrator().pause(name, true))
    }

    /// Resumes the deliveries of a webhook that was paused, or whose receiver answered that it is
    /// gone (410). This is recorded (`audit.webhook.resumed`).
    ///
    /// # Errors
    ///
    /// If the webhooks can't be written.
    pub fn resume(&self, name: &str) -> Result<bool> {
        is_there(self.administrator().pause(name, false))
    }

    /// Makes a new signing secret. From now on each request is signed with it as well as with the
    /// older ones, so the receiver can switch at any time; then
    /// [retire](Self::retire_secrets) the older ones. The change is recorded
    /// (`audit.webhook.changed`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) if five secrets sign already.
    pub fn rotate_secret(&self, name: &str) -> Result<Option<SigningSecret>> {
        found(self.administrator().rotate(name))
    }

    /// Signs with the newest secret alone, and returns how many secrets were retired. The change is
    /// recorded (`audit.webhook.changed`).
    ///
    /// # Errors
    ///
    /// If the webhooks can't be written.
    pub fn retire_secrets(&self, name: &str) -> Result<Option<usize>> {
        found(self.administrator().retire(name))
    }

    /// All webhooks, with how they are doing.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn list(&self) -> Result<Vec<WebhookReport>> {
        AuditReader::open(self.log.dir())?.webhooks()
    }

    /// The webhook of this name, with how it is doing.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    pub fn get(&self, name: &str) -> Result<Option<WebhookReport>> {
        AuditReader::open(self.log.dir())?.webhook(name)
    }

    /// The process that delivers the log's webhooks; `None` if none does, so that deliveries wait.
    ///
    /// # Errors
    ///
    /// If that can't be read.
    pub fn dispatcher(&self) -> Result<Option<DispatcherReport>> {
        Ok(Presence::read(self.log.layout())?.dispatcher)
    }

    /// The last attempts of a webhook's deliveries, the newest first: the last 50 that failed and
    /// the last 50 that did not. Empty if there is no webhook of this name.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn attempts(&self, name: &str) -> Result<Vec<Attempt>> {
        attempts::read(self.log.layout(), name)
    }

    /// The deliveries of a webhook that were given up and did not arrive since, the oldest first:
    /// `most` of them after the first `skip`. Empty if there is no webhook of this name.
    ///
    /// A dead letter is a place in the log: it can be [replayed](Self::replay) as long as the log
    /// has its entries, and says how many of them are [missing](DeadLetter::missing). Dead letters
    /// hold up no retention. They stay as long as their webhook, and take at most 64 MiB; a removal
    /// is recorded (`audit.delivery.dead_letters_removed`).
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn dead_letters(&self, name: &str, skip: usize, most: usize) -> Result<Vec<DeadLetter>> {
        AuditReader::open(self.log.dir())?.dead_letters(name, skip, most)
    }

    /// Asks the dispatcher to send entries again; see [`Replay`]. Settings that were changed before
    /// this call hold for the whole replay. [`WebhookReport::replay`] has its progress. The replay
    /// is recorded (`audit.webhook.replayed`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) names the parameter that can't be used.
    pub fn replay(&self, name: &str, replay: Replay) -> Result<bool> {
        is_there(self.administrator().replay(name, replay))
    }

    /// Counts the entries and deliveries that a replay would send with the webhook's current
    /// settings, and sends nothing. The count reads the part of the log that the replay would read.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// use tracing_audit::webhook::{Replay, Webhook};
    ///
    /// log.webhooks().add(Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*"]))?;
    /// let week = Replay::entries([("start_date", "2026-11-16"), ("end_date", "2026-11-22")]);
    /// let count = log.webhooks().count_replay("siem", &week)?.expect("it was added");
    /// assert_eq!((count.entries, count.deliveries), (0, 0));
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`replay`](Self::replay), or if the log can't be read.
    pub fn count_replay(&self, name: &str, replay: &Replay) -> Result<Option<ReplayCount>> {
        let reader = AuditReader::open(self.log.dir())?;
        found(self.administrator().count_replay(name, replay, &reader))
    }

    /// Cancels the replay of a webhook that is under way, and those that wait. Entries that were
    /// sent are not taken back; an attempt that is under way may still arrive. The cancellation is
    /// recorded (`audit.webhook.replay_cancelled`).
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`](crate::Error::Conflict) if no replay is under way or waits.
    pub fn cancel_replay(&self, name: &str) -> Result<bool> {
        is_there(self.administrator().cancel_replay(name))
    }

    /// Gives up a delivery that waits, the first one or the one with this id, and returns its id.
    /// It becomes a dead letter, and in [strict order](crate::webhook::DeliveryOrder::Strict) the
    /// next one goes on. It is recorded (`audit.webhook.skipped`).
    ///
    /// The process that delivers does it within a second or two; if none delivers now, the next one
    /// does it when it starts. An attempt that is under way may still succeed; then there is
    /// nothing to give up.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) if no delivery with this id waits,
    /// [`Error::Conflict`](crate::Error::Conflict) if none waits at all.
    pub fn skip(&self, name: &str, delivery_id: Option<&str>) -> Result<Option<String>> {
        found(self.administrator().skip(name, delivery_id))
    }

    /// One delivery of a webhook: its state, its last attempts, and its request without secrets.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) if this is neither the id of a delivery that
    /// waits, nor of a dead letter, nor of one of the [last attempts](Self::attempts).
    pub fn delivery(&self, name: &str, delivery_id: &str) -> Result<Option<DeliveryReport>> {
        AuditReader::open(self.log.dir())?.delivery(name, delivery_id)
    }

    /// Asks the dispatcher to send one delivery again, under its id and with the same entries: a
    /// delivery that waits, a dead letter, or the delivery of one of the
    /// [last attempts](Self::attempts). The request is recorded (`audit.webhook.resent`).
    ///
    /// # Errors
    ///
    /// As for [`delivery`](Self::delivery), and [`Error::Conflict`](crate::Error::Conflict) if the
    /// log no longer has its entries.
    pub fn resend(&self, name: &str, delivery_id: &str) -> Result<bool> {
        let reader = AuditReader::open(self.log.dir())?;
        is_there(self.administrator().resend(name, delivery_id, &reader))
    }

    /// Sends one event to a webhook in a single attempt, and returns its outcome: whether the
    /// receiver can be reached and accepts our key and our signature. The event is recorded first
    /// (`audit.webhook.tested`), and its entry is sent even if the webhook gets other event types
    /// or is paused.
    ///
    /// Must be called within a tokio runtime. Takes no longer than the webhook's timeout.
    ///
    /// # Errors
    ///
    /// If the webhook can't be used, or the event can't be recorded.
    pub async fn test(&self, name: &str) -> Result<Option<Attempt>> {
        found(self.administrator().test(name).await)
    }

    fn administrator(&self) -> Administrator<'_> {
        let author = self.actor.map(Author::named).unwrap_or_default();
        Administrator::new(self.log, author)
    }
}

/// `None` if there is no webhook of this name.
fn found<T>(done: Result<T, Refusal>) -> Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(Refusal::NoSuch(_)) => Ok(None),
        Err(other) => Err(other.into_error()),
    }
}

/// Whether there is a webhook of this name.
fn is_there<T>(done: Result<T, Refusal>) -> Result<bool> {
    found(done).map(|done| done.is_some())
}
