//! What a condition variable needs of the lock that it lets go.

use super::super::bell::Deadline;
use super::super::error::LockError;
use super::super::lock::Wait;
use super::super::mutex::MutexGuard;
use crate::Shared;

const YIELDS: u32 = 2;

/// Something held that can be given back for a while.
pub(crate) trait Relock {
    /// Whether this process holds it, not the parent that it was forked from.
    fn is_held(&mut self) -> bool;

    /// Gives it back. Until it is taken again, nothing else may be done with it, and it must not be dropped.
    fn unlock(&mut self);

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

    fn unlock(&mut self) {
        let (lock, held) = self.parts();
        lock.release(held);
    }

    fn relock(&mut self) -> Result<(), LockError<()>> {
        let (lock, held) = self.parts();
        // As a rule it is held by who notified us, and if we run in its place it cannot give it back while we spin.
        for _ in 0..YIELDS {
            if !lock.is_locked() {
                break;
            }
            std::thread::yield_now();
        }
        match lock.acquire(Wait::Until(Deadline::NEVER)) {
            Ok(again) => {
                *held = again;
                Ok(())
            }
            Err(error) => Err(error.map(|again| *held = again)),
        }
    }
}
