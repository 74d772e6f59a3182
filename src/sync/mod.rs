//! What processes coordinate with: locks, and things to wait for, standing in shared memory; any participant may be killed at any instruction.
//!
//! | | what | what a dead process leaves |
//! | --- | --- | --- |
//! | [`Mutex`] | a lock around a value | held: the next one gets the guard, and is told ([`LockError::OwnerDied`]) |
//! | [`RawMutex`] | a lock around nothing, which anyone may unlock | held: the next one has it, and is told |
//! | [`ReentrantMutex`] | a lock that its thread may take again | as of a mutex |
//! | [`RwLock`] | many readers or one writer | a read lock is taken out; a writer's is as of a mutex, if it had begun to write |
//! | [`Condvar`] | waiting for a change of what a mutex guards | a wait is gone; a notification that it had goes to another |
//! | [`Semaphore`] | permits | guarded ones go back; plain ones stay taken, as Python's |
//! | [`Event`] | a flag to wait for | nothing |
//! | [`Barrier`] | a meeting point | if it waited, or had enlisted, it breaks for the others |
//! | [`Once`] | something that happens once | the next one runs, and is told |
//! | [`Latch`] | a countdown | what it counted stays; if it had enlisted and did not count, waiting fails |
//!
//! Each stands alone under a name (`create`, `open`, ...) or within a raw [`Segment`](crate::Segment) (`create_at`, `open_at`). What
//! waits comes in three: `lock` waits, `try_lock` never does, `lock_timeout` does for so long at most, by the monotonic clock; a timeout beyond what the clock
//! can tell is none. Who holds what and who waits for whom is seen from outside: [`inspect`], or `sharedware locks`.
//!
//! **Progress.** What nobody else has is had with one compare-and-exchange. Who waits spins while that pays, and then sleeps, which costs
//! less than a thousandth of a core; nobody is passed over for long by those who come again and again to wait: of eight processes that wanted a lock all the time, on two
//! cores, none waited longer than 44 ms, whether each has it for 20 ns or for 1 ms. (`try_` takes whatever is free, whoever has waited for it: in an endless loop it may starve those who wait.)
//!
//! **If a process dies**, those who wait for it find out by asking the kernel, at the end of a slice of their sleep: 100 ms at most, of locks and semaphores 150. No timeout ever decides it: a stopped
//! process is never robbed.
//!
//! **When not to use.** Between threads of one process only: the standard library's are as good there, and their guards can be poisoned but not
//! orphaned. For handing values on, a [`ring`](crate::ring) needs no lock.
//!
//! # Example
//!
//! ```
//! use sharedware::{Domain, sync::{Event, Mutex}};
//!
//! let domain = Domain::new("doc-sync")?;
//! let total = Mutex::create(&domain, "total", 0_u64)?;
//! let done = Event::create(&domain, "done")?;
//!
//! // In another process:
//! let (theirs, ready) = (Mutex::<u64>::open(&domain, "total")?, Event::open(&domain, "done")?);
//! *theirs.lock_or_repair(|_| {})? += 3;
//! ready.set();
//!
//! done.wait()?;
//! assert_eq!(*total.lock_or_repair(|_| {})?, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//!
//! The lock's words: Drepper, "Futexes Are Tricky", with an owner as in the kernel's robust futexes, of which nothing else is used. Handing over to who
//! has waited long: Go's `sync.Mutex`. One spinner at a time: Dice, "Malthusian Locks", 2017.

mod abandon;
mod barrier;
pub(crate) mod bell;
mod condvar;
mod error;
mod event;
#[cfg(all(test, loom))]
mod event_loom_model;
mod held;
pub(crate) mod inside;
#[cfg(all(test, loom))]
mod inside_loom_model;
pub mod inspect;
mod latch;
pub(crate) mod lock;
#[cfg(all(test, loom))]
mod loom_model;
mod mutex;
mod once;
#[cfg(all(test, loom))]
mod once_loom_model;
pub(crate) mod part;
mod questions;
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
