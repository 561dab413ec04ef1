//! `#[audited]` and `#[derive(AuditEvent)]`, as the application sees them. Reading and expanding
//! them is the work of `tracing-audit-macros`.

/// Records the start and the end of a function: who did what, whether it worked, why not, and how
/// long it took.
///
/// ```
/// use tracing_audit::audited;
///
/// # struct Secret { name: String }
/// # use std::fmt;
/// # #[derive(Debug)] struct Refused;
/// # impl fmt::Display for Refused {
/// #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("refused") }
/// # }
/// # impl std::error::Error for Refused {}
/// # struct Rotated { version: u32 }
/// #[audited(
///     "rotation",
///     actor.id = user,
///     resource.type = "secret",
///     resource.id = secret.name,
///     completed(version = result.version),
/// )]
/// fn rotate(user: &str, secret: Secret) -> Result<Rotated, Refused> {
///     // …
///     # drop(secret);
///     # Ok(Rotated { version: 2 })
/// }
/// # rotate("user-7", Secret { name: "db".into() }).map(drop).unwrap_or(());
/// ```
///
/// writes two events: `rotation.started`, then `rotation.completed` or `rotation.failed`.
///
/// | the function | event | `outcome` | `severity` |
/// |---|---|---|---|
/// | begins | `….started` | | `info` |
/// | returns | `….completed` | `success` | `info` |
/// | returns an `Err` | `….failed` | `failure`, reason `unknown`, and the error | `warning` |
/// | panics, or a value of its end does | `….failed` | `failure`, reason `panic` | `warning` |
/// | is a future that is dropped before its end | `….failed` | `failure`, reason `cancelled` | `warning` |
///
/// Each end has `details.duration_ms`, the whole milliseconds from the start of the body to its
/// end.
///
/// A `Result` is recognized by its type, so an alias of it works; a type parameter that stands for
/// a `Result` isn't recognized. The text of an error is its own and that of its sources, joined
/// with `: `. For a type that isn't an [`Error`](std::error::Error), the text is its alternate
/// `Display` (`{:#}`, which for `anyhow` and `eyre` is the chain), or else its `Debug`, or else
/// nothing.
///
/// # Syntax
///
/// ```text
/// #[audited( "event.type" [, option]… [, "message {}" [, argument]…] )]
///
/// option:    any field of audit!         for all of the events
///            started( … )                for the start only
///            completed( … )              for the success only; `result` is a reference to the
///                                        value in the `Ok`, or to the value that was returned
///            failed( … )                 for the failure only; `error` is a reference to the error
///            skip_started                records the end only
///            crate = path                what the crate is called, if Cargo.toml renames it
/// group:     ["event.type"] [, field]… [, "message {}" [, argument]…]
/// ```
///
/// A group can begin with an event type, which then replaces the attribute's with `.started`,
/// `.completed` or `.failed`. A group's message, `severity`, `category` and `action` replace those
/// for all of the events; other fields are given once. (Without a `severity` of its own, a failure
/// is a `warning`, or graver if the severity for all events is graver.)
///
/// ```
/// use tracing_audit::audited;
///
/// # struct Store;
/// # #[derive(Debug, PartialEq)] enum PurgeError { Held, Io }
/// impl Store {
///     #[audited(
///         "tenant.purge",
///         tenant_id = tenant,
///         severity = warning,
///         skip_started,
///         completed("tenant.purged", rows = result, "{result} rows of {tenant} removed"),
///         failed(
///             severity = critical,
///             outcome.reason = if *error == PurgeError::Held { "hold" } else { "unknown" },
///         ),
///     )]
///     async fn purge(&mut self, tenant: &str) -> Result<u64, PurgeError> {
///         // …
///         # Ok(0)
///     }
/// }
/// ```
///
/// # When fields are evaluated
///
/// - The fields for all events and those of `started(…)`: once, before the body, in the order in
///   which they are written. They are rendered at that moment, so the body may move the arguments,
///   and the end has the same values as the start.
/// - The fields of `completed(…)` and `failed(…)`: after the body, and only at that end; so they
///   can use arguments that the body did not move (below `#[async_trait]` the body moves all but
///   shared references and `Copy` values). At a panic or a dropped future, only the event type, the
///   severity, the category and the action of `failed(…)` are used.
///
/// # Where the attribute goes
///
/// On functions and methods, `async` or not, of any signature. Write it on the methods of an
/// `impl`, also below `#[async_trait]`. Of a function that ends in `async move { … }`,
/// `Box::pin(async move { … })` or `async move { … }.boxed()`, the future that it returns is
/// recorded. The attribute can't go on another function that returns a future (the future would run
/// after the function's end), on one that returns before such an end, on a `const fn`, or on a
/// trait's method without a body.
///
/// The body runs in a closure or an `async` block: `#[track_caller]` has no effect on what it
/// calls. The future of an `async fn` owns its arguments, as ever, unless `completed(…)` or
/// `failed(…)` compute something: then it borrows those that the body does not move, and is `Send`
/// if they are `Sync`.
///
/// A panic is recorded while it unwinds. With `panic = "abort"` it isn't: then the log has a start
/// without an end, as it has for a process that is killed and a future that is leaked.
///
/// # Errors
///
/// As with [`audit!`](crate::audit), mistakes are found while compiling, and the messages say what
/// to write instead.
///
/// ```compile_fail
/// # use tracing_audit::audited;
/// #[audited("rotation.started", success(count = 1))]
/// fn rotate() {}
/// // error: `.started`, `.completed` and `.failed` are added to the event type; write "rotation"
/// // error: write `completed(…)` instead of `success(…)`
/// ```
pub use tracing_audit_macros::audited;

/// Makes an event of a struct or an enum: implements [`AuditEvent`](trait@crate::AuditEvent) for
/// it, with a call of [`audit!`](crate::audit).
///
/// ```
/// use tracing_audit::{Actor, AuditEvent, audit};
///
/// #[derive(AuditEvent)]
/// #[audit(
///     "discovery.scan.completed",
///     resource.type = "scan",
///     "{} vaults scanned", self.vaults.len()
/// )]
/// struct ScanCompleted<'a> {
///     #[audit(actor)]
///     by: Actor,
///     #[audit(resource.id)]
///     scan: u64,
///     mode: &'a str,
///     vaults: Vec<&'a str>,
///     #[audit(debug)]
///     took: std::time::Duration,
/// }
///
/// # let took = std::time::Duration::from_secs(45);
/// let receipt = audit!(ScanCompleted {
///     by: Actor::service("nightly"),
///     scan: 789,
///     mode: "full",
///     vaults: vec!["prod"],
///     took,
/// });
/// # let _ = receipt;
/// ```
///
/// # On the type
///
/// `#[audit("event.type", …)]`, with the same arguments as `audit!`, and `crate = path` if
/// Cargo.toml renames the crate. A field of the struct is `self.name`.
///
/// # On a field
///
/// Without an attribute a field is what it would be in `audit!`: a value that implements
/// `Serialize`, in `details` or, if it has the name of another place in the entry (`tenant_id`,
/// `ip_address`), there. `None` is left out.
///
/// | `#[audit(…)]` | |
/// |---|---|
/// | `actor`, `resource.id`, `details.order.id`, … | the field's place in the entry |
/// | `rename = "order.id"` | the field's name in the entry, as text |
/// | `display`, `debug` | its `Display` or `Debug` text is recorded |
/// | `mask = 5` | only its first characters are recorded |
/// | `hashed` | only its keyed hash is recorded |
/// | `redact` | `[redacted]` is recorded in its place |
/// | `unredacted` | the field is recorded although its [name is denied](crate::redact::DENIED_FIELDS) |
/// | `flatten` | its members are details, see below |
/// | `skip_if_none` | `None` is left out, also with `display` or `debug`; without those, `None` is always left out |
/// | `skip` | the field is not recorded |
///
/// Any other word is an error, not a name: a misspelt `redact` would otherwise record a secret.
///
/// # Flattened fields
///
/// With `flatten`, the members of a struct or a map stand in the field's place. Each member is a
/// detail under its own name, whatever the name is (`severity` becomes `details.severity`), and is
/// hidden if the name is denied. A value without members, such as a number or a list, becomes a
/// detail under the field's name. If the field's name is denied, all of the field is recorded as
/// `[redacted]` under it. `None` is left out.
///
/// Of several details with one name, the last is recorded, in the place of the first, as everywhere
/// in an entry. So a flattened member replaces what the type's attribute and the fields above say,
/// and the fields below replace a flattened member. Put a map whose keys others choose above the
/// fields that it must not replace.
///
/// ```
/// use std::collections::HashMap;
///
/// use tracing_audit::AuditEvent;
///
/// #[derive(AuditEvent)]
/// #[audit("api.called")]
/// struct Called {
///     #[audit(flatten)]
///     headers: HashMap<String, String>,
///     status: u16, // this one, also if there is a header `status`
/// }
/// ```
///
/// # On an enum
///
/// Each variant is an event, with an attribute of its own above it, in which a field is `name`:
///
/// ```
/// use tracing_audit::{AuditEvent, audit};
///
/// #[derive(AuditEvent)]
/// enum Session<'a> {
///     #[audit("session.opened", "{user} came from {address}")]
///     Opened {
///         #[audit(actor.id)]
///         user: &'a str,
///         #[audit(ip_address, display)]
///         address: std::net::IpAddr,
///     },
///     #[audit("session.expired", severity = warning)]
///     Expired,
/// }
///
/// audit!(Session::Opened { user: "ann", address: [192, 0, 2, 50].into() });
/// audit!(Session::Expired);
/// ```
///
/// # Generic types
///
/// A field whose type has a type parameter in it is recorded where that type is `Serialize` (or
/// `Display`, `Debug`, as the field's attribute says).
///
/// # Errors
///
/// ```compile_fail
/// # use tracing_audit::AuditEvent;
/// #[derive(AuditEvent)]
/// #[audit("order.placed")]
/// struct Placed {
///     id: u64,
/// }
/// // error: `id` is set by the log; write `#[audit(details.id)]` for a value of your own
/// ```
pub use tracing_audit_macros::AuditEvent;
