//! Waiting for a slot to change.

use std::time::Duration;

use super::cell::BELL;
use super::error::ReadError;
use super::slots::Slots;
use crate::Shared;
use crate::base::access::{ReadOnly, ReadWrite};
use crate::sync::bell::{self, Deadline};
use crate::sync::spin::Spin;

impl<T: Shared> Slots<T, ReadWrite> {
    /// Waits until the version of slot `index` is another than `since`, at most `timeout`, and returns it; `None` if it stayed. Spins
    /// first, then sleeps until the next write.
    ///
    /// # Errors
    ///
    /// No such slot.
    pub fn wait_for_change(&self, index: usize, since: u64, timeout: Duration) -> Result<Option<u64>, ReadError> {
        let missing = ReadError::OutOfRange { index, length: self.len() };
        let cell = self.cell(index).ok_or_else(|| missing.clone())?;
        let bell = cell.word(BELL).ok_or(missing)?;
        let ready = |_| Some(cell.version()).filter(|&version| version != since);
        // Whether writers live is no matter: somebody may come and write.
        bell::wait(bell, Deadline::after(timeout), &mut Spin::new(), ready, || Ok(()))
    }
}

impl<T: Shared> Slots<T, ReadOnly> {
    /// As for writable handles, but since a read-only one cannot say that it waits, it looks again at growing intervals, a sixteenth of the time it has waited and 40 ms at most.
    ///
    /// # Errors
    ///
    /// No such slot.
    pub fn wait_for_change(&self, index: usize, since: u64, timeout: Duration) -> Result<Option<u64>, ReadError> {
        let missing = ReadError::OutOfRange { index, length: self.len() };
        let cell = self.cell(index).ok_or_else(|| missing.clone())?;
        let current = cell.current_word().ok_or(missing)?;
        let ready = || Some(cell.version()).filter(|&version| version != since);
        Ok(bell::watch(current, Deadline::after(timeout), &mut Spin::new(), ready))
    }
}
