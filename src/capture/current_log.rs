//! Which log takes an event here: that of the layer in the current dispatcher, or else the
//! process-wide one.

use std::sync::{Arc, OnceLock};

use tracing::dispatcher;

use super::{
    hash::{self, CurrentKey},
    in_force::{self, Within},
    intake::Intake,
    layer::{AuditLayer, KeepsOpen},
};
use crate::entry::{Prepared, denied::FieldNames, render::Inherited};

/// The log for events without a layer, and what keeps it open.
static GLOBAL: OnceLock<(Arc<Intake>, KeepsOpen)> = OnceLock::new();

/// Sets the process-wide log; false if there is one already.
pub(crate) fn set_global(intake: Arc<Intake>, open: KeepsOpen) -> bool {
    GLOBAL.set((intake, open)).is_ok()
}

fn global() -> Option<&'static Arc<Intake>> {
    GLOBAL.get().map(|(intake, _)| intake)
}

/// Finds the log that takes an event here, and gathers what the event inherits. `kept` is the log
/// of the thread's last event, usually the same one: so its reference count, which all threads
/// share, need not be touched.
#[inline]
pub(super) fn find(
    inherited: &mut Inherited,
    kept: &mut Option<Arc<Intake>>,
) -> Option<Arc<Intake>> {
    let has_layer = gather_with(inherited, |layer| adopt(kept, layer.intake()));
    let is_found = has_layer || global().map(|global| adopt(kept, global)).is_some();
    if is_found { kept.take() } else { None }
}

/// Gathers what an event inherits here.
pub(super) fn gather(inherited: &mut Inherited) {
    gather_with(inherited, |_| {});
}

/// Gathers what an event inherits here; says whether there is a layer.
#[inline]
fn gather_with(inherited: &mut Inherited, mut with: impl FnMut(&AuditLayer)) -> bool {
    let has_layer = dispatcher::get_default(|dispatch| {
        let Some(layer) = dispatch.downcast_ref::<AuditLayer>() else {
            return false;
        };
        layer.gather(dispatch, inherited);
        with(layer);
        true
    });
    if !has_layer {
        in_force::gather(inherited);
    }
    has_layer
}

fn adopt(kept: &mut Option<Arc<Intake>>, intake: &Arc<Intake>) {
    let is_kept = |kept: &Arc<Intake>| Arc::ptr_eq(kept, intake);
    if !kept.as_ref().is_some_and(is_kept) {
        *kept = Some(intake.clone());
    }
}

/// The current span, if there is one, and a layer that would ask it.
pub(super) fn current_span() -> Option<Within> {
    dispatcher::get_default(|dispatch| {
        let layer = dispatch.downcast_ref::<AuditLayer>()?;
        Some(layer.within(dispatch.current_span().id()?))
    })
}

/// The current span and those around it, the innermost first, if there is a layer that would ask
/// them.
pub(super) fn current_spans() -> Vec<Within> {
    dispatcher::get_default(|dispatch| {
        let layer = dispatch.downcast_ref::<AuditLayer>()?;
        Some(layer.spans(dispatch))
    })
    .unwrap_or_default()
}

/// The key to hash with now, if there is one: that of the entry that is being rendered, or else of
/// the log that would take one.
pub(super) fn hash_key() -> Option<&'static Prepared> {
    hash::of_thread().or_else(key_of_log)?.last()
}

fn key_of_log() -> Option<&'static CurrentKey> {
    of_log(|intake| intake.hash_key)
}

/// The names of the log that would take an event now.
pub(crate) fn names_of_log() -> Option<&'static FieldNames> {
    of_log(|intake| intake.names).flatten()
}

fn of_log<T>(what: impl Fn(&Intake) -> T) -> Option<T> {
    let of_layer = dispatcher::get_default(|dispatch| {
        let layer = dispatch.downcast_ref::<AuditLayer>();
        layer.map(|layer| what(layer.intake()))
    });
    of_layer.or_else(|| global().map(|global| what(global)))
}
