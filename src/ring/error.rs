//! What can go wrong with rings.

use crate::peer::PeerInfo;
use crate::segment::Error;

/// How the other side went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It left in good order: its handle was dropped.
    Left,
    /// Its process died.
    Died,
}

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Left => "has left",
            Self::Died => "has died",
        })
    }
}

/// Why a side of a ring could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// It has a living owner.
    #[error("the ring's {side} side is taken{}: there can be one at a time", owner(.by.as_ref()))]
    Taken {
        /// "producer" or "consumer".
        side: &'static str,
        /// Who has it.
        by: Option<PeerInfo>,
    },
    /// The ring's words contradict each other: some process has spoilt them.
    #[error("the ring is spoilt, {0}: remove the segment and create it anew")]
    Corrupt(&'static str),
    /// The system refuses.
    #[error(transparent)]
    Segment(#[from] Box<Error>),
}

impl From<Error> for AttachError {
    fn from(error: Error) -> Self {
        Self::Segment(Box::new(error))
    }
}

fn owner(by: Option<&PeerInfo>) -> String {
    by.map_or_else(String::new, |peer| format!(" by pid {} ({})", peer.pid, peer.command))
}

/// Why something could not be pushed or sent. Nothing was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// No room now (`try_` only).
    #[error("the ring is full")]
    Full,
    /// No room for all of the time given.
    #[error("the ring stayed full for all of the time given")]
    TimedOut,
    /// No room, and the consumer is gone ([`WhenPeerGone::Fail`](super::WhenPeerGone)).
    #[error("the ring is full and its consumer {0}")]
    Disconnected(Gone),
    /// The record is longer than this ring can ever hold.
    #[error("expected a record of at most {longest} bytes, found {length}: create the ring larger or split the record")]
    TooLong {
        /// Its length.
        length: usize,
        /// The longest the ring takes.
        longest: usize,
    },
    /// The stream has been finished: nothing can follow.
    #[error("the stream was finished: nothing can follow")]
    Finished,
    /// The handle belongs to the process that this one was forked from.
    #[error("the handle belongs to the process that this one was forked from: open the ring here")]
    Forked,
    /// The ring's words contradict each other: some process has spoilt them.
    #[error("the ring is spoilt, {0}: remove the segment and create it anew")]
    Corrupt(&'static str),
    /// It could not be found out whether the consumer lives.
    #[error("cannot tell whether the consumer lives: {0}")]
    Liveness(#[from] Box<Error>),
}

/// Why nothing could be popped or received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PopError {
    /// Nothing there now (`try_` only).
    #[error("the ring is empty")]
    Empty,
    /// Nothing came for all of the time given.
    #[error("the ring stayed empty for all of the time given")]
    TimedOut,
    /// Nothing left, and the producer is gone ([`WhenPeerGone::Fail`](super::WhenPeerGone)).
    #[error("the ring is empty and its producer {0}")]
    Disconnected(Gone),
    /// The stream has come to its end: everything was received.
    #[error("the stream is complete")]
    Finished,
    /// The handle belongs to the process that this one was forked from.
    #[error("the handle belongs to the process that this one was forked from: open the ring here")]
    Forked,
    /// The ring's words contradict each other: some process has spoilt them.
    #[error("the ring is spoilt, {0}: remove the segment and create it anew")]
    Corrupt(&'static str),
    /// It could not be found out whether the producer lives.
    #[error("cannot tell whether the producer lives: {0}")]
    Liveness(#[from] Box<Error>),
}
