//! Waiting for what another process does: spin while that pays, then sleep, and ask now and then whether the other still lives.

mod abandon;
mod barrier;
pub(crate) mod bell;
mod error;
mod event;
#[cfg(all(test, loom))]
mod event_loom_model;
mod held;
mod inside;
mod latch;
pub(crate) mod lock;
#[cfg(all(test, loom))]
mod loom_model;
mod mutex;
mod part;
mod seats;
mod semaphore;
pub(crate) mod spin;
mod thread;

pub use barrier::{ActionError, Arrival, Barrier, BarrierError, BrokenBy, Party};
pub use error::{LockError, NotLocked};
pub use event::{Event, WaitError};
pub use latch::{CountDownError, Latch, LatchError, LatchParty};
pub use mutex::{Mutex, MutexGuard};
pub use semaphore::{AcquireError, Permit, ReleaseError, Semaphore, SemaphoreSetup};
