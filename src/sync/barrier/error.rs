//! What can go wrong at a barrier.

use crate::segment::Error;

/// Why a barrier is broken, or was for those who waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BrokenBy {
    /// Somebody called [`abort`](super::Barrier::abort).
    Abort,
    /// Somebody waited for as long as they wanted to.
    Timeout,
    /// A party died that had arrived, or was enlisted.
    Death,
    /// The action failed or panicked.
    Action,
    /// Somebody called [`reset`](super::Barrier::reset) while others waited.
    Reset,
    /// Its words hold what they cannot.
    Spoilt,
}

impl BrokenBy {
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Abort => 1,
            Self::Timeout => 2,
            Self::Death => 3,
            Self::Action => 4,
            Self::Reset => 5,
            Self::Spoilt => 6,
        }
    }

    pub(super) fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Abort,
            2 => Self::Timeout,
            3 => Self::Death,
            4 => Self::Action,
            5 => Self::Reset,
            _ => Self::Spoilt,
        }
    }
}

impl std::fmt::Display for BrokenBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Abort => "it was aborted",
            Self::Timeout => "a party waited for as long as it wanted to",
            Self::Death => "a party died",
            Self::Action => "the action failed",
            Self::Reset => "it was reset while parties waited",
            Self::Spoilt => "it was spoilt",
        })
    }
}

/// Why a wait at a barrier ended without all the others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// Not all come, or not all will: for all who wait now. Unless it was reset, also for who comes later.
    #[error("the barrier is broken: {0}")]
    Broken(BrokenBy),
    /// Not all came in the time given. With that the barrier is broken for the others.
    #[error("not all parties came in the time given: the barrier is broken now; reset it once nobody waits for it")]
    TimedOut,
    /// This very thread runs the action that all wait for: waiting would never end.
    #[error("this thread runs the action that all wait for: waiting for itself would never end; return from it first")]
    Deadlock,
    /// As many parties are enlisted as it has.
    #[error("all {0} parties are enlisted, or were and died: drop one, or reset the barrier")]
    TooManyParties(u32),
    /// The system refuses.
    #[error(transparent)]
    Segment(#[from] Box<Error>),
}

impl From<Error> for BarrierError {
    fn from(error: Error) -> Self {
        Self::Segment(Box::new(error))
    }
}

/// Why a wait with an action did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError<E> {
    /// The action was ours to run, and this is what it failed with. The barrier is broken for the others.
    #[error("the barrier's action failed: {0}")]
    Action(E),
    /// As without an action.
    #[error(transparent)]
    Barrier(#[from] BarrierError),
}
