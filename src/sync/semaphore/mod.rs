//! Permits that processes take and give back. The protocol is in ARCHITECTURE.md, "Semaphores".

mod count;
mod error;
mod ledger;
#[cfg(all(test, loom))]
mod loom_model;
mod permit;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::count::{CountWord, MOST, Tally};
use self::ledger::Ledger;
use super::abandon::{self, Abandon, Open};
use super::bell::Deadline;
use super::inside::{Entered, Inside, Outside};
use super::inspect::{Findings, Role};
use super::lock::contention::Contention;
use super::lock::{LOCK_WORDS, Wait};
use super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use super::seats::{SEAT_WORDS, Seats};
use crate::base::access::ReadOnly;
use crate::base::atomic::Ordering::{Acquire, Relaxed};
use crate::peer::{Peer, Place};
use crate::segment::region::{WordArray, Words};
use crate::segment::{Error, Kind, Reason};

pub use error::{AcquireError, ReleaseError};
pub use permit::Permit;

/// How many permits may be held through guards at once.
const SEATS: usize = if cfg!(loom) { 2 } else { 256 };
/// Where the line of words behind the lock begins, and where the seats.
const LINE: usize = LOCK_WORDS;
/// Within the line.
const TALLY: usize = 7;
/// The same: who is to have the next permit, having waited long.
const NEXT: usize = 1;
const FIRST_SEAT: usize = LINE + 8;
const WORDS: usize = FIRST_SEAT + SEATS * SEAT_WORDS;

/// How many permits there are at first, and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SemaphoreSetup {
    permits: u32,
    bound: u32,
}

impl SemaphoreSetup {
    /// So many permits at first, and no bound but what can be counted: 2^31 - 1. A number alone means the same.
    pub fn new(permits: u32) -> Self {
        Self { permits, bound: MOST }
    }

    /// So many permits at first, and never more: giving back more than were taken is an error (Python's `BoundedSemaphore`).
    pub fn bounded(permits: u32) -> Self {
        Self { permits, bound: permits }
    }

    /// Never more permits than this.
    #[must_use]
    pub fn bound(self, bound: u32) -> Self {
        Self { bound, ..self }
    }
}

impl From<u32> for SemaphoreSetup {
    fn from(permits: u32) -> Self {
        Self::new(permits)
    }
}

/// A counting semaphore for any threads of any processes; see [the module](super).
///
/// It has permits. Who takes one leaves one fewer; who finds none waits. There are two ways to take one:
///
/// - [`acquire`](Self::acquire) and its kin just count: anybody gives a permit back with [`release`](Self::release), or makes one more. **If the process that took it dies, it stays taken**
///   (as with Python's semaphores).
/// - [`permit`](Self::permit) and its kin give a [`Permit`], which belongs to this thread and goes back when dropped; and **if the process dies, the thread ends,
///   or the last handle in the process goes, with the guard leaked**. At most 256 at once.
///
/// **Progress.** Plain operations are lock-free, one compare-and-exchange, while there are permits and nobody sleeps; guards take a lock of the semaphore's own for some ten stores. Who has waited long gets the next permit:
/// nobody starves. A process that is stopped (SIGSTOP) amid those stores holds up guards, not plain permits.
///
/// **If a process dies**, at whatever instruction, its guards' permits go back exactly once: those who wait find out within a slice of their sleep, 150 ms at most, if
/// the guards are those of up to eight processes; each further eight take one slice more. One that dies while it waits, or between giving back and waking, costs others a slice.
///
/// **If it was spoilt**, counts are wrong, but nobody hangs who has set a time limit.
///
/// **Not for** excluding others from data: a [`Mutex`](super::Mutex) says when its owner died.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, sync::{Semaphore, SemaphoreSetup}};
///
/// let domain = Domain::new("doc-semaphore")?;
/// let workers = Semaphore::create(&domain, "workers", SemaphoreSetup::bounded(2))?;
///
/// // In any process:
/// let permit = workers.permit()?;
/// assert_eq!(workers.available(), 1);
/// drop(permit);
/// assert!(workers.release().is_err(), "that would be a third");
///
/// // As a signal: one process counts up, another down.
/// let items = Semaphore::create(&domain, "items", 0)?;
/// items.release_many(3)?;
/// items.acquire()?;
/// assert_eq!(items.available(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sources
///
/// The count as a futex's: glibc's `new_sem_wait`; who gets the next one: ARCHITECTURE.md, "Locks".
#[derive(Clone)]
pub struct Semaphore {
    inner: Arc<Inner>,
    _open: Open,
}

pub(super) struct Inner {
    part: Part,
    inside: Inside,
    line: WordArray<8>,
    seats: Seats,
    bound: u32,
}

/// What people see of it, for [`KINDS`](crate::sync::inspect).
pub(in crate::sync) fn inspect(
    config: &[u64; CONFIG_WORDS],
    state: &Words<ReadOnly>,
    seen: &mut Findings,
) -> Option<()> {
    let count = state.get(LINE)?.load(Acquire);
    seen.seats(&state.slice(FIRST_SEAT, SEATS * SEAT_WORDS)?, Role::Permit);
    let tally = Tally::of(state.get(LINE + TALLY)?);
    seen.counts(tally.contended(), tally.recovered());
    seen.reserved(state.get(LINE + NEXT)?.load(Relaxed));
    seen.fact("permits", u64::from(count as u32));
    seen.fact("at most", config[1]);
    Some(())
}

impl Object for Semaphore {
    type Setup = SemaphoreSetup;
    const KIND: Kind = Kind::SEMAPHORE;

    fn shape(setup: &SemaphoreSetup) -> Result<Shape, Reason> {
        let SemaphoreSetup { permits, bound } = *setup;
        for (what, most, found) in [("a semaphore's bound", MOST, bound), ("a number of permits", bound, permits)] {
            if found > most {
                return Err(Reason::Size { what, expected: format!("at most {most}"), found: found.into() });
            }
        }
        let mut config = [0; CONFIG_WORDS];
        config[..3].copy_from_slice(&[permits.into(), bound.into(), SEATS as u64]);
        Ok(Shape { config, state: WORDS })
    }

    fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        let [permits, bound, seats, ..] = config;
        for (what, most, found) in [("bound", MOST.into(), bound), ("initial number of permits", bound, permits)] {
            if found > most {
                return Err(Reason::Spoilt { what, expected: format!("at most {most}"), found });
            }
        }
        if seats != SEATS as u64 {
            return Err(Reason::Spoilt { what: "number of seats", expected: SEATS.to_string(), found: seats });
        }
        Ok(Shape { config, state: WORDS })
    }

    fn initialise(state: &Words, setup: &SemaphoreSetup) {
        if let Some(word) = state.get(LINE) {
            word.store(setup.permits.into(), Relaxed);
        }
    }

    fn over(part: Part) -> Result<Self, Reason> {
        let seats = part.state.slice(FIRST_SEAT, SEATS * SEAT_WORDS).ok_or(Reason::NotFound)?;
        // At most `MOST`, by `shape_of`.
        let bound = part.config.get(1).and_then(|&bound| u32::try_from(bound).ok()).unwrap_or(MOST);
        let inside = Inside::new(&part)?;
        let inner = Arc::new(Inner { inside, line: part.array::<8>(LINE)?, seats: Seats::new(seats), bound, part });
        let open = abandon::register(&inner);
        Ok(Self { inner, _open: open })
    }
}

impl Semaphore {
    /// How many bytes it takes within a segment, see [`create_at`](Self::create_at).
    pub const SIZE: u64 = ((part::STATE + WORDS) * 8) as u64;

    part::constructors!("a semaphore", (setup: impl Into<SemaphoreSetup>), setup.into());

    /// Takes a permit; waits for as long as there is none.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Segment`] if it could not be found out whether those who hold permits live.
    #[inline]
    pub fn acquire(&self) -> Result<(), AcquireError> {
        if self.inner.take_unreserved() { Ok(()) } else { self.inner.acquire(Wait::Until(Deadline::NEVER)) }
    }

    /// Takes a permit if there is one; never waits. (If there is none, it asks the kernel whether those who hold some live: microseconds.)
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Self::acquire), or [`AcquireError::WouldBlock`].
    #[inline]
    pub fn try_acquire(&self) -> Result<(), AcquireError> {
        if self.inner.take_unreserved() { Ok(()) } else { self.inner.acquire(Wait::Not) }
    }

    /// Takes a permit if one can be had within `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Self::acquire), or [`AcquireError::TimedOut`].
    #[inline]
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<(), AcquireError> {
        if self.inner.take_unreserved() { Ok(()) } else { self.inner.acquire(Wait::Until(Deadline::after(timeout))) }
    }

    /// Gives one permit back, or makes one more: anybody may. Wakes one who waits.
    ///
    /// # Errors
    ///
    /// There would be more than the bound; nothing has changed.
    #[inline]
    pub fn release(&self) -> Result<(), ReleaseError> {
        self.release_many(1)
    }

    /// Gives back so many, all at once. Wakes as many who wait.
    ///
    /// # Errors
    ///
    /// As for [`release`](Self::release).
    #[inline]
    pub fn release_many(&self, permits: u32) -> Result<(), ReleaseError> {
        if permits == 0 {
            // It would take the sleepers' mark, and wake none of them.
            return Ok(());
        }
        let bound = self.inner.bound;
        let more = |now: u32| now.checked_add(permits).filter(|&sum| sum <= bound);
        match self.inner.count().change(|count| more(count.permits()).map(|sum| count.with_permits(sum))) {
            Ok(_) => {
                self.inner.contention().ring_for(permits, self.inner.part.light);
                Ok(())
            }
            Err(found) => Err(ReleaseError { permits, available: found.permits(), bound }),
        }
    }

    /// Takes a permit, which goes back when the guard is dropped, or its holder dies; waits for as long as there is none.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Self::acquire), or [`AcquireError::TooManyPermits`].
    pub fn permit(&self) -> Result<Permit<'_>, AcquireError> {
        self.take_permit(Wait::Until(Deadline::NEVER))
    }

    /// The same if there is one; never waits, except for the moments that others need for the same.
    ///
    /// # Errors
    ///
    /// As for [`permit`](Self::permit), or [`AcquireError::WouldBlock`].
    pub fn try_permit(&self) -> Result<Permit<'_>, AcquireError> {
        self.take_permit(Wait::Not)
    }

    /// The same if one can be had within `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`permit`](Self::permit), or [`AcquireError::TimedOut`].
    pub fn permit_timeout(&self, timeout: Duration) -> Result<Permit<'_>, AcquireError> {
        self.take_permit(Wait::Until(Deadline::after(timeout)))
    }

    fn take_permit(&self, wait: Wait) -> Result<Permit<'_>, AcquireError> {
        // Before the permit: there is no error afterwards.
        let me = self.inner.part.me()?;
        let seat = self.inner.acquire_seat(wait)?;
        Ok(Permit::new(self, me, seat))
    }

    /// How many permits there are to take at this moment.
    pub fn available(&self) -> u32 {
        self.inner.count().load().permits()
    }

    /// How many there may be at most: `u32::MAX / 2` if it was created without a bound.
    pub fn bound(&self) -> u32 {
        self.inner.bound
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &std::path::Path {
        self.inner.part.path()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Semaphore");
        debug.field("path", &self.path()).field("available", &self.available()).field("bound", &self.bound());
        debug.finish_non_exhaustive()
    }
}

impl Inner {
    fn count(&self) -> CountWord<'_> {
        CountWord(self.line.at::<0>())
    }

    fn contention(&self) -> Contention<'_> {
        Contention {
            next: self.line.at::<NEXT>(),
            spinner: self.line.at::<3>(),
            bell: self.line.at::<2>(),
            spins: self.line.at::<4>(),
        }
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger { count: self.count(), intent: self.line.at::<5>(), seats: &self.seats, bound: self.bound }
    }

    /// Goes where guards are accounted for, and settles what somebody died over.
    fn enter(&self, wait: Wait) -> Result<Entered<'_>, Outside> {
        let entered = self.inside.enter(&self.part, wait)?;
        self.wake(self.ledger().settle());
        Ok(entered)
    }

    /// Wakes as many as there are permits come back.
    fn wake(&self, permits: u32) {
        if permits > 0 {
            self.contention().ring_for(permits, self.part.light);
        }
    }

    /// Gives the permit of a seat back, if it still holds this.
    fn give_back(&self, seat: usize, word: u64, wait: Wait) -> Result<(), Outside> {
        let entered = self.enter(wait)?;
        let given = if self.seats.word(seat) == word { self.ledger().give(seat) } else { 0 };
        drop(entered);
        self.wake(given);
        Ok(())
    }

    /// The same of one who is dead.
    fn give_back_for_dead(&self, seat: usize, word: u64, wait: Wait) -> Result<(), Outside> {
        self.give_back(seat, word, wait)?;
        Tally::add(self.line.at::<TALLY>(), 0, 1);
        Ok(())
    }

    /// Gives back the permits of the dead, as far as it finds them. Waits for nobody.
    fn reap(&self, peer: &Peer) -> Result<(), Error> {
        let mut failed = None;
        // Who died in the middle of something may have a permit that no seat tells of.
        if self.ledger().is_open() {
            failed = self.enter(Wait::Not).map(drop).err();
        }
        self.seats.find_lost(peer, self.line.at::<6>(), |seat, word| {
            failed = self.give_back_for_dead(seat, word, Wait::Not).err();
            failed.is_none()
        })?;
        match failed {
            Some(Outside::Segment(error)) => Err(error),
            // Whoever is in there finds them, or the next to look.
            Some(Outside::Busy) | None => Ok(()),
        }
    }

    /// Gives back the permits of all who are dead; whether there were any.
    fn reap_all(&self, peer: &Peer, wait: Wait) -> Result<bool, Error> {
        let (mut any, mut failed) = (false, None);
        self.seats.find_all_lost(peer, |seat, word| {
            failed = self.give_back_for_dead(seat, word, wait).err();
            any |= failed.is_none();
            failed.is_none()
        })?;
        match failed {
            Some(Outside::Segment(error)) => Err(error),
            Some(Outside::Busy) | None => Ok(any),
        }
    }
}

impl Abandon for Inner {
    fn place(&self) -> Place {
        self.part.place()
    }

    fn abandon(&self, thread: Option<u32>) {
        // A forked child has taken no seat before it is known.
        let Some(peer) = self.part.known_peer() else { return };
        if self.seats.lose_all(peer.cookie(), thread) {
            // If this does not get in, others do.
            let _ = self.reap(&peer);
        }
    }
}
