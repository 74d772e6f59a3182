//! The side that sends.

use std::fmt;
use std::time::Duration;

use super::claim::Claim;
use super::header::{HEADER, Header, NOTHING, longest, size_of_record};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::ring::control::Control;
use crate::ring::error::{AttachError, PushError};
use crate::ring::side::{PeerState, Side, WhenPeerGone};
use crate::segment::Error;
use crate::segment::buffer::Buffer;
use crate::sync::bell::{self, Deadline, Look};
use crate::sync::spin::Spin;

/// The sending side of a ring, taken with [`Ring::producer`](super::Ring::producer); given up when dropped or when the process dies.
///
/// In a forked child every call fails with [`PushError::Forked`] and dropping does nothing.
//
// Invariants:
// 1. `tail <= limit - HEADER`, and `limit - capacity` is any value the consumer's exact position had since the last refresh.
// 2. Bytes `tail..limit` are ours to write, and the header at `tail` is 0 unless the stream is finished.
pub struct Producer {
    pub(super) buffer: Buffer,
    control: Control,
    side: Side,
    tail: u64,
    limit: u64,
    finished: bool,
    spin: Spin,
}

/// Where a record is going to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Position of its header; `tail` or, if it is skipped to, the next start of the buffer.
    pub(super) at: u64,
    pub(super) length: u64,
}

impl Producer {
    /// Goes on where the last producer's committed records end.
    pub(super) fn new(buffer: Buffer, control: Control, side: Side) -> Result<Self, AttachError> {
        let head = control.head().load(Acquire);
        let hint = control.tail().load(Acquire);
        let capacity = buffer.capacity();
        // The hint is stored after the header, so it may lag behind the records, even behind the consumer.
        let mut tail = if hint.wrapping_sub(head) <= capacity { hint } else { head };
        let finished = loop {
            if tail % 8 != 0 || tail.wrapping_sub(head) > capacity - HEADER {
                return Err(AttachError::Corrupt("its records do not end where they should"));
            }
            let contiguous = buffer.contiguous(tail);
            let size = match Header::of(buffer.word(tail).load(Acquire), contiguous) {
                Header::Nothing => break false,
                Header::End => break true,
                Header::Data { length } => size_of_record(length),
                Header::Skip => contiguous,
                Header::Garbage => return Err(AttachError::Corrupt("a record has an impossible header")),
            };
            tail = tail.wrapping_add(size);
        };
        control.tail().store(tail, Relaxed);
        let limit = head.wrapping_add(capacity);
        Ok(Self { buffer, control, side, tail, limit, finished, spin: Spin::new() })
    }

    /// How many bytes the ring has, for records with their headers (8 bytes each) and padding (to 8).
    pub fn capacity(&self) -> u64 {
        self.buffer.capacity()
    }

    /// The longest record that the ring takes, in bytes.
    pub fn longest(&self) -> usize {
        longest(self.capacity()) as usize
    }

    /// How many bytes have been committed since the ring was created, headers and padding included: where a successor goes on.
    pub fn position(&self) -> u64 {
        self.tail
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

    /// Sends a copy of the record if there is room. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`], `TooLong`, `Finished`, `Forked` or `Corrupt`.
    #[inline]
    pub fn try_send(&mut self, record: &[u8]) -> Result<(), PushError> {
        self.try_claim(record.len())?.fill(record);
        Ok(())
    }

    /// Sends a copy of the record, waiting for room if there is none: spins, then sleeps.
    ///
    /// # Errors
    ///
    /// [`PushError::Disconnected`] if full and the consumer is gone (unless told to wait), `TooLong`, `Finished`, `Forked`, `Corrupt` or
    /// `Liveness`.
    #[inline]
    pub fn send(&mut self, record: &[u8]) -> Result<(), PushError> {
        self.claim(record.len())?.fill(record);
        Ok(())
    }

    /// As [`send`](Self::send), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), or [`PushError::TimedOut`].
    #[inline]
    pub fn send_timeout(&mut self, record: &[u8], timeout: Duration) -> Result<(), PushError> {
        self.claim_timeout(record.len(), timeout)?.fill(record);
        Ok(())
    }

    /// Claims room for a record of `length` bytes, to write it in place. Nothing is sent until it is committed. Wait-free.
    ///
    /// # Errors
    ///
    /// As for [`try_send`](Self::try_send).
    #[inline]
    pub fn try_claim(&mut self, length: usize) -> Result<Claim<'_>, PushError> {
        let place = self.place(length)?;
        Ok(Claim::new(self, place))
    }

    /// As [`try_claim`](Self::try_claim), but waits for room.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[inline]
    pub fn claim(&mut self, length: usize) -> Result<Claim<'_>, PushError> {
        let place = match self.place(length) {
            Err(PushError::Full) => self.wait_for_place(length, Deadline::NEVER)?,
            outcome => outcome?,
        };
        Ok(Claim::new(self, place))
    }

    /// As [`claim`](Self::claim), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`send_timeout`](Self::send_timeout).
    #[inline]
    pub fn claim_timeout(&mut self, length: usize, timeout: Duration) -> Result<Claim<'_>, PushError> {
        let place = match self.place(length) {
            Err(PushError::Full) => self.wait_for_place(length, Deadline::after(timeout))?,
            outcome => outcome?,
        };
        Ok(Claim::new(self, place))
    }

    /// Says that the stream is complete: once everything is received, the consumer gets [`PopError::Finished`](crate::ring::PopError),
    /// now and for ever. There is always room for that. Finishing twice is once.
    ///
    /// # Errors
    ///
    /// [`PushError::Forked`].
    pub fn finish(&mut self) -> Result<(), PushError> {
        if !self.side.is_current() {
            return Err(PushError::Forked);
        }
        if !self.finished {
            self.finished = true;
            self.buffer.word(self.tail).store(Header::End.word(), Release);
            self.side.wake_other();
        }
        Ok(())
    }

    /// Whether the stream has been finished, by this producer or one before it.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the consumer has released every record committed so far. A ring that never held any is drained too.
    ///
    /// # Errors
    ///
    /// [`PushError::Corrupt`].
    pub fn is_drained(&self) -> Result<bool, PushError> {
        // Acquire: whatever the consumer did with the records comes before whatever we do now.
        let head = self.control.head().load(Acquire);
        if self.tail.wrapping_sub(head) > self.capacity() {
            return Err(PushError::Corrupt("its consumer is not behind its producer"));
        }
        Ok(head == self.tail)
    }

    /// Waits, at most `timeout`, until the consumer has released every record committed so far: spins, then sleeps. A segment that lives while
    /// used takes what nobody received with it when its last user goes; a sender that is about to go can wait here first.
    ///
    /// # Errors
    ///
    /// [`PushError::Disconnected`] if something is left and the consumer is gone (unless told to wait), `TimedOut`, `Forked`, `Corrupt` or
    /// `Liveness`.
    pub fn wait_until_drained_timeout(&mut self, timeout: Duration) -> Result<(), PushError> {
        if !self.side.is_current() {
            return Err(PushError::Forked);
        }
        if self.is_drained()? {
            return Ok(());
        }
        let (control, side, tail, capacity) = (&self.control, &self.side, self.tail, self.buffer.capacity());
        // A position beyond ours ends the wait as well; it is told apart below. Whichever look: nothing is being pushed that looking could slow.
        let ready = |_| (tail.wrapping_sub(control.head().load(Acquire)).wrapping_sub(1) >= capacity).then_some(());
        let check = || side.check_other(PushError::Disconnected);
        match bell::wait(side.own_bell(), Deadline::after(timeout), &mut self.spin, ready, check)? {
            Some(()) => self.is_drained().map(|_| ()),
            None => Err(PushError::TimedOut),
        }
    }

    /// Finds the place for a record.
    #[inline(always)]
    fn place(&mut self, length: usize) -> Result<Place, PushError> {
        if !self.side.is_current() {
            return Err(PushError::Forked);
        }
        let (at, end) = self.span(length)?;
        if self.limit.wrapping_sub(self.tail) < end.wrapping_sub(self.tail) {
            self.refresh(end)?;
        }
        Ok(Place { at, length: length as u64 })
    }

    /// Where a record would be, and where the header after it would end.
    #[inline(always)]
    fn span(&self, length: usize) -> Result<(u64, u64), PushError> {
        if length > self.longest() {
            return Err(PushError::TooLong { length, longest: self.longest() });
        }
        if self.finished {
            return Err(PushError::Finished);
        }
        let size = size_of_record(length as u64);
        let contiguous = self.buffer.contiguous(self.tail);
        let at = if size <= contiguous { self.tail } else { self.tail.wrapping_add(contiguous) };
        Ok((at, at.wrapping_add(size).wrapping_add(HEADER)))
    }

    /// Commits the record that was written at `place`. The stores are in the order of ARCHITECTURE.md, "Byte ring".
    #[inline(always)]
    pub(super) fn commit(&mut self, place: Place, length: u64) {
        // A claim that was inherited across a fork commits nothing.
        if !self.side.is_current() {
            return;
        }
        let length = length.min(place.length);
        let next = place.at.wrapping_add(size_of_record(length));
        self.buffer.word(next).store(NOTHING, Relaxed);
        // Pairs with the consumer's acquire load: who sees the header sees the payload, and 0 in the header behind it.
        self.buffer.word(place.at).store(Header::Data { length }.word(), Release);
        if place.at != self.tail {
            self.buffer.word(self.tail).store(Header::Skip.word(), Release);
        }
        self.tail = next;
        self.control.tail().store(next, Relaxed);
        self.side.wake_other();
    }

    /// Learns where the consumer is: by its published position, or, if that leaves too little room, by its exact one.
    #[cold]
    fn refresh(&mut self, end: u64) -> Result<(), PushError> {
        let known = self.limit.wrapping_sub(self.capacity());
        let unread = self.tail.wrapping_sub(known);
        let wanted = end.wrapping_sub(self.tail);
        // Acquire, both: the consumer has read what it gave up before we write over it.
        for word in [self.control.released(), self.control.head()] {
            let head = word.load(Acquire);
            // The published position lags behind the exact one, at times behind what we know.
            if head.wrapping_sub(known) <= unread {
                self.limit = head.wrapping_add(self.capacity());
                if self.limit.wrapping_sub(self.tail) >= wanted {
                    return Ok(());
                }
            }
        }
        let head = self.control.head().load(Acquire);
        if self.tail.wrapping_sub(head) > self.capacity() {
            return Err(PushError::Corrupt("its consumer is not behind its producer"));
        }
        Err(PushError::Full)
    }

    #[cold]
    fn wait_for_place(&mut self, length: usize, deadline: Deadline) -> Result<Place, PushError> {
        let (at, end) = self.span(length)?;
        let (control, side, tail) = (&self.control, &self.side, self.tail);
        let wanted = end.wrapping_sub(tail);
        let capacity = self.buffer.capacity();
        let unread = |head: u64| tail.wrapping_sub(head);
        // The published position lags behind the exact one, at times by more than the ring: then it tells of no room.
        let fits = |head| unread(head).checked_add(wanted).is_some_and(|needed| needed <= capacity);
        let ready = |look| {
            // While spinning by the published position only: looking at the exact one takes its line from the consumer.
            let room = match look {
                Look::Glance => fits(control.released().load(Acquire)),
                Look::Thorough => {
                    let head = control.head().load(Acquire);
                    // Ahead of its producer: spoilt, `refresh` says so.
                    fits(head) || unread(head) > capacity
                }
            };
            room.then_some(())
        };
        let check = || side.check_other(PushError::Disconnected);
        match bell::wait(side.own_bell(), deadline, &mut self.spin, ready, check)? {
            Some(()) => self.refresh(end).map(|()| Place { at, length: length as u64 }),
            None => Err(PushError::TimedOut),
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("position", &self.tail).field("capacity", &self.capacity()).finish()
    }
}
