//! Records in place.
//!
//! # Safety
//!
//! The unsafe code here lends out bytes of shared memory. What excludes everybody else:
//!
//! 1. The side word: one process at a time owns a side, and within it one handle ([`Side`](crate::ring::side::Side)).
//! 2. A claim or record borrows the handle mutably, so there is one at a time, and nothing else happens on that side meanwhile.
//! 3. The protocol: a claim covers bytes behind the tail, which the consumer does not read before the header is stored; a record covers bytes between the head and the
//!    tail, which the producer does not write before the head has passed them.
//!
//! A process that breaks the protocol can change bytes under our eyes, but any bytes are valid bytes.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::consumer::{Consumer, Found};
use super::header::HEADER;
use super::producer::{Place, Producer};

/// Room for a record, claimed by [`Producer::claim`]. It holds old bytes; write all you mean to send.
///
/// Dropped without [`commit`](Self::commit), nothing has happened.
pub struct Claim<'a> {
    producer: &'a mut Producer,
    place: Place,
}

impl<'a> Claim<'a> {
    /// The place must be free, contiguous and behind the tail.
    pub(super) fn new(producer: &'a mut Producer, place: Place) -> Self {
        Self { producer, place }
    }

    /// Copies a record of the claim's length in and commits it.
    #[inline(always)]
    pub(super) fn fill(self, record: &[u8]) {
        // SAFETY: excluded as said above.
        unsafe { self.producer.buffer.copy_in(self.place.at.wrapping_add(HEADER), record) };
        self.commit();
    }

    /// How many bytes we may lend out: in a forked child none, since the parent goes on with them.
    #[inline(always)]
    fn lent(&self) -> usize {
        if self.producer.is_current() { self.place.length as usize } else { 0 }
    }

    /// Sends the record.
    #[inline]
    pub fn commit(self) {
        self.producer.commit(self.place, self.place.length);
    }

    /// Sends the first `length` bytes as the record, all if there are fewer.
    #[inline]
    pub fn commit_first(self, length: usize) {
        self.producer.commit(self.place, length as u64);
    }
}

impl Deref for Claim<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: excluded as said above; the result borrows the claim.
        unsafe { self.producer.buffer.bytes(self.place.at.wrapping_add(HEADER), self.lent()) }
    }
}

impl DerefMut for Claim<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: excluded as said above; the result borrows the claim mutably.
        unsafe { self.producer.buffer.bytes_mut(self.place.at.wrapping_add(HEADER), self.lent()) }
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({} bytes)", self.place.length)
    }
}

/// A record in place, from [`Consumer::recv`].
///
/// Dropped without [`release`](Self::release), it stays in the ring and is received again.
pub struct Record<'a> {
    consumer: &'a mut Consumer,
    found: Found,
}

impl<'a> Record<'a> {
    /// The record must be committed, contiguous and at the head.
    pub(super) fn new(consumer: &'a mut Consumer, found: Found) -> Self {
        Self { consumer, found }
    }

    /// A copy of the record: words of models are no bytes.
    #[cfg(loom)]
    pub(super) fn copied(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.found.length as usize];
        let words = self.consumer.buffer.words(self.found.at.wrapping_add(HEADER), bytes.len());
        crate::base::copy::load_bytes(words.unwrap(), &mut bytes);
        bytes
    }

    /// Takes the record out of the ring.
    #[inline]
    pub fn release(self) {
        self.consumer.advance(self.found);
    }
}

impl Deref for Record<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // In a forked child nothing is lent, since the parent goes on with it.
        let length = if self.consumer.is_current() { self.found.length as usize } else { 0 };
        // SAFETY: excluded as said above; the result borrows the record.
        unsafe { self.consumer.buffer.bytes(self.found.at.wrapping_add(HEADER), length) }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} bytes)", self.found.length)
    }
}

/// Records in place, one after the other, from [`Consumer::batch`].
///
/// Dropped without [`release`](Self::release), all of them stay in the ring and are received again.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, ring::bytes::Ring};
///
/// let ring = Ring::create(&Domain::new("doc-batch")?, "lines", 4096)?;
/// let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
/// producer.send(b"one, ")?;
/// producer.send(b"two")?;
///
/// let mut text = Vec::new();
/// let mut batch = consumer.batch()?;
/// while let Some(record) = batch.take() {
///     text.extend_from_slice(record);
/// }
/// batch.release();
/// assert_eq!(text, b"one, two");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Batch<'a> {
    consumer: &'a mut Consumer,
    last: Option<Found>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(consumer: &'a mut Consumer) -> Self {
        Self { consumer, last: None }
    }

    /// The next record, if there is one.
    #[inline]
    pub fn take(&mut self) -> Option<&[u8]> {
        if !self.consumer.is_current() {
            return None;
        }
        let position = self.last.map_or(self.consumer.position(), Found::end);
        let found = self.consumer.find_at(position)?;
        self.last = Some(found);
        // SAFETY: excluded as said above: the head passes none of them before `release`; the result borrows the batch.
        Some(unsafe { self.consumer.buffer.bytes(found.at.wrapping_add(HEADER), found.length as usize) })
    }

    /// Takes the records that were [taken](Self::take) out of the ring.
    #[inline]
    pub fn release(self) {
        if let Some(last) = self.last {
            self.consumer.advance(last);
        }
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("last", &self.last).finish_non_exhaustive()
    }
}
