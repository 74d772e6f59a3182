//! A bell: one word that a sleeper sets and a waker looks at, so that nobody makes a system call while nobody sleeps.
//!
//! | bits | meaning |
//! | --- | --- |
//! | 0 | somebody sleeps, or is about to |
//! | 1..32 | how often the bell was rung, modulo 2^31 |
//!
//! The count is there because sleepers may share a bell: one who has seen it ring must not fall asleep because another has set bit 0 again
//! meanwhile.
//!
//! The protocol is in ARCHITECTURE.md, "Waiting". **If the waker dies** before it rings, the sleeper notices at the end of its
//! slice, 100 ms at most. **If a sleeper dies**, the next waker makes one system call in vain.

use std::time::{Duration, Instant};

use super::spin::Spin;
use crate::base::access::Access;
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::sys::barrier::{self, Light};
use crate::sys::futex;

const SLEEPING: u64 = 1;
/// Of those who poll.
const SHORTEST_POLL: Duration = Duration::from_micros(50);
pub(crate) const FIRST_SLICE: Duration = Duration::from_millis(1);
/// The first slice where it is no hurry to find the dead: beyond the kernel's tick (4 ms, as a rule). A shorter one has the timer set anew both when it begins and when
/// it ends early, which in a virtual machine costs more than the whole wake-up.
pub(crate) const CALM_SLICE: Duration = Duration::from_millis(5);
/// A waker that dies before it wakes costs a slice, and its successor may do the same.
pub(crate) const LONGEST_SLICE: Duration = Duration::from_millis(100);
/// Up to here each slice is twice as long as the one before.
pub(crate) const LONG_SLICE: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_millis(40);

/// The slice after this one. Who waits for long wakes up seldom: that, not what is done then, is what a blocked waiter costs.
pub(crate) fn longer(slice: Duration, longest: Duration) -> Duration {
    if slice < LONG_SLICE { (slice * 2).min(LONG_SLICE) } else { (slice * 3 / 2).min(longest) }
}

/// Until when to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    /// For ever, if there is none.
    at: Option<Instant>,
    /// Models have no clock: after so many naps of this thread.
    #[cfg(loom)]
    naps: Option<u64>,
}

impl Deadline {
    pub(crate) const NEVER: Self = Self::at(None);

    const fn at(at: Option<Instant>) -> Self {
        Self {
            at,
            #[cfg(loom)]
            naps: None,
        }
    }

    /// This long from now; for ever, if that is beyond what the clock can tell.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self::at(Instant::now().checked_add(timeout))
    }

    /// After the thread that asks has napped so often; the last nap may end at any moment.
    #[cfg(all(test, loom))]
    pub(crate) fn after_naps(naps: u64) -> Self {
        Self { at: None, naps: Some(futex::naps() + naps) }
    }

    /// Whether it is over.
    pub(crate) fn has_passed(self) -> bool {
        self.left(LONGEST_SLICE).is_none()
    }

    /// How much of `slice` is left to wait; `None`: it is over.
    pub(crate) fn left(self, slice: Duration) -> Option<Duration> {
        #[cfg(loom)]
        if let Some(end) = self.naps {
            return match end.saturating_sub(futex::naps()) {
                0 => None,
                1 => Some(futex::ANY_MOMENT),
                _ => Some(slice),
            };
        }
        let Some(at) = self.at else { return Some(slice) };
        let left = at.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(slice))
    }
}

/// Wakes who sleeps on the bell. To be called after the store that they wait for.
#[inline(always)]
pub(crate) fn ring(bell: &Word, light: Light) {
    light.pass();
    let seen = bell.load(Relaxed);
    if seen & SLEEPING != 0 {
        ring_out(bell, seen);
    }
}

#[cold]
fn ring_out(bell: &Word, seen: u64) {
    // If it fails, another waker was faster; who lay down after that one has seen our store.
    let _ = bell.compare_exchange(seen, rung(seen), Relaxed, Relaxed);
    futex::wake_all(bell);
}

/// A bell that was found to have a sleeper, rung: one more ring, and nobody asleep.
fn rung(seen: u64) -> u64 {
    u64::from((seen as u32).wrapping_add(1))
}

/// Whether somebody sleeps.
#[inline(always)]
pub(crate) fn has_sleeper(bell: &Word) -> bool {
    bell.load(Relaxed) & SLEEPING != 0
}

/// Counts a ring; `false` if another waker was faster, or nobody sleeps. The caller wakes.
pub(crate) fn count_ring(bell: &Word) -> bool {
    let seen = bell.load(Relaxed);
    seen & SLEEPING != 0 && bell.compare_exchange(seen, rung(seen), Relaxed, Relaxed).is_ok()
}

/// Says that somebody is about to sleep; returns what the bell must still be when they do. To be followed by a heavy barrier.
pub(crate) fn set(bell: &Word) -> u32 {
    let mut seen = bell.load(Relaxed);
    while seen & SLEEPING == 0 {
        match bell.compare_exchange(seen, seen | SLEEPING, Relaxed, Relaxed) {
            Ok(_) => seen |= SLEEPING,
            Err(now) => seen = now,
        }
    }
    seen as u32
}

/// A sleeper's mark on a bell, as it announced it.
#[derive(Debug, Default)]
pub(crate) struct Mark(Option<u32>);

impl Mark {
    /// Announces a sleep; returns what the bell must still be when it begins, and whether that is news.
    ///
    /// If not, nobody has rung it since, and who comes to will see the mark: so who has looked since then need neither look again nor pay for a barrier.
    pub(crate) fn announce(&mut self, bell: &Word) -> (u32, bool) {
        let now = bell.load(Relaxed) as u32;
        if self.0 == Some(now) {
            return (now, false);
        }
        let asleep = set(bell);
        barrier::heavy();
        self.0 = Some(asleep);
        (asleep, true)
    }

    /// Whether nobody has rung the bell since it was announced.
    pub(crate) fn is_on(&self, bell: &Word) -> bool {
        self.0 == Some(bell.load(Relaxed) as u32)
    }

    /// The next sleep is to be announced whatever the bell says: something else was stored that wakers must see.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
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
    ready: impl FnMut(Look) -> Option<R>,
    check: impl FnMut() -> Result<(), E>,
) -> Result<Option<R>, E> {
    wait_in_slices(FIRST_SLICE, bell, deadline, spin, ready, check)
}

/// The same with a first slice of that length.
pub(crate) fn wait_in_slices<R, E>(
    mut slice: Duration,
    bell: &Word,
    deadline: Deadline,
    spin: &mut Spin,
    mut ready: impl FnMut(Look) -> Option<R>,
    mut check: impl FnMut() -> Result<(), E>,
) -> Result<Option<R>, E> {
    if let Some(result) = spin.until(|| ready(Look::Glance)) {
        return Ok(Some(result));
    }
    let mut mark = Mark::default();
    loop {
        let (asleep, _) = mark.announce(bell);
        if let Some(result) = ready(Look::Thorough) {
            return Ok(Some(result));
        }
        let nap = deadline.left(slice);
        if let Some(nap) = nap {
            futex::wait(bell, asleep, nap);
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
        slice = longer(slice, LONGEST_SLICE);
    }
}

/// Waits until `ready` has something, without a bell to set: for who may not write. Looks again at growing intervals, a sixteenth of the time it has
/// waited, so that who waits long costs as little as who sleeps; `word` is slept on in case somebody rings it.
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
    let start = Instant::now();
    loop {
        let seen = word.load(Relaxed) as u32;
        if let Some(result) = ready() {
            return Some(result);
        }
        let slice = (start.elapsed() / 16).clamp(SHORTEST_POLL, LONGEST_POLL);
        futex::wait(word, seen, deadline.left(slice)?);
    }
}
