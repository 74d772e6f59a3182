//! The lock as a process has it open.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::abandon::{self, Abandon, Open};
use super::super::bell::Deadline;
use super::super::error::LockError;
use super::super::held;
use super::super::lock::{Asker, LOCK_WORDS, Me, Wait};
use super::super::mutex::{check_shape_around, shape_around};
use super::super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use super::super::thread;
use super::core::{Entered, RW_WORDS, RwCore};
use super::guard::{ReadGuard, Reading, WriteGuard, Writing};
use crate::Shared;
use crate::peer::{Member, Place};
use crate::segment::lend::Lent;
use crate::segment::region::Words;
use crate::segment::schema::Schema;
use crate::segment::{Error, Kind, Reason};

/// A value of type `T` that many may read at a time, or one may change, for any threads of any processes.
///
/// Cheap to clone: clones are handles of the same lock.
///
/// **Progress.** A writer that waits keeps new readers out, so it gets in once those that are in have left; of several, and between them and waiting
/// readers, whoever has waited for some milliseconds comes next, so neither side starves. 256 readers may be in at once; one more waits. Each
/// is on a cache line of its own as a rule, so readers do not slow each other down.
///
/// A thread that reads and reads again gets in, whoever waits: one that never ends a guard before it has the next keeps writers out for ever. A thread that reads and wants to write, or writes and wants either, gets
/// [`LockError::Deadlock`].
///
/// **If a process dies** while it reads, nothing has happened, and a writer that waits for it gets in within some 150 ms. If it dies while it writes, the next
/// ones in, **readers and writers alike**, get [`LockError::OwnerDied`] with their guard, until a writer has repaired the value and called
/// [`WriteGuard::mark_consistent`]. So it is if a writer panics. A writer that dies while it waits, even for the last readers only, has
/// changed nothing, and nobody is told.
///
/// A guard that was leaked ([`std::mem::forget`]) ends with its thread, or with the last handle of the lock in its process: a reader's as if it had been
/// dropped, a writer's as if its process had died. **In a forked child** a guard of the parent's does nothing when dropped; the child must not
/// use it to reach the value.
///
/// **When not to use it.** Where reads are as short as a copy of the value, [`Slot`](crate::slot::Slot) has readers that store nothing at all. Where writes are as frequent
/// as reads, [`Mutex`](super::super::Mutex) is cheaper: a writer here looks at 256 cells.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, sync::{LockError, RwLock}};
///
/// let domain = Domain::new("doc-rwlock")?;
/// let prices = RwLock::create(&domain, "prices", [100_u64, 101])?;
///
/// // In any process:
/// {
///     let first = prices.read().map_err(LockError::drop_guard)?;
///     let second = prices.read().map_err(LockError::drop_guard)?;
///     assert_eq!(first[1] - second[0], 1);
/// }
/// // If a writer died in the middle, what it left is repaired first.
/// let mut guard = prices.write_or_repair(|prices| prices[1] = prices[0] + 1)?;
/// *guard = [200, 201];
/// assert_eq!(*guard.downgrade(), [200, 201]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sources
///
/// Readers known one by one, each on a line of its own: the distributed reader-writer locks of Vyukov and of BRAVO (Dice and Kogan, 2019). What is
/// different here, and why, is in ARCHITECTURE.md, "Reader-writer lock".
pub struct RwLock<T: Shared> {
    pub(super) core: RwCore,
    me: Me,
    shared: Arc<Inner>,
    open: Open,
    pub(super) value: Lent<T>,
}

#[derive(Debug)]
struct Inner {
    part: Part,
    core: RwCore,
}

impl<T: Shared> Object for RwLock<T> {
    type Setup = T;
    const KIND: Kind = Kind::RW_LOCK;

    fn schema() -> Option<Schema> {
        Some(T::schema())
    }

    fn shape(_: &T) -> Result<Shape, Reason> {
        shape_around::<T>().map(with_cells)
    }

    fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        check_shape_around::<T>(config).map(with_cells)
    }

    fn initialise(state: &Words, value: &T) {
        if let Some(words) = state.get(RW_WORDS..) {
            crate::base::copy::store_bytes(words, bytemuck::bytes_of(value));
        }
    }

    fn over(part: Part) -> Result<Self, Reason> {
        let value = part.state.slice(RW_WORDS, Lent::<T>::WORDS).and_then(|words| Lent::new(&words));
        let value = value.ok_or(Reason::NotFound)?;
        let core = RwCore::new(&part.state, part.light).ok_or(Reason::NotFound)?;
        // There for every part that was opened for writing.
        let me = part.me().map_err(|_| Reason::Forked)?;
        let shared = Arc::new(Inner { part, core: core.clone() });
        let open = abandon::register(&shared);
        Ok(Self { core, me, shared, open, value })
    }
}

/// A mutex's shape with our words in place of its.
fn with_cells(shape: Shape) -> Shape {
    Shape { state: shape.state - LOCK_WORDS + RW_WORDS, ..shape }
}

impl<T: Shared> RwLock<T> {
    /// How many bytes it takes within a segment, see [`create_at`](Self::create_at).
    pub const SIZE: u64 = ((part::STATE + RW_WORDS + Lent::<T>::WORDS) * 8) as u64;

    part::constructors!("a reader-writer lock", (value: T), value);

    /// Waits until no writer is in or waiting; then nobody writes while the guard lives.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the guard: a writer died, and what is read may be half changed; [`LockError::Deadlock`] if this thread
    /// writes; or the kernel could not be asked whether a writer lives.
    #[inline]
    pub fn read(&self) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        self.acquire_read(Wait::Until(Deadline::NEVER))
    }

    /// Reads if no writer is in or waiting; never waits. (If one is, it asks the kernel whether that one lives: microseconds.)
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), or [`LockError::WouldBlock`], also if this thread writes.
    #[inline]
    pub fn try_read(&self) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        self.acquire_read(Wait::Not)
    }

    /// As [`read`](Self::read), if it comes to that within `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), or [`LockError::TimedOut`].
    pub fn read_timeout(&self, timeout: Duration) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        self.acquire_read(Wait::Until(Deadline::after(timeout)))
    }

    /// Waits until nobody else is in; then nobody else is while the guard lives.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the guard; [`LockError::Deadlock`] if this thread reads or writes; or the kernel could not be asked whether
    /// those who are in the way live.
    #[inline]
    pub fn write(&self) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        self.acquire_write(Wait::Until(Deadline::NEVER))
    }

    /// As [`write`](Self::write); if a writer died, `repair` makes the value whole before anybody else sees it.
    ///
    /// If this process dies during `repair`, or it panics, the next ones in are told.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), but never `OwnerDied`.
    pub fn write_or_repair(&self, repair: impl FnOnce(&mut T)) -> Result<WriteGuard<'_, T>, LockError<()>> {
        match self.write() {
            Err(LockError::OwnerDied(mut guard)) => {
                repair(&mut guard);
                guard.mark_consistent();
                Ok(guard)
            }
            outcome => outcome.map_err(LockError::drop_guard),
        }
    }

    /// Writes if nobody is in; never waits. (If somebody is, it asks the kernel whether they live: microseconds for each process. Meanwhile no reader
    /// gets in.)
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), or [`LockError::WouldBlock`], also if this thread is in.
    #[inline]
    pub fn try_write(&self) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        self.acquire_write(Wait::Not)
    }

    /// As [`write`](Self::write), if it comes to that within `timeout`. While it waits for the last readers, no other gets in; if it gives up, those that wait do.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), or [`LockError::TimedOut`].
    pub fn write_timeout(&self, timeout: Duration) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        self.acquire_write(Wait::Until(Deadline::after(timeout)))
    }

    /// This process, as it owns locks.
    #[inline(always)]
    fn me(&self) -> Result<Me, Error> {
        if self.me.is_current() { Ok(self.me) } else { self.shared.part.me() }
    }

    #[inline(always)]
    fn acquire_read(&self, wait: Wait) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        let (me, thread) = (self.me()?, thread::id());
        match self.core.read(me.cookie, thread) {
            Some(cell) => Ok(ReadGuard::new(self, Reading { me, thread, cell, inconsistent: false })),
            None => self.read_contended(me, wait),
        }
    }

    #[cold]
    fn read_contended(&self, me: Me, wait: Wait) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        let part = &self.shared.part;
        let peer = part.member()?.peer()?;
        let asker = Asker { peer: &peer, thread: thread::id(), place: part.place() };
        let entered = self.core.read_contended(asker, wait).map_err(|refused| held::explain(refused, &peer))?;
        let Entered { cell, inconsistent } = entered;
        let guard = ReadGuard::new(self, Reading { me, thread: asker.thread, cell, inconsistent });
        if inconsistent { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    #[inline(always)]
    fn acquire_write(&self, wait: Wait) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        let (me, panicking) = (self.me()?, std::thread::panicking());
        match self.core.write(me.cookie, thread::id()) {
            Some(true) => Ok(self.write_guard(me, panicking, false)),
            pending => self.write_contended(me, panicking, wait, pending.is_some()),
        }
    }

    #[cold]
    fn write_contended(
        &self,
        me: Me,
        panicking: bool,
        wait: Wait,
        pending: bool,
    ) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        let part = &self.shared.part;
        let peer = part.member().and_then(Member::peer).inspect_err(|_| {
            if pending {
                // What is ours already nobody else would give back while we live.
                self.core.writer().give_back(false);
            }
        })?;
        let asker = Asker { peer: &peer, thread: thread::id(), place: part.place() };
        let outcome = self.core.write_contended(asker, wait, pending);
        let acquired = outcome.map_err(|refused| held::explain(refused, &peer))?;
        let inconsistent = acquired.inconsistent;
        let guard = self.write_guard(me, panicking, inconsistent);
        if inconsistent { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    /// The guard of who has just got in as the writer.
    #[inline(always)]
    fn write_guard(&self, me: Me, panicking: bool, inconsistent: bool) -> WriteGuard<'_, T> {
        let holding = self.core.writer().holder().load();
        WriteGuard::new(self, Writing { me, holding, inconsistent, panicking })
    }

    /// Whether a writer, alive or dead, is in or waits for the last readers to leave.
    pub fn has_writer(&self) -> bool {
        !self.core.writer().owner().load().is_free()
    }

    /// How many read at this moment, dead ones included.
    pub fn readers(&self) -> usize {
        self.core.readers()
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &std::path::Path {
        self.shared.part.path()
    }
}

impl<T: Shared> Clone for RwLock<T> {
    fn clone(&self) -> Self {
        let (shared, open) = (self.shared.clone(), self.open.clone());
        Self { core: self.core.clone(), me: self.me, shared, open, value: self.value.clone() }
    }
}

impl<T: Shared> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("RwLock");
        text.field("path", &self.path()).field("has_writer", &self.has_writer()).field("readers", &self.readers());
        text.field("reads_that_waited", &self.core.waited()).finish_non_exhaustive()
    }
}

impl Abandon for Inner {
    fn place(&self) -> Place {
        self.part.place()
    }

    fn abandon(&self, thread: Option<u32>) {
        // In a forked child: what the child has taken, not what its parent had.
        if let Some(me) = self.part.known_me() {
            self.core.abandon(me.cookie, thread);
        }
    }
}
