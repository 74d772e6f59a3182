//! The only writer of a slot.

use std::sync::Arc;

use super::error::WriteError;
use super::slots::Slots;
use crate::Shared;
use crate::peer::Peer;

/// Exclusive right to write one slot: no turn to take, so a write is a few stores.
///
/// Made by [`Slots::writer`] and [`Slot::writer`](super::Slot::writer); given up when dropped. **If the process dies**, another may take it at once;
/// a value half written is not seen by anyone. Leaked, it keeps others from writing as long as the process lives. In a forked child
/// it does nothing.
#[derive(Debug)]
pub struct Writer<T: Shared> {
    slots: Slots<T>,
    index: usize,
    mine: u64,
    peer: Arc<Peer>,
}

impl<T: Shared> Writer<T> {
    pub(super) fn new(slots: Slots<T>, index: usize, mine: u64, peer: Arc<Peer>) -> Self {
        Self { slots, index, mine, peer }
    }

    /// Writes the value and returns its version. Wait-free.
    ///
    /// # Errors
    ///
    /// [`WriteError::Forked`] in a forked child; otherwise none.
    #[inline]
    pub fn write(&mut self, value: &T) -> Result<u64, WriteError> {
        if !self.peer.is_current() {
            return Err(WriteError::Forked);
        }
        let (cell, _) = self.slots.cell_and_turn(self.index)?;
        Ok(cell.write(bytemuck::bytes_of(value), self.slots.light()))
    }
}

impl<T: Shared> Drop for Writer<T> {
    fn drop(&mut self) {
        if self.peer.is_current()
            && let Ok((_, turn)) = self.slots.cell_and_turn(self.index)
        {
            turn.give_back(self.mine, self.slots.light());
        }
    }
}
