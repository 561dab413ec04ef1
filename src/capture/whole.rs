//! The values of a call that have a type of ours: `actor = …`, `resource = …`, `outcome = …`, a
//! severity and an event type that are only known at run time.
//!
//! The traits are there for the sake of their error messages. A pointer to such a value will do as
//! well.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use crate::entry::{Actor, Outcome, Resource, Severity};

#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`actor` takes an `Actor`, not `{Self}`",
    label = "write `actor = Actor::user(…)`, or part by part `actor.id = …`"
)]
pub trait GivenActor {
    #[doc(hidden)]
    fn whole(&self) -> &Actor;
}

#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`resource` takes a `Resource`, not `{Self}`",
    label = "write `resource = Resource::new(type, id)`, or part by part `resource.id = …`"
)]
pub trait GivenResource {
    #[doc(hidden)]
    fn whole(&self) -> &Resource;
}

#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`outcome` takes an `Outcome`, not `{Self}`",
    label = "write `outcome = Outcome::of(&result)`, or part by part `outcome.type = \"failure\"`"
)]
pub trait GivenOutcome {
    #[doc(hidden)]
    fn whole(&self) -> &Outcome;
}

#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`severity` takes a `Severity`, not `{Self}`",
    label = "write `info`, `warning`, `error` or `critical`, or a value of the type \
             `tracing_audit::Severity`"
)]
pub trait GivenSeverity {
    #[doc(hidden)]
    fn severity(&self) -> Severity;
}

#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "the event type after `dyn` is text, not `{Self}`",
    label = "write an expression whose type is `&str` or `String`, such as `dyn kind.as_str()`"
)]
pub trait GivenEventType {
    #[doc(hidden)]
    fn event_type(&self) -> &str;
}

#[doc(hidden)]
#[inline]
pub fn given_severity<T: GivenSeverity + ?Sized>(value: &T) -> Severity {
    value.severity()
}

#[doc(hidden)]
#[inline]
pub fn given_event_type<T: GivenEventType + ?Sized>(value: &T) -> &str {
    value.event_type()
}

impl GivenSeverity for Severity {
    #[inline]
    fn severity(&self) -> Severity {
        *self
    }
}

#[diagnostic::do_not_recommend]
impl<T: GivenSeverity + ?Sized> GivenSeverity for &T {
    #[inline]
    fn severity(&self) -> Severity {
        (**self).severity()
    }
}

impl GivenEventType for str {
    #[inline]
    fn event_type(&self) -> &str {
        self
    }
}

#[diagnostic::do_not_recommend]
impl GivenEventType for String {
    #[inline]
    fn event_type(&self) -> &str {
        self
    }
}

#[diagnostic::do_not_recommend]
impl GivenEventType for Cow<'_, str> {
    #[inline]
    fn event_type(&self) -> &str {
        self
    }
}

#[doc(hidden)]
#[inline]
pub fn whole_actor<T: GivenActor + ?Sized>(value: &T) -> &Actor {
    value.whole()
}

#[doc(hidden)]
#[inline]
pub fn whole_resource<T: GivenResource + ?Sized>(value: &T) -> &Resource {
    value.whole()
}

#[doc(hidden)]
#[inline]
pub fn whole_outcome<T: GivenOutcome + ?Sized>(value: &T) -> &Outcome {
    value.whole()
}

impl GivenActor for Actor {
    #[inline]
    fn whole(&self) -> &Actor {
        self
    }
}

impl GivenResource for Resource {
    #[inline]
    fn whole(&self) -> &Resource {
        self
    }
}

impl GivenOutcome for Outcome {
    #[inline]
    fn whole(&self) -> &Outcome {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<T: GivenEventType + ?Sized> GivenEventType for &T {
    #[inline]
    fn event_type(&self) -> &str {
        (**self).event_type()
    }
}

#[diagnostic::do_not_recommend]
impl<T: GivenEventType + ?Sized> GivenEventType for Box<T> {
    #[inline]
    fn event_type(&self) -> &str {
        (**self).event_type()
    }
}

#[diagnostic::do_not_recommend]
impl<T: GivenEventType + ?Sized> GivenEventType for Arc<T> {
    #[inline]
    fn event_type(&self) -> &str {
        (**self).event_type()
    }
}

macro_rules! through {
    ($($given:ident $whole:ty: $($pointer:ty)*;)*) => {
        $($(
            #[diagnostic::do_not_recommend]
            impl<T: $given + ?Sized> $given for $pointer {
                #[inline]
                fn whole(&self) -> &$whole {
                    (**self).whole()
                }
            }
        )*)*
    };
}

through! {
    GivenActor Actor: &T &mut T Box<T> Rc<T> Arc<T>;
    GivenResource Resource: &T &mut T Box<T> Rc<T> Arc<T>;
    GivenOutcome Outcome: &T &mut T Box<T> Rc<T> Arc<T>;
}
