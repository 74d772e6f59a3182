//! What needs no operating system: atomic words, copies made of them, and the crash points that tests kill a process at.

pub(crate) mod access;
pub(crate) mod atomic;
pub(crate) mod copy;
#[cfg(not(feature = "__crash-points"))]
pub(crate) mod crash;
#[cfg(feature = "__crash-points")]
pub mod crash;
#[cfg(loom)]
pub(crate) mod explore;
pub(crate) mod hint;
#[cfg(loom)]
pub(crate) mod mortal;
