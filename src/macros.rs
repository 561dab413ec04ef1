//! `audit!`, as the application sees it. Reading, checking and expanding a call is the work of
//! `tracing-audit-macros`.

/// Records one event in the audit trail.
///
/// ```
/// use tracing_audit::audit;
/// # struct User { id: u64, name: String }
/// # let user = User { id: 7, name: "Ann".into() };
/// # let ip = std::net::Ipv4Addr::LOCALHOST;
/// audit!(
///     "auth.login.success",
///     actor.id = user.id,
///     actor.name = user.name,
///     ip_address = %ip,
///     "{} logged in", user.name
/// );
/// ```
///
/// When the call returns, the event is in the log's journal and survives the death of the process.
/// The [`Receipt`](crate::Receipt) has the event's id, and can wait until the event also survives a
/// loss of power. No log level and no filter of `tracing` has any effect on this. The same event is
/// then sent as an ordinary `tracing` event (target `audit`) to the other layers, under their
/// filters; but not from the destructor of a thread-local value while the thread ends, when the
/// layers' own thread-local values may be gone.
///
/// # Syntax
///
/// ```text
/// audit!( "event.type" [, field]… [, "message {}" [, argument]…] [,] )
/// audit!( dyn kind [, field]… )  the same, with an event type that is only known at run time
/// audit!( event )                a value whose type is an AuditEvent
///
/// field:     path = value          anything that implements Serialize
///            path = %value         its Display text
///            path = ?value         its Debug text
///            variable              short for  variable = variable;  also %variable and ?variable
/// path:      name, name.name, …    keywords are names too: resource.type
/// message:   a format string, as in format!; inline {captures} work
/// ```
///
/// The event type is a string literal: two or more segments of `a-z`, `0-9` and `_`, joined by
/// dots, at most 128 bytes; those that begin with `audit.` are the log's own. Values are borrowed,
/// never moved, and evaluated once, in the order in which they are written. A value that is `None`
/// leaves its field out.
///
/// The call is an expression whose value is the [`Receipt`](crate::Receipt). Where `()` is needed
/// instead, in a `match` beside `tracing::info!` or in a closure, write `audit!(…).ignore()`.
///
/// # What is only known at run time
///
/// A severity is computed by an `if`, a `match` or a block that ends in the words, or by anything
/// whose type is [`Severity`](crate::Severity):
///
/// ```
/// use tracing_audit::{Severity, audit};
/// # fn severity_of(attempts: u32) -> Severity {
/// #     if attempts > 10 { Severity::Critical } else { Severity::Info }
/// # }
/// # let attempts = 4;
/// audit!("auth.login.failed", severity = if attempts > 3 { warning } else { info }, attempts);
/// audit!("auth.login.failed", severity = severity_of(attempts), attempts);
/// ```
///
/// An event type is written after `dyn`: a value of the type `&str` or `String`. The catalogue has
/// all such calls under `*`. A text that isn't an event type, or begins with `audit.`, is recorded
/// as the nearest event type (`User.Created` as `user.created`, `login` as `app.login`); the first
/// one of each call is reported on standard error and as an event of `tracing`.
///
/// ```
/// # use tracing_audit::audit;
/// # let (plugin, verb) = ("calendar", "synchronized");
/// audit!(dyn format!("plugin.{plugin}.{verb}"), resource.id = plugin, "A plugin did something");
/// ```
///
/// An event that is recorded in many places, or has many fields, can be a type: see
/// [`AuditEvent`](derive@crate::AuditEvent). For the start and the end of a function there is
/// [`#[audited]`](macro@crate::audited).
///
/// # Where values go
///
/// | field | takes |
/// |---|---|
/// | `tenant_id` | text |
/// | `actor` | an [`Actor`](crate::Actor), or part by part: `actor.type`, `.id`, `.name`, `.attributes` (a map or a struct) or `.attributes.<name>` …; an `id` without a type is a `user`'s, and where no actor is known, by the [context](crate::AuditContext#what-wins) either, it is `{"type":"unknown"}` |
/// | `resource` | a [`Resource`](crate::Resource), or `resource.type`, `.id`, `.name`, `.attributes[.<name>]`, `.prior_attributes[.<name>]` |
/// | `outcome` | an [`Outcome`](crate::Outcome), or `outcome.type` (`success`, `failure`, `unknown`), `.reason`, `.error` |
/// | `description` | text; or a message at the end of the call |
/// | `details` | a map or a struct: all the details at once |
/// | `tags` | a list |
/// | `ip_address` | text; an IP address is recorded in its canonical form (RFC 5952; `::ffff:192.0.2.1` as `192.0.2.1`) |
/// | `user_agent` | text |
/// | `session_id`, `request_id`, `trace_id`, `span_id` | text; the same as `context.session_id` … |
/// | `context.<part>` | those four, and `environment`, `protocol`, `host`; these three by themselves do not compile, because they name fields of a context: write `context.host`, or `details.host` for a value of your own |
/// | `severity` | `info` (if not given), `warning`, `error` or `critical`: a word; or an expression, see above |
/// | `category`, `action` | a string literal; if not given, the first and the last segment of the event type |
/// | any other name | a value in `details`; dotted names nest: `order.id = 1` is `"details":{"order":{"id":1}}` |
///
/// No object has a key twice: if the `Serialize` of a value writes a key again, as one with
/// `#[serde(flatten)]` can, the last value is recorded in the place of the first.
///
/// `id`, `timestamp`, `stream`, `seq`, `schema_version`, `event_type` and `source` are set by the
/// log. To have details of such a name, or of the name of a slot, write `details.<name> = …`.
///
/// ```
/// use tracing_audit::{Actor, Outcome, audit};
/// # #[derive(serde::Serialize)] struct Role { role: &'static str }
/// # let (before, after, target) = (Role { role: "user" }, Role { role: "admin" }, "user-8");
/// # let err = "not allowed";
/// audit!(
///     "user.updated",
///     actor = Actor::user("user-7"),
///     resource.type = "user",
///     resource.id = target,
///     resource.prior_attributes = before,
///     resource.attributes = after,
///     severity = warning,
///     outcome.type = "failure",
///     outcome.reason = "authorization",
///     outcome.error = %err,
///     changed_fields = ["role"],
///     request.path = "/users/8",
///     "Role not changed"
/// );
/// ```
///
/// # Names of secrets
///
/// A detail or an attribute whose name looks like that of a secret is recorded as `[redacted]`:
/// `password`, `user_token`, `cardNumber` and others, see
/// [`DENIED_FIELDS`](crate::redact::DENIED_FIELDS). The same holds for what is in an object of such
/// a name, and for the fields of a struct and the keys of a map, at any depth.
///
/// To record a part of the value, write [`mask`](crate::mask) or [`hashed`](crate::hashed); to
/// record all of it, [`unredacted`](crate::unredacted). A log can deny more names and allow some:
/// [`deny_fields`](crate::AuditLogBuilder::deny_fields),
/// [`allow_fields`](crate::AuditLogBuilder::allow_fields).
///
/// ```
/// use tracing_audit::{audit, mask, unredacted};
///
/// # let (token, pin) = ("abcdefghijklmnopq", 1234);
/// audit!("token.used", token = mask(token, 5), token_count = 3, pin, secret = unredacted("s-1"));
/// // "details":{"token":"abcde…","token_count":3,"pin":"[redacted]","secret":"s-1"}
/// ```
///
/// # Errors
///
/// All mistakes in a call are found while compiling, at once, and each message says what to write
/// instead: an event type of another shape, a field given twice (`session_id` and
/// `context.session_id` are one), a whole and its part (`actor` and `actor.id`), an unknown part,
/// an unknown severity, a field that the log sets, a value without a name, a message before a
/// field.
///
/// ```compile_fail
/// # use tracing_audit::audit;
/// audit!("User.Created", severity = "warn");
/// // error: an event type is two or more segments of `a-z`, `0-9` and `_`, joined by dots;
/// //        write "user.created"
/// // error: `severity` is written without quotes: `severity = warning`
/// ```
///
/// At run time the call never fails and never panics by itself. (The code of a value may panic, and
/// so may another layer to which the event is sent; by then the event is recorded.) The receipt
/// says whether the event was taken.
///
/// # Cost
///
/// The part of the entry that is known while compiling is one static string. The values are
/// rendered straight into a buffer of the thread, in the order of the entry, without an allocation
/// of the macro's own; then the journal takes one copy. Nothing is evaluated lazily: with no log
/// and no subscriber, the arguments are evaluated nevertheless.
#[macro_export]
macro_rules! audit {
    ($($arguments:tt)*) => {
        $crate::__private::audit_impl! { $crate; $($arguments)* }
    };
}

/// Puts a call of `audit!` into the catalogue.
#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    ($entry:ident = $site:ident) => {
        #[$crate::__private::linkme::distributed_slice($crate::__private::SITES)]
        #[linkme(crate = $crate::__private::linkme)]
        static $entry: &$crate::__private::Site = &$site;
    };
}

/// Makes an [`AuditContext`](crate::AuditContext): what events inherit while something runs in it.
///
/// ```
/// use tracing_audit::{Actor, audit, audit_context};
///
/// # let (user, ip) = ("user-7", std::net::Ipv4Addr::LOCALHOST);
/// let context = audit_context! {
///     actor = Actor::user(user).name("Ann"),
///     session_id = Some("s-1"),
///     ip_address = %ip,
///     environment = "prod",
/// };
/// context.run(|| audit!("report.opened"));
/// ```
///
/// The fields are `tenant_id`, `actor` (an [`Actor`](crate::Actor)) or part by part `actor.type`,
/// `actor.id`, `actor.name` and `actor.attributes`, `ip_address`, `user_agent`, and those of
/// `context`, with that word before them or without: `environment`, `session_id`, `request_id`,
/// `protocol`, `host`, `trace_id` and `span_id`. Another one does not compile. Values are as in
/// [`audit!`]: `Serialize`, `%` for `Display`, `?` for `Debug`, and `None` leaves the field out; a
/// variable alone names its field.
///
/// [`AuditContext`](crate::AuditContext#what-wins) says which value wins where several contexts and
/// spans have the same field.
///
/// ```compile_fail
/// # use tracing_audit::audit_context;
/// let _ = audit_context! { user.id = 7 };
/// // error: a context has no `user.id`; the acting user is `actor.id = …`
/// ```
#[macro_export]
macro_rules! audit_context {
    ($($fields:tt)*) => {
        $crate::__private::audit_context_impl! { $crate; $($fields)* }
    };
}
