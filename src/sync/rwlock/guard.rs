//! What lends the value out.
//!
//! # Safety
//!
//! The unsafe code here lends out the value. It rests on these invariants, in the process that made the guard:
//!
//! 1. While a [`ReadGuard`] lives, its cell names that process: no write guard of the same lock exists in any well-behaved process.
//! 2. While a [`WriteGuard`] lives, the owner word names that process on its account, and all cells were seen without a reader after that: no other guard of
//!    the same lock exists in any well-behaved process.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use super::super::lock::{Holding, Me};
use super::super::thread;
use super::core::NO_CELL;
use super::lock::RwLock;
use crate::Shared;

/// How a guard reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) me: Me,
    pub(super) thread: u32,
    pub(super) cell: usize,
    pub(super) inconsistent: bool,
}

/// How a guard writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub(super) me: Me,
    /// Which holding this is: one that was given up for lost, at the end of its thread, has no business here any more.
    pub(super) holding: Holding,
    pub(super) inconsistent: bool,
    /// The thread was panicking before.
    pub(super) panicking: bool,
}

impl Writing {
    /// Whether what is left must be called inconsistent: who panics in the middle leaves it as one who dies.
    fn leaves_inconsistent(&self) -> bool {
        self.inconsistent || !self.panicking && std::thread::panicking()
    }
}

/// Nobody writes while this lives; see [`RwLock`].
///
/// Stays in the thread that acquired it.
#[must_use = "dropped at once, it unlocks at once"]
pub struct ReadGuard<'a, T: Shared> {
    lock: &'a RwLock<T>,
    reading: Reading,
    not_send: PhantomData<*const ()>,
}

// SAFETY: `&ReadGuard` gives out `&T` only, which is plain old data; all else in it is.
unsafe impl<T: Shared + Sync> Sync for ReadGuard<'_, T> {}

impl<'a, T: Shared> ReadGuard<'a, T> {
    pub(super) fn new(lock: &'a RwLock<T>, reading: Reading) -> Self {
        Self { lock, reading, not_send: PhantomData }
    }

    /// Whether the value is as the last writer meant to leave it: `false` if a writer died and none has said since that it is whole.
    pub fn is_consistent(&self) -> bool {
        !self.reading.inconsistent
    }
}

impl<T: Shared> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1: nobody writes.
        unsafe { self.lock.value.get() }
    }
}

impl<T: Shared> Drop for ReadGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        let Reading { me, thread, cell, .. } = self.reading;
        // A forked child is not who reads; nor who was given up for lost, and whose cell may be another's by now.
        if me.is_current() && self.lock.core.reads_in(cell, me.cookie, thread) {
            self.lock.core.leave(cell);
        }
    }
}

impl<T: Shared + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadGuard").field("value", &**self).field("consistent", &self.is_consistent()).finish()
    }
}

/// Nobody else reads or writes while this lives; see [`RwLock`].
///
/// Stays in the thread that acquired it.
#[must_use = "dropped at once, it unlocks at once"]
pub struct WriteGuard<'a, T: Shared> {
    lock: &'a RwLock<T>,
    writing: Writing,
    not_send: PhantomData<*const ()>,
}

// SAFETY: `&WriteGuard` gives out `&T` only, which is plain old data; all else in it is.
unsafe impl<T: Shared + Sync> Sync for WriteGuard<'_, T> {}

impl<'a, T: Shared> WriteGuard<'a, T> {
    pub(super) fn new(lock: &'a RwLock<T>, writing: Writing) -> Self {
        Self { lock, writing, not_send: PhantomData }
    }

    /// Whether it still writes: not in a forked child, and not after it was given up for lost.
    #[inline(always)]
    fn is_held(&self) -> bool {
        self.writing.me.is_current() && self.lock.core.writer().holder().load() == self.writing.holding
    }

    /// Whether the value is as the last writer meant to leave it: `false` if a writer died and none has said since that it is whole.
    pub fn is_consistent(&self) -> bool {
        !self.writing.inconsistent
    }

    /// Says that the value is whole again: those who come next are told nothing.
    pub fn mark_consistent(&mut self) {
        if self.writing.inconsistent && self.is_held() {
            self.writing.inconsistent = false;
            self.lock.core.writer().declare(false);
        }
    }

    /// Goes on as a reader, without anybody else writing in between.
    ///
    /// In a forked child the guard does nothing, as before.
    pub fn downgrade(self) -> ReadGuard<'a, T> {
        let writer = ManuallyDrop::new(self);
        let (lock, writing, thread) = (writer.lock, writer.writing, thread::id());
        let inconsistent = writing.leaves_inconsistent();
        let mut cell = NO_CELL;
        if writer.is_held() {
            cell = lock.core.downgrade(writing.me.cookie, thread, inconsistent);
        }
        ReadGuard::new(lock, Reading { me: writing.me, thread, cell, inconsistent })
    }
}

impl<T: Shared> Deref for WriteGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: invariant 2: nobody else writes.
        unsafe { self.lock.value.get() }
    }
}

impl<T: Shared> DerefMut for WriteGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: invariant 2: nobody else is in, and the exclusive borrow of the only guard excludes all other references.
        unsafe { self.lock.value.get_mut() }
    }
}

impl<T: Shared> Drop for WriteGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.is_held() {
            self.lock.core.end_write(self.writing.leaves_inconsistent());
        }
    }
}

impl<T: Shared + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGuard").field("value", &**self).field("consistent", &self.is_consistent()).finish()
    }
}
