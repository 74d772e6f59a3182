//! A countdown that processes wait for. The protocol is in ARCHITECTURE.md, "Barriers and latches".

mod countdown;
mod error;
#[cfg(all(test, loom))]
mod loom_model;
mod party;

use crate::base::atomic::Ordering::Acquire;
use crate::sync::inspect::Findings;
use crate::sync::inspect::Role;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::countdown::{Count, Inner, OPEN, Roster};
use super::abandon;
use super::bell::{self, Deadline};
use super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use super::seats::SEAT_WORDS;
use super::spin::Spin;
use super::thread;
use crate::base::access::{Access, ReadOnly, ReadWrite};
use crate::base::atomic::Ordering::Relaxed;
use crate::segment::region::Words;
use crate::segment::{Kind, Reason};

pub use error::{CountDownError, LatchError};
pub use party::LatchParty;

/// The most that can be counted down from.
const MOST: u32 = i32::MAX.unsigned_abs();
/// The most parties that can be enlisted at once.
const MOST_SEATS: u32 = if cfg!(loom) { 2 } else { 256 };
const FIRST_SEAT: usize = 8;

/// A countdown from a number, once: opens for all who wait when it is at zero, and stays open; see [the module](super).
///
/// Anybody [counts down](Self::count_down). A process that died after it had counted down has counted. Who is to count down may
/// [enlist](Self::party) beforehand: **if that process dies before it has counted down**, those who wait are told ([`LatchError::PartyDied`]) rather than left to wait for ever; that is for good, too.
///
/// Cheap to clone: clones are handles of the same latch. Read-only handles look and wait.
///
/// **Progress.** All but waiting is lock-free; who opens it, or leaves as a party, looks at 256 seats at most.
///
/// **If a process dies** in the middle of counting down, it has or it has not; as a party, it has or it is found dead, 100 ms after that at most while those who wait are asked about
/// up to eight processes, and one slice more for each further eight. Read-only handles cannot find that out, and wait until somebody else who waits has.
///
/// **Not for** what happens more than once: that is a [`Barrier`](super::Barrier), or an [`Event`](super::Event).
///
/// # Example
///
/// ```
/// use sharedware::{Domain, sync::Latch};
///
/// let domain = Domain::new("doc-latch")?;
/// let started = Latch::create(&domain, "started", 2)?;
///
/// // In each of two processes:
/// let party = started.party()?;
/// // ... all that has to be done before
/// party.count_down();
/// # started.party()?.count_down();
///
/// // In the one that waits:
/// started.wait()?;
/// assert!(started.is_open());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sources
///
/// C++20's `std::latch`, Java's `CountDownLatch`.
#[derive(Clone)]
pub struct Latch<A: Access = ReadWrite> {
    inner: Arc<Inner<A>>,
    /// For who may enlist.
    roster: Option<Roster>,
}

fn layout(count: u64) -> Option<Shape> {
    let count = u32::try_from(count).ok().filter(|&count| count <= MOST)?;
    let mut config = [0; CONFIG_WORDS];
    let seats = count.min(MOST_SEATS);
    config[..2].copy_from_slice(&[count.into(), seats.into()]);
    Some(Shape { config, state: FIRST_SEAT + seats as usize * SEAT_WORDS })
}

fn shape(count: u32) -> Result<Shape, Reason> {
    let (expected, found) = (format!("at most {MOST}"), u64::from(count));
    layout(found).ok_or(Reason::Size { what: "a latch's count", expected, found })
}

fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
    let [count, seats, ..] = config;
    let spoilt = |what, expected, found| Reason::Spoilt { what, expected, found };
    let shape = layout(count).ok_or_else(|| spoilt("count", format!("at most {MOST}"), count))?;
    if seats != shape.config[1] {
        return Err(spoilt("number of seats", shape.config[1].to_string(), seats));
    }
    Ok(shape)
}

fn initialise(state: &Words, count: u32) {
    if let Some(word) = state.first() {
        word.store(if count == 0 { OPEN } else { count.into() }, Relaxed);
    }
}

/// What people see of it, for [`KINDS`](crate::sync::inspect).
pub(in crate::sync) fn inspect(
    config: &[u64; CONFIG_WORDS],
    state: &Words<ReadOnly>,
    seen: &mut Findings,
) -> Option<()> {
    let shape = layout(config[0])?;
    let count = Count::of_word(state.first()?.load(Acquire));
    seen.seats(&state.slice(FIRST_SEAT, shape.state - FIRST_SEAT)?, Role::Expected);
    seen.fact("count", u64::from(count.left()));
    seen.fact("open", count.is_open());
    seen.fact("failed", count.is_failed());
    Some(())
}

impl Object for Latch {
    type Setup = u32;
    const KIND: Kind = Kind::LATCH;

    fn shape(count: &u32) -> Result<Shape, Reason> {
        shape(*count)
    }

    fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        shape_of(config)
    }

    fn initialise(state: &Words, count: &u32) {
        initialise(state, *count);
    }

    fn over(part: Part) -> Result<Self, Reason> {
        let inner = Inner::over(part)?;
        let roster = Roster { _open: abandon::register(&inner), inner: inner.clone() };
        Ok(Self { inner, roster: Some(roster) })
    }
}

impl Object<ReadOnly> for Latch<ReadOnly> {
    type Setup = u32;
    const KIND: Kind = Kind::LATCH;

    fn shape(count: &u32) -> Result<Shape, Reason> {
        shape(*count)
    }

    fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        shape_of(config)
    }

    fn initialise(state: &Words, count: &u32) {
        initialise(state, *count);
    }

    fn over(part: Part<ReadOnly>) -> Result<Self, Reason> {
        Ok(Self { inner: Inner::over(part)?, roster: None })
    }
}

impl<A: Access> Latch<A> {
    /// Whether it is open: then it stays so.
    pub fn is_open(&self) -> bool {
        let outcome = match &self.roster {
            Some(roster) => roster.inner.outcome(),
            None => self.inner.seen(),
        };
        matches!(outcome, Some(Ok(())))
    }

    /// How much is left to count down, enlisted parties included. It may be less the next moment.
    pub fn left(&self) -> u64 {
        self.inner.left()
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &std::path::Path {
        self.inner.part.path()
    }
}

impl Latch<ReadWrite> {
    /// How many bytes one that counts from there takes within a segment, see [`create_at`](Self::create_at); `None` if there can be no such latch.
    pub fn size_of_part(count: u32) -> Option<u64> {
        part::size_of_part::<Self>(&count).ok()
    }

    part::constructors!("a latch", (count: u32), count);

    /// Counts down by `by`; at zero it opens.
    ///
    /// # Errors
    ///
    /// Less than that is left, not counting what enlisted parties have to do; nothing has changed.
    pub fn count_down(&self, by: u32) -> Result<(), CountDownError> {
        match self.inner.change(|count| count.fewer(by)) {
            Ok(count) => {
                if count.left() == 0 && by > 0 {
                    self.inner.open_if_done();
                }
                Ok(())
            }
            Err(found) => Err(CountDownError { by, left: found.left() }),
        }
    }

    /// Enlists this thread as one who is to count down by one.
    ///
    /// # Errors
    ///
    /// Nothing is left to count down that is not an enlisted party's, or 256 are enlisted, or the system refuses.
    pub fn party(&self) -> Result<LatchParty<'_>, LatchError> {
        let me = self.inner.part.me()?;
        let nothing = LatchError::BelowZero(CountDownError { by: 1, left: 0 });
        if self.inner.count().left() == 0 {
            return Err(nothing);
        }
        let seats = &self.inner.seats;
        let seat = seats.claim(me.cookie, thread::id()).ok_or(LatchError::TooManyParties { most: seats.len() })?;
        // The seat first: it is never open in between.
        if self.inner.change(Count::moved_out).is_err() {
            seats.vacate(seat);
            self.inner.open_if_done();
            return Err(nothing);
        }
        Ok(LatchParty::new(self, me, seat))
    }

    /// Waits until it is open.
    ///
    /// # Errors
    ///
    /// [`LatchError::PartyDied`], [`LatchError::Deadlock`], or the system refuses.
    pub fn wait(&self) -> Result<(), LatchError> {
        self.inner.wait(Deadline::NEVER)
    }

    /// The same for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), or [`LatchError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), LatchError> {
        self.inner.wait(Deadline::after(timeout))
    }

    /// Whether it is open; never waits. (If not, it asks the kernel whether the enlisted parties live: microseconds.)
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), or [`LatchError::WouldBlock`].
    pub fn try_wait(&self) -> Result<(), LatchError> {
        if let Some(outcome) = self.inner.outcome() {
            return outcome;
        }
        let peer = self.inner.part.member()?.peer()?;
        self.inner.check(&peer)?;
        self.inner.outcome().unwrap_or(Err(LatchError::WouldBlock))
    }

    /// Counts down by one and waits for the others.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), or [`LatchError::BelowZero`].
    pub fn arrive_and_wait(&self) -> Result<(), LatchError> {
        self.count_down(1)?;
        self.wait()
    }
}

impl Latch<ReadOnly> {
    part::read_only_constructors!("a latch");

    /// Waits until it is open. Since a read-only handle cannot say that it waits, it looks again at growing intervals, a sixteenth of the time it has waited and 40 ms at most.
    ///
    /// # Errors
    ///
    /// [`LatchError::PartyDied`], once somebody with a writable handle has found that out by waiting.
    pub fn wait(&self) -> Result<(), LatchError> {
        self.wait_until(Deadline::NEVER)
    }

    /// The same for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), or [`LatchError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), LatchError> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> Result<(), LatchError> {
        let outcome = bell::watch(self.inner.bell(), deadline, &mut Spin::new(), || self.inner.seen());
        outcome.unwrap_or(Err(LatchError::TimedOut))
    }
}

impl<A: Access> fmt::Debug for Latch<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Latch");
        debug.field("path", &self.path()).field("left", &self.left()).finish_non_exhaustive()
    }
}
