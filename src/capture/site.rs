//! The facts about a call site of `audit!` that are known while compiling, and its place in
//! `tracing`.
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

use crate::{
    contain::alarm,
    entry::{
        Severity,
        catalogue::{Catalogue, DYNAMIC, Described},
        denied::FieldNames,
        render::Head,
    },
};

/// All calls of `audit!` in the program, gathered by the linker.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static SITES: [&'static Site];

/// The target of audit events in `tracing`.
pub(super) const TARGET: &str = "audit";

/// The name by which the layer knows a mirrored event.
pub(super) const MIRRORED: &str = "audit!";

/// The fields of a mirrored event.
pub(super) const MIRRORED_FIELDS: [&str; 7] = [
    "message",
    "event_type",
    "id",
    "actor",
    "resource",
    "outcome",
    "details",
];

/// The first fields of an event, as far as they are known while compiling.
#[derive(Clone, Copy, Debug)]
enum Declared {
    Fixed {
        event_type: &'static str,
        json: &'static str,
    },
    /// The event type comes at run time. A category or an action that is absent here follows from
    /// it.
    Dynamic {
        category: Option<&'static str>,
        action: Option<&'static str>,
    },
}

/// A call of `audit!` in the source. A call whose severity is computed has one such value for each
/// severity.
#[derive(Debug)]
pub struct Site {
    declared: Declared,
    severity: Severity,
    fields: &'static str,
    description: &'static str,
    metadata: Metadata<'static>,
    callsite: DefaultCallsite,
    /// Whether a malformed event type of it was reported.
    is_reported: AtomicBool,
}

impl Site {
    /// `json` is the entry's JSON from `schema_version` to `severity`, without braces. `fields` has
    /// a line for each, with its path, its kind and how it is recorded; `description` is the
    /// message as written, or empty; `itself` is the static that this becomes.
    pub const fn fixed(
        (event_type, json): (&'static str, &'static str),
        severity: Severity,
        described: (&'static str, &'static str),
        place: (&'static str, u32, &'static str),
        itself: &'static Self,
    ) -> Self {
        let declared = Declared::Fixed { event_type, json };
        Self::new(declared, severity, described, place, itself)
    }

    /// The same, of an event type that comes at run time.
    pub const fn dynamic(
        (category, action): (Option<&'static str>, Option<&'static str>),
        severity: Severity,
        described: (&'static str, &'static str),
        place: (&'static str, u32, &'static str),
        itself: &'static Self,
    ) -> Self {
        let declared = Declared::Dynamic { category, action };
        Self::new(declared, severity, described, place, itself)
    }

    const fn new(
        declared: Declared,
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
        let set = FieldSet::new(&MIRRORED_FIELDS, Identifier(&itself.callsite));
        Self {
            declared,
            severity,
            fields,
            description,
            metadata: Metadata::new(
                MIRRORED,
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
        match self.declared {
            Declared::Fixed { event_type, .. } => event_type,
            Declared::Dynamic { .. } => DYNAMIC,
        }
    }

    /// The severity.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Its description in the catalogue.
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

    /// The head of an event of this type, before its values.
    #[inline]
    pub(super) fn head<'a>(&self, event_type: &'a str) -> Head<'a> {
        match self.declared {
            Declared::Fixed { json, .. } => Head::Rendered(json),
            Declared::Dynamic { category, action } => Head::Of {
                event_type,
                category,
                action,
                severity: self.severity,
            },
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
            "{}:{}: {given:?} is not an event type, so the event is recorded as {nearest}; an \
             event type is two or more segments of a-z, 0-9 and _, joined by dots, at most 128 \
             bytes long, and does not begin with \"audit.\". Further events of this call are not \
             reported",
            self.metadata.file().unwrap_or_default(),
            self.metadata.line().unwrap_or_default(),
        ));
    }

    pub(super) fn metadata(&'static self) -> &'static Metadata<'static> {
        &self.metadata
    }

    /// The interest of the process's subscribers in the mirrored event, as far as that is known
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
    Catalogue::gather(SITES.iter().map(|site| site.describe()), names)
}
