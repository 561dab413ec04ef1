//! What the fields of spans mean to the log.

use super::AuditLogBuilder;

impl AuditLogBuilder {
    /// Takes a field of spans for a field of the entry: `span_field("user.id", "actor.id")` in an
    /// application where `user.id` is the one who acts. By default it isn't, because in a span
    /// around "edit user" it is as likely the user who is edited: evidence against the wrong
    /// person. Only names that mean the one who acts are taken for the actor.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// use tracing_audit::AuditLog;
    /// use tracing_subscriber::prelude::*;
    ///
    /// let log = AuditLog::builder(dir)
    ///     .span_field("user.id", "actor.id")
    ///     .span_field("organization", "tenant_id")
    ///     .open()?;
    /// let subscriber = tracing_subscriber::registry().with(log.layer());
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
    /// | field of the entry | fields of spans |
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
    /// [`open`](Self::open) fails with [`Error::Invalid`](crate::Error::Invalid) if the entry has
    /// no such field, or none that a span can fill; and with more than 32 names.
    pub fn span_field(mut self, field: impl Into<String>, slot: impl Into<String>) -> Self {
        self.span_fields.push((field.into(), Some(slot.into())));
        self
    }

    /// Takes a field of spans for nothing, though its name is one of those that
    /// [`span_field`](Self::span_field) lists: in an application that means something else by it.
    ///
    /// # Errors
    ///
    /// As [`span_field`](Self::span_field).
    pub fn ignore_span_field(mut self, field: impl Into<String>) -> Self {
        self.span_fields.push((field.into(), None));
        self
    }
}
