//! The side that pops.

use std::fmt;
use std::time::Duration;

use super::claim::PopClaim;
use crate::Shared;
use crate::base::atomic::Ordering::{Acquire, Release};
use crate::base::copy;
use crate::ring::control::Control;
use crate::ring::error::{AttachError, PopError};
use crate::ring::side::{PeerState, Side, WhenPeerGone};
use crate::segment::Error;
use crate::segment::cells::{Cell, Cells};
use crate::sync::bell::{self, Deadline};
use crate::sync::spin::Spin;

/// The popping side of a ring, taken with [`Ring::consumer`](super::Ring::consumer); given up when dropped or when the process dies.
///
/// In a forked child every call fails with [`PopError::Forked`] and dropping does nothing.
//
// Invariants:
// 1. `head` is the exact position, as stored in the ring; `released` is what was last published, at most `head`.
// 2. A cell whose mark is its position + 1 is ours to read until `head` passes it.
pub struct Consumer<T: Shared> {
    cells: Cells<T>,
    control: Control,
    side: Side,
    head: u64,
    released: u64,
    /// How many values to pop before publishing the position again.
    interval: u64,
    spin: Spin,
}

impl<T: Shared> Consumer<T> {
    /// Goes on where the last consumer stopped.
    pub(super) fn new(cells: Cells<T>, control: Control, side: Side) -> Result<Self, AttachError> {
        let head = control.head().load(Acquire);
        let tail = control.tail().load(Acquire);
        // The tail is a hint and may lag, but by one batch at most, and the head is never a whole ring behind it.
        if tail.wrapping_sub(head) > cells.capacity() && head.wrapping_sub(tail) > cells.capacity() {
            return Err(AttachError::Corrupt("its consumer's and its producer's position are too far apart"));
        }
        control.released().store(head, Release);
        let interval = (cells.capacity() / 8).max(1);
        Ok(Self { cells, control, side, head, released: head, interval, spin: Spin::new() })
    }

    /// How many values the ring holds at most.
    pub fn capacity(&self) -> u64 {
        self.cells.capacity()
    }

    /// How many values have been popped since the ring was created, by all its consumers: where a successor goes on.
    pub fn position(&self) -> u64 {
        self.head
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
    /// [`PopError::Empty`] or `Forked`.
    #[inline]
    pub fn try_pop(&mut self) -> Result<T, PopError> {
        let Some(cell) = self.next(0) else { return Err(self.nothing()) };
        if !self.side.is_current() {
            return Err(PopError::Forked);
        }
        let mut value = T::zeroed();
        copy::load_bytes(cell.value(), bytemuck::bytes_of_mut(&mut value));
        self.advance(1);
        Ok(value)
    }

    /// Pops, waiting if there is nothing: spins, then sleeps.
    ///
    /// # Errors
    ///
    /// [`PopError::Disconnected`] if empty and the producer is gone (unless told to wait), `Forked` or `Liveness`.
    #[inline]
    pub fn pop(&mut self) -> Result<T, PopError> {
        self.pop_until(Deadline::NEVER)
    }

    /// As [`pop`](Self::pop), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`pop`](Self::pop), or [`PopError::TimedOut`].
    #[inline]
    pub fn pop_timeout(&mut self, timeout: Duration) -> Result<T, PopError> {
        match self.try_pop() {
            Err(PopError::Empty) => self.pop_until(Deadline::after(timeout)),
            outcome => outcome,
        }
    }

    #[inline(always)]
    fn pop_until(&mut self, deadline: Deadline) -> Result<T, PopError> {
        if self.next(0).is_none() {
            self.wait_for_value(deadline)?;
        }
        self.try_pop()
    }

    /// Pops as many values as there are and `to` has room for, in order, and returns how many. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PopError::Empty`] if there is none (and `to` is not empty), or `Forked`.
    #[inline]
    pub fn pop_slice(&mut self, to: &mut [T]) -> Result<usize, PopError> {
        if !self.side.is_current() {
            return Err(PopError::Forked);
        }
        let mut count = 0;
        for (index, place) in (0..self.capacity()).zip(to.iter_mut()) {
            let Some(cell) = self.next(index) else { break };
            copy::load_bytes(cell.value(), bytemuck::bytes_of_mut(place));
            count += 1;
        }
        if count == 0 && !to.is_empty() {
            return Err(self.nothing());
        }
        self.advance(count);
        Ok(count as usize)
    }

    /// Claims the next value, to read it in place. It is popped by [`PopClaim::release`]; otherwise it stays. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PopError::Empty`] or `Forked`.
    #[inline]
    pub fn claim(&mut self) -> Result<PopClaim<'_, T>, PopError> {
        self.claim_many(1)
    }

    /// Claims the next `most` values, or as many as there are, at least one. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PopError::Empty`] or `Forked`.
    #[inline]
    pub fn claim_many(&mut self, most: usize) -> Result<PopClaim<'_, T>, PopError> {
        if !self.side.is_current() {
            return Err(PopError::Forked);
        }
        let most = (most as u64).clamp(1, self.capacity());
        let count = (0..most).take_while(|&index| self.next(index).is_some()).count() as u64;
        if count == 0 { Err(self.nothing()) } else { Ok(PopClaim::new(self, count)) }
    }

    /// Waits until there is at least one value; see [`pop`](Self::pop).
    ///
    /// # Errors
    ///
    /// As for [`pop_timeout`](Self::pop_timeout).
    pub fn wait_for_value_timeout(&mut self, timeout: Duration) -> Result<(), PopError> {
        if self.next(0).is_some() {
            return Ok(());
        }
        self.wait_for_value(Deadline::after(timeout))
    }

    /// The cell `index` places behind the head, if its value is there.
    #[inline(always)]
    fn next(&self, index: u64) -> Option<Cell<'_, T>> {
        let position = self.head.wrapping_add(index);
        let cell = self.cells.at(position);
        // Pairs with the producer's release store of the mark.
        (cell.mark().load(Acquire) == position.wrapping_add(1)).then_some(cell)
    }

    pub(super) fn cell(&self, index: u64) -> Cell<'_, T> {
        self.cells.at(self.head.wrapping_add(index))
    }

    /// Gives up `count` cells that have been read, and wakes the producer if it sleeps.
    #[inline(always)]
    pub(super) fn advance(&mut self, count: u64) {
        self.head = self.head.wrapping_add(count);
        // Release: we have read them before the producer writes over them.
        self.control.head().store(self.head, Release);
        if self.head.wrapping_sub(self.released) >= self.interval {
            self.publish();
        }
        self.side.wake_other();
    }

    #[inline(always)]
    fn publish(&mut self) {
        self.released = self.head;
        self.control.released().store(self.released, Release);
    }

    /// There is nothing to pop: a good moment to publish the position, since the producer may be idle too.
    #[cold]
    fn nothing(&mut self) -> PopError {
        if !self.side.is_current() {
            return PopError::Forked;
        }
        if self.released != self.head {
            self.publish();
        }
        PopError::Empty
    }

    #[cold]
    fn wait_for_value(&mut self, deadline: Deadline) -> Result<(), PopError> {
        if let PopError::Forked = self.nothing() {
            return Err(PopError::Forked);
        }
        let Self { cells, side, head, spin, .. } = self;
        let (mark, expected) = (cells.at(*head).mark(), head.wrapping_add(1));
        let ready = |_| (mark.load(Acquire) == expected).then_some(());
        let check = || side.check_other(PopError::Disconnected);
        bell::wait(side.own_bell(), deadline, spin, ready, check)?.ok_or(PopError::TimedOut)
    }
}

impl<T: Shared> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("position", &self.head).field("capacity", &self.capacity()).finish()
    }
}
