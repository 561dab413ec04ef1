//! Events that are types of the application.

use super::receipt::Receipt;

/// A value that is an event: its type is the kind of event, its fields are the particulars.
///
/// `#[derive(AuditEvent)]` implements this trait; `audit!(event)` records such a value. Where the
/// value decides how it is recorded, implement the trait by hand, with [`audit!`](crate::audit)
/// inside:
///
/// ```
/// use tracing_audit::{AuditEvent, Receipt, audit};
///
/// struct Transfer { from: u64, to: u64, cents: u64 }
///
/// impl AuditEvent for Transfer {
///     fn record(&self) -> Receipt {
///         if self.cents > 1_000_000 {
///             return audit!(
///                 "transfer.held",
///                 severity = warning,
///                 from = self.from,
///                 to = self.to,
///                 cents = self.cents,
///             );
///         }
///         audit!("transfer.sent", from = self.from, to = self.to, cents = self.cents)
///     }
/// }
///
/// let receipt = audit!(Transfer { from: 1, to: 2, cents: 500 });
/// # let _ = receipt;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an audit event",
    label = "neither an event type nor an event",
    note = "the event type is a string literal, such as `audit!(\"user.updated\", …)`: it is \
            checked while compiling",
    note = "a value is an event if its type is `#[derive(AuditEvent)]`"
)]
pub trait AuditEvent {
    /// Records the event, as `audit!` does.
    fn record(&self) -> Receipt;
}

#[diagnostic::do_not_recommend]
impl<T: AuditEvent + ?Sized> AuditEvent for &T {
    fn record(&self) -> Receipt {
        (**self).record()
    }
}

#[diagnostic::do_not_recommend]
impl<T: AuditEvent + ?Sized> AuditEvent for Box<T> {
    fn record(&self) -> Receipt {
        (**self).record()
    }
}
