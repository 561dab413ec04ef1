//! What a call site of `audit!` says while compiling, and its place in `tracing`.
//!
//! One static for each call. It is also the call site that `tracing` registers, so that filters and
//! layers know the mirrored event by its own file, line and module; all that is done with it is
//! compiled once, here, and not at each call.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracing::{
    Level, Metadata,
    callsite::{DefaultCallsite, Identifier},
    field::FieldSet,
    level_filters::{LevelFilter, STATIC_MAX_LEVEL},
    metadata::Kind,
    subscriber::Interest,
};

use super::{layer::TARGET, mirror};
use crate::{
    contain::alarm,
    record::{
        Buffer, SCHEMA_VERSION, Severity,
        catalogue::{Catalogue, DYNAMIC, Described},
        denied::FieldNames,
        json,
    },
};

/// All calls of `audit!` in the program, gathered by the linker.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static SITES: [&'static Site];

/// What is known of an event's first fields while compiling.
#[derive(Clone, Copy, Debug)]
enum Head {
    Fixed {
        event_type: &'static str,
        json: &'static str,
    },
    /// The event type comes at run time; what is not given here follows from it.
    Dynamic {
        category: Option<&'static str>,
        action: Option<&'static str>,
    },
}

/// A call of `audit!` in the source; one of those that are alike but for their severity, if that
/// is computed.
#[derive(Debug)]
pub struct Site {
    head: Head,
    severity: Severity,
    fields: &'static str,
    description: &'static str,
    metadata: Metadata<'static>,
    callsite: DefaultCallsite,
    /// Whether a malformed event type of it was reported.
    is_reported: AtomicBool,
}

impl Site {
    /// `json` is the record's JSON from `schema_version` to `severity`, without braces. `fields`
    /// has a line for each, with its path, its kind and how it is recorded; `description` is the
    /// message as written, or empty; `itself` is the static that this becomes.
    pub const fn fixed(
        (event_type, json): (&'static str, &'static str),
        severity: Severity,
        described: (&'static str, &'static str),
        place: (&'static str, u32, &'static str),
        itself: &'static Self,
    ) -> Self {
        let head = Head::Fixed { event_type, json };
        Self::new(head, severity, described, place, itself)
    }

    /// The same, of an event type that comes at run time.
    pub const fn dynamic(
        (category, action): (Option<&'static str>, Option<&'static str>),
        severity: Severity,
        described: (&'static str, &'static str),
        place: (&'static str, u32, &'static str),
        itself: &'static Self,
    ) -> Self {
        let head = Head::Dynamic { category, action };
        Self::new(head, severity, described, place, itself)
    }

    const fn new(
        head: Head,
        severity: Severity,
        (fields, description): (&'static str, &'static str),
        (file, line, module): (&'static str, u32, &'static str),
        itself: &'static Self,
    ) -> Self {
        let level = match severity {
            Severity::Info => Level::INFO,
            Severity::Warning => Level::WARN,
            Severity::Error | Severity::Critical => Level::ERROR,
        };
        let set = FieldSet::new(&mirror::FIELDS, Identifier(&itself.callsite));
        Self {
            head,
            severity,
            fields,
            description,
            metadata: Metadata::new(
                mirror::NAME,
                TARGET,
                level,
                Some(file),
                Some(line),
                Some(module),
                set,
                Kind::EVENT,
            ),
            callsite: DefaultCallsite::new(&itself.metadata),
            is_reported: AtomicBool::new(false),
        }
    }

    /// The event type; [`DYNAMIC`] if it comes at run time.
    pub fn event_type(&self) -> &'static str {
        match self.head {
            Head::Fixed { event_type, .. } => event_type,
            Head::Dynamic { .. } => DYNAMIC,
        }
    }

    /// The severity.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What the catalogue says of it.
    pub(super) fn describe(&self) -> Described<'static> {
        Described {
            event_type: self.event_type(),
            severity: self.severity,
            description: self.description,
            fields: self.fields,
            file: self.metadata.file().unwrap_or_default(),
            line: self.metadata.line().unwrap_or_default(),
            module: self.metadata.module_path().unwrap_or_default(),
        }
    }

    /// Writes the record's JSON from `schema_version` to `severity`, without braces.
    #[inline]
    pub(super) fn write_head(&self, out: &mut Buffer, event_type: &str) {
        match self.head {
            Head::Fixed { json, .. } => out.append(json.as_bytes()),
            Head::Dynamic { category, action } => {
                self.write_dynamic_head(out, event_type, category, action);
            }
        }
    }

    fn write_dynamic_head(
        &self,
        out: &mut Buffer,
        event_type: &str,
        category: Option<&str>,
        action: Option<&str>,
    ) {
        let first = || event_type.split('.').next().unwrap_or_default();
        let last = || event_type.rsplit('.').next().unwrap_or_default();
        for (key, value) in [
            ("\"schema_version\":", SCHEMA_VERSION),
            (",\"event_type\":", event_type),
            (",\"category\":", category.unwrap_or_else(first)),
            (",\"action\":", action.unwrap_or_else(last)),
            (",\"severity\":", self.severity.as_str()),
        ] {
            out.append(key.as_bytes());
            json::write_str(out, value);
        }
    }

    /// An event of this call has the event type `given`, which none has, and is recorded as
    /// `nearest`. Reported once for each call.
    #[cold]
    pub(super) fn report_malformed(&self, given: &str, nearest: &str) {
        if self.is_reported.swap(true, Relaxed) {
            return;
        }
        let given: String = given.chars().take(128).collect();
        alarm(&format!(
            "{}:{}: {given:?} is not an event type, so the event is recorded as {nearest}; an event \
             type is two or more segments of a-z, 0-9 and _, joined by dots, at most 128 bytes \
             long, and does not begin with \"audit.\". Further events of this call are not \
             reported",
            self.metadata.file().unwrap_or_default(),
            self.metadata.line().unwrap_or_default(),
        ));
    }

    pub(super) fn metadata(&'static self) -> &'static Metadata<'static> {
        &self.metadata
    }

    /// What the subscribers of the process think of the mirrored event, as far as that is known
    /// without asking them again.
    pub(super) fn interest(&'static self) -> Interest {
        let level = *self.metadata.level();
        if level <= STATIC_MAX_LEVEL && level <= LevelFilter::current() {
            self.callsite.interest()
        } else {
            Interest::never()
        }
    }
}

/// Of the sites of one call, that for this severity.
#[doc(hidden)]
#[inline]
pub fn site_of(sites: &[&'static Site], severity: Severity) -> &'static Site {
    let first = sites[0];
    let found = sites.iter().find(|site| site.severity == severity);
    found.copied().unwrap_or(first)
}

/// The event types of all calls of `audit!` in the program, its libraries included, whether they
/// run or not.
///
/// The catalogue is gathered while linking, and costs the program nothing until it is asked for.
///
/// ```
/// use tracing_audit::{audit, catalogue};
///
/// fn never_called() {
///     audit!("report.opened", severity = warning, pages = 3, "A report was opened");
/// }
///
/// let catalogue = catalogue();
/// let opened = catalogue.get("report.opened").expect("it is in the program");
/// assert_eq!(opened.description(), Some("A report was opened"));
/// # let _ = never_called;
/// ```
pub fn catalogue() -> Catalogue {
    catalogue_of_log(None)
}

/// The same, as a log with these names records it.
pub(crate) fn catalogue_of_log(names: Option<&FieldNames>) -> Catalogue {
    gather(|site| !is_ours(site), names)
}

/// That of the demo, whose calls are part of this crate.
#[cfg(feature = "cli")]
pub(crate) fn demo_catalogue(names: Option<&FieldNames>) -> Catalogue {
    gather(is_ours, names)
}

fn gather(wanted: impl Fn(&Described<'_>) -> bool, names: Option<&FieldNames>) -> Catalogue {
    let sites = SITES.iter().map(|site| site.describe());
    Catalogue::gather(sites.filter(wanted), names)
}

/// Whether it is the demo's.
fn is_ours(site: &Described<'_>) -> bool {
    site.module.starts_with("tracing_audit::cli::")
}
