//! The settings of a webhook: which entries it gets, where they go, and how.
//!
//! Each setting is declared once, in [`Webhook`]. `setting` defines the declarations, `builder` sets
//! settings in code, `json` reads and shows them, `outside` limits those that are set over HTTP,
//! `prepare` checks them and reads their secrets, and `stored` keeps the webhooks of a log.

mod builder;
mod files;
mod json;
#[cfg(any(feature = "server", test))]
mod outside;
mod prepare;
mod setting;
mod shown_url;
pub(in crate::webhook) mod stored;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    entry::Severity,
    error::{Error, Result},
    webhook::format::{FormatName, FormatOptions},
};

pub(in crate::webhook) use files::absolute_secret;
pub(in crate::webhook) use json::shown_proxy;
#[cfg(any(feature = "server", test))]
pub(crate) use outside::OutsidePolicy;
pub(in crate::webhook) use prepare::{Prepared, Selection, read_proxy};
pub use setting::{Setting, SettingKind};

/// In which order a webhook gets its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryOrder {
    /// In order while all goes well; what fails is tried again later, and fresh entries don't wait
    /// for it. Several requests at once: see [`Webhook::concurrency`].
    #[default]
    BestEffort,
    /// In each stream's order, one request at a time. A delivery that fails holds up all that
    /// follow, until it is delivered or [skipped](crate::webhook::Webhooks::skip).
    Strict,
}

/// How many entries go in one delivery.
///
/// A request's body, as its format makes it, has 256 KiB at most: a batch that would be longer is
/// more than one delivery, and a single entry that is longer goes alone. Where many webhooks share
/// the [memory](crate::webhook::Dispatcher::memory_bytes), batches are shorter.
///
/// ```
/// use tracing_audit::webhook::{Batching, Webhook};
///
/// let lake = Webhook::new("lake", "https://lake.example.com/audit", ["*"])
///     .batch(Batching { max_entries: 1000, max_wait_ms: 5000 });
/// # let _ = lake;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batching {
    /// So many at most, 1 to 1000.
    pub max_entries: usize,
    /// The first of them waits so long at most, in milliseconds; 60,000 at most.
    pub max_wait_ms: u64,
}

impl Batching {
    const SETTINGS: &[Setting] = &[
        Setting::number(1, 1000).flagged("batch").named(
            "max_entries",
            "Send at most this many entries in one request",
        ),
        Setting::number(0, 60_000).flagged("batch-wait-ms").named(
            "max_wait_ms",
            "Let the first entry of a request wait at most this long for others, in milliseconds",
        ),
    ];
}

impl Default for Batching {
    /// 100 entries, one second.
    fn default() -> Self {
        Self {
            max_entries: 100,
            max_wait_ms: 1000,
        }
    }
}

/// Declares the settings: for each its help text, its field, and its [`Setting`].
macro_rules! settings {
    (
        $(#[$meta:meta])*
        required { $(
            $(#[doc = $must_help:literal])+
            $must:ident: $must_type:ty = $must_setting:expr;
        )+ }
        optional { $(
            $(#[doc = $help:literal])+
            $name:ident: $type:ty = $setting:expr;
        )+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Webhook {
            $( pub(in crate::webhook) $must: $must_type, )+
            $(
                #[serde(default, skip_serializing_if = "Unset::is_unset")]
                pub(in crate::webhook) $name: $type,
            )+
        }

        impl Webhook {
            /// All settings of a webhook, each as it is declared.
            pub const SETTINGS: &'static [Setting] = &[
                $( $must_setting.required().named(stringify!($must), concat!($($must_help),+)), )+
                $( $setting.named(stringify!($name), concat!($($help),+)), )+
            ];
        }
    };
}

settings! {
    /// A webhook: where it sends which entries, and how. It gets them as they are recorded.
    ///
    /// ```
    /// use tracing_audit::webhook::Webhook;
    ///
    /// let siem = Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*", "user.*"])
    ///     .excluding(["auth.token.*"])
    ///     .api_key("env:SIEM_KEY")
    ///     .signing_secret("file:/run/secrets/siem-signing");
    /// ```
    ///
    /// A secret is given as the text itself, which is kept in the log's directory (0600); or as
    /// `env:NAME` or `file:/path`, which are read when delivering begins. A file must be a regular
    /// file of at most 1 MiB, and a relative path starts from the working directory of the process
    /// that sets it. `Debug` shows no secrets; the serialized webhook has them, because it is
    /// stored in that form. All settings but the name, the URL and the event types have defaults.
    required {
        /// The webhook's name: letters, digits, '_' and '-'
        name: String = Setting::text("NAME");
        /// The URL to send to
        url: String = Setting::new(SettingKind::Url, "URL");
        /// An event type to send; auth.* is all below auth, * is all
        event_types: Vec<String> = Setting::list("TYPE").flagged("event-type");
    }
    optional {
        /// An event type to leave out
        exclude: Vec<String> = Setting::list("TYPE");
        /// Send only entries of this severity
        severity: Vec<Severity> = Setting::list("SEVERITY");
        /// Send only entries of this tenant
        tenant_id: Option<String> = Setting::text("ID");
        /// native (the default), cloudevents, cloudevents-binary, cloudevents-batch, splunk-hec or
        /// otlp
        format: FormatName = Setting::text("FORMAT");
        /// An option of the format, as in index=audit
        format_options: FormatOptions = Setting::pairs().flagged("format-option");
        /// A format that the delivering application has registered under this name
        own_format: Option<String> = Setting::text("NAME").without_flag();
        /// The key that the receiver wants, sent as Authorization: Bearer (for Splunk,
        /// Authorization: Splunk)
        api_key: Option<String> = Setting::text("SECRET").secret().of_receiver();
        /// Another header for the key
        api_key_header: Option<String> = Setting::text("NAME");
        /// Sign by Standard Webhooks with this whsec_… or whsk_… secret; several sign at once, the
        /// newest last
        signing_secrets: Vec<String> = Setting::list("SECRET").flagged("signing-secret").secret();
        /// A header for each request
        headers: BTreeMap<String, String> =
            Setting::pairs().flagged("header").secret().of_receiver();
        /// Let the URL be http://, which anyone on the way can read
        allow_http: bool = Setting::switch("true");
        /// A destination that may be reached: public (the default), private, loopback, an address,
        /// a network or a host name
        egress: Vec<String> = Setting::list("WHAT");
        /// Reach the receiver only through this HTTP proxy, http://[user:password@]host:port
        proxy: Option<String> = Setting::new(SettingKind::Proxy, "URL").secret();
        /// Keep each stream's order, whatever fails: one request at a time
        order: DeliveryOrder = Setting::switch("\"strict\"").flagged("strict");
        /// Send several entries in one request
        batch: Option<Batching> =
            Setting::new(SettingKind::Parts(Batching::SETTINGS), "").without_flag();
        /// The longest that an attempt may take, in milliseconds
        timeout_ms: Option<u64> = Setting::number(1, 600_000).or("15000");
        /// Have at most this many attempts under way at once; 1 with strict order
        concurrency: Option<u32> = Setting::number(1, 64).or("4");
        /// Send at most this many requests per second
        max_requests_per_second: Option<u32> = Setting::number(1, 100_000);
        /// The delay before each attempt, in seconds, as in 0,5,30
        schedule_seconds: Option<Vec<u64>> =
            Setting::new(SettingKind::Numbers, "LIST").or("11 attempts within 76 hours");
        /// A PEM file of certificates to trust besides the system's
        extra_ca: Option<PathBuf> = Setting::file();
        /// A PEM file of the client's certificate chain and private key
        identity: Option<PathBuf> = Setting::file();
    }
}

/// Whether a setting is left out when the webhook is written. Settings that can't be absent are
/// always written, also with their default.
trait Unset {
    fn is_unset(&self) -> bool {
        false
    }
}

impl Unset for bool {}
impl Unset for FormatName {}
impl Unset for FormatOptions {}
impl Unset for DeliveryOrder {}

impl<T> Unset for Option<T> {
    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl<T> Unset for Vec<T> {
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

impl Unset for BTreeMap<String, String> {
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

/// Checks the name of a webhook, which is part of the names of its files, or of a format.
pub(in crate::webhook) fn check_name(name: &str) -> Result<()> {
    if name.is_empty()
        || name.len() > 64
        || !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    {
        return Err(Error::invalid(
            "name",
            format!("{name:?} is not 1 to 64 of A-Z, a-z, 0-9, '_' and '-'"),
        ));
    }
    Ok(())
}
