//! Size classes: how large the blocks are that a slab is cut into, and how large the slab is.
//!
//! Up to 128 bytes every multiple of 8 is a class, from there on eight sizes to each doubling, up to 32 KiB: a block is never more than an
//! eighth larger than what was asked for (below 64 bytes: at most 7 bytes larger). Sizes are in words.

use super::layout::PAGE_WORDS;

/// The smallest block, 32 bytes.
const SMALLEST: usize = 4;
/// The largest that is cut from a slab, 32 KiB; what is larger is a run of pages.
pub(crate) const LARGEST: usize = 4096;
/// Up to here each multiple of a word is a class.
const LINEAR: usize = 16;
/// Classes to each doubling from there.
const STEPS: usize = 8;
/// How many classes there are.
pub(crate) const CLASSES: usize = LINEAR - SMALLEST + 1 + STEPS * (LARGEST / LINEAR).ilog2() as usize;

/// Words at the start of a slab: which of its blocks are free.
pub(crate) const SLAB_HEAD: usize = 8;
/// Words of the head that are bits, one for each block: set if it is free.
pub(crate) const BITMAP: usize = 4;
/// The most blocks of a slab.
pub(crate) const MOST_BLOCKS: usize = BITMAP * 64;
/// A slab of large blocks has room for so many at least.
const FEWEST_BLOCKS: usize = 4;
/// No slab is larger, in pages.
pub(crate) const LARGEST_SLAB: usize = 64;

/// A size class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class(u8);

#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Words of a block.
    block: usize,
    /// Pages of a slab.
    pages: usize,
    /// Blocks of a slab.
    blocks: usize,
    /// 2^32 divided by `block`, rounded up: by multiplying with it a position in a slab is divided by `block`.
    reciprocal: u64,
    /// The bits of a slab of which all blocks are free.
    all_free: [u64; BITMAP],
}

const SIZES: [Sizes; CLASSES] = sizes();

#[allow(clippy::indexing_slicing, reason = "worked out by the compiler")]
const fn sizes() -> [Sizes; CLASSES] {
    let mut all = [slab_of(SMALLEST); CLASSES];
    let mut class = 0;
    while class < CLASSES {
        all[class] = slab_of(block_of(class));
        class += 1;
    }
    all
}

const fn block_of(class: usize) -> usize {
    if class <= LINEAR - SMALLEST {
        return SMALLEST + class;
    }
    let beyond = class - (LINEAR - SMALLEST) - 1;
    let (doubling, step) = (beyond / STEPS, beyond % STEPS);
    let base = LINEAR << doubling;
    base + (step + 1) * (base / STEPS)
}

/// The slab that wastes the smallest part of itself; of those that waste about the same, the smallest.
#[allow(clippy::indexing_slicing, reason = "worked out by the compiler")]
const fn slab_of(block: usize) -> Sizes {
    let mut best =
        Sizes { block, pages: 0, blocks: 0, reciprocal: (1_u64 << 32).div_ceil(block as u64), all_free: [0; BITMAP] };
    let mut pages = 1;
    while pages <= LARGEST_SLAB {
        let room = (pages * PAGE_WORDS - SLAB_HEAD) / block;
        let blocks = if room > MOST_BLOCKS { MOST_BLOCKS } else { room };
        // Better by more than one part in 64, or nothing yet.
        let better = blocks * best.pages * 64 > best.blocks * pages * 65;
        if blocks >= FEWEST_BLOCKS && (best.pages == 0 || better) {
            best = Sizes { pages, blocks, ..best };
        }
        pages += 1;
    }
    let mut block = 0;
    while block < best.blocks {
        best.all_free[block / 64] |= 1 << (block % 64);
        block += 1;
    }
    best
}

impl Class {
    /// The class for so many words; `None`: that takes pages of its own.
    #[inline]
    pub(crate) fn of(words: usize) -> Option<Self> {
        if words <= LINEAR {
            return Some(Self(words.saturating_sub(SMALLEST) as u8));
        }
        if words > LARGEST {
            return None;
        }
        // `words - 1` is in the doubling that starts at `LINEAR << doubling`.
        let doubling = (words - 1).ilog2() - LINEAR.ilog2();
        let step = ((words - 1) >> (doubling + (LINEAR / STEPS).ilog2())) & (STEPS - 1);
        Some(Self((LINEAR - SMALLEST + 1 + doubling as usize * STEPS + step) as u8))
    }

    /// The class of that number, which may be anything.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        (usize::from(number) < CLASSES).then_some(Self(number))
    }

    pub(crate) fn number(self) -> u8 {
        self.0
    }

    #[inline(always)]
    fn sizes(self) -> &'static Sizes {
        // There are as many as classes.
        SIZES.get(usize::from(self.0)).unwrap_or(&SIZES[0])
    }

    /// Words of a block.
    pub(crate) fn words(self) -> usize {
        self.sizes().block
    }

    /// Pages of a slab.
    pub(crate) fn pages(self) -> usize {
        self.sizes().pages
    }

    /// Blocks of a slab.
    pub(crate) fn blocks(self) -> usize {
        self.sizes().blocks
    }

    /// The bits of a slab of which all blocks are free.
    #[inline]
    pub(crate) fn all_free(self) -> [u64; BITMAP] {
        self.sizes().all_free
    }

    /// The number of the block that starts so many words behind the head of a slab, if one does.
    #[inline]
    pub(crate) fn block_at(self, within: usize) -> Option<usize> {
        let Sizes { block, blocks, reciprocal, .. } = *self.sizes();
        let number = (within as u64).wrapping_mul(reciprocal) >> 32;
        let number = number as usize;
        (number < blocks && number * block == within).then_some(number)
    }

    /// All of them.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..CLASSES).map(|number| Self(number as u8))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_the_smallest_class_that_holds_it() {
        for words in 1..=LARGEST {
            let class = Class::of(words).unwrap();
            assert!(class.words() >= words, "{words}");
            if class.number() > 0 {
                let below = Class::from_number(class.number() - 1).unwrap();
                assert!(below.words() < words, "{words}");
            }
        }
        assert_eq!(Class::of(LARGEST + 1), None);
        assert_eq!((Class::from_number(CLASSES as u8), Class::all().count()), (None, CLASSES));
    }

    #[test]
    fn little_is_wasted_within_blocks_and_slabs() {
        for words in 1..=LARGEST {
            let block = Class::of(words).unwrap().words();
            assert!(block == SMALLEST || (block - words) * 8 <= words, "{words} words in {block}");
        }
        for class in Class::all() {
            let (used, whole) = (class.blocks() * class.words(), class.pages() * PAGE_WORDS);
            assert!(used + SLAB_HEAD <= whole && whole - used <= whole / 16, "{used} of {whole} words used");
        }
    }

    #[test]
    fn blocks_are_found_where_they_start() {
        for class in Class::all() {
            for within in 0..class.pages() * PAGE_WORDS {
                let found = Some(within / class.words())
                    .filter(|&block| block * class.words() == within && block < class.blocks());
                assert_eq!(class.block_at(within), found);
            }
            assert_eq!(class.block_at(usize::MAX), None);
        }
    }

    #[test]
    fn a_slab_begins_with_all_its_blocks_free() {
        for class in Class::all() {
            let free: u32 = class.all_free().iter().map(|bits| bits.count_ones()).sum();
            assert_eq!(free as usize, class.blocks());
        }
    }
}
