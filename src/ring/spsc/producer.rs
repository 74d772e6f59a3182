//! The side that pushes.

use std::fmt;
use std::time::Duration;

use super::claim::PushClaim;
use crate::Shared;
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::copy;
use crate::ring::control::Control;
use crate::ring::error::{AttachError, PushError};
use crate::ring::side::{PeerState, Side, WhenPeerGone};
use crate::segment::Error;
use crate::segment::cells::{Cell, Cells};
use crate::sync::bell::{self, Deadline, Look};
use crate::sync::spin::Spin;

/// The pushing side of a ring, taken with [`Ring::producer`](super::Ring::producer); given up when dropped or when the process dies.
///
/// In a forked child every call fails with [`PushError::Forked`] and dropping does nothing.
//
// Invariants:
// 1. `head <= limit - capacity <= tail <= limit`, where `head` is any value the consumer's exact position had since the last refresh.
// 2. Cells `tail..limit` are ours to write: the consumer has popped them or never had them.
pub struct Producer<T: Shared> {
    cells: Cells<T>,
    control: Control,
    side: Side,
    tail: u64,
    limit: u64,
    spin: Spin,
}

impl<T: Shared> Producer<T> {
    /// Goes on where the last producer's committed values end.
    pub(super) fn new(cells: Cells<T>, control: Control, side: Side) -> Result<Self, AttachError> {
        let head = control.head().load(Acquire);
        let hint = control.tail().load(Acquire);
        let capacity = cells.capacity();
        // The hint is stored after the marks, so it may lag behind them, even behind the consumer.
        let mut tail = if hint.wrapping_sub(head) <= capacity { hint } else { head };
        while tail.wrapping_sub(head) < capacity && cells.at(tail).mark().load(Acquire) == tail.wrapping_add(1) {
            tail = tail.wrapping_add(1);
        }
        if hint > tail {
            return Err(AttachError::Corrupt("its producer's position is ahead of its values"));
        }
        control.tail().store(tail, Relaxed);
        let limit = head.wrapping_add(capacity);
        Ok(Self { cells, control, side, tail, limit, spin: Spin::new() })
    }

    /// How many values the ring holds at most.
    pub fn capacity(&self) -> u64 {
        self.cells.capacity()
    }

    /// How many values have been pushed since the ring was created, by all its producers: where a successor goes on.
    pub fn position(&self) -> u64 {
        self.tail
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
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), PushError> {
        if self.tail == self.limit {
            self.refresh()?;
        }
        if !self.side.is_current() {
            return Err(PushError::Forked);
        }
        self.put(self.tail, &value);
        self.advance(1);
        Ok(())
    }

    /// Pushes, waiting for room if there is none: spins, then sleeps.
    ///
    /// # Errors
    ///
    /// [`PushError::Disconnected`] if full and the consumer is gone (unless told to wait), `Forked`, `Corrupt` or `Liveness`.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), PushError> {
        self.push_until(value, Deadline::NEVER)
    }

    /// As [`push`](Self::push), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push), or [`PushError::TimedOut`].
    #[inline]
    pub fn push_timeout(&mut self, value: T, timeout: Duration) -> Result<(), PushError> {
        match self.try_push(value) {
            Err(PushError::Full) => self.push_until(value, Deadline::after(timeout)),
            outcome => outcome,
        }
    }

    #[inline(always)]
    fn push_until(&mut self, value: T, deadline: Deadline) -> Result<(), PushError> {
        if self.tail == self.limit {
            self.wait_for_room(deadline)?;
        }
        self.try_push(value)
    }

    /// Pushes as many of `values` as there is room for, in order, and returns how many. Wait-free. A killed process leaves some first part of them.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] if there is room for none (and `values` is not empty), `Forked` or `Corrupt`.
    #[inline]
    pub fn push_slice(&mut self, values: &[T]) -> Result<usize, PushError> {
        let room = self.room_for(values.len() as u64)?;
        let mut position = self.tail;
        for value in values.iter().take(room as usize) {
            self.put(position, value);
            position = position.wrapping_add(1);
        }
        self.advance(room);
        Ok(room as usize)
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
        let room = self.room_for((most as u64).max(1))?;
        Ok(PushClaim::new(self, room))
    }

    /// Waits until there is room for at least one value; see [`push`](Self::push).
    ///
    /// # Errors
    ///
    /// As for [`push_timeout`](Self::push_timeout).
    pub fn wait_for_room_timeout(&mut self, timeout: Duration) -> Result<(), PushError> {
        if self.tail != self.limit {
            return Ok(());
        }
        self.wait_for_room(Deadline::after(timeout))
    }

    /// How many of `wanted` values there is room for; `Full` if for none.
    #[inline(always)]
    fn room_for(&mut self, wanted: u64) -> Result<u64, PushError> {
        if !self.side.is_current() {
            return Err(PushError::Forked);
        }
        if self.limit.wrapping_sub(self.tail) < wanted {
            match self.refresh() {
                // Less than wanted may still be some.
                Ok(()) | Err(PushError::Full) => {}
                Err(error) => return Err(error),
            }
        }
        match self.limit.wrapping_sub(self.tail).min(wanted) {
            0 if wanted > 0 => Err(PushError::Full),
            room => Ok(room),
        }
    }

    /// Writes the value and, with the mark, commits it. The position must be ours (invariant 2).
    #[inline(always)]
    fn put(&self, position: u64, value: &T) {
        let cell = self.cells.at(position);
        copy::store_bytes(cell.value(), bytemuck::bytes_of(value));
        // Pairs with the consumer's acquire load of the mark: who sees it sees the value.
        cell.mark().store(position.wrapping_add(1), Release);
    }

    /// After `count` values have been committed: moves on and wakes the consumer if it sleeps.
    #[inline(always)]
    fn advance(&mut self, count: u64) {
        self.tail = self.tail.wrapping_add(count);
        self.control.tail().store(self.tail, Relaxed);
        self.side.wake_other();
    }

    #[inline(always)]
    pub(super) fn cell(&self, index: u64) -> Cell<'_, T> {
        self.cells.at(self.tail.wrapping_add(index))
    }

    /// Commits `count` values that were written in place.
    #[inline]
    pub(super) fn commit(&mut self, count: u64) {
        for index in 0..count {
            let position = self.tail.wrapping_add(index);
            self.cells.at(position).mark().store(position.wrapping_add(1), Release);
        }
        self.advance(count);
    }

    /// Learns where the consumer is: by its published position, or, if that tells nothing new, by its exact one.
    fn refresh(&mut self) -> Result<(), PushError> {
        let capacity = self.cells.capacity();
        let known = self.limit.wrapping_sub(capacity);
        let unpopped = self.tail.wrapping_sub(known);
        let news = |head: u64| (1..=unpopped).contains(&head.wrapping_sub(known));
        // Acquire, both: the consumer has read what it gave up before we write over it.
        let mut head = self.control.released().load(Acquire);
        if !news(head) {
            // The published position lags behind the exact one, at times behind what we know.
            head = self.control.head().load(Acquire);
            if head == known {
                return if self.limit == self.tail { Err(PushError::Full) } else { Ok(()) };
            }
            if !news(head) {
                return Err(PushError::Corrupt("its consumer is not between what was known and its producer"));
            }
        }
        self.limit = head.wrapping_add(capacity);
        Ok(())
    }

    #[cold]
    fn wait_for_room(&mut self, deadline: Deadline) -> Result<(), PushError> {
        if !self.side.is_current() {
            return Err(PushError::Forked);
        }
        let Self { cells, control, side, tail, spin, .. } = self;
        let full = |head: u64| tail.wrapping_sub(head) == cells.capacity();
        let ready = |look| {
            // While spinning by the published position only: looking at the exact one takes its line from the consumer at each pop.
            let room = match look {
                Look::Glance => !full(control.released().load(Acquire)) && !full(control.head().load(Acquire)),
                Look::Thorough => !full(control.head().load(Acquire)),
            };
            room.then_some(())
        };
        let check = || side.check_other(PushError::Disconnected);
        match bell::wait(side.own_bell(), deadline, spin, ready, check)? {
            Some(()) => self.refresh(),
            None => Err(PushError::TimedOut),
        }
    }
}

impl<T: Shared> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("position", &self.tail).field("capacity", &self.capacity()).finish()
    }
}
