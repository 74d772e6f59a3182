//! What can go wrong with permits.

use crate::segment::Error;

/// Why no permit was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// There is none (`try_` only).
    #[error("there is no permit")]
    WouldBlock,
    /// There was none all the time (`_timeout` only).
    #[error("there was no permit all the time")]
    TimedOut,
    /// As many permits as possible are held through guards.
    #[error("{most} permits are held through guards, and no more can be: give some back, or acquire without a guard")]
    TooManyPermits {
        /// How many can be.
        most: usize,
    },
    /// The system refuses.
    #[error(transparent)]
    Segment(#[from] Box<Error>),
}

impl From<Error> for AcquireError {
    fn from(error: Error) -> Self {
        Self::Segment(Box::new(error))
    }
}

/// More permits were to be given back than there may be. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot release {permits}: {available} of at most {bound} permits are there already; somebody releases more than were acquired"
)]
#[non_exhaustive]
pub struct ReleaseError {
    /// How many were to be given back.
    pub permits: u32,
    /// How many were there.
    pub available: u32,
    /// How many there may be.
    pub bound: u32,
}
