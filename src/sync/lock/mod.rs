//! The lock core: the sixteen words that every lock here is made of. The protocol is in ARCHITECTURE.md, "Locks".
//!
//! ```text
//! word 0  owner       who owns the lock: see `owner`
//! word 1  holder      which of its threads, and which holding this is
//! word 2  next        for whom the lock waits once it is free: see `contention`
//! word 3  bell        who sleeps
//! word 8  contended   acquisitions that had to wait
//! word 9  recovered   owners found dead
//! word 10 seen        the holding that a waiter has seen
//! word 11 seen at     when it saw it first
//! word 12 spinner     who spins
//! word 13 spins       how long spinning pays
//! ```

pub(crate) mod contention;
pub(crate) mod core;
#[cfg(all(test, loom))]
mod loom_model;
pub(crate) mod owner;

pub(crate) use core::{Acquired, Asker, Core, LOCK_WORDS, Me, Refused, Unlock, Wait};
pub(crate) use owner::Holding;
