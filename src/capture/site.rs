//! What a call site of `audit!` says while compiling, and its place in `tracing`.
//!
//! One static for each call. It is also the call site that `tracing` registers, so that filters and
//! layers know the mirrored event by its own file, line and module; all that is done with it is
//! compiled once, here, and not at each call.

use tracing::{
    Level, Metadata,
    callsite::{DefaultCallsite, Identifier},
    field::FieldSet,
    level_filters::{LevelFilter, STATIC_MAX_LEVEL},
    metadata::Kind,
    subscriber::Interest,
};

use super::{layer::TARGET, mirror};
use crate::record::{
    Severity,
    catalogue::{Catalogue, Described},
    denied::FieldNames,
};

/// All calls of `audit!` in the program, gathered by the linker.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static SITES: [&'static Site];

/// A call of `audit!` in the source.
#[derive(Debug)]
pub struct Site {
    head: &'static str,
    event_type: &'static str,
    severity: Severity,
    fields: &'static str,
    description: &'static str,
    metadata: Metadata<'static>,
    callsite: DefaultCallsite,
}

impl Site {
    /// `head` is the record's JSON from `schema_version` to `severity`, without braces; `fields`
    /// has a line for each, with its path, its kind and how it is recorded; `description` is the
    /// message as written, or empty; `itself` is the static that this becomes.
    pub const fn new(
        head: &'static str,
        event_type: &'static str,
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
            event_type,
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
        }
    }

    /// The event type.
    pub fn event_type(&self) -> &'static str {
        self.event_type
    }

    /// The severity.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What the catalogue says of it.
    pub(super) fn describe(&self) -> Described<'static> {
        Described {
            event_type: self.event_type,
            severity: self.severity,
            description: self.description,
            fields: self.fields,
            file: self.metadata.file().unwrap_or_default(),
            line: self.metadata.line().unwrap_or_default(),
            module: self.metadata.module_path().unwrap_or_default(),
        }
    }

    pub(super) fn head(&self) -> &'static str {
        self.head
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

/// The event types of all calls of `audit!` in the program, its libraries included, whether they
/// run or not.
///
/// It is gathered while linking and costs the program nothing until it is asked for.
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
