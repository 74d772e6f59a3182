//! The buffer of a byte ring: a power-of-two number of bytes, found by positions that never wrap.
//!
//! # Safety
//!
//! The unsafe code here finds header words without a bounds check and lends out bytes. It rests on this invariant of [`Buffer`]:
//!
//! 1. `words` has exactly `(mask + 1) / 8` words, and `mask + 1` is a power of two, at least 8.
#![allow(unsafe_code)]

use std::fmt;

use super::region::Words;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Word;
use crate::base::{copy, crash};

/// The bytes of a ring.
pub(crate) struct Buffer<A: Access = ReadWrite> {
    words: Words<A>,
    mask: u64,
}

impl<A: Access> Buffer<A> {
    /// The first `capacity` bytes in `words`; `None` if that is no power of two from 8 on, or they are not there.
    pub(crate) fn new(words: &Words<A>, capacity: u64) -> Option<Self> {
        let fits = capacity.is_power_of_two() && capacity >= 8;
        let length = usize::try_from(capacity / 8).ok().filter(|_| fits)?;
        Some(Self { words: words.slice(0, length)?, mask: capacity - 1 })
    }

    #[inline(always)]
    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// How many bytes there are from a position to the end of the buffer.
    #[inline(always)]
    pub(crate) fn contiguous(&self, position: u64) -> u64 {
        self.capacity() - (position & self.mask)
    }

    /// The word at a position, which is rounded down to a multiple of 8.
    #[inline(always)]
    pub(crate) fn word(&self, position: u64) -> &Word<A> {
        let index = ((position & self.mask) / 8) as usize;
        debug_assert!(index < self.words.len());
        // SAFETY: by invariant 1, whatever the position.
        unsafe { self.words.get_unchecked(index) }
    }

    /// The words of `length` bytes from a position on; `None` if they are not contiguous.
    pub(crate) fn words(&self, position: u64, length: usize) -> Option<&[Word<A>]> {
        let start = ((position & self.mask) / 8) as usize;
        self.words.get(start..start.checked_add(copy::words_for(length))?)
    }

    /// The bytes from a position on, for who has claimed them; empty if they are not contiguous.
    ///
    /// # Safety
    ///
    /// As long as the result lives no well-behaved peer and nobody in this process may write them: the caller's claim excludes them.
    #[inline(always)]
    pub(crate) unsafe fn bytes(&self, position: u64, length: usize) -> &[u8] {
        let words = self.words(position, length).unwrap_or_default();
        let length = length.min(words.len() * 8);
        // SAFETY: the words are `length` bytes or more, mapped as long as `self` lives, and nobody writes, says the caller.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), length) }
    }
}

impl Buffer {
    /// The bytes from a position on, for who has claimed them to write; empty if they are not contiguous.
    ///
    /// # Safety
    ///
    /// As long as the result lives no well-behaved peer and nobody else in this process may touch them: the caller's claim excludes
    /// them. Only one such reference may exist at a time.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the memory is shared; exclusion is the claim's, not the borrow's")]
    pub(crate) unsafe fn bytes_mut(&self, position: u64, length: usize) -> &mut [u8] {
        let words = self.words(position, length).unwrap_or_default();
        let length = length.min(words.len() * 8);
        // SAFETY: as in `bytes`; words may be written through shared references, and nobody else touches them, says the caller.
        unsafe { std::slice::from_raw_parts_mut(words.as_ptr().cast_mut().cast(), length) }
    }

    /// Copies bytes in, at full speed.
    ///
    /// # Safety
    ///
    /// As for [`bytes_mut`](Self::bytes_mut), for the duration of the call.
    #[inline(always)]
    pub(crate) unsafe fn copy_in(&self, position: u64, from: &[u8]) {
        if cfg!(loom) {
            copy::store_bytes(self.words(position, from.len()).unwrap_or_default(), from);
            return;
        }
        // SAFETY: says the caller.
        let to = unsafe { self.bytes_mut(position, from.len()) };
        if to.len() == from.len() {
            to.copy_from_slice(from);
        }
        crash::point();
    }
}

impl<A: Access> fmt::Debug for Buffer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({})", self.capacity())
    }
}
