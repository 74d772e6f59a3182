//! A bell: one word that a sleeper sets and a waker looks at, so that nobody makes a system call while nobody sleeps.
//!
//! The protocol is in ARCHITECTURE.md, "Waiting". **If the waker dies** before it rings, the sleeper notices at the end of its
//! slice, 20 ms at most. **If a sleeper dies**, the next waker makes one system call in vain.

use std::time::{Duration, Instant};

use super::spin::Spin;
use crate::base::access::Access;
use crate::base::atomic::Ordering::{Relaxed, SeqCst};
use crate::base::atomic::Word;
use crate::sys::barrier::{self, Light};
use crate::sys::futex;

const SILENT: u64 = 0;
const SLEEPING: u32 = 1;
const FIRST_SLICE: Duration = Duration::from_millis(1);
const LONGEST_SLICE: Duration = Duration::from_millis(20);

/// Until when to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) const NEVER: Self = Self(None);

    /// This long from now; for ever, if that is beyond what the clock can tell.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// How much of `slice` is left to wait; `None`: it is over.
    fn left(self, slice: Duration) -> Option<Duration> {
        let Some(at) = self.0 else { return Some(slice) };
        let left = at.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(slice))
    }
}

/// Wakes who sleeps on the bell. To be called after the store that they wait for.
#[inline(always)]
pub(crate) fn ring(bell: &Word, light: Light) {
    light.pass();
    if bell.load(Relaxed) != SILENT {
        ring_out(bell);
    }
}

#[cold]
fn ring_out(bell: &Word) {
    bell.store(SILENT, SeqCst);
    futex::wake_all(bell);
}

/// How closely a condition is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// While spinning: may miss what happened a moment ago, if seeing it would disturb the other side.
    Glance,
    /// Before sleeping: must see everything.
    Thorough,
}

/// Waits until `ready` has something: spins, then sleeps until the bell rings. At the end of each slice of sleep, and of the whole, `check`
/// may end the wait with an error, after one last look.
///
/// `Ok(None)`: the deadline has passed.
pub(crate) fn wait<R, E>(
    bell: &Word,
    deadline: Deadline,
    spin: &mut Spin,
    mut ready: impl FnMut(Look) -> Option<R>,
    mut check: impl FnMut() -> Result<(), E>,
) -> Result<Option<R>, E> {
    if let Some(result) = spin.until(|| ready(Look::Glance)) {
        return Ok(Some(result));
    }
    let mut slice = FIRST_SLICE;
    loop {
        bell.store(SLEEPING.into(), SeqCst);
        barrier::heavy();
        if let Some(result) = ready(Look::Thorough) {
            return Ok(Some(result));
        }
        let nap = deadline.left(slice);
        if let Some(nap) = nap {
            futex::wait(bell, SLEEPING, nap);
            if let Some(result) = ready(Look::Thorough) {
                return Ok(Some(result));
            }
        }
        // Also when the time is up before the first nap: who waits for moments only must learn of a death as well.
        if let Err(error) = check() {
            return ready(Look::Thorough).map_or(Err(error), |result| Ok(Some(result)));
        }
        if nap.is_none() {
            return Ok(None);
        }
        slice = (slice * 2).min(LONGEST_SLICE);
    }
}

/// Waits until `ready` has something, without a bell to set: for who may not write. Looks again at growing intervals up to a millisecond;
/// `word`, whose low half is `seen`, is slept on in case somebody rings it.
///
/// `None`: the deadline has passed.
pub(crate) fn watch<R, A: Access>(
    word: &Word<A>,
    deadline: Deadline,
    spin: &mut Spin,
    mut ready: impl FnMut() -> Option<R>,
) -> Option<R> {
    if let Some(result) = spin.until(&mut ready) {
        return Some(result);
    }
    let mut slice = Duration::from_micros(50);
    loop {
        let seen = word.load(Relaxed) as u32;
        if let Some(result) = ready() {
            return Some(result);
        }
        futex::wait(word, seen, deadline.left(slice)?);
        slice = (slice * 2).min(FIRST_SLICE);
    }
}
