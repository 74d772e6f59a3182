//! Which thread this is, and what is done when it ends.

#[cfg(loom)]
pub(crate) use model::id;
#[cfg(not(loom))]
pub(crate) use real::id;

#[cfg(not(loom))]
mod real {
    use std::cell::Cell;
    use std::sync::Once;

    use super::super::abandon;
    use crate::sys::{fork, process, thread_end};

    thread_local! {
        static ID: Cell<u32> = const { Cell::new(0) };
    }

    /// This thread's id, as the kernel counts them; never 0.
    #[inline(always)]
    pub(crate) fn id() -> u32 {
        match ID.get() {
            0 => ask(),
            id => id,
        }
    }

    #[cold]
    fn ask() -> u32 {
        static WATCHED: Once = Once::new();
        // No fork while another thread is at what is done once: its child would wait for that for ever.
        let _gate = fork::gate();
        WATCHED.call_once(|| fork::in_child(forget));
        // Behind the thread-locals, which may have guards that are not leaked. If it cannot be had, what is leaked stays locked until the process ends.
        thread_end::watch(|| abandon::thread_ended(id()));
        let id = process::thread_id();
        ID.set(id);
        id
    }

    /// A forked child's thread is another than the one it was forked from.
    extern "C" fn forget() {
        ID.set(0);
    }
}

/// All threads of a model are one thread of the system, each a process of one thread, unless told otherwise.
#[cfg(loom)]
pub(crate) mod model {
    use std::cell::Cell;

    loom::thread_local! {
        static ID: Cell<u32> = Cell::new(1);
    }

    pub(crate) fn id() -> u32 {
        ID.with(Cell::get)
    }

    pub(crate) fn be(id: u32) {
        ID.with(|cell| cell.set(id));
    }
}
