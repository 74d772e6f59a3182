//! One who is to count down.

use std::marker::PhantomData;

use super::{Latch, LatchError};
use crate::sync::lock::Me;
use crate::sync::thread;

/// One who is to count down by one; see [`Latch::party`].
///
/// Dropped without having done so, it leaves in good order: somebody else is to count down in its place. Dropped while the thread panics, it counts as dead, and so it does if it was leaked in a
/// thread that ends.
///
/// Stays in the thread that enlisted. **In a forked child** the parent's does nothing.
#[must_use = "dropped at once, it leaves at once"]
#[derive(Debug)]
pub struct LatchParty<'a> {
    latch: &'a Latch,
    me: Me,
    seat: usize,
    panicking: bool,
    not_send: PhantomData<*const ()>,
}

impl<'a> LatchParty<'a> {
    pub(super) fn new(latch: &'a Latch, me: Me, seat: usize) -> Self {
        Self { latch, me, seat, panicking: std::thread::panicking(), not_send: PhantomData }
    }

    /// Whether it is still ours: not in a forked child, nor after it was given up for lost at the end of its thread.
    fn is_held(&self) -> bool {
        self.me.is_current() && self.latch.inner.seats.is_held_by(self.seat, self.me.cookie, thread::id())
    }

    #[cfg(loom)]
    pub(super) fn seat(&self) -> usize {
        self.seat
    }

    /// Counts down by one. From the one store that does it on, the death of this process is no matter.
    pub fn count_down(self) {
        if self.is_held() {
            self.latch.inner.seats.vacate(self.seat);
            self.latch.inner.open_if_done();
        }
        std::mem::forget(self);
    }

    /// Counts down by one and waits for the others.
    ///
    /// # Errors
    ///
    /// As for [`Latch::wait`].
    pub fn arrive_and_wait(self) -> Result<(), LatchError> {
        let latch = self.latch;
        self.count_down();
        latch.wait()
    }
}

#[cfg(loom)]
impl Latch {
    /// A party that was leaked.
    pub(super) fn party_of(&self, slot: u64, seat: usize) -> LatchParty<'_> {
        LatchParty::new(self, Me::of(&crate::peer::Peer::model(slot)), seat)
    }
}

impl Drop for LatchParty<'_> {
    fn drop(&mut self) {
        #[cfg(loom)]
        if crate::base::mortal::is_dead() {
            return;
        }
        if !self.is_held() {
            return;
        }
        let inner = &self.latch.inner;
        if std::thread::panicking() && !self.panicking {
            if inner.seats.lose(self.seat, self.me.cookie) {
                inner.fail();
            }
            return;
        }
        // The count first: it is never open in between.
        let _ = inner.change(|count| Some(count.moved_in()));
        inner.seats.vacate(self.seat);
    }
}
