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
}

const SIZES: [Sizes; CLASSES] = sizes();

const fn sizes() -> [Sizes; CLASSES] {
    let mut all = [Sizes { block: 0, pages: 0, blocks: 0 }; CLASSES];
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
const fn slab_of(block: usize) -> Sizes {
    let mut best = Sizes { block, pages: 0, blocks: 0 };
    let mut pages = 1;
    while pages <= LARGEST_SLAB {
        let room = (pages * PAGE_WORDS - SLAB_HEAD) / block;
        let blocks = if room > MOST_BLOCKS { MOST_BLOCKS } else { room };
        // Better by more than one part in 64, or nothing yet.
        let better = blocks * best.pages * 64 > best.blocks * pages * 65;
        if blocks >= FEWEST_BLOCKS && (best.pages == 0 || better) {
            best = Sizes { block, pages, blocks };
        }
        pages += 1;
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

    fn sizes(self) -> Sizes {
        SIZES.get(usize::from(self.0)).copied().unwrap_or(Sizes {
            block: LARGEST,
            pages: LARGEST_SLAB,
            blocks: FEWEST_BLOCKS,
        })
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
    pub(crate) fn all_free(self, word: usize) -> u64 {
        let blocks = self.blocks().saturating_sub(word * 64);
        if blocks >= 64 { u64::MAX } else { (1 << blocks) - 1 }
    }

    /// All of them.
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
            assert!(used + SLAB_HEAD <= whole && whole - used <= whole / 16, "{} of {whole} words used", used);
        }
    }

    #[test]
    fn a_slab_begins_with_all_its_blocks_free() {
        for class in Class::all() {
            let free: u32 = (0..BITMAP).map(|word| class.all_free(word).count_ones()).sum();
            assert_eq!(free as usize, class.blocks());
        }
    }
}
