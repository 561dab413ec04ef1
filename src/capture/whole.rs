//! The parts of a record that are given as a whole: `actor = …`, `resource = …`, `outcome = …`.
//!
//! The traits are there for the sake of their error messages. What points to such a part will do as
//! well.

use std::{rc::Rc, sync::Arc};

use crate::record::{Actor, Outcome, Resource};

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
