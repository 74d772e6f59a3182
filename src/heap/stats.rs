//! What a heap's memory is used for, for people.

use super::check::Census;
use super::layout::PAGE_BYTES;

/// What a [`Heap`](super::Heap)'s memory is used for. All in bytes, unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// What there can be in all.
    pub capacity: u64,
    /// Memory had from the system.
    pub committed: u64,
    /// The heap's own bookkeeping, without what is within slabs.
    pub bookkeeping: u64,
    /// How many blocks are in use.
    pub blocks: u64,
    /// What blocks in use take, rounded up to the sizes that there are.
    pub in_use: u64,
    /// Free blocks within slabs, and the slabs' own bookkeeping.
    pub free_in_slabs: u64,
    /// Free pages whose memory is still there.
    pub free_committed: u64,
    /// The longest run of free pages, of those that were ever used.
    pub longest_free: u64,
    /// How many pages were ever used, with the free ones among them.
    pub used_to: u64,
}

impl Stats {
    pub(super) fn of(census: &Census, capacity: u64, own_pages: u64) -> Self {
        let bytes = |pages: usize| pages as u64 * PAGE_BYTES as u64;
        let bookkeeping = own_pages * PAGE_BYTES as u64;
        let in_use = census.words as u64 * 8;
        Self {
            capacity,
            committed: bytes(census.backed) + bookkeeping,
            bookkeeping,
            blocks: census.blocks.len() as u64,
            in_use,
            free_in_slabs: bytes(census.slab_pages + census.run_pages).saturating_sub(in_use),
            free_committed: bytes(census.free_backed),
            longest_free: bytes(census.longest_free),
            used_to: bytes(census.free_pages + census.slab_pages + census.run_pages),
        }
    }

    /// How torn the free pages are: 0 if they are one run, towards 1 if there are many short ones.
    #[must_use]
    pub fn fragmentation(&self) -> f64 {
        let free = self.used_to.saturating_sub(self.in_use + self.free_in_slabs);
        if free == 0 { 0.0 } else { 1.0 - self.longest_free as f64 / free as f64 }
    }
}
