//! Checked views of a segment: the only way from an offset to memory.
//!
//! A [`Words`] is a run of shared words that keeps its mapping alive. Everything above reads and writes shared memory through
//! it, in safe code: an index out of range is `None`, and a word that another process changes is a word that changed.
//!
//! # Safety
//!
//! The unsafe code here makes slices and arrays of [`Word`] from a mapping. It rests on these invariants of [`Words`]:
//!
//! 1. `start` points to `length` words inside memory that `backing` keeps mapped (readable, and writable if `A` is [`ReadWrite`]) for as long as it lives.
//! 2. `start` is 8-aligned: the mapping is page-aligned and all arithmetic is in words.
//! 3. Nobody makes a reference to that memory other than through `Word`, except under a claim (see [`cells`](super::cells)).
#![allow(unsafe_code)]

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::MmapRaw;

use super::sweep::Retire;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Word;
use crate::sys::fork::Stamp;

/// A mapping of a segment. When it goes, so does our in-use lock, and then perhaps the segment.
pub(crate) struct Mapped {
    map: Option<MmapRaw>,
    /// Set if forked children do not inherit the mapping: they must not unmap what is not there.
    private_to: Option<Stamp>,
    retire: Option<Retire>,
}

impl Mapped {
    pub(crate) fn new(map: MmapRaw, private_to: Option<Stamp>, retire: Option<Retire>) -> Self {
        Self { map: Some(map), private_to, retire }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let Some(map) = self.map.take() else { return };
        if self.private_to.is_some_and(|stamp| !stamp.is_current()) {
            // In a forked child, where these addresses may by now be somebody else's.
            std::mem::forget(map);
            return;
        }
        drop(map);
        if let Some(retire) = self.retire.take() {
            retire.run();
        }
    }
}

/// A run of shared words. Cheap to clone; keeps the segment mapped.
#[derive(Clone)]
pub(crate) struct Words<A: Access = ReadWrite> {
    start: NonNull<Word<A>>,
    length: usize,
    /// What keeps the words in place: a [`Mapped`], or in models a vector.
    backing: Arc<dyn Any + Send + Sync>,
}

// SAFETY: words are atomics, and the backing is an `Arc` of something that may be dropped anywhere; `start` is only a cached address of it.
unsafe impl<A: Access> Send for Words<A> {}
// SAFETY: as above; `&Words` gives out `&[Word]` only, and words are atomics.
unsafe impl<A: Access> Sync for Words<A> {}

impl<A: Access> Words<A> {
    /// All words of a mapping that was made with access `A`.
    pub(crate) fn of_mapping(mapped: Mapped) -> Self {
        let (start, length) = mapped.map.as_ref().map_or((NonNull::dangling(), 0), |map| {
            // Both kinds of mapping have the same start; words of read-only ones have no method that stores.
            let start = NonNull::new(map.as_ptr().cast_mut().cast()).unwrap_or(NonNull::dangling());
            (start, map.len() / 8)
        });
        Self { start, length, backing: Arc::new(mapped) }
    }

    /// Words of private memory, to run a protocol without a segment.
    #[cfg(loom)]
    pub(crate) fn on_heap(words: Vec<Word<A>>) -> Self {
        let words = Arc::new(words);
        Self { start: NonNull::from(words.as_slice()).cast(), length: words.len(), backing: words }
    }

    /// The words `from..from + length`; `None` if they are not all there.
    pub(crate) fn slice(&self, from: usize, length: usize) -> Option<Self> {
        if from.checked_add(length)? > self.length {
            return None;
        }
        // SAFETY: `from` is at most `self.length`, so the result is in or one past the same run (invariant 1).
        let start = unsafe { self.start.add(from) };
        Some(Self { start, length, backing: self.backing.clone() })
    }

    /// The mapping that they are in, if they are in one that is still there.
    pub(crate) fn mapping(&self) -> Option<&MmapRaw> {
        self.backing.downcast_ref::<Mapped>()?.map.as_ref()
    }

    /// No words at all.
    pub(crate) fn empty(&self) -> Self {
        Self { start: self.start, length: 0, backing: self.backing.clone() }
    }

    /// The `N` words from `from` on, as an array.
    pub(crate) fn array<const N: usize>(&self, from: usize) -> Option<WordArray<N, A>> {
        Some(WordArray { words: self.slice(from, N)? })
    }
}

impl<A: Access> Deref for Words<A> {
    type Target = [Word<A>];

    #[inline(always)]
    fn deref(&self) -> &[Word<A>] {
        // SAFETY: invariants 1 to 3; any bit pattern is a valid word.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<A: Access> fmt::Debug for Words<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({} at {:p})", self.length, self.start)
    }
}

/// `N` shared words, so that constant indices need no check. Invariant: `words.length == N`.
#[derive(Clone)]
pub(crate) struct WordArray<const N: usize, A: Access = ReadWrite> {
    words: Words<A>,
}

impl<const N: usize, A: Access> WordArray<N, A> {
    /// All of them, for who wants to borrow them without the mapping.
    #[inline(always)]
    pub(crate) fn as_array(&self) -> &[Word<A>; N] {
        // SAFETY: `words` has exactly N words, which is what an array of N is made of; for these, and for as long as `words` lives, invariants 1 to 3.
        unsafe { self.words.start.cast::<[Word<A>; N]>().as_ref() }
    }

    /// The word at a constant index, which is checked when compiling.
    #[inline(always)]
    pub(crate) fn at<const I: usize>(&self) -> &Word<A> {
        const { assert!(I < N) };
        // SAFETY: `words` has exactly N words, and I is below N.
        unsafe { self.words.get_unchecked(I) }
    }

    /// The `M` words from `I` on.
    pub(crate) fn part<const I: usize, const M: usize>(&self) -> WordArray<M, A> {
        const { assert!(I + M <= N) };
        // SAFETY: `words` has exactly N words, and I is at most N.
        let start = unsafe { self.words.start.add(I) };
        WordArray { words: Words { start, length: M, backing: self.words.backing.clone() } }
    }

    /// The words `from..from + length`.
    pub(crate) fn run(&self, from: usize, length: usize) -> &[Word<A>] {
        self.words.get(from..from + length).unwrap_or_default()
    }
}

impl<const N: usize, A: Access> fmt::Debug for WordArray<N, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.words.iter()).finish()
    }
}
