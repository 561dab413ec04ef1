//! Which fields of spans say something to an entry.
//!
//! Only names that mean the one who acts become the actor: in a span around "edit user", `user.id`
//! is as likely the user who is edited. An application whose `user.id` is the one who acts says so
//! ([`AuditLogBuilder::span_field`](crate::AuditLogBuilder::span_field)).

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_audit_schema::Slot;

use crate::{
    entry::{Buffer, json, render::SpanFields},
    error::{Error, Result},
};

/// How many names an application may choose: each is compared with the names of every new span's
/// fields.
const MOST: usize = 32;

/// The names of one log: those that the application chose, and those that are known anyway.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpanNames {
    chosen: Vec<(Box<str>, Option<Slot>)>,
}

impl SpanNames {
    /// With these fields of spans for these fields of the entry, or for nothing.
    pub(crate) fn new(chosen: &[(String, Option<String>)]) -> Result<Self> {
        let mut names = Self::default();
        for (field, slot) in chosen {
            let slot = slot.as_deref().map(named).transpose()?;
            names.choose(field, slot)?;
        }
        Ok(names)
    }

    /// The slot for a span's field.
    pub(super) fn slot(&self, field: &str) -> Option<Slot> {
        match self.chosen.iter().find(|(name, _)| **name == *field) {
            Some((_, slot)) => *slot,
            None => Slot::of_span(field),
        }
    }

    fn choose(&mut self, field: &str, slot: Option<Slot>) -> Result<()> {
        if let Some((_, chosen)) = self.chosen.iter_mut().find(|(name, _)| **name == *field) {
            *chosen = slot;
            return Ok(());
        }
        if field.is_empty() {
            return Err(Error::invalid(
                "span_field",
                "the name of the span's field is empty; give one such as \"user.id\"",
            ));
        }
        if self.chosen.len() == MOST {
            return Err(Error::invalid(
                "span_field",
                format!("there is no room for {field:?}: a log takes {MOST} names; choose fewer"),
            ));
        }
        self.chosen.push((field.into(), slot));
        Ok(())
    }
}

/// The slot of this name, if a span can fill it.
fn named(slot: &str) -> Result<Slot> {
    Slot::named(slot)
        .filter(|slot| slot.is_text())
        .ok_or_else(|| {
            let slots = Slot::ALL.into_iter().filter(|slot| slot.is_text());
            let slots: Vec<&str> = slots.map(Slot::name).collect();
            Error::invalid(
                "span_field",
                format!(
                    "{slot:?} is not a field that a span can fill; give one of {}",
                    slots.join(", ")
                ),
            )
        })
}

/// The fields of a span while they are read.
pub(super) struct Reading<'a> {
    pub(super) names: &'a SpanNames,
    pub(super) fields: SpanFields,
}

impl<'a> Reading<'a> {
    pub(super) fn with(names: &'a SpanNames) -> Self {
        Self {
            names,
            fields: SpanFields::default(),
        }
    }

    fn set(&mut self, field: &Field, write: impl FnOnce(&mut Buffer)) {
        if let Some(slot) = self.names.slot(field.name()) {
            self.fields.set_slot(slot, write);
        }
    }
}

impl Visit for Reading<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, |out| json::write_str(out, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, |out| {
            json::write_display(out, format_args!("{value:?}"))
        });
    }
}
