//! Waiting for what another process does: spin while that pays, then sleep, and ask now and then whether the other still lives.

mod abandon;
mod barrier;
pub(crate) mod bell;
mod condvar;
mod error;
mod event;
#[cfg(all(test, loom))]
mod event_loom_model;
mod held;
mod inside;
pub mod inspect;
mod latch;
pub(crate) mod lock;
#[cfg(all(test, loom))]
mod loom_model;
mod mutex;
mod once;
#[cfg(all(test, loom))]
mod once_loom_model;
mod part;
mod raw_mutex;
mod reentrant;
mod rwlock;
mod seats;
mod semaphore;
pub(crate) mod spin;
mod thread;

pub use barrier::{ActionError, Arrival, Barrier, BarrierError, BrokenBy, Party};
pub use condvar::{Condvar, Wake};
pub use error::{LockError, UnlockError};
pub use event::{Event, WaitError};
pub use latch::{CountDownError, Latch, LatchError, LatchParty};
pub use mutex::{Mutex, MutexGuard};
pub use once::{FormerRun, Once, OnceError, OnceState};
pub use raw_mutex::RawMutex;
pub use reentrant::{ReentrantMutex, ReentrantMutexGuard};
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{AcquireError, Permit, ReleaseError, Semaphore, SemaphoreSetup};
