//! The contexts in force on a thread, and where they stand among its spans.
//!
//! A context is in force on a thread while a closure runs, or while a future is polled or dropped.
//! A context notes which span was current when it was entered, and stands inside that one. So on
//! the way from the current span outwards each context comes in its turn, and the innermost wins,
//! whether it is a span or a context.
//!
//! An update stands where it was made, as if a context had been entered there; it ends with the
//! context that it updates.

use std::{cell::RefCell, sync::Arc};

use smallvec::SmallVec;
use tracing::span::Id;

use crate::entry::render::{Inherited, SpanFields};

/// A span that can have contexts inside: the address of the layer through which it was seen (each
/// subscriber numbers its own spans), and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Within(usize, u64);

impl Within {
    pub(super) fn new(layer: usize, span: &Id) -> Self {
        Self(layer, span.into_u64())
    }
}

/// A context in force, or an update of one.
pub(super) struct Frame {
    fields: Arc<SpanFields>,
    within: Option<Within>,
    /// For an update: the spans around it. It stays inside of them when the innermost ends, and
    /// wins over their fields.
    around: Box<[Within]>,
    is_update: bool,
}

impl Frame {
    fn is_inside(&self, span: Within) -> bool {
        self.within == Some(span) || self.around.contains(&span)
    }
}

/// A context with its updates, the latest last: what a future keeps from one poll to the next.
pub(super) type Frames = SmallVec<[Frame; 1]>;

/// A context that is not updated yet.
pub(super) fn frames(fields: Arc<SpanFields>) -> Frames {
    SmallVec::from_buf([Frame {
        fields,
        within: None,
        around: Box::default(),
        is_update: false,
    }])
}

thread_local! {
    /// The contexts in force, each with its updates, the innermost last.
    static STACK: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// A context's time on the stack. However its work ends, the frames then go back to their owner,
/// with the updates that were made meanwhile.
pub(super) struct InForce<'a> {
    frames: &'a mut Frames,
    depth: usize,
}

impl<'a> InForce<'a> {
    /// `within` is the current span.
    pub(super) fn enter(frames: &'a mut Frames, within: Option<Within>) -> Option<Self> {
        frames.first_mut()?.within = within;
        // At the thread's end the stack may be gone; the work is done nevertheless.
        let depth = STACK.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            let depth = stack.len();
            stack.extend(frames.drain(..));
            depth
        });
        depth.ok().map(|depth| Self { frames, depth })
    }
}

impl Drop for InForce<'_> {
    fn drop(&mut self) {
        let _ = STACK.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            let depth = self.depth.min(stack.len());
            self.frames.extend(stack.drain(depth..));
        });
    }
}

/// So many updates of one context keep their places among the spans. If there are more, the oldest
/// become part of the context.
const MOST_UPDATES: usize = 8;

/// Updates the innermost context from here on; false if there is none. `spans` are the current span
/// and those around it.
pub(super) fn update(fields: &Arc<SpanFields>, spans: &[Within]) -> bool {
    let within = spans.first().copied();
    let updated = STACK.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        let Some(innermost) = stack.last_mut() else {
            return false;
        };
        if innermost.within == within {
            Arc::make_mut(&mut innermost.fields).overlay(fields);
            return true;
        }
        stack.push(Frame {
            fields: fields.clone(),
            within,
            around: spans.get(1..).unwrap_or_default().into(),
            is_update: true,
        });
        let updates = stack.iter().rev().take_while(|frame| frame.is_update);
        let oldest = stack.len() - updates.count();
        if stack.len() - oldest > MOST_UPDATES {
            let merged = stack.remove(oldest);
            if let Some(context) = stack.get_mut(oldest - 1) {
                Arc::make_mut(&mut context.fields).overlay(&merged.fields);
            }
        }
        true
    });
    updated.unwrap_or_default()
}

/// Contexts in force that were not gathered yet, the innermost last.
#[derive(Clone, Copy)]
pub(super) struct Outwards<'a>(&'a [Frame]);

impl<'a> Outwards<'a> {
    /// Takes those that stand inside a span, and so come before it: the outermost of them with all
    /// that are further in.
    pub(super) fn take_inside(&mut self, span: Within) -> Self {
        let outermost = self.0.iter().position(|frame| frame.is_inside(span));
        let (outside, inside) = self.0.split_at(outermost.unwrap_or(self.0.len()));
        self.0 = outside;
        Self(inside)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Adds what they say.
    pub(super) fn add_to(self, inherited: &mut Inherited) {
        for frame in self.0.iter().rev() {
            inherited.add(&frame.fields);
        }
    }
}

/// Looks at the contexts in force on this thread.
pub(super) fn look(look: &mut dyn FnMut(Outwards<'_>)) {
    if STACK
        .try_with(|stack| look(Outwards(&stack.borrow())))
        .is_err()
    {
        look(Outwards(&[]));
    }
}

/// Adds the values of the contexts in force, when the spans are not asked.
pub(super) fn gather(into: &mut Inherited) {
    look(&mut |contexts| contexts.add_to(into));
}
