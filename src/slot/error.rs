//! What can go wrong with slots.

use crate::peer::PeerInfo;
use crate::segment::Error;

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The slot's words contradict each other: some process has spoilt them.
    #[error(
        "slot {index} is spoilt: expected version {expected} in its current copy, found {found:#x}; remove the segment and create it anew"
    )]
    Corrupt {
        /// Which slot.
        index: usize,
        /// The version that should be there.
        expected: u64,
        /// The sequence found.
        found: u64,
    },
    /// Written to so fast that no copy stayed whole while it was read, many thousand times in a row.
    #[error("slot {index} is written faster than it can be read: its value is too large for that rate of writes")]
    Overrun {
        /// Which slot.
        index: usize,
    },
    /// No such slot.
    #[error("expected a slot index below {length}, found {index}")]
    OutOfRange {
        /// The index given.
        index: usize,
        /// How many slots there are.
        length: usize,
    },
}

/// Why a write failed. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// No such slot.
    #[error("expected a slot index below {length}, found {index}")]
    OutOfRange {
        /// The index given.
        index: usize,
        /// How many slots there are.
        length: usize,
    },
    /// Another writer is at it (`try_write`), or was for all of the time given (`write_timeout`).
    #[error("another process or thread is writing the slot{}", by(.0.as_ref()))]
    Busy(Option<PeerInfo>),
    /// A live [`Writer`](super::Writer) owns the slot.
    #[error("the slot has an exclusive writer{}: write through that one, or drop it first", by(.0.as_ref()))]
    Owned(Option<PeerInfo>),
    /// The writer belongs to the process that this one was forked from.
    #[error("the writer belongs to the process that this one was forked from: take a new one here")]
    Forked,
    /// It could not be found out whether the current writer lives.
    #[error("cannot tell whether the current writer lives: {0}")]
    Liveness(#[from] Box<Error>),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self::Liveness(Box::new(error))
    }
}

fn by(peer: Option<&PeerInfo>) -> String {
    peer.map_or_else(String::new, |peer| format!(" (pid {}, {})", peer.pid, peer.command))
}
