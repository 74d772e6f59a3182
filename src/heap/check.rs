//! Whether a heap is whole: every page told of once, every list of what belongs in it and nothing else.

use std::collections::BTreeSet;

use super::class::{CLASSES, Class};
use super::entry::Page;
use super::journal::Fault;
use super::layout::{BIN_COUNT, BINS, PAGE_WORDS, SLABS};
use super::runs::{Runs, bin_of};
use super::slabs::Place;

/// What was found, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) free_pages: usize,
    /// The longest free run, in pages.
    pub(crate) longest_free: usize,
    pub(crate) slab_pages: usize,
    pub(crate) run_pages: usize,
    /// Pages whose memory is there.
    pub(crate) backed: usize,
    /// Of those, pages that are free.
    pub(crate) free_backed: usize,
    /// Words of blocks in use, as large as they are, not as was asked for.
    pub(crate) words: usize,
    /// Where blocks in use start.
    pub(crate) blocks: BTreeSet<usize>,
    /// What is wrong, in words for people.
    pub(crate) damage: Vec<String>,
}

impl Runs<'_, '_> {
    /// Looks at everything.
    ///
    /// # Errors
    ///
    /// The first page never used is not known: then nothing is.
    pub(crate) fn census(&self) -> Result<Census, Fault> {
        let mut census = Census::default();
        let top = self.top()?;
        let (mut free, mut slabs) = (BTreeSet::new(), BTreeSet::new());
        let mut page = self.plan.first;
        let mut last_was_free = false;
        while page < top {
            let told = self.page(page);
            let is_slab = matches!(told, Ok(Page::Slab(_)));
            let (length, is_free) = match told {
                Ok(Page::Free(length)) => {
                    self.count_free(page, length, top, last_was_free, &mut census);
                    free.insert(page);
                    (length, true)
                }
                Ok(Page::Run(length)) => {
                    census.run_pages += length;
                    census.words += length.saturating_mul(PAGE_WORDS);
                    census.blocks.insert(page * PAGE_WORDS);
                    (length, false)
                }
                Ok(Page::Slab(class)) => {
                    if self.count_slab(page, class, top, &mut census) {
                        slabs.insert(page);
                    }
                    (class.pages(), false)
                }
                _ => (0, false),
            };
            if length == 0 || length > top - page {
                census
                    .damage
                    .push(format!("page {page}: expected a run or slab that ends by page {top}, found {told:?}"));
                break;
            }
            for page in page..page + length {
                if self.is_backed(page).unwrap_or(false) {
                    census.backed += 1;
                    census.free_backed += usize::from(is_free);
                } else if is_slab {
                    census.damage.push(format!("page {page}: cut into blocks, and its memory is not there"));
                }
            }
            last_was_free = is_free;
            page += length;
        }
        self.check_lists(free, slabs, &mut census);
        Ok(census)
    }

    fn count_free(&self, page: usize, length: usize, top: usize, joins: bool, census: &mut Census) {
        census.free_pages += length;
        census.longest_free = census.longest_free.max(length);
        if joins {
            census.damage.push(format!("page {page}: a free run follows a free run"));
        }
        if length > 1 && length <= top - page && self.page(page + length - 1).ok() != Some(Page::FreeEnd(length)) {
            census.damage.push(format!("page {page}: a free run of {length} pages has no end"));
        }
    }

    /// Whether it has free blocks.
    fn count_slab(&self, page: usize, class: Class, top: usize, census: &mut Census) -> bool {
        census.slab_pages += class.pages();
        if class.pages() > top - page {
            return false;
        }
        for back in 1..class.pages() {
            if self.page(page + back).ok() != Some(Page::SlabRest(back)) {
                census.damage.push(format!("page {}: expected part of a slab", page + back));
            }
        }
        let mut any_free = false;
        for (word, all) in class.all_free().into_iter().enumerate() {
            let bits = self.changes.get(page * PAGE_WORDS + word).unwrap_or(0);
            any_free |= bits != 0;
            if bits & !all != 0 {
                census.damage.push(format!("page {page}: blocks are free that it has not"));
            }
        }
        for block in 0..class.blocks() {
            let place = Place { page, class, block };
            if self.is_taken(place).unwrap_or(true) {
                census.words += class.words();
                census.blocks.insert(place.start());
            }
        }
        any_free
    }

    fn check_lists(&self, mut free: BTreeSet<usize>, mut slabs: BTreeSet<usize>, census: &mut Census) {
        for bin in 0..BIN_COUNT {
            self.check_list(
                BINS + bin,
                &mut free,
                census,
                |told| matches!(told, Page::Free(length) if bin_of(length) == bin),
            );
        }
        for number in 0..CLASSES {
            self.check_list(
                SLABS + number,
                &mut slabs,
                census,
                |told| matches!(told, Page::Slab(class) if usize::from(class.number()) == number),
            );
        }
        census.damage.extend(free.iter().map(|page| format!("page {page}: a free run that is in no list")));
        census
            .damage
            .extend(slabs.iter().map(|page| format!("page {page}: a slab with free blocks that is in no list")));
    }

    fn check_list(
        &self,
        head: usize,
        expected: &mut BTreeSet<usize>,
        census: &mut Census,
        belongs: impl Fn(Page) -> bool,
    ) {
        let Ok(mut page) = self.listed(head) else {
            census.damage.push(format!("word {head}: expected a page, found none"));
            return;
        };
        let mut previous = 0;
        while page != 0 {
            let link = self.link(page).unwrap_or_default();
            // Each is in one list, once: so this ends.
            if !expected.remove(&page) || !self.page(page).is_ok_and(&belongs) || link.previous != previous {
                census.damage.push(format!("page {page}: in a list that it does not belong in"));
                return;
            }
            previous = page;
            page = link.next;
        }
    }
}
