//! Sleeping on the low half of a shared word: `futex(2)` without the private flag, since the sleepers are in different processes.
//!
//! # Safety
//!
//! The unsafe code here is the `futex` system call on the address of a live [`Word`], of which the kernel reads 4 bytes.
#![allow(unsafe_code)]

use std::time::Duration;

use crate::base::access::Access;
use crate::base::atomic::Word;

/// What ended a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The limit was reached.
    ByTime,
    /// Anything else.
    Otherwise,
}

/// Sleeps while the low half of `word` is `expected`, at most `limit`. Returns for any reason: look at the condition again.
///
/// Works on read-only mappings (from Linux 5.14 on a true sleep; before, it may return at once with `EFAULT`, and we nap instead).
#[cfg(not(loom))]
pub(crate) fn wait<A: Access>(word: &Word<A>, expected: u32, limit: Duration) -> Woken {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(limit.subsec_nanos()),
    };
    // SAFETY: the word is live and 8-aligned; its low half is its first 4 bytes (little-endian). The timeout outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_futex, core::ptr::from_ref(word), libc::FUTEX_WAIT, expected, &raw const timeout)
    };
    if result == 0 {
        return Woken::Otherwise;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Woken::ByTime,
        Some(libc::EFAULT) => {
            std::thread::sleep(limit.min(Duration::from_millis(1)));
            Woken::ByTime
        }
        _ => Woken::Otherwise,
    }
}

/// Wakes everybody who sleeps on `word`.
#[cfg(not(loom))]
pub(crate) fn wake_all(word: &Word) {
    wake(word, libc::c_int::MAX);
}

/// Wakes one of those who sleep on `word`.
#[cfg(not(loom))]
pub(crate) fn wake_one(word: &Word) {
    wake(word, 1);
}

#[cfg(not(loom))]
fn wake(word: &Word, count: libc::c_int) {
    // SAFETY: the word is live and 8-aligned.
    unsafe { libc::syscall(libc::SYS_futex, core::ptr::from_ref(word), libc::FUTEX_WAKE, count) };
}

/// loom's stand-in. It has no clock, so that a lost wake-up is a deadlock, which loom reports. Only [`let_time_pass`] lets time pass.
#[cfg(loom)]
mod model {
    use std::cell::Cell;
    use std::collections::VecDeque;

    use loom::sync::{Condvar, Mutex};

    #[derive(Default)]
    pub(super) struct Bed {
        /// Who sleeps, on which word, in the order in which they lay down, which is that in which the kernel wakes them.
        pub(super) asleep: VecDeque<(u64, usize)>,
        /// How often anybody lay down.
        pub(super) sleeps: u64,
        /// How many sleeps of each thread may end by the clock.
        pub(super) slices: u64,
    }

    loom::lazy_static! {
        pub(super) static ref BED: (Mutex<Bed>, Condvar) = (Mutex::new(Bed::default()), Condvar::new());
    }

    loom::thread_local! {
        pub(super) static SLICES_SEEN: Cell<u64> = Cell::new(0);
    }
}

#[cfg(loom)]
fn key<A: Access>(word: &Word<A>) -> usize {
    core::ptr::from_ref(word).addr()
}

#[cfg(loom)]
pub(crate) fn wait<A: Access>(word: &Word<A>, expected: u32, _limit: Duration) -> Woken {
    let mut bed = model::BED.0.lock().unwrap();
    if word.load(crate::base::atomic::Ordering::SeqCst) as u32 != expected {
        return Woken::Otherwise;
    }
    bed.sleeps += 1;
    let me = (bed.sleeps, key(word));
    bed.asleep.push_back(me);
    while bed.asleep.contains(&me) {
        if bed.slices != model::SLICES_SEEN.with(std::cell::Cell::get) {
            model::SLICES_SEEN.with(|seen| seen.set(seen.get() + 1));
            bed.asleep.retain(|sleeper| *sleeper != me);
            return Woken::ByTime;
        }
        bed = model::BED.1.wait(bed).unwrap();
    }
    Woken::Otherwise
}

#[cfg(loom)]
pub(crate) fn wake_all(word: &Word) {
    wake(word, usize::MAX);
}

#[cfg(loom)]
pub(crate) fn wake_one(word: &Word) {
    wake(word, 1);
}

#[cfg(loom)]
fn wake(word: &Word, mut count: usize) {
    if crate::base::mortal::is_dead() {
        return;
    }
    model::BED.0.lock().unwrap().asleep.retain(|sleeper| {
        let woken = sleeper.1 == key(word) && count > 0;
        count -= usize::from(woken);
        !woken
    });
    model::BED.1.notify_all();
}

/// Lets time pass: in every thread the present sleep or the next ends without a bell, and a few more.
#[cfg(loom)]
pub(crate) fn let_time_pass() {
    model::BED.0.lock().unwrap().slices += 3;
    model::BED.1.notify_all();
}
