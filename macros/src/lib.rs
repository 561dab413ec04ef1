//! The procedural macros of `tracing-audit`; use them through that crate.
//!
//! # For maintainers
//!
//! **Organization.** A call goes through four files, each of which knows nothing of the next:
//!
//! | file | from | to |
//! |---|---|---|
//! | `call`, `field` | tokens | a call as written, and a list of syntax errors |
//! | `event_type`, `severity`, `slot` | a literal, an expression, a field's path | a checked event type, the possible severities, a canonical path in the entry |
//! | `check` | a call | an event that keeps every rule, or all the errors at once |
//! | `expand`, `writing`, `argument` | an event | code |
//!
//! `context` takes the fields of a call, and checks them by itself: in a context most have no
//! place. `audited` and `derive` stand before `check`: they read an attribute and make calls of it,
//! which then go the same way.
//!
//! **Hooks.** `tracing_audit::audit!` is a `macro_rules!` that passes its `$crate`, a `;` and its
//! arguments to [`audit_impl`]: so the crate may be renamed by those who depend on it, and no
//! manifest is read. The code that comes out names only `$crate::Severity`, `$crate::__private` and
//! `::core`, and works without a prelude.
//!
//! **A new field** is a row in a table of `tracing-audit-schema`, which this crate and the library
//! share; if the spans can fill it, the runtime's `Writer` needs a method of its name.
//!
//! **Testing.** Everything but the entry points works on `proc_macro2`, so the unit tests (`tests`)
//! expand calls from text: they hold every designed message of a call and the shape of the code.
//! The messages of the attributes, and what the compiler adds of its own, are in the root crate's
//! `tests/compile_errors`; what the code does when it runs is tested in the root crate's `tests/`.

mod argument;
mod audited;
mod call;
mod check;
mod context;
mod denied;
mod derive;
mod described;
mod event_type;
mod expand;
mod field;
mod literal;
mod severity;
mod slot;
#[cfg(test)]
mod tests;
mod writing;

use proc_macro2::TokenStream;

use crate::call::Input;

/// The expansion of `tracing_audit::audit!`; see there.
#[doc(hidden)]
#[proc_macro]
pub fn audit_impl(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    audit(input.into()).into()
}

/// The expansion of `tracing_audit::audit_context!`; see there.
#[doc(hidden)]
#[proc_macro]
pub fn audit_context_impl(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    context::expand(input.into()).into()
}

#[allow(
    missing_docs,
    reason = "documented where it is re-exported: `tracing_audit::audited`"
)]
#[proc_macro_attribute]
pub fn audited(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    audited::audited(options.into(), item.into()).into()
}

#[allow(
    missing_docs,
    reason = "documented where it is re-exported: `tracing_audit::AuditEvent`"
)]
#[proc_macro_derive(AuditEvent, attributes(audit))]
pub fn audit_event(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive::derive(&syn::parse_macro_input!(input as syn::DeriveInput)).into()
}

fn audit(input: TokenStream) -> TokenStream {
    let expanded = syn::parse2(input).and_then(|input| match input {
        Input::Call(call) => check::check(call).map(|event| expand::expand(&event)),
        Input::Value { krate, value } => Ok(expand::value(&krate, &value)),
    });
    expanded.unwrap_or_else(|error| expand::errors(&error))
}
