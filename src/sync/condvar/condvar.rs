//! The condition variable as a process has it open.

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use super::super::bell::Deadline;
use super::super::error::LockError;
use super::super::mutex::MutexGuard;
use super::super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use super::super::raw_mutex::RawMutex;
use super::super::thread;
use super::Wake;
use super::relock::Relock;
use super::waiters::{WAITERS_WORDS, Waiters};
use crate::Shared;
use crate::segment::region::Words;
use crate::segment::{Kind, Reason};

/// A place to wait until another says that something has changed, for any threads of any processes; with a [`Mutex`](super::super::Mutex), or a
/// [`RawMutex`] ([`wait_raw`](Self::wait_raw)).
///
/// Waiting gives the mutex back and takes it again before it returns, and between giving back and waiting no notification is missed. A wait ends
/// **only** by a notification or its time-out; which of those that wait are notified is decided by who began first. All the same, look at the condition itself again:
/// another may have been faster ([`wait_while`](Self::wait_while) does). 256 threads may wait at a time.
///
/// Use one mutex with one condition variable at a time; with several nothing breaks, but nothing orders them either. Cheap to clone: clones are handles
/// of the same condition variable.
///
/// **Progress.** Notifying never waits. It makes a system call for each sleeper it wakes, and none if nobody waits.
///
/// **If a process dies** while it waits, others do not notice. If it was notified, and dies before its wait has returned, the notification goes to
/// another that waited already when it was made, within some 100 ms: none is lost to a dead process as long as somebody who could have had it waits. (If it dies when
/// it has the mutex again, the next owner of that is told, and the notification goes on as well. If a second process dies while it passes a notification on, two may be
/// notified.) If the notifying process dies in the call, who was notified by then wakes within some 100 ms, and the others go on waiting.
///
/// **In a forked child** nobody can wait with a guard of the parent's. With a raw mutex that the parent has locked anybody can: it unlocks it.
///
/// **When not to use it.** For a flag or a count of things, [`Mutex`](super::super::Mutex) and this are more than is needed: the other objects of
/// [the module](super::super) are faster.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, sync::{Condvar, LockError, Mutex}};
///
/// let domain = Domain::new("doc-condvar")?;
/// let jobs = Mutex::create(&domain, "jobs", 0_u64)?;
/// let more = Condvar::create(&domain, "more-jobs")?;
///
/// std::thread::scope(|scope| {
///     // In any process:
///     scope.spawn(|| {
///         *jobs.lock().unwrap() += 1;
///         more.notify_one();
///     });
///     let mut guard = more.wait_while(jobs.lock()?, |jobs| *jobs == 0)?;
///     *guard -= 1;
///     Ok::<(), LockError<_>>(())
/// })
/// .map_err(LockError::drop_guard)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sources
///
/// One futex for each waiter, as in the queue of Birrell's Taos threads and in parking_lot, but in cells that survive their owners; see ARCHITECTURE.md, "Condition variable".
pub struct Condvar {
    waiters: Waiters,
    part: Arc<Part>,
}

impl Object for Condvar {
    type Setup = ();
    const KIND: Kind = Kind::CONDVAR;

    fn shape((): &()) -> Result<Shape, Reason> {
        Self::shape_of([0; CONFIG_WORDS])
    }

    fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        Ok(Shape { config, state: WAITERS_WORDS })
    }

    fn initialise(_: &Words, (): &()) {}

    fn over(part: Part) -> Result<Self, Reason> {
        let waiters = Waiters::new(&part.state).ok_or(Reason::NotFound)?;
        Ok(Self { waiters, part: Arc::new(part) })
    }
}

/// What a wait comes to.
type Waited<G> = Result<(G, Wake), LockError<(G, Wake)>>;

impl Condvar {
    /// How many bytes it takes within a segment, see [`create_at`](Self::create_at).
    pub const SIZE: u64 = ((part::STATE + WAITERS_WORDS) * 8) as u64;

    part::constructors!("a condition variable", (), ());

    /// Gives the lock back, waits for a notification, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the guard: notified, and an owner of the lock died, or the guard was inconsistent and nobody has changed that;
    /// [`LockError::TooManyWaiters`], with the guard: not waited. [`LockError::Segment`]: the guard is a forked parent's, or the lock could not be taken
    /// again, and is not held.
    pub fn wait<'a, T: Shared>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>> {
        match self.wait_until(guard, Deadline::NEVER) {
            Ok((guard, _)) => Ok(guard),
            Err(error) => Err(error.map(|(guard, _)| guard)),
        }
    }

    /// As [`wait`](Self::wait), for at most `timeout`. (Then the lock is taken again, however long that takes.)
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    #[allow(clippy::type_complexity, reason = "the guard and how the wait ended, on both sides")]
    pub fn wait_timeout<'a, T: Shared>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> Result<(MutexGuard<'a, T>, Wake), LockError<(MutexGuard<'a, T>, Wake)>> {
        self.wait_until(guard, Deadline::after(timeout))
    }

    /// Waits as long as `condition` holds, which is looked at under the lock: first of all, and after each notification.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_while<'a, T: Shared>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait_while`](Self::wait_while), for at most `timeout`: [`Wake::TimedOut`] if `condition` still holds then.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    #[allow(clippy::type_complexity, reason = "as for `wait_timeout`")]
    pub fn wait_timeout_while<'a, T: Shared>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<(MutexGuard<'a, T>, Wake), LockError<(MutexGuard<'a, T>, Wake)>> {
        let deadline = Deadline::after(timeout);
        let mut wake = Wake::Notified;
        while condition(&mut guard) {
            if wake.timed_out() {
                return Ok((guard, wake));
            }
            (guard, wake) = self.wait_until(guard, deadline)?;
        }
        Ok((guard, Wake::Notified))
    }

    /// As [`wait`](Self::wait), with a lock that has no guard: unlocks it, waits for a notification, and locks it again. As Python's `Condition(Lock())`.
    ///
    /// Whoever has locked it, as anyone may unlock a [`RawMutex`]: that it is the caller is a matter of agreement. When this returns, the caller has.
    ///
    /// # Errors
    ///
    /// [`LockError::NotLocked`] if nobody has locked it: not waited, and what notification came meanwhile went to another. [`LockError::OwnerDied`]: **it
    /// is locked, by the caller**; notified, and an owner of the lock died since or before, and nobody has said that what it guards is whole.
    /// [`LockError::TooManyWaiters`]: not waited, **still locked**. [`LockError::Segment`]: it could not be unlocked, or it could not be locked again
    /// and is not.
    ///
    /// # Example
    ///
    /// ```
    /// use sharedware::{Domain, Options, Segment, sync::{Condvar, RawMutex}};
    ///
    /// let domain = Domain::new("doc-condvar-raw")?;
    /// let (lock, more) = (RawMutex::create(&domain, "lock")?, Condvar::create(&domain, "more")?);
    /// let count = Segment::create(&domain, "count", 8, &Options::new())?;
    /// let counted = || -> Result<u64, sharedware::Error> {
    ///     let mut bytes = [0; 8];
    ///     count.read(0, &mut bytes)?;
    ///     Ok(u64::from_ne_bytes(bytes))
    /// };
    ///
    /// std::thread::scope(|scope| {
    ///     // In any process:
    ///     scope.spawn(|| {
    ///         lock.lock().unwrap();
    ///         count.write(0, &1_u64.to_ne_bytes()).unwrap();
    ///         more.notify_one();
    ///         lock.unlock().unwrap();
    ///     });
    ///     lock.lock()?;
    ///     while counted()? == 0 {
    ///         more.wait_raw(&lock)?;
    ///     }
    ///     lock.unlock()?;
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_raw(&self, mutex: &RawMutex) -> Result<(), LockError<()>> {
        match self.wait_until(mutex, Deadline::NEVER) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.map(drop)),
        }
    }

    /// As [`wait_raw`](Self::wait_raw), for at most `timeout`. (Then it is locked again, however long that takes.)
    ///
    /// # Errors
    ///
    /// As for [`wait_raw`](Self::wait_raw), with how the wait ended where it is locked all the same.
    pub fn wait_raw_timeout(&self, mutex: &RawMutex, timeout: Duration) -> Result<Wake, LockError<Wake>> {
        match self.wait_until(mutex, Deadline::after(timeout)) {
            Ok((_, wake)) => Ok(wake),
            Err(error) => Err(error.map(|(_, wake)| wake)),
        }
    }

    /// Waits with whatever lock it is.
    pub(crate) fn wait_until<G: Relock>(&self, mut guard: G, deadline: Deadline) -> Waited<G> {
        if !guard.is_held() {
            return Err(self.part.error(Reason::Forked).into());
        }
        let peer = self.part.member()?.peer()?;
        let Some(waiter) = self.waiters.enter(&peer) else {
            return Err(LockError::TooManyWaiters((guard, Wake::TimedOut)));
        };
        let mut guard = ManuallyDrop::new(guard);
        if let Err(error) = guard.unlock() {
            self.waiters.leave_unreceived(waiter);
            return Err(without_guard(error));
        }
        let wake = {
            let _record = peer.wait_record(thread::id(), self.part.place());
            self.waiters.sleep(waiter, deadline, &peer)
        };
        // The notification counts as received only when we have the lock: the dead do not have it.
        match guard.relock() {
            Ok(()) => {
                self.waiters.leave(waiter);
                Ok((ManuallyDrop::into_inner(guard), wake))
            }
            Err(LockError::OwnerDied(())) => {
                self.waiters.leave(waiter);
                Err(LockError::OwnerDied((ManuallyDrop::into_inner(guard), wake)))
            }
            Err(error) => {
                self.waiters.leave_unreceived(waiter);
                Err(without_guard(error))
            }
        }
    }

    /// Notifies the one that has waited longest, if any waits; returns how many it notified.
    ///
    /// To be called with or without the lock. (Who is notified while the lock is held wakes up to wait for that.)
    pub fn notify_one(&self) -> usize {
        self.notify(1)
    }

    /// Notifies all that wait; returns how many they were.
    pub fn notify_all(&self) -> usize {
        self.notify(usize::MAX)
    }

    /// Notifies at most so many, those that have waited longest; returns how many they were.
    pub fn notify(&self, count: usize) -> usize {
        self.waiters.notify(count)
    }

    /// How many wait at this moment, dead ones included.
    pub fn waiters(&self) -> usize {
        self.waiters.count()
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &std::path::Path {
        self.part.path()
    }
}

/// An error that has no guard, for any type of guard.
fn without_guard<G>(error: LockError<()>) -> LockError<G> {
    match error {
        LockError::Segment(error) => LockError::Segment(error),
        LockError::WouldBlock { owner } => LockError::WouldBlock { owner },
        LockError::TimedOut { owner } => LockError::TimedOut { owner },
        LockError::NotLocked => LockError::NotLocked,
        // The others have one, and are not passed here.
        _ => LockError::Deadlock,
    }
}

impl Clone for Condvar {
    fn clone(&self) -> Self {
        Self { waiters: self.waiters.clone(), part: self.part.clone() }
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("path", &self.path()).field("waiters", &self.waiters()).finish_non_exhaustive()
    }
}
