//! What can go wrong with locks and with waiting.

use crate::peer::PeerInfo;
use crate::segment::Error;

/// Why a lock was not simply acquired. `G` is its guard.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum LockError<G> {
    /// The lock **is yours**, in this guard, but an owner died (or panicked, or ended its thread) while it held it, and what the lock guards may be
    /// half changed. Repair it and call `mark_consistent`; drop the guard without that, and the next one is told again.
    #[error(
        "the lock is acquired, but an owner died holding it: repair what it guards and mark it consistent, or drop the guard"
    )]
    OwnerDied(G),
    /// Somebody has it (`try_` only).
    #[error("the lock is held{}", by(.owner.as_ref()))]
    WouldBlock {
        /// Who, if the registry still tells.
        owner: Option<PeerInfo>,
    },
    /// Somebody had it all the time (`_timeout` only).
    #[error("the lock was held all the time{}", by(.owner.as_ref()))]
    TimedOut {
        /// Who at last, if the registry still tells.
        owner: Option<PeerInfo>,
    },
    /// This very thread has it: waiting would never end.
    #[error("this thread holds the lock already: waiting for itself would never end; drop the guard first")]
    Deadlock,
    /// This thread has it so often already that one more guard cannot be counted ([`ReentrantMutex`](super::ReentrantMutex) only).
    #[error("this thread holds the lock already, with more guards than can be counted: drop some")]
    TooDeep,
    /// **The lock is still yours**, in this guard: as many wait on the condition variable as there is room for, so this thread has not waited.
    #[error("256 threads wait on the condition variable already: the lock is still held, and nothing was waited for")]
    TooManyWaiters(G),
    /// Nobody has it, or is only about to: there is nothing to give back, and nothing was waited for
    /// ([`Condvar::wait_raw`](super::Condvar::wait_raw) and its like only).
    #[error("the lock is not held, so it cannot be given back for a wait: lock it first")]
    NotLocked,
    /// The system refuses.
    #[error(transparent)]
    Segment(#[from] Box<Error>),
}

impl<G> LockError<G> {
    /// The guard, if the lock is held all the same.
    pub fn into_guard(self) -> Option<G> {
        match self {
            Self::OwnerDied(guard) | Self::TooManyWaiters(guard) => Some(guard),
            _ => None,
        }
    }

    /// Whether the lock was not acquired because somebody has it.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::WouldBlock { .. } | Self::TimedOut { .. })
    }

    /// The same without the guard, which is dropped: for handing on with `?`, where a borrowed guard is in the way.
    #[must_use]
    pub fn drop_guard(self) -> LockError<()> {
        self.map(drop)
    }

    /// The same with another guard.
    pub(crate) fn map<H>(self, map: impl FnOnce(G) -> H) -> LockError<H> {
        match self {
            Self::OwnerDied(guard) => LockError::OwnerDied(map(guard)),
            Self::WouldBlock { owner } => LockError::WouldBlock { owner },
            Self::TimedOut { owner } => LockError::TimedOut { owner },
            Self::Deadlock => LockError::Deadlock,
            Self::TooDeep => LockError::TooDeep,
            Self::TooManyWaiters(guard) => LockError::TooManyWaiters(map(guard)),
            Self::NotLocked => LockError::NotLocked,
            Self::Segment(error) => LockError::Segment(error),
        }
    }
}

/// Without the guard's own, so that every guard will do.
impl<G> std::fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("OwnerDied(..)"),
            Self::WouldBlock { owner } => f.debug_struct("WouldBlock").field("owner", owner).finish(),
            Self::TimedOut { owner } => f.debug_struct("TimedOut").field("owner", owner).finish(),
            Self::Deadlock => f.write_str("Deadlock"),
            Self::TooDeep => f.write_str("TooDeep"),
            Self::TooManyWaiters(_) => f.write_str("TooManyWaiters(..)"),
            Self::NotLocked => f.write_str("NotLocked"),
            Self::Segment(error) => f.debug_tuple("Segment").field(error).finish(),
        }
    }
}

impl<G> From<Error> for LockError<G> {
    fn from(error: Error) -> Self {
        Self::Segment(Box::new(error))
    }
}

/// Why a raw mutex was not unlocked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// Nobody has it.
    #[error("the lock is not held: there is nothing to unlock")]
    NotLocked,
    /// Somebody is just about to have it, and has not gone on for a tenth of a second: stopped, or the lock was spoilt.
    #[error("the lock is just being taken{}, which does not go on (stopped?): continue or end that process, and try again", by(.owner.as_ref()))]
    BeingTaken {
        /// Who, if the registry still tells.
        owner: Option<PeerInfo>,
    },
    /// The system refuses.
    #[error(transparent)]
    Segment(#[from] Box<Error>),
}

impl From<Error> for UnlockError {
    fn from(error: Error) -> Self {
        Self::Segment(Box::new(error))
    }
}

pub(crate) fn by(owner: Option<&PeerInfo>) -> String {
    owner.map_or_else(String::new, |peer| format!(" by pid {} ({})", peer.pid, peer.command))
}
