//! Cells claimed for use in place.
//!
//! # Safety
//!
//! The unsafe code here lends out references to values in shared memory. What excludes everybody else:
//!
//! 1. The side word: one process at a time owns a side, and within it one handle ([`Side`](crate::ring::side::Side)).
//! 2. The claim borrows the handle mutably, so there is one claim at a time, and nothing else happens on that side meanwhile.
//! 3. The protocol: the producer's claim covers cells behind the tail, which the consumer does not read before their marks are stored; the consumer's
//!    covers marked cells, which the producer does not write before the head has passed them.
//!
//! A process that breaks the protocol can change a value under our eyes, but values are plain old data, of which any bit pattern is valid.
#![allow(unsafe_code)]

use std::fmt;

use super::consumer::Consumer;
use super::producer::Producer;
use crate::Shared;

/// Free cells, claimed by [`Producer::claim`] or [`claim_many`](Producer::claim_many). They hold old values; write all you mean to.
///
/// Dropped without [`commit`](Self::commit), nothing has happened.
///
/// # Example
///
/// ```
/// # use sharedware::{Domain, ring::spsc::Ring};
/// # let domain = Domain::new("doc-claim")?;
/// # let ring = Ring::<[u32; 4]>::create(&domain, "vectors", 8)?;
/// # let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
/// let mut claim = producer.claim_many(2)?;
/// for (index, value) in claim.iter_mut().enumerate() {
///     *value = [index as u32; 4];
/// }
/// claim.commit();
///
/// let claim = consumer.claim_many(10)?;
/// assert_eq!(claim.iter().map(|value| value[0]).collect::<Vec<_>>(), [0, 1]);
/// claim.release();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PushClaim<'a, T: Shared> {
    producer: &'a mut Producer<T>,
    count: u64,
}

impl<'a, T: Shared> PushClaim<'a, T> {
    /// The producer's next `count` cells, which must be free.
    pub(super) fn new(producer: &'a mut Producer<T>, count: u64) -> Self {
        Self { producer, count }
    }

    /// How many values there is room for; never 0.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// The place for the `index`th value.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let index = ((index as u64) < self.lent()).then_some(index as u64)?;
        // SAFETY: excluded as said above; the result borrows the claim mutably.
        unsafe { self.producer.cells().values_mut(self.producer.place(index), 1) }.first_mut()
    }

    /// The places for the values, in order.
    #[inline]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.runs_mut().flatten()
    }

    /// The places for the values, in order, as slices of those that lie one behind the other: up to 7 `u64`, 8 of 64 bytes. (Values whose size is
    /// no multiple of 8 come one by one.) The fastest way to fill many.
    #[inline]
    pub fn runs_mut(&mut self) -> impl Iterator<Item = &mut [T]> {
        let producer = &*self.producer;
        // SAFETY: the runs are the cells'; excluded as said above; runs do not overlap, and the iterator borrows the claim mutably.
        producer.runs(self.lent()).map(move |(place, count)| unsafe { producer.cells().values_mut(place, count) })
    }

    /// How many values we may lend out: in a forked child none, since the parent goes on with them.
    fn lent(&self) -> u64 {
        if self.producer.is_current() { self.count } else { 0 }
    }

    /// Pushes all the values.
    pub fn commit(self) {
        self.producer.commit(self.count);
    }

    /// Pushes the first `count` values, all if there are fewer.
    pub fn commit_first(self, count: usize) {
        self.producer.commit(self.count.min(count as u64));
    }
}

impl<T: Shared> fmt::Debug for PushClaim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushClaim({})", self.count)
    }
}

/// Values in place, claimed by [`Consumer::claim`] or [`claim_many`](Consumer::claim_many).
///
/// Dropped without [`release`](Self::release), they stay in the ring.
pub struct PopClaim<'a, T: Shared> {
    consumer: &'a mut Consumer<T>,
    count: u64,
}

impl<'a, T: Shared> PopClaim<'a, T> {
    /// The consumer's next `count` cells, whose values must be there.
    pub(super) fn new(consumer: &'a mut Consumer<T>, count: u64) -> Self {
        Self { consumer, count }
    }

    /// How many values there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// The `index`th value.
    pub fn get(&self, index: usize) -> Option<&T> {
        let index = ((index as u64) < self.lent()).then_some(index as u64)?;
        // SAFETY: excluded as said above; the result borrows the claim.
        unsafe { self.consumer.cells().values(self.consumer.place(index), 1) }.first()
    }

    /// The values, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.runs().flatten()
    }

    /// The values, in order, as slices of those that lie one behind the other; see [`PushClaim::runs_mut`].
    #[inline]
    pub fn runs(&self) -> impl Iterator<Item = &[T]> {
        // SAFETY: the runs are the cells'; excluded as said above; the iterator borrows the claim.
        self.consumer.runs(self.lent()).map(|(place, count)| unsafe { self.consumer.cells().values(place, count) })
    }

    /// How many values we may lend out: in a forked child none, since the parent goes on with them.
    fn lent(&self) -> u64 {
        if self.consumer.is_current() { self.count } else { 0 }
    }

    /// Pops all of them.
    pub fn release(self) {
        self.consumer.release(self.count);
    }

    /// Pops the first `count` of them, all if there are fewer.
    pub fn release_first(self, count: usize) {
        self.consumer.release(self.count.min(count as u64));
    }
}

impl<T: Shared> fmt::Debug for PopClaim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PopClaim({})", self.count)
    }
}
