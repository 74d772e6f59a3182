//! What a side's fast path lives on.

use bytemuck::Zeroable;

use crate::segment::cells::Place;
use crate::segment::{Error, Reason, Segment};
use crate::sys::wiped::Wiped;

/// The next position, and up to where one may go without asking. Zero, as a forked child finds it, means "ask", and asking tells the child that it
/// is one.
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C)]
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
    pub(super) fn new(position: u64, place: Place, segment: &Segment) -> Result<Wiped<Self>, Error> {
        Wiped::new(Self { position, stop: position, place })
            .map_err(|error| segment.error(Reason::os("make a page that children see wiped", error)))
    }

    /// How many values are ours in this block.
    #[inline(always)]
    pub(super) fn ours(&self) -> u64 {
        self.stop.wrapping_sub(self.position)
    }
}
