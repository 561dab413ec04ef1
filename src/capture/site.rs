//! What a call site of `audit!` says while compiling, and its place in `tracing`.
//!
//! One static for each call. It is also the call site that `tracing` registers, so that filters and layers know the mirrored event by
//! its own file, line and module; all that is done with it is compiled once, here, and not at each call.

use tracing::{
    Level, Metadata,
    callsite::{DefaultCallsite, Identifier},
    field::FieldSet,
    level_filters::{LevelFilter, STATIC_MAX_LEVEL},
    metadata::Kind,
    subscriber::Interest,
};

use super::{layer::TARGET, mirror};
use crate::record::Severity;

/// A call of `audit!` in the source.
#[derive(Debug)]
pub struct Site {
    head: &'static str,
    event_type: &'static str,
    severity: Severity,
    metadata: Metadata<'static>,
    callsite: DefaultCallsite,
}

impl Site {
    /// `head` is the record's JSON from `schema_version` to `severity`, without braces; `itself` is the static that this becomes.
    pub const fn new(
        head: &'static str,
        event_type: &'static str,
        severity: Severity,
        file: &'static str,
        line: u32,
        module: &'static str,
        itself: &'static Self,
    ) -> Self {
        let level = match severity {
            Severity::Info => Level::INFO,
            Severity::Warning => Level::WARN,
            Severity::Error | Severity::Critical => Level::ERROR,
        };
        let fields = FieldSet::new(&mirror::FIELDS, Identifier(&itself.callsite));
        Self {
            head,
            event_type,
            severity,
            metadata: Metadata::new(mirror::NAME, TARGET, level, Some(file), Some(line), Some(module), fields, Kind::EVENT),
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

    pub(super) fn head(&self) -> &'static str {
        self.head
    }

    pub(super) fn metadata(&'static self) -> &'static Metadata<'static> {
        &self.metadata
    }

    /// What the subscribers of the process think of the mirrored event, as far as that is known without asking them again.
    pub(super) fn interest(&'static self) -> Interest {
        let level = *self.metadata.level();
        if level <= STATIC_MAX_LEVEL && level <= LevelFilter::current() { self.callsite.interest() } else { Interest::never() }
    }
}
