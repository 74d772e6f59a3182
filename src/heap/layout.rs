//! Where things are in the segment of a heap. All in words from the start of the segment's contents, unless it says pages or bytes.
//!
//! ```text
//! page 0          control: lock, journal, state, bins, classes
//! pages 1..       the table: two words for each page of the segment
//! then            pages to be handed out
//! ```

use super::class::CLASSES;
use crate::segment::Reason;
use crate::sync::lock::LOCK_WORDS;

/// Words of a page.
pub(crate) const PAGE_WORDS: usize = 512;
/// Bytes of a page.
pub(crate) const PAGE_BYTES: usize = 8 * PAGE_WORDS;
/// Words of a page's entry in the table.
pub(crate) const ENTRY: usize = 2;
/// The first page of the table.
pub(crate) const TABLE: usize = 1;
/// Pages that one page of the table tells of.
pub(crate) const TOLD_BY_A_PAGE: usize = PAGE_WORDS / ENTRY;

/// The journal: a count, and that many pairs of a word's index and its new value.
pub(crate) const JOURNAL: usize = LOCK_WORDS;
/// The most words that change at once.
pub(crate) const MOST_CHANGES: usize = 31;
const JOURNAL_WORDS: usize = 1 + 2 * MOST_CHANGES;

/// The first page that was never handed out.
pub(crate) const TOP: usize = JOURNAL + JOURNAL_WORDS + 1;
/// How many pages of the table are there.
pub(crate) const TABLE_BACKED: usize = TOP + 1;
/// How often something was allocated.
pub(crate) const EPOCH: usize = TOP + 2;
/// When free pages were last looked for, by the clock that counts sleep.
pub(crate) const SWEPT_AT: usize = TOP + 6;
/// The first page of pins.
pub(crate) const PINS: usize = TOP + 5;
/// Where what is allocated for the heap itself is handed over.
pub(crate) const HANDOVER: usize = TOP + 3;
/// About how many pages are free but there.
pub(crate) const FREE_BACKED: usize = TOP + 4;

/// Free runs by length: the first page of the first run of each bin.
pub(crate) const BINS: usize = 128;
/// How many there are.
pub(crate) const BIN_COUNT: usize = 240;
/// The first slab of each class that has free blocks.
pub(crate) const SLABS: usize = BINS + BIN_COUNT;

const _: () = assert!(SWEPT_AT < BINS && SLABS + CLASSES <= PAGE_WORDS);

/// How a segment of so many pages is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// All pages.
    pub(crate) pages: usize,
    /// The first page that can be handed out.
    pub(crate) first: usize,
}

/// The smallest heap, in pages.
const FEWEST_PAGES: usize = 32;

impl Plan {
    /// # Errors
    ///
    /// Too small.
    pub(crate) fn of(bytes: u64) -> Result<Self, Reason> {
        let too_large =
            |_| Reason::Size { what: "a heap", expected: "a size that fits in memory".into(), found: bytes };
        let pages = usize::try_from(bytes / PAGE_BYTES as u64).map_err(too_large)?;
        // Links are 32 bits wide.
        if !(FEWEST_PAGES..1 << 32).contains(&pages) {
            let expected = format!("from {} bytes to 16 TiB", FEWEST_PAGES * PAGE_BYTES);
            return Err(Reason::Size { what: "a heap", expected, found: bytes });
        }
        Ok(Self { pages, first: 1 + pages.div_ceil(TOLD_BY_A_PAGE) })
    }

    /// How many pages of the table are there from the start: up to that which tells of the first page.
    pub(crate) fn first_table_pages(self) -> usize {
        self.first / TOLD_BY_A_PAGE + 1
    }

    /// Where a page's entry in the table is.
    pub(crate) fn entry(self, page: usize) -> usize {
        TABLE * PAGE_WORDS + ENTRY * page
    }
}
