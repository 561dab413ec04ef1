//! Which fields of spans say something to an audit record.
//!
//! Only names that mean the one who acts become the actor: in a span around "edit user", `user.id`
//! is as likely the user who is edited. An application whose `user.id` is the one who acts says so
//! ([`AuditLayer::span_field`]).

use std::fmt;

use tracing::field::{Field, Visit};

use super::{
    context::{Slot, SpanFields},
    layer::AuditLayer,
};
use crate::{
    error::{Error, Result},
    record::{Buffer, json},
};

/// How many names an application may choose: each is compared with the names of every new span's
/// fields.
const MOST: usize = 32;

/// The names of one layer: those that the application chose, and those that are known anyway.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanNames {
    chosen: Vec<(Box<str>, Option<Slot>)>,
}

impl SpanNames {
    /// The slot for a span's field.
    pub(super) fn slot(&self, field: &str) -> Option<Slot> {
        match self.chosen.iter().find(|(name, _)| **name == *field) {
            Some((_, slot)) => *slot,
            None => known(field),
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
                format!("there is no room for {field:?}: a layer takes {MOST} names; choose fewer"),
            ));
        }
        self.chosen.push((field.into(), slot));
        Ok(())
    }
}

/// Our own name for a slot, or OpenTelemetry's
/// (<https://opentelemetry.io/docs/specs/semconv/registry/attributes/>).
fn known(field: &str) -> Option<Slot> {
    Some(match field {
        "tenant_id" => Slot::TenantId,
        "actor.type" => Slot::ActorType,
        "actor.id" | "enduser.id" => Slot::ActorId,
        "actor.name" => Slot::ActorName,
        "ip_address" | "client.address" => Slot::IpAddress,
        "user_agent" | "user_agent.original" => Slot::UserAgent,
        "context.environment" | "deployment.environment.name" => Slot::Environment,
        "session_id" | "context.session_id" | "session.id" => Slot::SessionId,
        "request_id" | "context.request_id" => Slot::RequestId,
        "context.protocol" | "url.scheme" => Slot::Protocol,
        "context.host" | "server.address" => Slot::Host,
        "trace_id" | "context.trace_id" => Slot::TraceId,
        "span_id" | "context.span_id" => Slot::SpanId,
        _ => return None,
    })
}

impl AuditLayer {
    /// Takes a field of spans for a field of the record: `span_field("user.id", "actor.id")` in an
    /// application whose spans name so the user who acts.
    ///
    /// Without that, the fields `user.id` and `user.name` of a span mean nothing here, because a
    /// span may name so the user whose account is edited, and an audit trail must not take that one
    /// for the actor.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let log = tracing_audit::AuditLog::builder(dir.path()).source("docs").open()?;
    /// use tracing_subscriber::prelude::*;
    ///
    /// let layer = log
    ///     .layer()
    ///     .span_field("user.id", "actor.id")?
    ///     .span_field("organization", "tenant_id")?;
    /// let subscriber = tracing_subscriber::registry().with(layer);
    /// # let _default = tracing::subscriber::set_default(subscriber);
    /// let span = tracing::info_span!("request", user.id = "user-456", organization = "acme");
    /// span.in_scope(|| tracing_audit::audit!("report.opened")); // by user-456 of acme
    /// # log.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// These fields of spans are taken anyway, our own names and OpenTelemetry's:
    ///
    /// | field of the record | fields of spans |
    /// |---|---|
    /// | `tenant_id` | `tenant_id` |
    /// | `actor.type`, `actor.name` | `actor.type`, `actor.name` |
    /// | `actor.id` | `actor.id`, `enduser.id` |
    /// | `ip_address` | `ip_address`, `client.address` |
    /// | `user_agent` | `user_agent`, `user_agent.original` |
    /// | `session_id` | `session_id`, `context.session_id`, `session.id` |
    /// | `request_id`, `trace_id`, `span_id` | the same, and with `context.` before it |
    /// | `environment` | `context.environment`, `deployment.environment.name` |
    /// | `protocol` | `context.protocol`, `url.scheme` |
    /// | `host` | `context.host`, `server.address` |
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the record has no such field, or none that a span can fill; and after
    /// 32 names.
    pub fn span_field(mut self, field: &str, slot: &str) -> Result<Self> {
        let found = Slot::named(slot).filter(|slot| *slot != Slot::ActorAttributes);
        let Some(found) = found else {
            let slots: Vec<&str> = Slot::NAMES
                .iter()
                .copied()
                .filter(|name| *name != "actor.attributes")
                .collect();
            return Err(Error::invalid(
                "span_field",
                format!(
                    "{slot:?} is not a field that a span can fill; give one of {}",
                    slots.join(", ")
                ),
            ));
        };
        self.span_names.choose(field, Some(found))?;
        Ok(self)
    }

    /// Takes a field of spans for nothing, though its name is one of those that
    /// [`span_field`](Self::span_field) lists: in an application that means something else by it.
    ///
    /// # Errors
    ///
    /// As [`span_field`](Self::span_field).
    pub fn ignore_span_field(mut self, field: &str) -> Result<Self> {
        self.span_names.choose(field, None)?;
        Ok(self)
    }
}

/// What a span says, as it is read from its fields.
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
