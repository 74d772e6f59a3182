//! The memory of a heap's pages: had from the system before it is touched, and given back when there is plenty that nobody needs.

use std::time::Duration;

use super::entry::{backed, old};
use super::journal::Fault;
use super::layout::{BIN_COUNT, BINS, FREE_BACKED, PAGE_BYTES, SWEPT_AT};
use super::runs::Runs;
use crate::base::atomic::Ordering::Relaxed;
use crate::segment::Segment;
use crate::sys::clock;

/// The segment, as it is had and given back page by page.
#[derive(Debug)]
pub(crate) struct Memory {
    segment: Segment,
}

impl Memory {
    pub(crate) fn new(segment: Segment) -> Self {
        Self { segment }
    }

    /// Has the memory of so many pages.
    ///
    /// # Errors
    ///
    /// There is not as much; then there is none of it.
    pub(crate) fn back(&self, page: usize, count: usize) -> Result<(), Fault> {
        self.segment.back(page as u64 * PAGE_BYTES as u64, count as u64 * PAGE_BYTES as u64).map_err(Box::new)
    }

    /// Gives it back.
    fn let_go(&self, page: usize, count: usize) -> Result<(), Fault> {
        self.segment.let_go(page as u64 * PAGE_BYTES as u64, count as u64 * PAGE_BYTES as u64).map_err(Box::new)
    }
}

/// How much may be free and there, in pages, before the memory of what has been free for long is given back.
const RESERVE: u64 = (16 << 20) / PAGE_BYTES as u64;
/// For how long: whoever found the way to a page without a lock just before it was freed has read it by then.
pub(crate) const LONG: Duration = Duration::from_secs(1);
/// How many pages are looked at, and given back, at a time: some tens of milliseconds at most.
const AT_A_TIME: usize = (128 << 20) / PAGE_BYTES;

impl Runs<'_, '_> {
    /// Has the memory of a run that is ours, as far as it is not there.
    pub(crate) fn back(&self, page: usize, length: usize) -> Result<(), Fault> {
        let (mut at, end) = (page, page + length);
        while at < end {
            let there = self.is_backed(at)?;
            let mut next = at + 1;
            while next < end && self.is_backed(next)? == there {
                next += 1;
            }
            if there {
                self.count_free_backed(at.wrapping_sub(next) as u64)?;
            } else {
                self.memory.back(at, next - at)?;
            }
            self.mark(at, next, |word| old(backed(word, true), false))?;
            at = next;
        }
        Ok(())
    }

    /// Gives the memory of what has been free for long back to the system, if there is plenty.
    pub(crate) fn let_go_if_plenty(&self) -> Result<(), Fault> {
        if self.changes.word(FREE_BACKED)?.load(Relaxed) > RESERVE {
            self.let_go_in_turn()?;
        }
        Ok(())
    }

    /// The same once a second at most.
    #[cold]
    fn let_go_in_turn(&self) -> Result<(), Fault> {
        let (swept_at, now) = (self.changes.word(SWEPT_AT)?, clock::boot_ns());
        if now.wrapping_sub(swept_at.load(Relaxed)) >= LONG.as_nanos() as u64 {
            swept_at.store(now, Relaxed);
            self.let_go(true)?;
        }
        Ok(())
    }

    /// Gives the memory of old free pages back, and makes the others old; or only those old that are not. Returns how many pages were given back.
    pub(crate) fn let_go(&self, give_back: bool) -> Result<usize, Fault> {
        let (mut done, mut kept, mut left) = (0, 0, AT_A_TIME);
        // The longest first.
        for bin in (0..BIN_COUNT).rev() {
            let mut page = self.listed(BINS + bin)?;
            while page != 0 && left > 0 {
                let length = self.free_length(page)?.min(left);
                left -= length;
                let (gone, stays) = self.let_go_of(page, length, give_back)?;
                done += gone;
                kept += stays;
                page = self.link(page)?.next;
            }
        }
        if left > 0 {
            // All were seen: here the count becomes right again.
            self.changes.word(FREE_BACKED)?.store(kept as u64, Relaxed);
        }
        Ok(done)
    }

    /// The same of one free run: how many pages were given back, and how many are still there.
    fn let_go_of(&self, page: usize, length: usize, give_back: bool) -> Result<(usize, usize), Fault> {
        let (mut at, end, mut done, mut kept) = (page, page + length, 0, 0);
        let is_due = |page| Ok::<_, Fault>(give_back && self.is_backed(page)? && self.is_old(page)?);
        while at < end {
            let due = is_due(at)?;
            let mut next = at;
            while next < end && is_due(next)? == due {
                kept += usize::from(!due && self.is_backed(next)?);
                next += 1;
            }
            if due {
                // First: what is taken for missing, and is there, is had once more for nothing.
                self.mark(at, next, |word| old(backed(word, false), false))?;
                self.memory.let_go(at, next - at)?;
                done += next - at;
            } else {
                self.mark(at, next, |word| old(word, true))?;
            }
            at = next;
        }
        Ok((done, kept))
    }

    /// Not part of a change: whatever else these words say stays, and this is so already.
    fn mark(&self, from: usize, end: usize, mark: impl Fn(u64) -> u64) -> Result<(), Fault> {
        for page in from..end {
            let word = self.changes.word(self.plan.entry(page))?;
            let before = word.load(Relaxed);
            if mark(before) != before {
                word.store(mark(before), Relaxed);
            }
        }
        Ok(())
    }

    /// For decisions that may be wrong: it does not survive a death exactly, until the next look.
    pub(crate) fn count_free_backed(&self, more: u64) -> Result<(), Fault> {
        let word = self.changes.word(FREE_BACKED)?;
        word.store(word.load(Relaxed).wrapping_add(more), Relaxed);
        Ok(())
    }
}
