//! What can go wrong with latches.

use crate::segment::Error;

/// More was to be counted down than is left. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot count down by {by}: {left} are left that no enlisted party is to do")]
#[non_exhaustive]
pub struct CountDownError {
    /// By how much.
    pub by: u32,
    /// How much was left.
    pub left: u32,
}

/// Why a wait for a latch ended before it was open, or somebody could not enlist.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LatchError {
    /// It is not open (`try_` only).
    #[error("the latch is not open")]
    WouldBlock,
    /// It was not opened in the time given.
    #[error("the latch was not opened in the time given")]
    TimedOut,
    /// An enlisted party died before it had counted down: the latch will never open.
    #[error("an enlisted party died before it had counted down: the latch will never open; create it anew")]
    PartyDied,
    /// This very thread is enlisted and has not counted down: waiting would never end.
    #[error("this thread is enlisted and has not counted down: waiting for itself would never end; count down first")]
    Deadlock,
    /// There is nothing left to count down.
    #[error(transparent)]
    BelowZero(#[from] CountDownError),
    /// As many parties as possible are enlisted.
    #[error("{most} parties are enlisted, and no more can be: count down without enlisting")]
    TooManyParties {
        /// How many can be.
        most: usize,
    },
    /// The system refuses.
    #[error(transparent)]
    Segment(#[from] Box<Error>),
}

impl From<Error> for LatchError {
    fn from(error: Error) -> Self {
        Self::Segment(Box::new(error))
    }
}
