//! What a condition variable needs of the lock that it lets go.

use std::time::Duration;

use super::super::bell::Deadline;
use super::super::error::{LockError, UnlockError};
use super::super::lock::Wait;
use super::super::mutex::MutexGuard;
use super::super::raw_mutex::RawMutex;
use crate::Shared;

const YIELDS: u32 = 2;

/// Something held that can be given back for a while.
pub(crate) trait Relock {
    /// Whether this process holds it, not the parent that it was forked from.
    fn is_held(&mut self) -> bool;

    /// Gives it back. Until it is taken again, nothing else may be done with it, and it must not be dropped.
    ///
    /// # Errors
    ///
    /// It is as before.
    fn unlock(&mut self) -> Result<(), LockError<()>>;

    /// Takes it again.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`]: it was taken; any other: it was not.
    fn relock(&mut self) -> Result<(), LockError<()>>;
}

impl<T: Shared> Relock for MutexGuard<'_, T> {
    fn is_held(&mut self) -> bool {
        let (lock, held) = self.parts();
        lock.is_current(held)
    }

    fn unlock(&mut self) -> Result<(), LockError<()>> {
        let (lock, held) = self.parts();
        lock.release(held);
        Ok(())
    }

    fn relock(&mut self) -> Result<(), LockError<()>> {
        let (lock, held) = self.parts();
        let_unlock(|| lock.is_locked());
        match lock.acquire(Wait::Until(Deadline::NEVER)) {
            Ok(again) => {
                *held = again;
                Ok(())
            }
            Err(error) => Err(error.map(|again| *held = again)),
        }
    }
}

impl Relock for &RawMutex {
    fn is_held(&mut self) -> bool {
        // Whoever holds it, any process may unlock it; whether anybody does is found out in doing so.
        true
    }

    fn unlock(&mut self) -> Result<(), LockError<()>> {
        RawMutex::unlock(self).map_err(|error| match error {
            UnlockError::NotLocked | UnlockError::BeingTaken { .. } => LockError::NotLocked,
            UnlockError::Segment(error) => LockError::Segment(error),
        })
    }

    fn relock(&mut self) -> Result<(), LockError<()>> {
        let_unlock(|| self.is_locked());
        // Not `lock`: that this thread was the last to lock it, which somebody else has unlocked since, is no reason not to wait.
        self.lock_timeout(Duration::MAX)
    }
}

/// As a rule it is held by who notified us, and if we run in its place it cannot give it back while we spin.
fn let_unlock(is_locked: impl Fn() -> bool) {
    for _ in 0..YIELDS {
        if !is_locked() {
            break;
        }
        std::thread::yield_now();
    }
}
