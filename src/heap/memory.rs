//! The memory of a heap's pages: had from the system before it is touched, and given back when there is plenty that nobody needs.

use super::entry::{backed, is_backed};
use super::journal::Fault;
use super::layout::{FREE_BACKED, PAGE_BYTES};
use super::runs::Runs;
use crate::base::atomic::Ordering::Relaxed;
use crate::segment::Segment;

/// The segment, as it is had and given back page by page.
#[derive(Debug)]
pub(crate) struct Memory {
    segment: Segment,
}

impl Memory {
    pub(crate) fn new(segment: Segment) -> Self {
        Self { segment }
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
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
                self.mark(at, next, true)?;
            }
            at = next;
        }
        Ok(())
    }

    /// Gives the memory of a free run back; at most so many pages of it.
    pub(crate) fn let_go(&self, page: usize, length: usize, most: usize) -> Result<usize, Fault> {
        let (mut at, end, mut done) = (page, page + length, 0);
        while at < end && done < most {
            let there = self.is_backed(at)?;
            let mut next = at + 1;
            while next < end && next - at < most - done && self.is_backed(next)? == there {
                next += 1;
            }
            if there {
                // First: what is taken for missing, and is there, is had once more for nothing.
                self.mark(at, next, false)?;
                self.memory.let_go(at, next - at)?;
                self.count_free_backed(at.wrapping_sub(next) as u64)?;
                done += next - at;
            }
            at = next;
        }
        Ok(done)
    }

    /// Not part of a change: whatever else these words say stays, and this is so already.
    fn mark(&self, from: usize, end: usize, there: bool) -> Result<(), Fault> {
        for page in from..end {
            let word = self.changes.word(self.plan.entry(page))?;
            let before = word.load(Relaxed);
            if is_backed(before) != there {
                word.store(backed(before, there), Relaxed);
            }
        }
        Ok(())
    }

    /// For decisions that may be wrong: it does not survive a death exactly.
    pub(crate) fn count_free_backed(&self, more: u64) -> Result<(), Fault> {
        let word = self.changes.word(FREE_BACKED)?;
        word.store(word.load(Relaxed).wrapping_add(more), Relaxed);
        Ok(())
    }
}
