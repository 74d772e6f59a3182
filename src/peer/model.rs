//! Peers of loom models: known by the number of their slot, alive until they are buried.

use loom::sync::atomic::{AtomicU64, Ordering};

use super::cookie::Cookie;
use crate::base::mortal;
use crate::sys::futex;

loom::lazy_static! {
    /// One bit for each slot whose peer is dead.
    static ref DEAD: AtomicU64 = AtomicU64::new(0);
}

/// Runs `act` as the peer of slot `slot`, which is killed instead of making store number `stores`; `None` if it was.
pub(crate) fn run<R>(slot: u64, stores: u64, act: impl FnOnce() -> R) -> Option<R> {
    let outcome = mortal::run(stores, act);
    if outcome.is_none() {
        bury(slot);
    }
    outcome
}

/// From here on the peer of slot `slot` is dead, and whoever sleeps gets to ask.
pub(crate) fn bury(slot: u64) {
    // As the kernel does it: all stores of the dead come before the answer that it is dead.
    DEAD.fetch_or(1 << slot, Ordering::Release);
    futex::let_time_pass();
}

pub(super) fn is_alive(cookie: Cookie) -> bool {
    DEAD.load(Ordering::Acquire) & (1 << cookie.slot()) == 0
}
