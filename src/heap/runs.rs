//! Runs of pages: free ones in bins by length, joined with their neighbours when they come back.
//!
//! "Two-level segregated fit" (Masmano and others, 2004), with boundary tags in the table instead of in the runs.

use super::class::Class;
use super::entry::{self, Link, Page};
use super::journal::{Changes, Fault, spoilt};
use super::layout::{BIN_COUNT, BINS, Plan, TABLE, TABLE_BACKED, TOLD_BY_A_PAGE, TOP};
use super::memory::Memory;
use crate::base::atomic::Ordering::Relaxed;

/// Runs of up to so many pages have bins of their own.
const EXACT: usize = 16;
/// Bins to each doubling from there.
const STEPS: usize = 8;
/// How many runs of a bin in which not all are long enough are looked at, while there are others.
const TRIES: usize = 8;

/// The bin for runs of that length.
pub(crate) fn bin_of(length: usize) -> usize {
    if length <= EXACT {
        return length.saturating_sub(1);
    }
    let doubling = length.ilog2() - EXACT.ilog2();
    let step = (length >> (doubling + 1)) & (STEPS - 1);
    (EXACT + doubling as usize * STEPS + step).min(BIN_COUNT - 1)
}

/// The runs, by who holds the lock.
#[derive(Debug)]
pub(crate) struct Runs<'c, 'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) plan: Plan,
    pub(crate) changes: &'c mut Changes<'a>,
}

impl Runs<'_, '_> {
    /// What is told of a page.
    #[inline]
    pub(crate) fn page(&self, page: usize) -> Result<Page, Fault> {
        let word = self.changes.get(self.entry(page)?)?;
        Page::read(word).ok_or_else(|| spoilt("what is told of a page", "one of seven kinds".into(), word))
    }

    pub(crate) fn set_page(&mut self, page: usize, told: Page) -> Result<(), Fault> {
        let at = self.entry(page)?;
        let before = self.changes.get(at)?;
        self.changes.set(at, told.write(before))
    }

    pub(crate) fn link(&self, page: usize) -> Result<Link, Fault> {
        Ok(Link::read(self.changes.get(self.entry(page)? + 1)?))
    }

    pub(crate) fn set_link(&mut self, page: usize, link: Link) -> Result<(), Fault> {
        let at = self.entry(page)? + 1;
        self.changes.set(at, link.write())
    }

    /// Where a page's entry is, if there is one.
    #[inline]
    fn entry(&self, page: usize) -> Result<usize, Fault> {
        if page >= self.plan.first && page < self.plan.pages {
            return Ok(self.plan.entry(page));
        }
        Err(self.no_page(page))
    }

    #[cold]
    fn no_page(&self, page: usize) -> Fault {
        spoilt("a page", format!("from {} to below {}", self.plan.first, self.plan.pages), page as u64)
    }

    /// The first page that was never handed out.
    pub(crate) fn top(&self) -> Result<usize, Fault> {
        let found = self.changes.get(TOP)?;
        usize::try_from(found).ok().filter(|top| (self.plan.first..=self.plan.pages).contains(top)).ok_or_else(|| {
            spoilt("the first page never used", format!("from {} to {}", self.plan.first, self.plan.pages), found)
        })
    }

    /// Puts a page at the head of a list.
    pub(crate) fn enlist(&mut self, head: usize, page: usize) -> Result<(), Fault> {
        let next = self.listed(head)?;
        if next != 0 {
            let link = self.link(next)?;
            self.set_link(next, Link { previous: page, ..link })?;
        }
        self.set_link(page, Link { previous: 0, next })?;
        self.changes.set(head, page as u64)
    }

    /// Takes a page out of a list.
    pub(crate) fn delist(&mut self, head: usize, page: usize) -> Result<(), Fault> {
        let Link { previous, next } = self.link(page)?;
        if next != 0 {
            let link = self.link(next)?;
            self.set_link(next, Link { previous, ..link })?;
        }
        if previous != 0 {
            let link = self.link(previous)?;
            return self.set_link(previous, Link { next, ..link });
        }
        self.changes.set(head, next as u64)
    }

    /// The first page of a list; 0 if it is empty.
    #[inline]
    pub(crate) fn listed(&self, head: usize) -> Result<usize, Fault> {
        let found = self.changes.get(head)?;
        usize::try_from(found).map_err(|_| spoilt("the head of a list", "a page".into(), found))
    }

    /// The length of a run that is listed as free.
    pub(crate) fn free_length(&self, page: usize) -> Result<usize, Fault> {
        match self.page(page)? {
            Page::Free(length) if length > 0 && length <= self.top()?.saturating_sub(page) => Ok(length),
            _ => Err(spoilt("a page listed as free", "the first of a free run".into(), page as u64)),
        }
    }

    /// Takes so many pages that follow each other, none of which is told of yet; `None`: there are none.
    pub(crate) fn take(&mut self, length: usize) -> Result<Option<usize>, Fault> {
        let from = bin_of(length);
        if let Some(page) = self.find(from, length, TRIES)? {
            return self.carve(page, length).map(Some);
        }
        for bin in from + 1..BIN_COUNT {
            let page = self.listed(BINS + bin)?;
            // In the last bin there is all that is longer.
            if page != 0 && self.free_length(page)? >= length {
                return self.carve(page, length).map(Some);
            }
        }
        if let Some(page) = self.grow(length)? {
            return Ok(Some(page));
        }
        match self.find(from, length, self.plan.pages)? {
            Some(page) => self.carve(page, length).map(Some),
            None => Ok(None),
        }
    }

    /// Looks through the first runs of a bin.
    fn find(&self, bin: usize, length: usize, tries: usize) -> Result<Option<usize>, Fault> {
        let mut page = self.listed(BINS + bin)?;
        for _ in 0..tries {
            if page == 0 {
                break;
            }
            if self.free_length(page)? >= length {
                return Ok(Some(page));
            }
            page = self.link(page)?.next;
        }
        Ok(None)
    }

    /// Takes the first pages of a free run.
    fn carve(&mut self, page: usize, length: usize) -> Result<usize, Fault> {
        let whole = self.free_length(page)?;
        self.delist(BINS + bin_of(whole), page)?;
        if whole > length {
            self.add(page + length, whole - length)?;
        } else {
            self.set_page(page + length - 1, Page::Within)?;
        }
        Ok(page)
    }

    /// Takes pages that were never handed out, and the free ones just below them.
    fn grow(&mut self, length: usize) -> Result<Option<usize>, Fault> {
        let top = self.top()?;
        let below = if top > self.plan.first { self.free_before(top)? } else { None };
        let page = below.unwrap_or(top);
        let Some(end) = page.checked_add(length).filter(|&end| end <= self.plan.pages) else { return Ok(None) };
        self.lengthen_table(end)?;
        if let Some(page) = below {
            self.delist(BINS + bin_of(top - page), page)?;
            self.set_page(top - 1, Page::Within)?;
        }
        self.changes.set(TOP, end as u64)?;
        Ok(Some(page))
    }

    /// Makes sure that the table tells of all pages below `end`.
    fn lengthen_table(&mut self, end: usize) -> Result<(), Fault> {
        let (found, needed) = (self.changes.get(TABLE_BACKED)?, end.div_ceil(TOLD_BY_A_PAGE));
        let there = usize::try_from(found).ok().filter(|&there| there < self.plan.first);
        let there = there
            .ok_or_else(|| spoilt("the length of the table", format!("below {} pages", self.plan.first), found))?;
        if needed > there {
            self.memory.back(TABLE + there, needed - there)?;
            self.changes.set(TABLE_BACKED, needed as u64)?;
        }
        Ok(())
    }

    /// The first page of the free run that ends just before this page.
    fn free_before(&self, page: usize) -> Result<Option<usize>, Fault> {
        let length = match self.page(page - 1)? {
            Page::Free(1) => 1,
            Page::FreeEnd(length) => length,
            _ => return Ok(None),
        };
        let first = page.checked_sub(length).filter(|&first| first >= self.plan.first && length > 0);
        let first = first.ok_or_else(|| spoilt("the length of a free run", format!("below {page}"), length as u64))?;
        if self.free_length(first)? != length {
            return Err(spoilt("the length of a free run", "the same at both of its ends".into(), length as u64));
        }
        Ok(Some(first))
    }

    /// Gives pages back.
    pub(crate) fn give(&mut self, page: usize, length: usize) -> Result<(), Fault> {
        let top = self.top()?;
        let (mut first, mut end) = (page, page + length);
        if end > top || length == 0 {
            return Err(spoilt(
                "the length of a run",
                format!("from 1 to {}", top.saturating_sub(page)),
                length as u64,
            ));
        }
        if page > self.plan.first
            && let Some(before) = self.free_before(page)?
        {
            self.delist(BINS + bin_of(page - before), before)?;
            self.set_page(page, Page::Within)?;
            first = before;
        }
        if end < top
            && let Page::Free(_) = self.page(end)?
        {
            let after = self.free_length(end)?;
            self.delist(BINS + bin_of(after), end)?;
            self.set_page(end, Page::Within)?;
            end += after;
        }
        self.add(first, end - first)
    }

    /// Lists a free run.
    fn add(&mut self, page: usize, length: usize) -> Result<(), Fault> {
        self.set_page(page, Page::Free(length))?;
        if length > 1 {
            self.set_page(page + length - 1, Page::FreeEnd(length))?;
        }
        self.enlist(BINS + bin_of(length), page)
    }

    /// Tells of a run that is in use.
    pub(crate) fn tell_run(&mut self, page: usize, length: usize) -> Result<(), Fault> {
        self.set_page(page, Page::Run(length))?;
        if length > 1 {
            self.set_page(page + length - 1, Page::RunEnd)?;
        }
        Ok(())
    }

    /// Tells of a slab.
    pub(crate) fn tell_slab(&mut self, page: usize, class: Class) -> Result<(), Fault> {
        self.set_page(page, Page::Slab(class))?;
        for back in 1..class.pages() {
            let at = self.entry(page + back)?;
            if back + 1 == class.pages() || self.changes.concerns(at) {
                self.set_page(page + back, Page::SlabRest(back))?;
            } else {
                // What is told of a page within a free run nobody goes by: no need to note it down first.
                let word = self.changes.word(at)?;
                word.store(Page::SlabRest(back).write(word.load(Relaxed)), Relaxed);
            }
        }
        Ok(())
    }

    /// Whether the memory of a page is there.
    pub(crate) fn is_backed(&self, page: usize) -> Result<bool, Fault> {
        Ok(entry::is_backed(self.changes.get(self.entry(page)?)?))
    }

    /// Whether it was free when that was last looked for.
    pub(crate) fn is_old(&self, page: usize) -> Result<bool, Fault> {
        Ok(entry::is_old(self.changes.get(self.entry(page)?)?))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bins_are_in_the_order_of_lengths() {
        let mut last = 0;
        for length in 1..100_000 {
            let bin = bin_of(length);
            assert!(bin == last || bin == last + 1, "{length}");
            last = bin;
        }
        assert_eq!(bin_of(16), 15);
        assert_eq!(bin_of(17), 16);
        assert!(bin_of(u32::MAX as usize) < BIN_COUNT);
    }
}
