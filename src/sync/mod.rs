//! Waiting for what another process does: spin while that pays, then sleep, and ask now and then whether the other still lives.

mod abandon;
pub(crate) mod bell;
mod error;
mod held;
pub(crate) mod lock;
#[cfg(all(test, loom))]
mod loom_model;
mod mutex;
mod part;
pub(crate) mod spin;
mod thread;

pub use error::{LockError, NotLocked};
pub use mutex::{Mutex, MutexGuard};
