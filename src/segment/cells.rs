//! The cells of a typed ring: a power-of-two number of them, each a mark and a value side by side.
//!
//! # Safety
//!
//! The unsafe code here finds cells without a bounds check, and lends out values. It rests on these invariants of [`Cells`]:
//!
//! 1. `words` has exactly `(mask + 1) * STRIDE` words, and `mask + 1` is a power of two.
//! 2. Its first word is aligned to 64 bytes, and `STRIDE * 8` and `VALUE * 8` are multiples of `T`'s alignment, which is at most 64.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;

use super::region::Words;
use crate::Shared;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Word;
use crate::base::copy::words_for;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Where things are in a cell of values of a given size and alignment, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CellLayout {
    /// Where the value starts; the mark is word 0.
    pub(crate) value: usize,
    /// From one cell to the next.
    pub(crate) stride: usize,
}

impl CellLayout {
    /// Up to a line: a power of two, so that no cell crosses lines; beyond: packed, since such cells cross lines anyway.
    pub(crate) const fn of(size: usize, align: usize) -> Self {
        let align = if align < 8 { 8 } else { align };
        let needed = align + words_for(size) * 8;
        let stride = if needed <= LINE { needed.next_power_of_two() } else { needed.next_multiple_of(align) };
        Self { value: align / 8, stride: stride / 8 }
    }
}

/// The largest alignment that a ring's values may have.
pub(crate) const LARGEST_ALIGNMENT: usize = LINE;

/// The cells of a ring of `T`.
pub(crate) struct Cells<T, A: Access = ReadWrite> {
    words: Words<A>,
    mask: u64,
    element: PhantomData<fn() -> T>,
}

impl<T: Shared, A: Access> Cells<T, A> {
    const LAYOUT: CellLayout = CellLayout::of(size_of::<T>(), align_of::<T>());

    /// How many words that many cells take.
    pub(crate) const fn words(capacity: u64) -> Option<u64> {
        capacity.checked_mul(Self::LAYOUT.stride as u64)
    }

    /// The first `capacity` cells in `words`; `None` if that is no power of two, or they are not there, or not aligned.
    pub(crate) fn new(words: &Words<A>, capacity: u64) -> Option<Self> {
        let length = usize::try_from(Self::words(capacity)?).ok()?;
        let words = words.slice(0, length)?;
        let aligned = cfg!(loom) || words.as_ptr().addr() % LINE == 0;
        let fits = capacity.is_power_of_two() && align_of::<T>() <= LARGEST_ALIGNMENT && aligned;
        fits.then(|| Self { words, mask: capacity - 1, element: PhantomData })
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// The words of the cell for a position: mark and value.
    #[inline(always)]
    pub(crate) fn at(&self, position: u64) -> Cell<'_, T, A> {
        let start = (position & self.mask) as usize * Self::LAYOUT.stride;
        debug_assert!(start + Self::LAYOUT.stride <= self.words.len());
        // SAFETY: by invariant 1, whatever the position.
        let words = unsafe { self.words.get_unchecked(start..start + Self::LAYOUT.stride) };
        Cell { words, element: PhantomData }
    }
}

impl<T, A: Access> fmt::Debug for Cells<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cells({})", self.mask + 1)
    }
}

/// One cell. Invariant: `words` has `STRIDE` words and starts at a cell of [`Cells`].
pub(crate) struct Cell<'a, T, A: Access = ReadWrite> {
    words: &'a [Word<A>],
    element: PhantomData<fn() -> T>,
}

impl<'a, T: Shared, A: Access> Cell<'a, T, A> {
    const LAYOUT: CellLayout = CellLayout::of(size_of::<T>(), align_of::<T>());

    #[inline(always)]
    pub(crate) fn mark(&self) -> &'a Word<A> {
        // SAFETY: a stride is at least two words.
        unsafe { self.words.get_unchecked(0) }
    }

    /// The words of the value.
    #[inline(always)]
    pub(crate) fn value(&self) -> &'a [Word<A>] {
        let range = Self::LAYOUT.value..Self::LAYOUT.value + words_for(size_of::<T>());
        // SAFETY: the layout has room for the value within the stride.
        unsafe { self.words.get_unchecked(range) }
    }
}

impl<'a, T: Shared> Cell<'a, T> {
    /// The value itself, for who has claimed the cell.
    ///
    /// # Safety
    ///
    /// For `'a` no well-behaved peer and nobody in this process may write the cell: the caller's claim excludes them.
    #[inline(always)]
    pub(crate) unsafe fn value_ref(&self) -> &'a T {
        let value = self.value().as_ptr().cast::<T>();
        // SAFETY: in bounds and aligned by the invariants; any bit pattern is a `T`, which is plain old data; nobody writes, says the caller.
        unsafe { &*value }
    }

    /// The value itself, for writing in place, for who has claimed the cell.
    ///
    /// # Safety
    ///
    /// For `'a` no well-behaved peer and nobody else in this process may touch the value: the caller's claim excludes them. Only
    /// one such reference to a cell may exist at a time.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the memory is shared; exclusion is the claim's, not the borrow's")]
    pub(crate) unsafe fn value_mut(&self) -> &'a mut T {
        let value = self.value().as_ptr().cast::<T>().cast_mut();
        // SAFETY: as in `value_ref`; words may be written through shared references, and nobody else touches them, says the caller.
        unsafe { &mut *value }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn small_cells_stay_in_a_line_and_large_ones_are_packed() {
        for (size, align, value, stride) in [
            (0, 1, 1, 1),
            (1, 1, 1, 2),
            (8, 8, 1, 2),
            (9, 1, 1, 4),
            (24, 8, 1, 4),
            (25, 8, 1, 8),
            (56, 8, 1, 8),
            (57, 8, 1, 9),
            (64, 8, 1, 9),
            (16, 16, 2, 4),
            (64, 64, 8, 16),
            (120, 8, 1, 16),
        ] {
            assert_eq!(CellLayout::of(size, align), CellLayout { value, stride }, "size {size}, align {align}");
        }
    }
}
