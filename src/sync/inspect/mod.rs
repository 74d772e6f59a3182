//! Looking at locks and their kin without taking part: who holds them, who waits for whom, how often that came to pass.
//!
//! [`Domain::locks`](crate::Domain::locks) looks at everything of [`sync`](crate::sync) in a domain, standing alone or within raw segments;
//! [`deadlocks`] finds the cycles in it; [`View`] reads what a lock guards.
//!
//! **Progress.** Everything is mapped read-only, so nobody is disturbed and nobody waited for. What is told is **a snapshot of moments**: each
//! word as it was at some moment of the look, and while you read it, it may be over.
//!
//! **If a process dies**, what it held is shown as held by the dead, until somebody takes it over.
//!
//! Bytes that make no sense are not shown, or shown as what they say; they never make a look fail as a whole.
//!
//! # Example
//!
//! ```
//! use sharedware::{Domain, Options, sync::Mutex};
//!
//! let domain = Domain::new("doc-inspect")?;
//! let account = Mutex::create(&domain, "account", 100_u64)?;
//! let guard = account.lock_or_repair(|_| ())?;
//!
//! // In any process:
//! let survey = domain.locks(&Options::new())?;
//! let [lock] = survey.locks.as_slice() else { panic!("one mutex") };
//! assert_eq!((lock.name.as_str(), lock.holders.len(), lock.waiters.len()), ("account", 1, 0));
//! assert_eq!(lock.holders[0].who.peer.as_ref().unwrap().pid, std::process::id());
//! assert!(survey.deadlocks.is_empty());
//! # drop(guard);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod deadlock;
mod findings;
mod report;
mod survey;
mod view;

pub use deadlock::{Deadlock, Step, deadlocks, waits};
pub use report::{Fact, Holder, Life, LockReport, Role, Waiter, Who};
pub use survey::{SCANNED, Survey};
pub use view::View;

pub(crate) use findings::Findings;

use super::lock::LOCK_WORDS;
use super::part::CONFIG_WORDS;
use super::{barrier, condvar, event, latch, mutex, once, reentrant, rwlock, semaphore};
use crate::base::access::ReadOnly;
use crate::segment::Kind;
use crate::segment::region::Words;

/// What a kind makes of one of its parts: into the findings goes what people should see.
///
/// The state is what there is behind the config: as long as the memory goes on, so at times longer than the kind's own, and at times shorter. All words
/// may be anything. `None`: that cannot be one.
type Inspect = fn(config: &[u64; CONFIG_WORDS], state: &Words<ReadOnly>, seen: &mut Findings) -> Option<()>;

/// A kind that can be looked at.
#[derive(Debug)]
struct Known {
    kind: Kind,
    version: u32,
    inspect: Inspect,
    /// At which word of the state its value starts, if it has one. Its type is that in the segment's header.
    value: Option<usize>,
}

const fn known(kind: Kind, inspect: Inspect) -> Known {
    Known { kind, version: 1, inspect, value: None }
}

const fn with_value(kind: Kind, inspect: Inspect, value: usize) -> Known {
    Known { kind, version: 1, inspect, value: Some(value) }
}

/// All kinds that can be looked at. One that is not here is none of `sync`, for those who look.
static KINDS: &[Known] = &[
    with_value(Kind::MUTEX, mutex::inspect, LOCK_WORDS),
    known(Kind::RAW_MUTEX, lock),
    with_value(Kind::REENTRANT_MUTEX, mutex::inspect, reentrant::VALUE),
    with_value(Kind::RW_LOCK, rwlock::inspect, rwlock::RW_WORDS),
    known(Kind::CONDVAR, condvar::inspect),
    known(Kind::SEMAPHORE, semaphore::inspect),
    known(Kind::EVENT, event::inspect),
    known(Kind::BARRIER, barrier::inspect),
    known(Kind::ONCE, once::inspect),
    known(Kind::LATCH, latch::inspect),
];

/// For kinds whose state starts with a lock core, and all there is to see of them is in it.
fn lock(_: &[u64; CONFIG_WORDS], state: &Words<ReadOnly>, seen: &mut Findings) -> Option<()> {
    seen.lock(state).map(|_| ())
}

impl Known {
    fn of(kind: Kind) -> Option<&'static Self> {
        KINDS.iter().find(|known| known.kind == kind)
    }
}
