//! What a side's fast path lives on.

use crate::segment::cells::Place;

/// The next position, and up to where one may go without asking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hot {
    /// The next value to push or to pop.
    pub(super) position: u64,
    /// Values `position..stop` are ours and in one block.
    pub(super) stop: u64,
    /// Where `position` is; the end of the previous block, if it is the first of its block and the block has not been entered yet.
    pub(super) place: Place,
}

impl Hot {
    /// Nothing is ours yet at this position.
    pub(super) fn new(position: u64, place: Place) -> Self {
        Self { position, stop: position, place }
    }

    /// How many values are ours in this block.
    #[inline(always)]
    pub(super) fn ours(&self) -> u64 {
        self.stop.wrapping_sub(self.position)
    }
}
