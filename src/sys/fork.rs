//! What `fork` does to us: the gate that keeps descriptors out of children, and the stamp by which a child knows that it is one.
//!
//! # Safety
//!
//! The unsafe code here is `pthread_atfork` with functions that live as long as the program.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::mem::ManuallyDrop;
#[cfg(not(loom))]
use std::sync::Mutex;
#[cfg(not(loom))]
use std::sync::OnceLock;
use std::sync::{Once, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[cfg(not(loom))]
use memmap2::MmapRaw;

#[cfg(not(loom))]
use super::map;
#[cfg(not(loom))]
use crate::base::atomic::{Ordering::Relaxed, Ordering::SeqCst, Word};

/// Held shared by who has a descriptor open for a moment, exclusively by `fork`.
static GATE: RwLock<()> = RwLock::new(());
static HANDLERS: Once = Once::new();

#[derive(Default)]
struct Held {
    depth: usize,
    shared: Option<RwLockReadGuard<'static, ()>>,
    exclusive: Option<RwLockWriteGuard<'static, ()>>,
}

thread_local! {
    /// Never dropped, so it is there also for the destructors of other thread-locals. (Nobody's end leaves anything in it.)
    static HELD: RefCell<ManuallyDrop<Held>> =
        const { RefCell::new(ManuallyDrop::new(Held { depth: 0, shared: None, exclusive: None })) };
}

/// Has `act` called in forked children (libc's `fork`), in the one thread that they have; one more time for each call.
#[cfg(not(loom))]
pub(crate) fn in_child(act: extern "C" fn()) {
    // SAFETY: the function lives for ever.
    unsafe { libc::pthread_atfork(None, None, Some(act)) };
}

/// While it lives, no other thread's `fork` (libc's) starts, so that no child inherits a descriptor that is open for a moment only.
/// Reentrant within a thread; threads do not keep each other waiting.
pub(crate) struct Gate(());

/// Waits for a fork in progress, if any, and holds off the next.
pub(crate) fn gate() -> Gate {
    // If registration fails (no memory), children of a fork at the wrong moment delay the discovery of our death: see ARCHITECTURE.md.
    HANDLERS.call_once(|| {
        // SAFETY: the three functions are `extern "C"` and live for ever.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork)) };
    });
    held(|held| {
        if held.depth == 0 {
            held.shared = Some(GATE.read().unwrap_or_else(PoisonError::into_inner));
        }
        held.depth += 1;
    });
    Gate(())
}

impl Drop for Gate {
    fn drop(&mut self) {
        held(|held| {
            held.depth = held.depth.saturating_sub(1);
            if held.depth == 0 {
                held.shared = None;
            }
        });
    }
}

extern "C" fn before_fork() {
    held(|held| {
        // Who forks while holding the gate itself (we never do) must not wait for itself.
        if held.depth == 0 {
            held.exclusive = Some(GATE.write().unwrap_or_else(PoisonError::into_inner));
        }
    });
}

extern "C" fn after_fork() {
    held(|held| held.exclusive = None);
}

fn held(act: impl FnOnce(&mut Held)) {
    HELD.with(|held| {
        if let Ok(mut held) = held.try_borrow_mut() {
            act(&mut held);
        }
    });
}

/// A number for this process: a forked child never has its parent's.
///
/// Kept in a `MADV_WIPEONFORK` page, so that not even a raw `clone` goes unnoticed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    #[cfg(not(loom))]
    value: u64,
    /// Where the stamp of the process that asks is found.
    #[cfg(not(loom))]
    page: &'static Word,
}

#[cfg(not(loom))]
mod stamp {
    use super::*;

    /// The page, once made, is never unmapped, so references into it are good for ever.
    static PAGE: OnceLock<MmapRaw> = OnceLock::new();
    /// The last stamp given out; inherited by children, who then take the next.
    static LAST: Mutex<u64> = Mutex::new(0);

    impl Stamp {
        /// The stamp of the process that asks; makes one for it at first.
        pub(crate) fn current() -> io::Result<Self> {
            let _gate = gate();
            let page = page()?;
            let mut value = page.load(SeqCst);
            if value == 0 {
                let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
                *last += 1;
                value = *last;
                page.store(value, SeqCst);
            }
            Ok(Self { value, page })
        }

        /// Whether the process that took this stamp is the one that asks. One load.
        #[inline(always)]
        pub(crate) fn is_current(self) -> bool {
            self.page.load(Relaxed) == self.value
        }

        /// As a forked child finds it.
        #[cfg(test)]
        pub(crate) fn inherited(self) -> Self {
            Self { value: self.value + 1, ..self }
        }
    }

    /// The page's first word. To be called under the gate.
    fn page() -> io::Result<&'static Word> {
        if PAGE.get().is_none() {
            let page = map::private_page()?;
            map::wipe_on_fork(&page)?;
            let _ = PAGE.set(page);
        }
        let page = PAGE.get().ok_or_else(|| io::Error::from(io::ErrorKind::Other))?;
        // SAFETY: the page is mapped for ever, zeroed or written as a Word only, and page-aligned.
        Ok(unsafe { &*page.as_ptr().cast::<Word>() })
    }
}

/// Models do not fork.
#[cfg(loom)]
impl Stamp {
    pub(crate) fn current() -> io::Result<Self> {
        Ok(Self {})
    }

    pub(crate) fn is_current(self) -> bool {
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    /// Tells, when its thread ends, whether the gate can still be held.
    struct Late(Sender<bool>);

    impl Drop for Late {
        fn drop(&mut self) {
            let _gate = gate();
            let holds = HELD.try_with(|held| held.borrow().shared.is_some());
            let _ = self.0.send(holds.unwrap_or(false));
        }
    }

    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }

    /// A thread that ends goes through what it has locked. Without the gate, a fork at that moment left its child with a list locked for ever.
    #[test]
    fn the_gate_is_held_also_while_a_thread_ends() {
        let (holds, held) = channel();
        let thread = thread::spawn(|| {
            // Destroyed after what was used later.
            LATE.set(Some(Late(holds)));
            drop(gate());
        });
        thread.join().unwrap();
        assert_eq!(held.recv(), Ok(true));
    }
}
