//! The side that receives.

use std::fmt;
use std::time::Duration;

use super::claim::{Batch, Record};
use super::header::{Header, size_of_record};
use crate::base::atomic::Ordering::{Acquire, Release};
use crate::ring::control::Control;
use crate::ring::error::{AttachError, PopError};
use crate::ring::side::{PeerState, Side, WhenPeerGone};
use crate::segment::Error;
use crate::segment::buffer::Buffer;
use crate::sync::bell::{self, Deadline};
use crate::sync::spin::Spin;

/// The receiving side of a ring, taken with [`Ring::consumer`](super::Ring::consumer); given up when dropped or when the process dies.
///
/// In a forked child every call fails with [`PopError::Forked`] and dropping does nothing.
//
// Invariants:
// 1. `head` is the exact position, as stored in the ring, a multiple of 8; `released` is what was last published.
// 2. From a committed header at `head` to the end of its record everything is ours to read until `head` passes it.
pub struct Consumer {
    pub(super) buffer: Buffer,
    control: Control,
    side: Side,
    head: u64,
    released: u64,
    /// How many bytes to release before publishing the position again.
    interval: u64,
    spin: Spin,
}

/// Where a committed record is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Position of its header.
    pub(super) at: u64,
    pub(super) length: u64,
}

impl Found {
    /// Position of the header after it.
    #[inline(always)]
    pub(super) fn end(self) -> u64 {
        self.at.wrapping_add(size_of_record(self.length))
    }
}

impl Consumer {
    /// Goes on where the last consumer stopped.
    pub(super) fn new(buffer: Buffer, control: Control, side: Side) -> Result<Self, AttachError> {
        let head = control.head().load(Acquire);
        if head % 8 != 0 {
            return Err(AttachError::Corrupt("its consumer is not at a record"));
        }
        control.released().store(head, Release);
        let interval = buffer.capacity() / 8;
        Ok(Self { buffer, control, side, head, released: head, interval, spin: Spin::new() })
    }

    /// How many bytes the ring has, for records with their headers and padding.
    pub fn capacity(&self) -> u64 {
        self.buffer.capacity()
    }

    /// How many bytes have been released since the ring was created, headers and padding included: where a successor goes on.
    pub fn position(&self) -> u64 {
        self.head
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

    /// What blocked calls do when the producer is gone; they fail unless said otherwise, after everything committed was received.
    pub fn when_peer_gone(&mut self, when: WhenPeerGone) {
        self.side.when_gone = when;
    }

    /// The next record, if there is one; in place, and in the ring until it is [released](Record::release). Wait-free.
    ///
    /// # Errors
    ///
    /// [`PopError::Empty`], `Finished`, `Forked` or `Corrupt`.
    #[inline]
    pub fn try_recv(&mut self) -> Result<Record<'_>, PopError> {
        let found = self.find()?;
        Ok(Record::new(self, found))
    }

    /// The next record, waiting for it if there is none: spins, then sleeps.
    ///
    /// # Errors
    ///
    /// [`PopError::Finished`] at the end of the stream, `Disconnected` if there is nothing left and the producer is gone without an end (unless
    /// told to wait), `Forked`, `Corrupt` or `Liveness`.
    #[inline]
    pub fn recv(&mut self) -> Result<Record<'_>, PopError> {
        let found = match self.find() {
            Err(PopError::Empty) => self.wait_for_record(Deadline::NEVER)?,
            outcome => outcome?,
        };
        Ok(Record::new(self, found))
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv), or [`PopError::TimedOut`].
    #[inline]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Record<'_>, PopError> {
        let found = match self.find() {
            Err(PopError::Empty) => self.wait_for_record(Deadline::after(timeout))?,
            outcome => outcome?,
        };
        Ok(Record::new(self, found))
    }

    /// Any number of records, as many as are there, released together. Where records are written on (to a file, to a socket) it lets many go
    /// in one system call and be released only afterwards.
    ///
    /// # Errors
    ///
    /// [`PopError::Forked`].
    pub fn batch(&mut self) -> Result<Batch<'_>, PopError> {
        if self.side.is_current() { Ok(Batch::new(self)) } else { Err(PopError::Forked) }
    }

    /// Finds the record at a position from the head on, if the whole of it is in the ring. Anything but a record ends a batch;
    /// whoever asks for the next record hears what it is.
    #[inline]
    pub(super) fn find_at(&self, position: u64) -> Option<Found> {
        let contiguous = self.buffer.contiguous(position);
        // Pairs, as the next one, with the producer's release store of the header.
        let found = match Header::of(self.buffer.word(position).load(Acquire), contiguous) {
            Header::Data { length } => Found { at: position, length },
            Header::Skip => {
                let at = position.wrapping_add(contiguous);
                match Header::of(self.buffer.word(at).load(Acquire), self.buffer.contiguous(at)) {
                    Header::Data { length } => Found { at, length },
                    _ => return None,
                }
            }
            _ => return None,
        };
        // In a spoilt ring headers could lead round and round.
        (found.end().wrapping_sub(self.head) <= self.buffer.capacity()).then_some(found)
    }

    /// Finds the record at the head.
    #[inline(always)]
    fn find(&mut self) -> Result<Found, PopError> {
        if !self.side.is_current() {
            return Err(PopError::Forked);
        }
        let contiguous = self.buffer.contiguous(self.head);
        // Pairs with the producer's release store of the header.
        match Header::of(self.buffer.word(self.head).load(Acquire), contiguous) {
            Header::Data { length } => Ok(Found { at: self.head, length }),
            Header::Nothing => Err(self.nothing()),
            other => self.find_unusual(other, contiguous),
        }
    }

    #[cold]
    fn find_unusual(&self, header: Header, contiguous: u64) -> Result<Found, PopError> {
        match header {
            Header::End => Err(PopError::Finished),
            Header::Skip => {
                // Committed together with the record that it skips to.
                let at = self.head.wrapping_add(contiguous);
                match Header::of(self.buffer.word(at).load(Acquire), self.buffer.contiguous(at)) {
                    Header::Data { length } => Ok(Found { at, length }),
                    _ => Err(PopError::Corrupt("it skips to where there is no record")),
                }
            }
            _ => Err(PopError::Corrupt("a record has an impossible header")),
        }
    }

    /// Gives a record up that has been read, and wakes the producer if it sleeps.
    #[inline(always)]
    pub(super) fn advance(&mut self, found: Found) {
        // A record that was inherited across a fork is not released.
        if !self.side.is_current() {
            return;
        }
        self.head = found.end();
        // Release: we have read it before the producer writes over it.
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

    /// There is nothing: a good moment to publish the position, since the producer may be idle too.
    #[cold]
    fn nothing(&mut self) -> PopError {
        if self.released != self.head {
            self.publish();
        }
        PopError::Empty
    }

    #[cold]
    fn wait_for_record(&mut self, deadline: Deadline) -> Result<Found, PopError> {
        let Self { buffer, side, head, spin, .. } = self;
        let word = buffer.word(*head);
        let ready = |_| (word.load(Acquire) != 0).then_some(());
        let check = || side.check_other(PopError::Disconnected);
        match bell::wait(side.own_bell(), deadline, spin, ready, check)? {
            Some(()) => self.find(),
            None => Err(PopError::TimedOut),
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("position", &self.head).field("capacity", &self.capacity()).finish()
    }
}
