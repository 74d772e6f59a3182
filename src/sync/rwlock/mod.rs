//! Many readers or one writer; see [`RwLock`].

mod cell;
mod core;
mod guard;
#[allow(clippy::module_inception, reason = "the lock itself")]
mod lock;
#[cfg(all(test, loom))]
mod loom_model;

pub(super) use core::{RW_WORDS, inspect};
pub use guard::{ReadGuard, WriteGuard};
pub use lock::RwLock;
