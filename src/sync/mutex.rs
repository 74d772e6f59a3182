//! A lock around a value.
//!
//! # Safety
//!
//! The unsafe code here lends out the value. It rests on this invariant of [`MutexGuard`]:
//!
//! 1. While it lives, in the process that made it, the lock's owner word names that process on its account: no other guard of the same
//!    lock exists in any well-behaved process.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::bell::Deadline;
use super::error::LockError;
use super::held::{self, Held};
use super::lock::{LOCK_WORDS, Wait};
use super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use crate::Shared;
use crate::segment::lend::Lent;
use crate::segment::region::Words;
use crate::segment::schema::Schema;
use crate::segment::{Kind, Reason};

/// A lock around a value of type `T`, for any threads of any processes; see [the module](super).
///
/// Cheap to clone: clones are handles of the same lock.
///
/// **If a process dies** holding it, the next one to lock it gets [`LockError::OwnerDied`], with the guard. So it is if the owner panicked
/// while it held the guard; if the thread that held it ended, or the last handle in its process went, with the guard leaked
/// ([`std::mem::forget`]). A guard leaked in a thread that goes on is a lock held: `sharedware locks` shows by whom.
///
/// **In a forked child** a guard of the parent's does nothing when dropped: the parent holds the lock. The child must not use it to reach the value.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, sync::{LockError, Mutex}};
///
/// let domain = Domain::new("doc-mutex")?;
/// let account = Mutex::create(&domain, "account", [100_i64, 0])?;
///
/// // In any process. If an owner died in the middle, what it left is repaired: the sum is 100.
/// let mut guard = account.lock_or_repair(|account| account[1] = 100 - account[0])?;
/// guard[0] -= 30;
/// guard[1] += 30;
/// drop(guard);
///
/// // The same by hand:
/// match account.lock() {
///     Ok(guard) => assert_eq!(*guard, [70, 30]),
///     Err(LockError::OwnerDied(mut guard)) => {
///         guard[1] = 100 - guard[0];
///         guard.mark_consistent();
///     }
///     Err(error) => return Err(error.drop_guard().into()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mutex<T: Shared> {
    lock: held::Lock,
    value: Lent<T>,
}

/// The shape of a part with a lock core and a value of this type behind it.
pub(super) fn shape_around<T: Shared>() -> Result<Shape, Reason> {
    held::check_alignment::<T>()?;
    let mut config = [0; CONFIG_WORDS];
    config[0] = size_of::<T>() as u64;
    config[1] = T::schema().fingerprint();
    Ok(Shape { config, state: LOCK_WORDS + Lent::<T>::WORDS })
}

/// The same, if that is what a config says.
pub(super) fn check_shape_around<T: Shared>(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
    let shape = shape_around::<T>()?;
    for (what, expected, found) in
        [("size of its value", shape.config[0], config[0]), ("schema of its value", shape.config[1], config[1])]
    {
        if expected != found {
            return Err(Reason::Spoilt { what, expected: expected.to_string(), found });
        }
    }
    Ok(shape)
}

/// Puts the value where [`shape_around`] has room for it.
pub(super) fn initialise_value<T: Shared>(state: &Words, value: &T) {
    if let Some(words) = state.get(LOCK_WORDS..) {
        crate::base::copy::store_bytes(words, bytemuck::bytes_of(value));
    }
}

/// The value, in the state of a part of that shape.
pub(super) fn value_of<T: Shared>(part: &Part) -> Result<Lent<T>, Reason> {
    let words = part.state.slice(LOCK_WORDS, Lent::<T>::WORDS);
    words.and_then(|words| Lent::new(&words)).ok_or(Reason::NotFound)
}

impl<T: Shared> Object for Mutex<T> {
    type Setup = T;
    const KIND: Kind = Kind::MUTEX;

    fn schema() -> Option<Schema> {
        Some(T::schema())
    }

    fn shape(_: &T) -> Result<Shape, Reason> {
        shape_around::<T>()
    }

    fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        check_shape_around::<T>(config)
    }

    fn initialise(state: &Words, value: &T) {
        initialise_value(state, value);
    }

    fn over(part: Part) -> Result<Self, Reason> {
        let value = value_of(&part)?;
        Ok(Self { lock: held::Lock::new(part)?, value })
    }
}

impl<T: Shared> Mutex<T> {
    /// How many bytes it takes within a segment, see [`create_at`](Self::create_at).
    pub const SIZE: u64 = ((part::STATE + LOCK_WORDS + Lent::<T>::WORDS) * 8) as u64;

    part::constructors!("a mutex", (value: T), value);

    /// Acquires the lock; waits for as long as somebody has it.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the guard; [`LockError::Deadlock`] if this thread has it; or the kernel could not be asked whether its owner lives.
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.acquire(Wait::Until(Deadline::NEVER))
    }

    /// Acquires the lock; if an owner died, `repair` makes the value whole before anybody else sees it.
    ///
    /// If this process dies during `repair`, or it panics, the next owner repairs.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock), but never `OwnerDied`.
    pub fn lock_or_repair(&self, repair: impl FnOnce(&mut T)) -> Result<MutexGuard<'_, T>, LockError<()>> {
        match self.lock() {
            Err(LockError::OwnerDied(mut guard)) => {
                repair(&mut guard);
                guard.mark_consistent();
                Ok(guard)
            }
            outcome => outcome.map_err(LockError::drop_guard),
        }
    }

    /// Acquires the lock if nobody has it; never waits. (If somebody has it, it asks the kernel whether that one lives: microseconds.)
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock), or [`LockError::WouldBlock`], also if this thread has it.
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.acquire(Wait::Not)
    }

    /// Acquires the lock if it can be had within `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock), or [`LockError::TimedOut`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.acquire(Wait::Until(Deadline::after(timeout)))
    }

    #[inline(always)]
    fn acquire(&self, wait: Wait) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        let guard = |held| MutexGuard { mutex: self, held, not_send: PhantomData };
        match self.lock.acquire(wait) {
            Ok(held) => Ok(guard(held)),
            Err(error) => Err(error.map(guard)),
        }
    }

    /// Whether somebody, alive or dead, has it at this moment.
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &std::path::Path {
        self.lock.part().path()
    }
}

impl<T: Shared> Clone for Mutex<T> {
    fn clone(&self) -> Self {
        Self { lock: self.lock.clone(), value: self.value.clone() }
    }
}

impl<T: Shared> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("path", &self.path()).field("locked", &self.is_locked()).finish_non_exhaustive()
    }
}

/// The lock is ours while this lives; see [`Mutex`].
///
/// Stays in the thread that acquired it.
#[must_use = "dropped at once, it unlocks at once"]
pub struct MutexGuard<'a, T: Shared> {
    mutex: &'a Mutex<T>,
    held: Held,
    not_send: PhantomData<*const ()>,
}

// SAFETY: `&MutexGuard` gives out `&T` only, which is plain old data; all else in it is.
unsafe impl<T: Shared + Sync> Sync for MutexGuard<'_, T> {}

impl<T: Shared> MutexGuard<'_, T> {
    /// Whether the value is as the last owner meant to leave it: `false` if an owner died and nobody has said since that it is whole.
    pub fn is_consistent(&self) -> bool {
        self.held.is_consistent()
    }

    /// Says that the value is whole again: the next owner is told nothing.
    pub fn mark_consistent(&mut self) {
        self.mutex.lock.mark_consistent(&mut self.held);
    }

    /// For a condition variable: the handle that it is a guard of, and how it is held.
    pub(super) fn parts(&mut self) -> (&held::Lock, &mut Held) {
        (&self.mutex.lock, &mut self.held)
    }
}

impl<T: Shared> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1: the lock excludes all others.
        unsafe { self.mutex.value.get() }
    }
}

impl<T: Shared> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: invariant 1: the lock excludes all others, and the exclusive borrow of the only guard all other references.
        unsafe { self.mutex.value.get_mut() }
    }
}

impl<T: Shared> Drop for MutexGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.mutex.lock.release(&self.held);
    }
}

impl<T: Shared + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexGuard").field("value", &**self).field("consistent", &self.is_consistent()).finish()
    }
}
