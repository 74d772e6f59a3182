//! What needs no operating system: atomic words, copies made of them, and the crash points that tests kill a process at.

pub mod access;
pub(crate) mod atomic;
pub(crate) mod copy;
pub mod crash;
