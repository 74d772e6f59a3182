//! The words of a latch, and what is done with them. The protocol is in ARCHITECTURE.md, "Barriers and latches".

use std::sync::Arc;

use super::FIRST_SEAT;
use super::error::LatchError;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{AcqRel, Acquire, SeqCst};
use crate::base::atomic::{Word, fence};
use crate::peer::{Peer, Place, WaitRecord};
use crate::segment::region::WordArray;
use crate::segment::{Error, Reason};
use crate::sync::abandon::{Abandon, Open};
use crate::sync::bell::{self, Deadline, Look};
use crate::sync::part::Part;
use crate::sync::seats::Seats;
use crate::sync::spin::Spin;
use crate::sync::thread;

/// What the count word holds: `failed << 63 | open << 62 | moves (30 bits) << 32 | count (32 bits)`.
///
/// | from | to | who |
/// | --- | --- | --- |
/// | n | n - k, if there are as many | anyone, `count_down` |
/// | n | n - 1, moves + 1, for a seat that was taken before | who enlists |
/// | n | n + 1, moves + 1, for a seat that is left after | who leaves without having counted down |
/// | 0, and no seat taken | open | anyone who finds it so |
/// | not open | failed | anyone who finds the holder of a seat dead |
///
/// So what is still to come is the count and the seats that are taken; a unit is never in neither. All by CAS; open and failed are for good. Moves tell who has found the count at 0, looked at all seats, and finds the
/// same word again, that no unit has moved behind the look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(u64);

pub(super) const OPEN: u64 = 1 << 62;
const FAILED: u64 = 1 << 63;
const MOVES: u64 = ((1 << 30) - 1) << 32;

impl Count {
    pub(super) fn of_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) fn left(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }

    pub(super) fn is_failed(self) -> bool {
        self.0 & FAILED != 0
    }

    fn with_left(self, left: u32) -> Self {
        Self(self.0 >> 32 << 32 | u64::from(left))
    }

    /// What is said for good.
    fn outcome(self) -> Option<Result<(), LatchError>> {
        match self {
            _ if self.is_open() => Some(Ok(())),
            _ if self.is_failed() => Some(Err(LatchError::PartyDied)),
            _ => None,
        }
    }

    /// One unit moves to a seat.
    pub(super) fn moved_out(self) -> Option<Self> {
        Some(self.fewer(1)?.moved())
    }

    /// Or back.
    pub(super) fn moved_in(self) -> Self {
        self.with_left(self.left().saturating_add(1)).moved()
    }

    fn moved(self) -> Self {
        Self(self.0 & !MOVES | self.0.wrapping_add(1 << 32) & MOVES)
    }

    /// Nothing is left, seats apart; and it is not settled yet.
    fn is_at_zero(self) -> bool {
        self.0 & !MOVES == 0
    }

    pub(super) fn fewer(self, by: u32) -> Option<Self> {
        Some(self.with_left(self.left().checked_sub(by)?))
    }
}

pub(super) struct Inner<A: Access> {
    pub(super) part: Part<A>,
    line: WordArray<8, A>,
    pub(super) seats: Seats<A>,
}

/// What only those have who may enlist.
#[derive(Clone)]
pub(super) struct Roster {
    pub(super) inner: Arc<Inner<ReadWrite>>,
    pub(super) _open: Open,
}

impl<A: Access> Inner<A> {
    pub(super) fn over(part: Part<A>) -> Result<Arc<Self>, Reason> {
        let seats = part.state.len() - FIRST_SEAT;
        let seats = part.state.slice(FIRST_SEAT, seats).ok_or(Reason::NotFound)?;
        Ok(Arc::new(Self { line: part.array::<8>(0)?, seats: Seats::new(seats), part }))
    }

    /// Acquire: pairs with `change`; who sees it open sees what came before each counting down.
    pub(super) fn count(&self) -> Count {
        Count(self.line.at::<0>().load(Acquire))
    }

    pub(super) fn bell(&self) -> &Word<A> {
        self.line.at::<1>()
    }

    /// What there is to say to who only looks; `None` if nothing yet.
    pub(super) fn seen(&self) -> Option<Result<(), LatchError>> {
        let count = self.count();
        count.outcome().or_else(|| self.is_done(count).then_some(Ok(())))
    }

    /// Whether everything has been counted down, the count having been found so.
    fn is_done(&self, count: Count) -> bool {
        // A seat is taken before its unit leaves the count, and left after it has gone back: if the count is the same after the look, nothing was missed.
        count.is_at_zero() && self.seats.taken(usize::MAX) == 0 && self.count() == count
    }

    pub(super) fn left(&self) -> u64 {
        let count = self.count();
        if count.is_open() { 0 } else { u64::from(count.left()) + self.seats.taken(usize::MAX) as u64 }
    }
}

impl Inner<ReadWrite> {
    /// Changes the count as `change` says; `Err` with what it is if that says `None`.
    pub(super) fn change(&self, change: impl Fn(Count) -> Option<Count>) -> Result<Count, Count> {
        let word = self.line.at::<0>();
        let mut seen = self.count();
        loop {
            let Some(changed) = change(seen) else { return Err(seen) };
            // AcqRel: what came before each counting down goes on to who finds it open.
            match word.compare_exchange(seen.0, changed.0, AcqRel, Acquire) {
                Ok(_) => return Ok(changed),
                Err(found) => seen = Count(found),
            }
        }
    }

    /// What there is to say to who waits; `None` if nothing yet.
    pub(super) fn outcome(&self) -> Option<Result<(), LatchError>> {
        let count = self.count();
        count.outcome().or_else(|| {
            // Opened before we say so: otherwise one who comes too late, takes a seat and dies could still make it fail.
            self.open_if_still(count).then(|| self.count().outcome()).flatten()
        })
    }

    /// After something that may have been the last: opens it if it was.
    pub(super) fn open_if_done(&self) {
        // Of two who do the last two things at once, at least one then sees the other's.
        fence(SeqCst);
        self.open_if_still(self.count());
    }

    /// Opens it if everything has been counted down, the count having been found so; whether it had been.
    fn open_if_still(&self, found: Count) -> bool {
        let is_done = self.is_done(found);
        if is_done {
            // If this fails, somebody else was faster.
            let _ = self.change(|count| (count == found).then_some(Count(OPEN)));
            bell::ring(self.bell(), self.part.light);
        }
        is_done
    }

    pub(super) fn fail(&self) {
        let failed = |count: Count| (!count.is_open() && !count.is_failed()).then_some(Count(count.0 | FAILED));
        if self.change(failed).is_ok() {
            bell::ring(self.bell(), self.part.light);
        }
    }

    /// Looks whether a party is dead.
    pub(super) fn check(&self, peer: &Peer) -> Result<(), Error> {
        let mut dead = false;
        self.seats.find_lost(peer, self.line.at::<3>(), |_, _| {
            dead = true;
            false
        })?;
        if dead {
            self.fail();
        }
        Ok(())
    }

    pub(super) fn wait(&self, deadline: Deadline) -> Result<(), LatchError> {
        if let Some(outcome) = self.outcome() {
            return outcome;
        }
        let peer = self.part.member()?.peer()?;
        // While we wait nobody counts down for us.
        if self.seats.has(peer.cookie(), thread::id()) {
            return Err(LatchError::Deadlock);
        }
        let spins = self.line.at::<2>();
        let mut spin = Spin::recall(spins);
        let mut record: Option<WaitRecord> = None;
        let ready = |_: Look| self.outcome();
        let check = || -> Result<(), LatchError> {
            record = record.take().or_else(|| peer.wait_record(thread::id(), self.part.place()));
            self.check(&peer)?;
            // Who has no more time is to learn of it as well.
            match self.outcome() {
                Some(Err(error)) => Err(error),
                Some(Ok(())) | None => Ok(()),
            }
        };
        let outcome = bell::wait_in_slices(bell::CALM_SLICE, self.bell(), deadline, &mut spin, ready, check);
        spin.keep(spins);
        outcome?.or_else(|| self.outcome()).unwrap_or(Err(LatchError::TimedOut))
    }
}

impl Abandon for Inner<ReadWrite> {
    fn place(&self) -> Place {
        self.part.place()
    }

    fn abandon(&self, thread: Option<u32>) {
        // A forked child has taken no seat before it is known.
        if let Some(me) = self.part.known_me()
            && self.seats.lose_all(me.cookie, thread)
        {
            self.fail();
        }
    }
}
