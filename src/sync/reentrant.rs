//! A lock around a value that a thread may take again while it has it.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::bell::Deadline;
use super::error::LockError;
use super::held::{self, Held};
use super::lock::{LOCK_WORDS, Wait};
use super::mutex::{check_shape_around, shape_around};
use super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use crate::Shared;
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::base::copy;
use crate::segment::lend::Lent;
use crate::segment::region::{WordArray, Words};
use crate::segment::schema::Schema;
use crate::segment::{Kind, Reason};

/// Words of the line behind the lock; the first is the depth: how many guards the owner has.
const DEPTH_WORDS: usize = 8;
pub(super) const VALUE: usize = LOCK_WORDS + DEPTH_WORDS;
const DEEPEST: u64 = u32::MAX as u64;

/// A lock around a value of type `T` that the thread which has it may take again, for any threads of any processes. As Python's `RLock`.
///
/// There may be several guards at once, so none lends the value out: [`get`](ReentrantMutexGuard::get) and [`set`](ReentrantMutexGuard::set)
/// copy it. If one guard at a time will do, [`Mutex`](super::Mutex) is faster and lends.
///
/// Cheap to clone: clones are handles of the same lock; guards of all of them count.
///
/// **If a process dies** holding it, however deep, the next one to lock it gets [`LockError::OwnerDied`], with a guard that is its only one. So it is if the
/// owner panicked while it held a guard; if the thread that held it ended, or the last handle in its process went, with a guard leaked
/// ([`std::mem::forget`]). A guard leaked in a thread that goes on is a lock held by that thread, which may still take it again.
///
/// **In a forked child** a guard of the parent's does nothing, neither when dropped nor by `set`: the parent holds the lock.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, sync::ReentrantMutex};
///
/// let domain = Domain::new("doc-reentrant")?;
/// let counter = ReentrantMutex::create(&domain, "counter", 0_u64)?;
///
/// let outer = counter.lock().map_err(|error| error.drop_guard())?;
/// outer.set(1);
/// {
///     let inner = counter.lock().map_err(|error| error.drop_guard())?;
///     inner.update(|value| *value += 1);
/// }
/// assert_eq!(outer.get(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReentrantMutex<T: Shared> {
    lock: held::Lock,
    depth: WordArray<DEPTH_WORDS>,
    value: Words,
    element: PhantomData<fn() -> T>,
}

/// A lock and a value have the depth between them.
fn with_depth(shape: Shape) -> Shape {
    Shape { state: shape.state + DEPTH_WORDS, ..shape }
}

impl<T: Shared> Object for ReentrantMutex<T> {
    type Setup = T;
    const KIND: Kind = Kind::REENTRANT_MUTEX;

    fn schema() -> Option<Schema> {
        Some(T::schema())
    }

    fn shape(_: &T) -> Result<Shape, Reason> {
        shape_around::<T>().map(with_depth)
    }

    fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        check_shape_around::<T>(config).map(with_depth)
    }

    fn initialise(state: &Words, value: &T) {
        if let Some(words) = state.get(VALUE..) {
            copy::store(words, value);
        }
    }

    fn over(part: Part) -> Result<Self, Reason> {
        let depth = part.array(LOCK_WORDS)?;
        let value = part.state.slice(VALUE, Lent::<T>::WORDS).ok_or(Reason::NotFound)?;
        Ok(Self { lock: held::Lock::new(part)?, depth, value, element: PhantomData })
    }
}

impl<T: Shared> ReentrantMutex<T> {
    /// How many bytes it takes within a segment, see [`create_at`](Self::create_at).
    pub const SIZE: u64 = ((part::STATE + VALUE + Lent::<T>::WORDS) * 8) as u64;

    part::constructors!("a reentrant mutex", (value: T), value);

    /// Acquires the lock, or one more guard of it if this thread has it; waits for as long as another thread has it.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the guard; [`LockError::TooDeep`] with 2^32 - 1 guards; or the kernel could not be asked whether its owner lives.
    /// A thread that has the lock inconsistent, and takes it again, is not told again: [`is_consistent`](ReentrantMutexGuard::is_consistent) tells.
    #[inline]
    pub fn lock(&self) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        self.acquire(Wait::Until(Deadline::NEVER))
    }

    /// Acquires the lock if no other thread has it; never waits. (If one has it, it asks the kernel whether that one's process lives: microseconds.)
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock), or [`LockError::WouldBlock`].
    #[inline]
    pub fn try_lock(&self) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        self.acquire(Wait::Not)
    }

    /// Acquires the lock if it can be had within `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock), or [`LockError::TimedOut`].
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        self.acquire(Wait::Until(Deadline::after(timeout)))
    }

    #[inline(always)]
    fn acquire(&self, wait: Wait) -> Result<ReentrantMutexGuard<'_, T>, LockError<ReentrantMutexGuard<'_, T>>> {
        let guard = |held| ReentrantMutexGuard { mutex: self, held, not_send: PhantomData };
        if let Some(held) = self.lock.held_here()? {
            let depth = self.depth().load(Relaxed);
            if depth >= DEEPEST {
                return Err(LockError::TooDeep);
            }
            self.depth().store(depth + 1, Relaxed);
            return Ok(guard(held));
        }
        let outcome = self.lock.acquire(wait);
        if matches!(outcome, Ok(_) | Err(LockError::OwnerDied(_))) {
            // Whatever the dead left there.
            self.depth().store(1, Relaxed);
        }
        outcome.map(guard).map_err(|error| error.map(guard))
    }

    /// Written and read by the owner only.
    fn depth(&self) -> &Word {
        self.depth.at::<0>()
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

impl<T: Shared> Clone for ReentrantMutex<T> {
    fn clone(&self) -> Self {
        Self { lock: self.lock.clone(), depth: self.depth.clone(), value: self.value.clone(), element: PhantomData }
    }
}

impl<T: Shared> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("ReentrantMutex");
        text.field("path", &self.path()).field("locked", &self.is_locked()).finish_non_exhaustive()
    }
}

/// One of the guards of a thread that has the lock, see [`ReentrantMutex`]. The last one dropped unlocks; in which order does not matter.
///
/// Stays in the thread that acquired it.
#[must_use = "dropped at once, it unlocks at once"]
pub struct ReentrantMutexGuard<'a, T: Shared> {
    mutex: &'a ReentrantMutex<T>,
    held: Held,
    not_send: PhantomData<*const ()>,
}

impl<T: Shared> ReentrantMutexGuard<'_, T> {
    /// A copy of the value.
    pub fn get(&self) -> T {
        copy::load(&self.mutex.value)
    }

    /// Changes the value. (Not in a forked child of who acquired this guard.)
    pub fn set(&self, value: T) {
        if self.mutex.lock.is_current(&self.held) {
            copy::store(&self.mutex.value, &value);
        }
    }

    /// Changes a copy of the value, and then the value. If `change` panics, the value stays as it was.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.get();
        let result = change(&mut value);
        self.set(value);
        result
    }

    /// Whether the value is as the last owner meant to leave it: `false` if an owner died or panicked and nobody has said since that it is whole.
    pub fn is_consistent(&self) -> bool {
        self.mutex.lock.is_consistent_now()
    }

    /// Says, for all guards, that the value is whole again: the next owner is told nothing.
    pub fn mark_consistent(&self) {
        self.mutex.lock.declare(&self.held, false);
    }
}

impl<T: Shared> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        let lock = &self.mutex.lock;
        if !lock.is_current(&self.held) {
            return;
        }
        let depth = self.mutex.depth().load(Relaxed).saturating_sub(1);
        self.mutex.depth().store(depth, Relaxed);
        if depth == 0 {
            lock.release_last(&self.held);
        } else if self.held.is_broken() {
            // Whoever catches the panic still has the lock, and shall see it.
            lock.declare(&self.held, true);
        }
    }
}

impl<T: Shared + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("ReentrantMutexGuard");
        text.field("value", &self.get()).field("consistent", &self.is_consistent()).finish()
    }
}
