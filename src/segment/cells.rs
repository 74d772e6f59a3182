//! The cells of a typed ring: values in blocks, each block behind one mark.
//!
//! Small values share a cache line with their mark (seven `u64` to a line), so that one transfer delivers the values and the word that
//! says they are there; larger ones follow a line that holds the mark. A mark is the position after the last value of its block that
//! is there, so it grows, and what a previous lap left in it is too small. There is one block more than the capacity needs, so that the
//! producer never enters a block, and its mark, before the consumer has left it.
//!
//! # Safety
//!
//! The unsafe code here finds cells without a bounds check, and lends out values. It rests on these invariants:
//!
//! 1. The words of [`Cells`] are exactly as many blocks as [`BlockLayout::blocks`] says, and the first is aligned to 64 bytes.
//! 2. A [`Place`] was made by the `Cells` it is used with: `block` is the first word of a block, and `value` is at most the first word of a
//!    value that ends within the same block, or the end of the block; [`Cells::value`] is used only on places before the end.
//! 3. `LAYOUT.first` and `LAYOUT.step`, times 8, are multiples of `T`'s alignment, which is at most 64; blocks are whole lines.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;

use super::region::Words;
use crate::Shared;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Word;
use crate::base::copy::words_for;
use crate::base::hint;

/// Words of a cache line.
const LINE: usize = 8;
/// The largest alignment that a ring's values may have, in bytes.
pub(crate) const LARGEST_ALIGNMENT: usize = LINE * 8;
/// Values up to this many words are grouped behind a common mark line.
const GROUPED: usize = 64;
/// The most values a ring may hold.
pub(crate) const MOST_VALUES: u64 = 1 << 32;
/// How many lines ahead of the producer to ask for.
const AHEAD: usize = 8;

/// How values of a given size and alignment are laid out in a block. All in words, but for `values`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockLayout {
    /// How many values there are in a block.
    pub(crate) values: usize,
    /// Where the first value starts; the mark is word 0.
    pub(crate) first: usize,
    /// From one value to the next.
    pub(crate) step: usize,
    /// From one block to the next.
    pub(crate) words: usize,
}

impl BlockLayout {
    pub(crate) const fn of(size: usize, align: usize) -> Self {
        let align = if align < 8 { 1 } else { align / 8 };
        let step = if size == 0 { align } else { words_for(size).next_multiple_of(align) };
        // Saturating: larger alignments are refused, but their layout is worked out all the same.
        let beside_mark = LINE.saturating_sub(align) / step;
        if beside_mark > 0 {
            return Self { values: beside_mark, first: align, step, words: LINE };
        }
        let values = if step <= GROUPED { 8 } else { 1 };
        Self { values, first: LINE, step, words: (LINE + values * step).next_multiple_of(LINE) }
    }

    /// How many blocks a ring of `capacity` values has: one more than they fill.
    pub(crate) const fn blocks(self, capacity: u64) -> u64 {
        capacity.div_ceil(self.values as u64) + 1
    }

    /// How many words a ring of `capacity` values has; `None` if that is more than can be, or there would be no values.
    pub(crate) fn total_words(self, capacity: u64) -> Option<usize> {
        let capacity = Some(capacity).filter(|capacity| (1..=MOST_VALUES).contains(capacity))?;
        usize::try_from(self.blocks(capacity)).ok()?.checked_mul(self.words)
    }

    /// The block and the index in it of a position, in a ring of `capacity` values.
    pub(crate) const fn locate(self, position: u64, capacity: u64) -> (usize, usize) {
        let values = self.values as u64;
        (((position / values) % self.blocks(capacity)) as usize, (position % values) as usize)
    }
}

/// Where a value is: its block and itself, as word indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    block: usize,
    value: usize,
}

/// The cells of a ring of `T`.
pub(crate) struct Cells<T, A: Access = ReadWrite> {
    words: Words<A>,
    capacity: u64,
    element: PhantomData<fn() -> T>,
}

impl<T: Shared, A: Access> Cells<T, A> {
    pub(crate) const LAYOUT: BlockLayout = BlockLayout::of(size_of::<T>(), align_of::<T>());
    /// Values in a block.
    pub(crate) const VALUES: u64 = Self::LAYOUT.values as u64;

    /// The cells for `capacity` values at the start of `words`; `None` if there are none, or not that many, or they are not aligned.
    pub(crate) fn new(words: &Words<A>, capacity: u64) -> Option<Self> {
        let words = words.slice(0, Self::LAYOUT.total_words(capacity)?)?;
        let aligned = cfg!(loom) || words.as_ptr().addr().is_multiple_of(LINE * 8);
        let fits = align_of::<T>() <= LARGEST_ALIGNMENT && aligned;
        fits.then(|| Self { words, capacity, element: PhantomData })
    }

    /// How many values there are at most.
    #[inline(always)]
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Where a position is. Divides: for slow paths.
    pub(crate) fn place(&self, position: u64) -> Place {
        let (block, index) = Self::LAYOUT.locate(position, self.capacity);
        let block = block * Self::LAYOUT.words;
        Place { block, value: block + Self::LAYOUT.first + index * Self::LAYOUT.step }
    }

    /// The position after the last of the block that `position` is in.
    pub(crate) fn block_end(position: u64) -> u64 {
        position.wrapping_add(Self::VALUES - position % Self::VALUES)
    }

    /// The next value of the same block; at the end of the block, its end.
    #[inline(always)]
    pub(crate) fn next(place: Place) -> Place {
        Place { value: place.value + Self::LAYOUT.step, ..place }
    }

    /// Goes `count` values further on in the same block, at most to its end.
    #[inline(always)]
    pub(crate) fn advance(place: &mut Place, count: u64) {
        place.value += count as usize * Self::LAYOUT.step;
    }

    /// How many values of a block lie one behind the other without a gap: all, or each by itself.
    pub(crate) const RUN: u64 = if Self::LAYOUT.step * 8 == size_of::<T>() { Self::VALUES } else { 1 };

    /// `count` values from `place` on, of which `in_block` are in its block, in runs without a gap: where each starts, and how many there are.
    #[inline(always)]
    pub(crate) fn runs(&self, place: Place, in_block: u64, count: u64) -> Runs<'_, T, A> {
        Runs { cells: self, place, in_block, left: count }
    }

    /// The first value of the next block.
    #[inline(always)]
    pub(crate) fn next_block(&self, place: Place) -> Place {
        let next = place.block + Self::LAYOUT.words;
        let block = if next < self.words.len() { next } else { 0 };
        Place { block, value: block + Self::LAYOUT.first }
    }

    /// The mark of the block of a place.
    #[inline(always)]
    pub(crate) fn mark(&self, place: Place) -> &Word<A> {
        debug_assert!(place.block < self.words.len());
        // SAFETY: by invariants 1 and 2.
        unsafe { self.words.get_unchecked(place.block) }
    }

    /// How many values from `position` to the end of its block are there, by the block's mark; `None` if the mark cannot be.
    #[inline(always)]
    pub(crate) fn ready(&self, place: Place, position: u64, end: u64, mark: u64) -> Option<u64> {
        debug_assert_eq!(place, self.place(position));
        match mark.wrapping_sub(position) {
            ready if ready <= end.wrapping_sub(position) => Some(ready),
            // What a previous lap left is behind the position.
            behind if behind > u64::MAX / 2 => Some(0),
            _ => None,
        }
    }

    /// The words of the value at a place, which must not be the end of its block.
    #[inline(always)]
    pub(crate) fn value(&self, place: Place) -> &[Word<A>] {
        let range = place.value..place.value + words_for(size_of::<T>());
        debug_assert!(range.end <= self.words.len());
        // SAFETY: by invariants 1 and 2; the layout has room for each value within its block.
        unsafe { self.words.get_unchecked(range) }
    }
}

impl<T: Shared> Cells<T> {
    /// How many values ahead [`prefetch`](Self::prefetch) reaches: it should not take lines from a consumer that still reads them.
    pub(crate) const PREFETCHED: u64 = if Self::LAYOUT.words == LINE { AHEAD as u64 + 1 } else { 2 } * Self::VALUES;

    /// Asks the processor for the lines that the producer will write soon.
    #[inline(always)]
    pub(crate) fn prefetch(&self, place: Place) {
        let start = self.words.as_ptr().wrapping_add(place.block + Self::LAYOUT.words);
        if Self::LAYOUT.words == LINE {
            hint::prefetch_for_write(start.wrapping_add((AHEAD - 1) * LINE));
        } else {
            for line in 0..(Self::LAYOUT.words / LINE).min(2 * AHEAD) {
                hint::prefetch_for_write(start.wrapping_add(line * LINE));
            }
        }
    }

    /// Asks the processor for the lines of a claim of `count` values that starts at a place, the first of them at least.
    #[inline]
    pub(crate) fn prefetch_claim(&self, place: Place, count: u64) {
        let blocks = count as usize / Self::LAYOUT.values + 2;
        let lines = (blocks * Self::LAYOUT.words / LINE).min(2 * AHEAD);
        let start = self.words.as_ptr().wrapping_add(place.block);
        for line in 1..lines {
            hint::prefetch_for_write(start.wrapping_add(line * LINE));
        }
    }

    /// A run of values itself, for who has claimed it.
    ///
    /// # Safety
    ///
    /// `place` and `count` are from [`runs`](Self::runs), or `count` is 1 and the place is not the end of its block. As long as the result lives no well-behaved peer and nobody in this process
    /// may write the values: the caller's claim excludes them.
    #[inline(always)]
    pub(crate) unsafe fn values(&self, place: Place, count: usize) -> &[T] {
        let first = self.words.as_ptr().wrapping_add(place.value).cast::<T>();
        // SAFETY: in bounds, aligned and without gaps by the invariants and the caller; any bit pattern is a `T`, which is plain old data;
        // nobody writes, says the caller.
        unsafe { std::slice::from_raw_parts(first, count) }
    }

    /// A run of values itself, for writing in place, for who has claimed it.
    ///
    /// # Safety
    ///
    /// As for [`values`](Self::values), and nobody else in this process may touch the values. Only one such reference to a value may
    /// exist at a time.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the memory is shared; exclusion is the claim's, not the borrow's")]
    pub(crate) unsafe fn values_mut(&self, place: Place, count: usize) -> &mut [T] {
        let first = self.words.as_ptr().wrapping_add(place.value).cast::<T>().cast_mut();
        // SAFETY: as in `values`; words may be written through shared references, and nobody else touches them, says the caller.
        unsafe { std::slice::from_raw_parts_mut(first, count) }
    }
}

impl<T, A: Access> fmt::Debug for Cells<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cells({:?})", self.words)
    }
}

/// See [`Cells::runs`].
pub(crate) struct Runs<'a, T, A: Access> {
    cells: &'a Cells<T, A>,
    place: Place,
    in_block: u64,
    left: u64,
}

impl<T: Shared, A: Access> Iterator for Runs<'_, T, A> {
    type Item = (Place, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(Place, usize)> {
        if self.left == 0 {
            return None;
        }
        if self.in_block == 0 {
            self.place = self.cells.next_block(self.place);
            self.in_block = Cells::<T, A>::VALUES;
        }
        let (place, count) = (self.place, self.in_block.min(self.left).min(Cells::<T, A>::RUN));
        Cells::<T, A>::advance(&mut self.place, count);
        self.in_block -= count;
        self.left -= count;
        Some((place, count as usize))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn small_values_share_a_line_with_their_mark() {
        for (size, align, values, first, step, words) in [
            (0, 1, 7, 1, 1, 8),
            (1, 1, 7, 1, 1, 8),
            (8, 8, 7, 1, 1, 8),
            (9, 1, 3, 1, 2, 8),
            (24, 8, 2, 1, 3, 8),
            (25, 8, 1, 1, 4, 8),
            (56, 8, 1, 1, 7, 8),
            (57, 8, 8, 8, 8, 72),
            (16, 16, 3, 2, 2, 8),
            (64, 64, 8, 8, 8, 72),
            (120, 8, 8, 8, 15, 128),
            (512, 8, 8, 8, 64, 520),
            (520, 8, 1, 8, 65, 80),
        ] {
            let expected = BlockLayout { values, first, step, words };
            assert_eq!(BlockLayout::of(size, align), expected, "size {size}, align {align}");
            assert!(first + (values - 1) * step + words_for(size) <= words);
        }
    }

    #[test]
    fn positions_go_round() {
        let layout = BlockLayout::of(8, 8);
        assert_eq!(layout.blocks(14), 3);
        assert_eq!(layout.locate(0, 14), (0, 0));
        assert_eq!(layout.locate(6, 14), (0, 6));
        assert_eq!(layout.locate(7, 14), (1, 0));
        assert_eq!(layout.locate(21, 14), (0, 0));
    }

    #[test]
    fn the_producer_never_enters_a_block_that_the_consumer_is_in() {
        for (size, capacity) in [(8, 1), (8, 7), (8, 8), (8, 100), (16, 2), (56, 1), (64, 3), (64, 8), (1024, 1)] {
            let layout = BlockLayout::of(size, 8);
            for head in 0..4 * capacity {
                // The last value that may be pushed, and the consumer's next.
                let (last, first) = (head + capacity - 1, head);
                let laps = |position: u64| position / layout.values as u64;
                assert!(
                    laps(last) - laps(first) < layout.blocks(capacity),
                    "size {size}, capacity {capacity}, head {head}"
                );
            }
        }
    }
}
