//! One who is enlisted.

use std::marker::PhantomData;
use std::time::Duration;

use super::{ActionError, Arrival, Barrier, BarrierError};
use crate::sync::lock::Me;
use crate::sync::thread;

/// A party of a [`Barrier`] that the others know of before it arrives; see [`Barrier::party`].
///
/// Dropping it is leaving in good order: nothing breaks by that. Dropping it while the thread panics is dying.
///
/// Stays in the thread that enlisted. **In a forked child** the parent's does nothing when dropped.
#[must_use = "dropped at once, it leaves at once"]
#[derive(Debug)]
pub struct Party<'a> {
    barrier: &'a Barrier,
    me: Me,
    seat: usize,
    panicking: bool,
    not_send: PhantomData<*const ()>,
}

impl<'a> Party<'a> {
    pub(super) fn new(barrier: &'a Barrier, me: Me, seat: usize) -> Self {
        Self { barrier, me, seat, panicking: std::thread::panicking(), not_send: PhantomData }
    }

    /// See [`Barrier::wait`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn wait(&self) -> Result<Arrival, BarrierError> {
        self.barrier.wait()
    }

    /// See [`Barrier::wait_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Arrival, BarrierError> {
        self.barrier.wait_timeout(timeout)
    }

    /// See [`Barrier::wait_with`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn wait_with<E>(&self, action: impl FnOnce() -> Result<(), E>) -> Result<Arrival, ActionError<E>> {
        self.barrier.wait_with(action)
    }

    /// The barrier it is a party of.
    pub fn barrier(&self) -> &'a Barrier {
        self.barrier
    }
}

impl Drop for Party<'_> {
    fn drop(&mut self) {
        let seats = &self.barrier.inner.seats;
        // Otherwise it is the parent's, or counts as dead since the end of its thread.
        if !self.me.is_current() || !seats.is_held_by(self.seat, self.me.cookie, thread::id()) {
            return;
        }
        if std::thread::panicking() && !self.panicking {
            seats.lose(self.seat, self.me.cookie);
        } else {
            seats.vacate(self.seat);
        }
    }
}
