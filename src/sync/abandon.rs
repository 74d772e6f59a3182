//! What becomes of guards that were leaked: with their thread's end, or with the last handle of their lock in this process, they count as held by
//! the dead.
//!
//! Their process lives, so nobody else could tell.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::peer::Place;
use crate::sys::fork;

/// Something that guards hold, as this process has it open.
pub(crate) trait Abandon: Send + Sync + 'static {
    fn place(&self) -> Place;

    /// Gives up what this process holds by this thread, or by any thread.
    fn abandon(&self, thread: Option<u32>);
}

/// All that is open. Locked only under the fork gate, so never in the middle of a fork.
static OPEN: Mutex<Vec<Weak<dyn Abandon>>> = Mutex::new(Vec::new());

/// To be called with what was just opened.
pub(crate) fn register<T: Abandon>(opened: &Arc<T>) {
    let _gate = fork::gate();
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|known| known.strong_count() > 0);
    let opened: Arc<dyn Abandon> = opened.clone();
    open.push(Arc::downgrade(&opened));
}

/// To be called by a thread that ends.
pub(crate) fn thread_ended(thread: u32) {
    for open in still_open() {
        open.abandon(Some(thread));
    }
}

/// To be called with what is being dropped. (Guards borrow handles, so those that are left were leaked; unless another handle of the same place lent
/// them.)
pub(crate) fn handle_dropped<T: Abandon>(dropped: &T) {
    if !still_open().iter().any(|open| open.place() == dropped.place()) {
        dropped.abandon(None);
    }
}

fn still_open() -> Vec<Arc<dyn Abandon>> {
    let _gate = fork::gate();
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.iter().filter_map(Weak::upgrade).collect()
}
