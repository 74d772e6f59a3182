//! The first word of a page's entry in the table.

use super::class::Class;

/// What a page is.
///
/// | bits | meaning |
/// | --- | --- |
/// | 0..4 | which of these |
/// | 4 | its memory is there |
/// | 5 | it is free, and was when that was last looked for |
/// | 8..16 | of a slab: its class |
/// | 32..64 | length of the run in pages; of a later page of a slab: how many pages back the slab begins |
///
/// Of a run only the first and the last page are told of; those between are whatever they were, but for bits 4 and 5, which always hold. The second word is a link:
/// `previous (32 bits) << 32 | next (32 bits)`, of the first page of a free run or of a slab with free blocks, in the list it is in; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// Nothing that is told of.
    Within,
    /// First page of a free run.
    Free(usize),
    /// Last page of a free run, if it is not the first.
    FreeEnd(usize),
    /// First page of a run in use.
    Run(usize),
    /// Last page of a run in use, if it is not the first.
    RunEnd,
    /// First page of a slab.
    Slab(Class),
    /// Another page of a slab, which begins so many pages before.
    SlabRest(usize),
}

const BACKED: u64 = 1 << 4;
const OLD: u64 = 1 << 5;

impl Page {
    /// What an entry's first word says; `None`: it was spoilt.
    pub(crate) fn read(word: u64) -> Option<Self> {
        let length = (word >> 32) as usize;
        Some(match word & 0xf {
            0 => Self::Within,
            1 => Self::Free(length),
            2 => Self::FreeEnd(length),
            3 => Self::Run(length),
            4 => Self::RunEnd,
            5 => Self::Slab(Class::from_number((word >> 8) as u8)?),
            6 => Self::SlabRest(length),
            _ => return None,
        })
    }

    /// The word that says so; whether the memory is there stays as in `before`.
    pub(crate) fn write(self, before: u64) -> u64 {
        let word = match self {
            Self::Within => 0,
            Self::Free(length) => 1 | (length as u64) << 32,
            Self::FreeEnd(length) => 2 | (length as u64) << 32,
            Self::Run(length) => 3 | (length as u64) << 32,
            Self::RunEnd => 4,
            Self::Slab(class) => 5 | u64::from(class.number()) << 8,
            Self::SlabRest(back) => 6 | (back as u64) << 32,
        };
        word | before & BACKED
    }
}

/// Whether the page's memory is there.
pub(crate) fn is_backed(word: u64) -> bool {
    word & BACKED != 0
}

/// The same word for a page whose memory is there, or is not.
pub(crate) fn backed(word: u64, backed: bool) -> u64 {
    word & !BACKED | if backed { BACKED } else { 0 }
}

/// Whether it was free before.
pub(crate) fn is_old(word: u64) -> bool {
    word & OLD != 0
}

/// The same word for a page that was free before, or was not.
pub(crate) fn old(word: u64, old: bool) -> u64 {
    word & !OLD | if old { OLD } else { 0 }
}

/// Neighbours in a list: pages, 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Link {
    pub(crate) previous: usize,
    pub(crate) next: usize,
}

impl Link {
    pub(crate) fn read(word: u64) -> Self {
        Self { previous: (word >> 32) as usize, next: (word & 0xffff_ffff) as usize }
    }

    pub(crate) fn write(self) -> u64 {
        (self.previous as u64) << 32 | self.next as u64
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let class = Class::of(100).unwrap();
        let pages = [
            Page::Within,
            Page::Free(1),
            Page::FreeEnd(u32::MAX as usize),
            Page::Run(3),
            Page::RunEnd,
            Page::Slab(class),
            Page::SlabRest(63),
        ];
        for page in pages {
            for there in [false, true] {
                let word = page.write(backed(u64::MAX, there));
                assert_eq!((Page::read(word), is_backed(word)), (Some(page), there));
            }
        }
        assert_eq!(Page::read(7), None);
        assert_eq!(Page::read(5 | 0xff << 8), None);
        let link = Link { previous: u32::MAX as usize, next: 7 };
        assert_eq!(Link::read(link.write()), link);
    }
}
