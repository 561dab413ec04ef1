//! Whether a thread is ending: from then on events are recorded, but no longer mirrored.
//!
//! A thread's values are destroyed in the reverse order of their first uses. When the destructor of
//! one of them records an event, the values of another layer may be gone already; the layer then
//! panics, and a panic in such a destructor aborts the process. `tracing` can't ask a layer whether
//! it still works. So a value of ours is first used when other layers have had an event: it is
//! destroyed next to theirs, and from then on they get none.
//!
//! A layer whose filter let no event through until then comes to its values later than we to ours,
//! and loses them before. In that order nothing but its panic says that the thread is ending; the
//! panic is caught, and known by its message.

use std::{any::Any, cell::Cell};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Other layers had neither an event nor a span on this thread.
    Fresh,
    Watched,
    Ending,
}

thread_local! {
    /// Has no destructor, so it can be read until the thread is gone.
    static STATE: Cell<State> = const { Cell::new(State::Fresh) };
    static WATCH: Watch = const { Watch };
}

struct Watch;

impl Drop for Watch {
    fn drop(&mut self) {
        set(State::Ending);
    }
}

fn set(to: State) {
    let _ = STATE.try_with(|state| state.set(to));
}

/// Whether this thread's values are being destroyed, as far as we know.
#[inline]
pub(super) fn is_ending() -> bool {
    STATE.try_with(Cell::get).unwrap_or(State::Ending) == State::Ending
}

/// Watches for the end of this thread from now on. Called when other layers have an event or a
/// span.
#[inline]
pub(super) fn watch() {
    if STATE.try_with(Cell::get) == Ok(State::Fresh) {
        set(State::Watched);
        // Used first in the destructor of another value, it is the next to be destroyed.
        let _ = WATCH.try_with(|_| ());
    }
}

/// Whether a layer panicked because a value of this thread was gone. The thread ends then.
#[cold]
pub(super) fn is_told_by(panic: &(dyn Any + Send)) -> bool {
    // The message of the standard library, which has no type for it.
    const GONE: &str = "cannot access a Thread Local Storage value during or after destruction";
    let text = match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (None, Some(text)) => *text,
        (None, None) => return false,
    };
    let told = text.starts_with(GONE);
    if told {
        set(State::Ending);
    }
    told
}
