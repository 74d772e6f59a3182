//! A permit held through a guard.

use std::marker::PhantomData;

use super::Semaphore;
use crate::sync::inside::Inside;
use crate::sync::lock::Me;
use crate::sync::thread;

/// A permit of a [`Semaphore`], given back when this is dropped, or its holder dies.
///
/// Stays in the thread that took it: with that thread's end it goes back even if it was leaked ([`std::mem::forget`]).
///
/// **In a forked child** the parent's permit does nothing when dropped: the parent holds it.
#[must_use = "dropped at once, it goes back at once"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    me: Me,
    seat: usize,
    not_send: PhantomData<*const ()>,
}

impl<'a> Permit<'a> {
    pub(super) fn new(semaphore: &'a Semaphore, me: Me, seat: usize) -> Self {
        Self { semaphore, me, seat, not_send: PhantomData }
    }

    /// Whether it is still ours: not in a forked child, nor after it was given back for lost at the end of its thread.
    fn is_held(&self) -> bool {
        self.me.is_current() && self.semaphore.inner.seats.is_held_by(self.seat, self.me.cookie, thread::id())
    }

    /// Keeps the permit as one of those taken by [`acquire`](Semaphore::acquire): it stays taken, whoever dies, until somebody [releases](Semaphore::release) it.
    pub fn into_plain(self) {
        if self.is_held() {
            // Ours while we live; with this store the count is all that knows of it.
            self.semaphore.inner.seats.vacate(self.seat);
        }
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        #[cfg(loom)]
        if crate::base::mortal::is_dead() {
            return;
        }
        if !self.is_held() {
            return;
        }
        let inner = &self.semaphore.inner;
        if inner.give_back(self.seat, self.me.cookie.bits(), Inside::moment()).is_err() {
            // Somebody is stopped in there, or the kernel does not answer: then the next one gives it back.
            inner.seats.lose(self.seat, self.me.cookie);
        }
    }
}
