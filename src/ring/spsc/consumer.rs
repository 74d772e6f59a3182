//! The side that pops.

use std::fmt;
use std::time::Duration;

use super::claim::PopClaim;
use super::hot::Hot;
use super::producer::check_position;
use crate::Shared;
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::copy;
use crate::ring::control::Control;
use crate::ring::error::{AttachError, PopError};
use crate::ring::side::{PeerState, Side, WhenPeerGone};
use crate::segment::Error;
use crate::segment::cells::{Cells, Place};
use crate::sync::bell::{self, Deadline};
use crate::sync::spin::Spin;

/// The popping side of a ring, taken with [`Ring::consumer`](super::Ring::consumer); given up when dropped or when the process dies.
///
/// In a forked child every call fails with [`PopError::Forked`] and dropping does nothing.
//
// Invariants:
// 1. `position` is the exact position, as stored in the ring's `head` (but in the middle of a batch); `released` is what was last published,
//    at most `head`.
// 2. Values `position..stop` are there, by their block's mark, and ours to read until `head` passes them.
// 3. `stop <= block_end`, the end of the block that `place` is in; `position == block_end` only with `position == stop`.
pub struct Consumer<T: Shared> {
    hot: Hot,
    cells: Cells<T>,
    side: Side,
    control: Control,
    block_end: u64,
    released: u64,
    /// How many values to pop before publishing the position again.
    interval: u64,
    spin: Spin,
}

impl<T: Shared> Consumer<T> {
    /// Goes on where the last consumer stopped.
    pub(super) fn new(cells: Cells<T>, control: Control, side: Side) -> Result<Self, AttachError> {
        let position = control.head().load(Acquire);
        check_position(position)?;
        let hot = Hot::new(position, cells.place(position));
        control.released().store(position, Release);
        let interval = cells.capacity() / 8;
        let block_end = Cells::<T>::block_end(position);
        Ok(Self { hot, cells, side, control, block_end, released: position, interval, spin: Spin::new() })
    }

    /// How many values the ring holds at most.
    pub fn capacity(&self) -> u64 {
        self.cells.capacity()
    }

    /// How many values have been popped since the ring was created, by all its consumers: where a successor goes on.
    pub fn position(&self) -> u64 {
        self.hot.position
    }

    /// Whether this is the process that took the side.
    pub(super) fn is_current(&self) -> bool {
        self.side.is_current()
    }

    /// The state of the producer's side. Asks the kernel.
    ///
    /// # Errors
    ///
    /// It cannot be found out; see [`Reason`](crate::Reason).
    pub fn peer(&self) -> Result<PeerState, Error> {
        self.side.other()
    }

    /// What blocked calls do when the producer is gone; they fail unless said otherwise, after everything committed was popped.
    pub fn when_peer_gone(&mut self, when: WhenPeerGone) {
        self.side.when_gone = when;
    }

    /// Pops if there is something. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PopError::Empty`], `Forked` or `Corrupt`.
    #[inline(always)]
    pub fn try_pop(&mut self) -> Result<T, PopError> {
        if !self.has_value() {
            self.look()?;
        }
        Ok(self.take())
    }

    /// Pops, waiting if there is nothing: spins, then sleeps.
    ///
    /// # Errors
    ///
    /// [`PopError::Disconnected`] if empty and the producer is gone (unless told to wait), `Forked`, `Corrupt` or `Liveness`.
    #[inline(always)]
    pub fn pop(&mut self) -> Result<T, PopError> {
        if !self.has_value() {
            self.await_value(Deadline::NEVER)?;
        }
        Ok(self.take())
    }

    /// As [`pop`](Self::pop), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`pop`](Self::pop), or [`PopError::TimedOut`].
    #[inline(always)]
    pub fn pop_timeout(&mut self, timeout: Duration) -> Result<T, PopError> {
        if !self.has_value() {
            self.wait_for_value_timeout(timeout)?;
        }
        Ok(self.take())
    }

    /// Pops as many values as there are and `to` has room for, in order, and returns how many. Wait-free. All of them are popped by one store,
    /// so a killed process has popped all or none.
    ///
    /// # Errors
    ///
    /// [`PopError::Empty`] if there is none (and `to` is not empty), `Forked` or `Corrupt`.
    #[inline]
    pub fn pop_slice(&mut self, to: &mut [T]) -> Result<usize, PopError> {
        if !self.side.is_current() {
            return Err(PopError::Forked);
        }
        let mut popped = 0;
        while let Some(rest) = to.get_mut(popped..).filter(|rest| !rest.is_empty()) {
            if !self.has_value()
                && let Err(error) = self.look()
            {
                if popped > 0 {
                    break;
                }
                return Err(error);
            }
            let count = (self.hot.ours() as usize).min(rest.len());
            let mut place = self.hot.place;
            for value in rest.iter_mut().take(count) {
                *value = copy::load(self.cells.value(place));
                place = Cells::<T>::next(place);
            }
            self.pass(count as u64);
            popped += count;
        }
        if popped > 0 {
            self.give_up();
            self.publish_if_due();
        }
        Ok(popped)
    }

    /// Claims the next value, to read it in place. It is popped by [`PopClaim::release`]; otherwise it stays. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PopError::Empty`], `Forked` or `Corrupt`.
    #[inline]
    pub fn claim(&mut self) -> Result<PopClaim<'_, T>, PopError> {
        self.claim_many(1)
    }

    /// Claims the next `most` values, or as many as there are, at least one. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PopError::Empty`], `Forked` or `Corrupt`.
    #[inline]
    pub fn claim_many(&mut self, most: usize) -> Result<PopClaim<'_, T>, PopError> {
        // Looks again even if something is there: more of the block may be by now.
        self.look()?;
        let most = (most as u64).max(1);
        let mut count = self.hot.ours().min(most);
        let (mut place, mut end) = (self.hot.place, self.block_end);
        // Whole blocks behind a whole one.
        while count < most && self.hot.position.wrapping_add(count) == end && count < self.capacity() {
            place = self.cells.next_block(place);
            let start = end;
            end = end.wrapping_add(Cells::<T>::VALUES);
            let mark = self.cells.mark(place).load(Acquire);
            match self.cells.ready(place, start, end, mark) {
                Some(0) => break,
                Some(ready) => count = (count + ready).min(most),
                None => return Err(PopError::Corrupt(IMPOSSIBLE_MARK)),
            }
        }
        Ok(PopClaim::new(self, count))
    }

    /// Waits until there is at least one value; see [`pop`](Self::pop).
    ///
    /// # Errors
    ///
    /// As for [`pop_timeout`](Self::pop_timeout).
    pub fn wait_for_value_timeout(&mut self, timeout: Duration) -> Result<(), PopError> {
        match self.look() {
            Err(PopError::Empty) => self.await_value(Deadline::after(timeout)),
            outcome => outcome,
        }
    }

    /// Takes the value at the position, which must be there: `position < stop`.
    #[inline(always)]
    fn take(&mut self) -> T {
        let value = copy::load(self.cells.value(self.hot.place));
        self.pass(1);
        self.give_up();
        value
    }

    /// Goes past `count` values that have been read, all in the current block.
    #[inline(always)]
    fn pass(&mut self, count: u64) {
        self.hot.position = self.hot.position.wrapping_add(count);
        Cells::<T>::advance(&mut self.hot.place, count);
    }

    /// Gives up what is behind the position, which has been read, and wakes the producer if it sleeps.
    #[inline(always)]
    fn give_up(&mut self) {
        // Release: we have read it before the producer writes over it.
        self.control.head().store(self.hot.position, Release);
        self.side.wake_other();
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

    /// Pops `count` claimed values.
    #[inline]
    pub(super) fn release(&mut self, count: u64) {
        // A claim that was inherited across a fork releases nothing.
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
        // Whether more of the block is there, the next look will tell.
        if self.hot.stop.wrapping_sub(self.hot.position) > Cells::<T>::VALUES {
            self.hot.stop = self.hot.position;
        }
        self.give_up();
        self.publish_if_due();
    }

    /// Whether there is a value in the current block, or in the next at its end; and we are who we were.
    #[inline(always)]
    fn has_value(&mut self) -> bool {
        if !self.side.is_current() {
            return false;
        }
        if self.hot.position != self.hot.stop {
            return true;
        }
        if self.hot.position == self.block_end {
            self.enter_block();
        }
        // Pairs with the producer's release store of the mark.
        let mark = self.cells.mark(self.hot.place).load(Acquire);
        match self.cells.ready(self.hot.place, self.hot.position, self.block_end, mark) {
            Some(0) | None => false,
            Some(ready) => {
                self.hot.stop = self.hot.position.wrapping_add(ready);
                true
            }
        }
    }

    /// Looks again how much there is, and says why there is nothing.
    #[cold]
    #[inline(never)]
    fn look(&mut self) -> Result<(), PopError> {
        if !self.side.is_current() {
            return Err(PopError::Forked);
        }
        if self.hot.position == self.block_end {
            self.enter_block();
        }
        let mark = self.cells.mark(self.hot.place).load(Acquire);
        match self.cells.ready(self.hot.place, self.hot.position, self.block_end, mark) {
            Some(0) => {
                // A good moment to publish the position, since the producer may be idle too.
                self.publish();
                Err(PopError::Empty)
            }
            Some(ready) => {
                self.hot.stop = self.hot.position.wrapping_add(ready);
                Ok(())
            }
            None => Err(PopError::Corrupt(IMPOSSIBLE_MARK)),
        }
    }

    /// Goes on to the next block; and now and then says where we are.
    #[inline(always)]
    fn enter_block(&mut self) {
        self.hot.place = self.cells.next_block(self.hot.place);
        self.block_end = self.block_end.wrapping_add(Cells::<T>::VALUES);
        self.publish_if_due();
    }

    #[inline(always)]
    fn publish_if_due(&mut self) {
        if self.hot.position.wrapping_sub(self.released) >= self.interval {
            self.publish();
        }
    }

    /// Says where we are, where the producer looks. Not the position but what `head` says: in the middle of a batch the position is ahead of it, and if
    /// we died there, our successor would find values written over.
    #[cold]
    #[inline(never)]
    fn publish(&mut self) {
        // Nobody but us stores it.
        let head = self.control.head().load(Relaxed);
        if self.released != head {
            self.released = head;
            self.control.released().store(head, Release);
        }
    }

    /// As `look`, but waits until something is there.
    #[cold]
    #[inline(never)]
    fn await_value(&mut self, deadline: Deadline) -> Result<(), PopError> {
        match self.look() {
            Err(PopError::Empty) => {}
            outcome => return outcome,
        }
        let Self { hot, cells, side, spin, block_end, .. } = self;
        // A mark that cannot be is something, too: looking again tells.
        let ready = |_| {
            let mark = cells.mark(hot.place).load(Acquire);
            (cells.ready(hot.place, hot.position, *block_end, mark) != Some(0)).then_some(())
        };
        let check = || side.check_other(PopError::Disconnected);
        match bell::wait(side.own_bell(), deadline, spin, ready, check)? {
            Some(()) => self.look(),
            None => Err(PopError::TimedOut),
        }
    }
}

const IMPOSSIBLE_MARK: &str = "a block's mark is beyond its end";

impl<T: Shared> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("position", &self.position()).field("capacity", &self.capacity()).finish()
    }
}
