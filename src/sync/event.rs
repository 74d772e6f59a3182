//! A flag that processes wait for. The protocol is in ARCHITECTURE.md, "Events".

use crate::sync::inspect::Findings;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::bell::{self, Deadline};
use super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use super::spin::Spin;
use super::thread;
use crate::base::access::{Access, ReadOnly, ReadWrite};
use crate::base::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::base::atomic::Word;
use crate::segment::region::{WordArray, Words};
use crate::segment::{Error, Kind, Reason};

/// Words of the state: one line.
const WORDS: usize = 8;

/// What the state word holds: `number of sets << 1 | is set`.
///
/// | from | to | who |
/// | --- | --- | --- |
/// | n, not set | n + 1, set | anyone, `set` |
/// | n, set | n, not set | anyone, `clear` |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State(u64);

impl State {
    pub(super) fn is_set(self) -> bool {
        self.0 & 1 != 0
    }

    fn set(self) -> Self {
        Self(if self.is_set() { self.0 } else { self.0.wrapping_add(3) })
    }

    fn cleared(self) -> Self {
        Self(self.0 & !1)
    }

    /// Whether it is set, or was after it was found so.
    pub(super) fn was_set_since(self, before: Self) -> bool {
        self.is_set() || self.0 >> 1 != before.0 >> 1
    }
}

/// A flag that any process may set, clear, and wait for; see [the module](super).
///
/// Who waits is let go when it is set, and also if it was set and cleared again meanwhile: no pulse is lost. All who wait are let go. What a process wrote before
/// [`set`](Self::set) is seen by those whom that lets go.
///
/// Cheap to clone: clones are handles of the same event. Read-only handles ([`Event<ReadOnly>`]) look and wait, though not quite as promptly: late by
/// a sixteenth of the time waited, 40 ms at most.
///
/// **Progress.** `set`, `clear` and `is_set` are lock-free and make no system call while nobody sleeps; waiting spins for as long as that has paid off lately, then sleeps.
///
/// **If a process dies**, there is nothing to repair: it set the event or it did not. One that dies between setting it and waking those who sleep costs them
/// 100 ms at most.
///
/// **Not for** handing over one thing to one process (a [`Semaphore`](super::Semaphore) wakes one, and counts), nor for a condition over a value (that is what a condition variable
/// is for).
///
/// # Example
///
/// ```
/// use sharedware::{Domain, ReadOnly, sync::Event};
/// use std::time::Duration;
///
/// let domain = Domain::new("doc-event")?;
/// let ready = Event::create(&domain, "ready")?;
///
/// // In another process:
/// let seen = Event::<ReadOnly>::open_read_only(&domain, "ready")?;
/// assert!(seen.wait_timeout(Duration::from_millis(1)).is_err());
/// ready.set();
/// seen.wait()?;
/// assert!(seen.is_set());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sources
///
/// Python's `threading.Event`, here with pulses that are not lost; the count beside the flag is that of Windows' and glibc's older events in reverse.
pub struct Event<A: Access = ReadWrite> {
    shared: Arc<Shared<A>>,
}

struct Shared<A: Access> {
    part: Part<A>,
    words: WordArray<WORDS, A>,
}

/// What people see of it, for [`KINDS`](crate::sync::inspect).
pub(in crate::sync) fn inspect(_: &[u64; CONFIG_WORDS], state: &Words<ReadOnly>, seen: &mut Findings) -> Option<()> {
    let word = state.first()?.load(Acquire);
    seen.fact("set", word & 1 != 0);
    seen.fact("sets", word >> 1);
    Some(())
}

impl<A: Access> Object<A> for Event<A> {
    type Setup = ();
    const KIND: Kind = Kind::EVENT;

    fn shape((): &()) -> Result<Shape, Reason> {
        Ok(Shape { config: [0; CONFIG_WORDS], state: WORDS })
    }

    fn shape_of(_: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        Self::shape(&())
    }

    fn initialise(_: &Words, (): &()) {}

    fn over(part: Part<A>) -> Result<Self, Reason> {
        let words = part.array::<WORDS>(0)?;
        Ok(Self { shared: Arc::new(Shared { part, words }) })
    }
}

impl<A: Access> Event<A> {
    /// Whether it is set at this moment.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.state().is_set()
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &std::path::Path {
        self.shared.part.path()
    }

    /// Acquire: pairs with `change`, so that what came before a `set` that is seen is seen.
    #[inline]
    pub(super) fn state(&self) -> State {
        State(self.shared.words.at::<0>().load(Acquire))
    }

    fn bell(&self) -> &Word<A> {
        self.shared.words.at::<1>()
    }
}

impl Event<ReadWrite> {
    /// How many bytes it takes within a segment, see [`create_at`](Self::create_at).
    pub const SIZE: u64 = ((part::STATE + WORDS) * 8) as u64;

    part::constructors!("an event", (), ());

    /// Sets it, and lets go all who wait. No harm if it is set.
    #[inline]
    pub fn set(&self) {
        self.change(State::set);
        bell::ring(self.bell(), self.shared.part.light);
    }

    /// Clears it: who comes from now on waits. No harm if it is not set.
    ///
    /// What was written before the last [`set`](Self::set) is seen after this.
    #[inline]
    pub fn clear(&self) {
        self.change(State::cleared);
    }

    #[inline]
    fn change(&self, change: impl Fn(State) -> State) {
        let word = self.shared.words.at::<0>();
        let mut seen = word.load(Relaxed);
        // Also if it changes nothing: who sees it set later has to see what we wrote before. AcqRel: pairs with `state` and with itself.
        while let Err(found) = word.compare_exchange(seen, change(State(seen)).0, AcqRel, Relaxed) {
            seen = found;
        }
    }

    /// Waits until it is set, or was since this call began.
    ///
    /// # Errors
    ///
    /// None that happens by itself; see [`WaitError`].
    pub fn wait(&self) -> Result<(), WaitError> {
        self.wait_until(Deadline::NEVER)
    }

    /// The same for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        if self.is_set() { Ok(()) } else { self.wait_until(Deadline::after(timeout)) }
    }

    fn wait_until(&self, deadline: Deadline) -> Result<(), WaitError> {
        let before = self.state();
        if before.is_set() { Ok(()) } else { self.wait_since(before, deadline) }
    }

    pub(super) fn wait_since(&self, before: State, deadline: Deadline) -> Result<(), WaitError> {
        let part = &self.shared.part;
        let spins = self.shared.words.at::<2>();
        let mut spin = Spin::recall(spins);
        // For people only: who waits where. An event is nobody's, so nobody need be asked about.
        let peer = part.member().and_then(crate::peer::Member::peer).ok();
        let mut record = None;
        let list = || -> Result<(), WaitError> {
            record = record.take().or_else(|| peer.as_ref()?.wait_record(thread::id(), part.place()));
            Ok(())
        };
        let ready = |_| self.state().was_set_since(before).then_some(());
        let outcome = bell::wait_in_slices(bell::CALM_SLICE, self.bell(), deadline, &mut spin, ready, list);
        spin.keep(spins);
        outcome?.ok_or(WaitError::TimedOut)
    }
}

impl Event<ReadOnly> {
    part::read_only_constructors!("an event");

    /// Waits until it is set, or was since this call began. Since a read-only handle cannot say that it waits, it looks again at growing intervals, a sixteenth of the time it has waited and 40 ms at most.
    ///
    /// # Errors
    ///
    /// None that happens by itself; see [`WaitError`].
    pub fn wait(&self) -> Result<(), WaitError> {
        self.wait_until(Deadline::NEVER)
    }

    /// The same for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> Result<(), WaitError> {
        let before = self.state();
        let ready = || self.state().was_set_since(before).then_some(());
        bell::watch(self.bell(), deadline, &mut Spin::new(), ready).ok_or(WaitError::TimedOut)
    }
}

impl<A: Access> Clone for Event<A> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<A: Access> fmt::Debug for Event<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("path", &self.path()).field("set", &self.is_set()).finish_non_exhaustive()
    }
}

/// Why a wait for an event ended without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It was not set in the time given.
    #[error("the event was not set in the time given")]
    TimedOut,
    /// The system refuses. No event needs anything of it now; this is for what is to come.
    #[error(transparent)]
    Segment(#[from] Box<Error>),
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_state_counts_sets() {
        for start in [0, 6, u64::MAX - 1] {
            let cleared = State(start);
            let set = cleared.set();
            assert!(set.is_set() && set == set.set() && !set.cleared().is_set());
            assert!(set.was_set_since(cleared) && set.cleared().was_set_since(cleared) && set.was_set_since(set));
            assert!(!cleared.was_set_since(cleared) && !set.cleared().was_set_since(set.cleared()));
            assert_eq!(set.cleared(), State(start.wrapping_add(2)));
        }
    }
}
