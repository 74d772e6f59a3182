//! What `fork` does to us: the gate that keeps descriptors out of children, and the stamp by which a child knows that it is one.
//!
//! # Safety
//!
//! The unsafe code here is `pthread_atfork` with functions that live as long as the program.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

use memmap2::MmapRaw;

use super::map;
use crate::base::atomic::{Ordering::Relaxed, Ordering::SeqCst, Word};

static GATE: Mutex<()> = Mutex::new(());
static HANDLERS: Once = Once::new();

#[derive(Default)]
struct Held {
    depth: usize,
    guard: Option<MutexGuard<'static, ()>>,
}

thread_local! {
    static HELD: RefCell<Held> = const { RefCell::new(Held { depth: 0, guard: None }) };
}

/// While it lives, no other thread's `fork` (libc's) starts, so that no child inherits a descriptor that is open for a moment only.
/// Reentrant within a thread.
pub(crate) struct Gate(());

/// Waits for a fork in progress, if any, and holds off the next.
pub(crate) fn gate() -> Gate {
    // If registration fails (no memory), children of a fork at the wrong moment delay the discovery of our death: see ARCHITECTURE.md.
    HANDLERS.call_once(|| {
        // SAFETY: the three functions are `extern "C"` and live for ever.
        unsafe { libc::pthread_atfork(Some(close_gate), Some(open_gate), Some(open_gate)) };
    });
    close_gate();
    Gate(())
}

impl Drop for Gate {
    fn drop(&mut self) {
        open_gate();
    }
}

extern "C" fn close_gate() {
    // Inaccessible only while this thread's locals are destroyed; then we go without.
    let _ = HELD.try_with(|held| {
        if let Ok(mut held) = held.try_borrow_mut() {
            if held.depth == 0 {
                held.guard = Some(GATE.lock().unwrap_or_else(PoisonError::into_inner));
            }
            held.depth += 1;
        }
    });
}

extern "C" fn open_gate() {
    let _ = HELD.try_with(|held| {
        if let Ok(mut held) = held.try_borrow_mut() {
            held.depth = held.depth.saturating_sub(1);
            if held.depth == 0 {
                held.guard = None;
            }
        }
    });
}

/// A number for this process: a forked child never has its parent's.
///
/// Kept in a `MADV_WIPEONFORK` page, so that not even a raw `clone` goes unnoticed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    value: u64,
    /// Where the stamp of the process that asks is found. `None`: there is no such page (a kernel before 4.14), and process ids must do.
    page: Option<&'static Word>,
}

/// The page, once made, is never unmapped, so references into it are good for ever.
static PAGE: OnceLock<Option<MmapRaw>> = OnceLock::new();
/// The last stamp given out; inherited by children, who then take the next.
static LAST: Mutex<u64> = Mutex::new(0);

impl Stamp {
    /// The stamp of the process that asks; makes one for it at first.
    pub(crate) fn current() -> Self {
        let _gate = gate();
        let Some(page) = page_word() else {
            return Self { value: u64::from(std::process::id()), page: None };
        };
        let mut value = page.load(SeqCst);
        if value == 0 {
            let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
            *last += 1;
            value = *last;
            page.store(value, SeqCst);
        }
        Self { value, page: Some(page) }
    }

    /// Whether the process that took this stamp is the one that asks. One load.
    #[inline(always)]
    pub(crate) fn is_current(self) -> bool {
        match self.page {
            Some(page) => page.load(Relaxed) == self.value,
            None => cfg!(loom) || u64::from(std::process::id()) == self.value,
        }
    }
}

fn page_word() -> Option<&'static Word> {
    if cfg!(loom) {
        return None;
    }
    let page = PAGE
        .get_or_init(|| {
            let page = map::private_page().ok()?;
            map::wipe_on_fork(&page).ok()?;
            Some(page)
        })
        .as_ref()?;
    // SAFETY: the page is mapped for ever, zeroed or written as a Word only, and page-aligned.
    Some(unsafe { &*page.as_ptr().cast::<Word>() })
}
