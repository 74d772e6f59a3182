//! The side that pushes.

use std::fmt;
use std::time::Duration;

use super::claim::PushClaim;
use super::hot::Hot;
use crate::Shared;
use crate::base::atomic::Ordering::{Acquire, Release};
use crate::base::copy;
use crate::ring::control::Control;
use crate::ring::error::{AttachError, PushError};
use crate::ring::side::{PeerState, Side, WhenPeerGone};
use crate::segment::Error;
use crate::segment::cells::{Cells, Place};
use crate::sync::bell::{self, Deadline, Look};
use crate::sync::spin::Spin;

/// The pushing side of a ring, taken with [`Ring::producer`](super::Ring::producer); given up when dropped or when the process dies.
///
/// In a forked child every call fails with [`PushError::Forked`] and dropping does nothing.
//
// Invariants:
// 1. `limit - capacity <= head`, where `head` is the consumer's exact position at any time; `position <= stop <= limit`.
// 2. Values `position..limit` are ours to write: the consumer has popped what was there.
// 3. `stop <= block_end`, the end of the block that `place` is in; `position == block_end` only with `position == stop`.
pub struct Producer<T: Shared> {
    hot: Hot,
    cells: Cells<T>,
    side: Side,
    control: Control,
    limit: u64,
    block_end: u64,
    spin: Spin,
}

impl<T: Shared> Producer<T> {
    /// Goes on where the last producer's committed values end.
    pub(super) fn new(cells: Cells<T>, control: Control, side: Side) -> Result<Self, AttachError> {
        let head = control.head().load(Acquire);
        check_position(head)?;
        let position = find_tail(&cells, head);
        let place = cells.place(position);
        let hot = Hot::new(position, place);
        let limit = head.wrapping_add(cells.capacity());
        Ok(Self { hot, cells, side, control, limit, block_end: Cells::<T>::block_end(position), spin: Spin::new() })
    }

    /// How many values the ring holds at most.
    pub fn capacity(&self) -> u64 {
        self.cells.capacity()
    }

    /// How many values have been pushed since the ring was created, by all its producers: where a successor goes on.
    pub fn position(&self) -> u64 {
        self.hot.position
    }

    /// Whether this is the process that took the side.
    pub(super) fn is_current(&self) -> bool {
        self.side.is_current()
    }

    /// The state of the consumer's side. Asks the kernel.
    ///
    /// # Errors
    ///
    /// It cannot be found out; see [`Reason`](crate::Reason).
    pub fn peer(&self) -> Result<PeerState, Error> {
        self.side.other()
    }

    /// What blocked calls do when the consumer is gone; they fail unless said otherwise.
    pub fn when_peer_gone(&mut self, when: WhenPeerGone) {
        self.side.when_gone = when;
    }

    /// Pushes if there is room. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`], `Forked` or `Corrupt`.
    #[inline(always)]
    pub fn try_push(&mut self, value: T) -> Result<(), PushError> {
        if !self.has_room() {
            self.make_room()?;
        }
        self.put(&value);
        Ok(())
    }

    /// Pushes, waiting for room if there is none: spins, then sleeps.
    ///
    /// # Errors
    ///
    /// [`PushError::Disconnected`] if full and the consumer is gone (unless told to wait), `Forked`, `Corrupt` or `Liveness`.
    #[inline(always)]
    pub fn push(&mut self, value: T) -> Result<(), PushError> {
        if !self.has_room() {
            self.await_room(Deadline::NEVER)?;
        }
        self.put(&value);
        Ok(())
    }

    /// As [`push`](Self::push), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push), or [`PushError::TimedOut`].
    #[inline(always)]
    pub fn push_timeout(&mut self, value: T, timeout: Duration) -> Result<(), PushError> {
        if !self.has_room() {
            self.wait_for_room_timeout(timeout)?;
        }
        self.put(&value);
        Ok(())
    }

    /// Pushes as many of `values` as there is room for, in order, and returns how many. Wait-free. A killed process leaves some first part of
    /// them.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] if there is room for none (and `values` is not empty), `Forked` or `Corrupt`.
    #[inline]
    pub fn push_slice(&mut self, values: &[T]) -> Result<usize, PushError> {
        if !self.side.is_current() {
            return Err(PushError::Forked);
        }
        let mut rest = values;
        while !rest.is_empty() {
            if !self.has_room()
                && let Err(error) = self.make_room()
            {
                if rest.len() < values.len() {
                    break;
                }
                return Err(error);
            }
            let count = (self.hot.ours() as usize).min(rest.len());
            let (now, later) = rest.split_at(count);
            let mut place = self.hot.place;
            for value in now {
                copy::store(self.cells.value(place), value);
                place = Cells::<T>::next(place);
            }
            self.pass(count as u64);
            rest = later;
        }
        self.side.wake_other();
        Ok(values.len() - rest.len())
    }

    /// Claims the next cell, to write its value in place. Nothing is pushed until [`PushClaim::commit`]. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`], `Forked` or `Corrupt`.
    #[inline]
    pub fn claim(&mut self) -> Result<PushClaim<'_, T>, PushError> {
        self.claim_many(1)
    }

    /// Claims the next `most` cells, or as many as there are free ones, at least one. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`], `Forked` or `Corrupt`.
    #[inline]
    pub fn claim_many(&mut self, most: usize) -> Result<PushClaim<'_, T>, PushError> {
        let most = (most as u64).max(1);
        if !self.has_room() {
            self.make_room()?;
        }
        if self.limit.wrapping_sub(self.hot.position) < most {
            // Fewer will do.
            match self.refresh(most.min(self.cells.capacity())) {
                Ok(()) | Err(PushError::Full) => {}
                Err(error) => return Err(error),
            }
        }
        let count = self.limit.wrapping_sub(self.hot.position).min(most);
        if count > Cells::<T>::VALUES {
            self.cells.prefetch_claim(self.hot.place, count);
        }
        Ok(PushClaim::new(self, count))
    }

    /// Waits until there is room for at least one value; see [`push`](Self::push).
    ///
    /// # Errors
    ///
    /// As for [`push_timeout`](Self::push_timeout).
    pub fn wait_for_room_timeout(&mut self, timeout: Duration) -> Result<(), PushError> {
        match self.make_room() {
            Err(PushError::Full) => self.await_room(Deadline::after(timeout)),
            outcome => outcome,
        }
    }

    /// Writes the value and, with the mark, commits it. There must be room: `position < stop`.
    #[inline(always)]
    fn put(&mut self, value: &T) {
        copy::store(self.cells.value(self.hot.place), value);
        self.pass(1);
        self.side.wake_other();
    }

    /// Commits `count` values that were written from the current place on, all in its block.
    #[inline(always)]
    fn pass(&mut self, count: u64) {
        let position = self.hot.position.wrapping_add(count);
        // Pairs with the consumer's acquire load of the mark: who sees it sees the values.
        self.cells.mark(self.hot.place).store(position, Release);
        self.hot.position = position;
        Cells::<T>::advance(&mut self.hot.place, count);
    }

    /// Where the value `index` places after the current position is.
    pub(super) fn place(&self, index: u64) -> Place {
        self.cells.place(self.hot.position.wrapping_add(index))
    }

    /// Where the next `count` values are, in runs.
    #[inline(always)]
    pub(super) fn runs(&self, count: u64) -> impl Iterator<Item = (Place, usize)> {
        self.cells.runs(self.hot.place, self.block_end.wrapping_sub(self.hot.position), count)
    }

    pub(super) fn cells(&self) -> &Cells<T> {
        &self.cells
    }

    /// Commits `count` claimed values that were written in place, block by block.
    #[inline]
    pub(super) fn commit(&mut self, count: u64) {
        // A claim that was inherited across a fork commits nothing.
        if !self.side.is_current() {
            return;
        }
        let mut rest = count;
        while rest > 0 {
            if self.hot.position == self.block_end {
                self.enter_block();
            }
            let count = self.block_end.wrapping_sub(self.hot.position).min(rest);
            self.pass(count);
            rest -= count;
        }
        self.stop_at_limit();
        self.side.wake_other();
    }

    /// Whether there is room in the current block, or in the next at its end, as far as we know without asking; and we are who we were.
    #[inline(always)]
    fn has_room(&mut self) -> bool {
        if !self.side.is_current() {
            return false;
        }
        if self.hot.position != self.hot.stop {
            return true;
        }
        if self.hot.position == self.limit || self.hot.position != self.block_end {
            return false;
        }
        self.enter_block();
        self.stop_at_limit();
        true
    }

    /// Asks the consumer for room for at least one more value in the current block or the next.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) -> Result<(), PushError> {
        if !self.side.is_current() {
            return Err(PushError::Forked);
        }
        if self.hot.position == self.limit {
            self.refresh(1)?;
        }
        if self.hot.position == self.block_end {
            self.enter_block();
        }
        self.stop_at_limit();
        Ok(())
    }

    /// Goes on to the next block.
    #[inline(always)]
    fn enter_block(&mut self) {
        let place = self.cells.next_block(self.hot.place);
        self.hot.place = place;
        self.block_end = self.block_end.wrapping_add(Cells::<T>::VALUES);
        if self.limit.wrapping_sub(self.hot.position) >= Cells::<T>::PREFETCHED {
            self.cells.prefetch(place);
        }
    }

    #[inline(always)]
    fn stop_at_limit(&mut self) {
        let free = self.limit.wrapping_sub(self.hot.position);
        let in_block = self.block_end.wrapping_sub(self.hot.position);
        self.hot.stop = self.hot.position.wrapping_add(free.min(in_block));
    }

    /// Learns where the consumer is: by its published position, or, if that leaves room for fewer than `wanted` values, by its exact one. `Full`
    /// if there is no room at all.
    fn refresh(&mut self, wanted: u64) -> Result<(), PushError> {
        let capacity = self.cells.capacity();
        let known = self.limit.wrapping_sub(capacity);
        let unpopped = self.hot.position.wrapping_sub(known);
        // Acquire, both: the consumer has read what it gave up before we write over it.
        let published = self.control.released().load(Acquire);
        // It lags behind the exact position, at times behind what we know.
        if published.wrapping_sub(known) <= unpopped {
            self.limit = published.wrapping_add(capacity);
        }
        if self.limit.wrapping_sub(self.hot.position) < wanted {
            let head = self.control.head().load(Acquire);
            if head.wrapping_sub(known) > unpopped {
                return Err(PushError::Corrupt("its consumer is not between what was known and its producer"));
            }
            self.limit = head.wrapping_add(capacity);
        }
        if self.limit == self.hot.position { Err(PushError::Full) } else { Ok(()) }
    }

    /// As `make_room`, but waits for it.
    #[cold]
    #[inline(never)]
    fn await_room(&mut self, deadline: Deadline) -> Result<(), PushError> {
        match self.make_room() {
            Err(PushError::Full) => {}
            outcome => return outcome,
        }
        let Self { hot, cells, control, side, spin, .. } = self;
        let unpopped = |head: u64| hot.position.wrapping_sub(head);
        let ready = |look| {
            let room = match look {
                // Looking at the exact position takes its line from the consumer at each pop.
                Look::Glance => unpopped(control.released().load(Acquire)) < cells.capacity(),
                // More than all: spoilt, `make_room` says so.
                Look::Thorough => unpopped(control.head().load(Acquire)) != cells.capacity(),
            };
            room.then_some(())
        };
        let check = || side.check_other(PushError::Disconnected);
        match bell::wait(side.own_bell(), deadline, spin, ready, check)? {
            Some(()) => self.make_room(),
            None => Err(PushError::TimedOut),
        }
    }
}

/// Positions near the end of their range, where blocks do not come out even, are nobody's: at 10^9 values a second they are 292 years away.
pub(super) fn check_position(position: u64) -> Result<(), AttachError> {
    if position < 1 << 63 { Ok(()) } else { Err(AttachError::Corrupt("its consumer is where no consumer can be")) }
}

/// Where the committed values end: the marks from `head` on say "there" up to some position and "not there" from it on, so halving finds
/// it.
pub(super) fn find_tail<T: Shared>(cells: &Cells<T>, head: u64) -> u64 {
    let is_there = |offset: u64| {
        let position = head.wrapping_add(offset);
        let place = cells.place(position);
        let mark = cells.mark(place).load(Acquire);
        cells.ready(place, position, Cells::<T>::block_end(position), mark).is_some_and(|ready| ready > 0)
    };
    let (mut there, mut not_there) = (0, cells.capacity());
    while there < not_there {
        let middle = there + (not_there - there) / 2;
        if is_there(middle) { there = middle + 1 } else { not_there = middle }
    }
    head.wrapping_add(there)
}

impl<T: Shared> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("position", &self.position()).field("capacity", &self.capacity()).finish()
    }
}
