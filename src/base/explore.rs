//! How loom explores our models, and what we do about what it leaves out.

use std::cell::Cell;

use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Explores a model, with at most this many preemptions, or fewer if `LOOM_MAX_PREEMPTIONS` says so: large models take too long with 3.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.map_or(preemptions, |bound| bound.min(preemptions)));
    builder.check(model);
}

loom::lazy_static! {
    static ref CROSSING: AtomicU64 = AtomicU64::new(0);
}

/// A place that all threads pass before each access to a word. loom looks at the *last* access to a word alone to decide whether another order is
/// worth a try, so a thread's own load hides what another did before it; here everybody is in everybody's way. No ordering comes of it.
pub(super) fn meet() {
    CROSSING.store(0, Relaxed);
}

thread_local! {
    static LIGHT_FENCES: Cell<bool> = const { Cell::new(true) };
}

pub(super) fn light_fences() -> bool {
    LIGHT_FENCES.get()
}

/// Explores models in which light fences do nothing, as they do for the processor while nobody sleeps. As full fences they would hide that
/// another ordering is missing. For models in which nobody sleeps.
pub(crate) fn without_light_fences(explore: impl FnOnce()) {
    LIGHT_FENCES.set(false);
    explore();
    LIGHT_FENCES.set(true);
}
