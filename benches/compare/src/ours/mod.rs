//! Ours: one file per family, each the library behind the same trait as its rivals.
//!
//! `READY` says whether the library has the structure yet; where it is false, only the rivals are measured.

pub(crate) mod bytes;
pub(crate) mod create;
pub(crate) mod mutex;
pub(crate) mod rwlock;
pub(crate) mod sleepers;
pub(crate) mod slot;
pub(crate) mod spsc;
pub(crate) mod wake;
pub(crate) mod wedge;
