//! Crash points: in a build with the feature `__crash-points` every store to shared memory, and every system call that changes
//! something others see, counts one, and a test can have the process die right after the k-th.
//!
//! Without the feature [`point`] is nothing at all. Not part of the API; `tests/crash` is its user.

#[cfg(not(feature = "__crash-points"))]
#[inline(always)]
pub(crate) fn point() {}

#[cfg(feature = "__crash-points")]
pub use armed::{arm, passed, point};

#[cfg(feature = "__crash-points")]
mod armed {
    #![allow(clippy::disallowed_types, reason = "private counters of the test build, never in shared memory")]

    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    const DISARMED: u64 = u64::MAX;
    static PASSED: AtomicU64 = AtomicU64::new(DISARMED);
    static FATAL: AtomicU64 = AtomicU64::new(DISARMED);
    static DIE: OnceLock<fn()> = OnceLock::new();

    /// Starts counting at 0 and calls `die` (which should not return) right after point `fatal`, counted from 1.
    /// `fatal = u64::MAX` only counts. The first call's `die` is used for good.
    pub fn arm(fatal: u64, die: fn()) {
        let _ = DIE.set(die);
        FATAL.store(fatal, SeqCst);
        PASSED.store(0, SeqCst);
    }

    /// How many points have been passed since [`arm`].
    pub fn passed() -> u64 {
        match PASSED.load(SeqCst) {
            DISARMED => 0,
            passed => passed,
        }
    }

    /// One more point passed; the process dies here if it is the fatal one.
    #[inline(always)]
    pub fn point() {
        if PASSED.load(SeqCst) != DISARMED
            && PASSED.fetch_add(1, SeqCst) + 1 == FATAL.load(SeqCst)
            && let Some(die) = DIE.get()
        {
            die();
        }
    }
}
