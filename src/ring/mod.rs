//! Rings: bounded queues in shared memory, in order, nothing lost.
//!
//! | | elements | producers | consumers |
//! | --- | --- | --- | --- |
//! | [`spsc`] | values of one type | 1 | 1 |
//! | [`bytes`] | records of any length | 1 | 1 |
//!
//! **If a process dies**, what it committed stays, and a new process can take its side and go on there. The other side can ask
//! ([`PeerState`]), and if it is blocked it is told ([`Gone`]), or goes on waiting for the successor, as it chose ([`WhenPeerGone`]).

pub mod bytes;
mod control;
mod error;
mod side;
#[cfg(all(test, loom))]
mod side_loom_model;
pub mod spsc;

pub use error::{AttachError, Gone, PopError, PushError};
pub use side::{PeerState, WhenPeerGone};
