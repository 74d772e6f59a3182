//! A lock around nothing, which anyone may unlock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::abandon::{self, Abandon, Open};
use super::bell::Deadline;
use super::error::{LockError, UnlockError};
use super::held::explain;
use super::lock::{Asker, Core, LOCK_WORDS, Me, Unlock, Wait};
use super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use super::thread;
use crate::peer::Place;
use crate::segment::region::{WordArray, Words};
use crate::segment::{Error, Kind, Reason};
use crate::sys::barrier::Light;

/// A lock without a guard, for any threads of any processes: whoever can reach it may unlock it, not only who locked it. As Python's `Lock`.
///
/// For what [`Mutex`](super::Mutex) cannot do: to lock here and unlock elsewhere. What it guards is a matter of agreement.
///
/// Cheap to clone: clones are handles of the same lock.
///
/// **If a process dies** having locked it last, with nobody having unlocked it since, the next one to lock it gets [`LockError::OwnerDied`]: **it is
/// locked, by the caller**, and whatever it guards may be half changed. So is everybody who locks it from then on, until
/// [`mark_consistent`](Self::mark_consistent). Whoever dies while it waits leaves nothing.
///
/// **It stays locked** when the thread that locked it ends, and when the last handle is dropped: somebody else may be meant to unlock it. Only the end of
/// the process gives it up. (A process that drops a handle of a lock that it has locked stays a peer of the domain until its end.) A thread that comes
/// later waits for it as for anybody's, even if the system gives it the number of the one that ended. (Unless that one ended when its process had no
/// handle of the lock: who then has its number, and opens the lock anew, is told `Deadlock` by [`lock`](Self::lock). The other two do not ask.)
///
/// **In a forked child** a lock that the parent has is the parent's. The child may unlock it, as anyone may.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, sync::{LockError, RawMutex, UnlockError}};
///
/// let domain = Domain::new("doc-raw-mutex")?;
/// let printer = RawMutex::create(&domain, "printer")?;
///
/// match printer.lock() {
///     Ok(()) => {}
///     Err(LockError::OwnerDied(())) => {
///         // Ours all the same. Throw away the half-printed page, then:
///         printer.mark_consistent();
///     }
///     Err(error) => return Err(error.into()),
/// }
/// assert!(matches!(printer.try_lock(), Err(LockError::WouldBlock { .. })));
///
/// // In any other thread or process:
/// let other = RawMutex::open(&domain, "printer")?;
/// other.unlock()?;
/// assert!(matches!(other.unlock(), Err(UnlockError::NotLocked)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RawMutex {
    words: WordArray<LOCK_WORDS>,
    light: Light,
    me: Me,
    shared: Arc<Inner>,
    _open: Open,
}

struct Inner {
    words: WordArray<LOCK_WORDS>,
    part: Part,
}

impl Inner {
    fn core(&self) -> Core<'_> {
        Core::new(self.words.as_array(), self.part.light)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What this process has locked it keeps: so it must remain somebody.
        let owner = self.core().owner().load().cookie();
        if owner.is_some() && owner == self.part.known_me().map(|me| me.cookie) {
            self.part.stay_member();
        }
    }
}

/// It is not given up. But a thread that comes later, and has the number of one that ended, must not be taken for it.
impl Abandon for Inner {
    fn place(&self) -> Place {
        self.part.place()
    }

    fn abandon(&self, thread: Option<u32>) {
        if let (Some(thread), Some(me)) = (thread, self.part.known_me()) {
            self.core().forget_thread(me.cookie, thread);
        }
    }
}

impl Object for RawMutex {
    type Setup = ();
    const KIND: Kind = Kind::RAW_MUTEX;

    fn shape(_: &()) -> Result<Shape, Reason> {
        Ok(Shape { config: [0; CONFIG_WORDS], state: LOCK_WORDS })
    }

    fn shape_of(_: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        Self::shape(&())
    }

    fn initialise(_: &Words, _: &()) {}

    fn over(part: Part) -> Result<Self, Reason> {
        let (words, light) = (part.array::<LOCK_WORDS>(0)?, part.light);
        // There for every part that was opened for writing.
        let me = part.me().map_err(|_| Reason::Forked)?;
        let shared = Arc::new(Inner { words: words.clone(), part });
        let open = abandon::register(&shared);
        Ok(Self { words, light, me, shared, _open: open })
    }
}

impl RawMutex {
    /// How many bytes it takes within a segment, see [`create_at`](Self::create_at).
    pub const SIZE: u64 = ((part::STATE + LOCK_WORDS) * 8) as u64;

    part::constructors!("a raw mutex", (), ());

    /// Locks it; waits for as long as it is locked.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`]: it is locked, but an owner died; [`LockError::Deadlock`] if this very thread locked it and nobody has unlocked it since
    /// (to wait for somebody else to unlock it use [`lock_timeout`](Self::lock_timeout)); or the kernel could not be asked whether its owner lives.
    #[inline]
    pub fn lock(&self) -> Result<(), LockError<()>> {
        self.acquire(Wait::Until(Deadline::NEVER), true)
    }

    /// Locks it if it is not locked; never waits. (If it is, it asks the kernel whether the owner lives: microseconds.)
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock), but [`LockError::WouldBlock`] in place of `Deadlock`.
    #[inline]
    pub fn try_lock(&self) -> Result<(), LockError<()>> {
        self.acquire(Wait::Not, false)
    }

    /// Locks it if that can be done within `timeout`. Who has it itself waits as well: anyone may unlock it meanwhile.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock), but [`LockError::TimedOut`] in place of `Deadlock`.
    pub fn lock_timeout(&self, timeout: Duration) -> Result<(), LockError<()>> {
        self.acquire(Wait::Until(Deadline::after(timeout)), false)
    }

    /// Unlocks it, whoever locked it.
    ///
    /// (If somebody is just about to have locked it, waits for the two stores that that takes: moments.)
    ///
    /// # Errors
    ///
    /// It is not locked; somebody who was just about to have locked it is stopped there; or the kernel could not be asked whether somebody who was just about to lock it lives.
    #[inline]
    pub fn unlock(&self) -> Result<(), UnlockError> {
        let is_alive = |owner| -> Result<bool, Error> { self.shared.part.member()?.peer()?.is_alive(owner) };
        match self.core().unlock_for_anyone(is_alive)? {
            Unlock::Done => Ok(()),
            Unlock::NotLocked => Err(UnlockError::NotLocked),
            Unlock::Settling(owner) => {
                Err(UnlockError::BeingTaken { owner: self.shared.part.member()?.peer()?.describe(owner) })
            }
        }
    }

    /// Says that what it guards is whole: from here on nobody is told of an owner's death, until the next one. To be called by who has it.
    pub fn mark_consistent(&self) {
        self.core().mark_consistent_for_anyone();
    }

    /// Whether it is locked at this moment, by somebody alive or dead.
    pub fn is_locked(&self) -> bool {
        !self.core().owner().load().is_free()
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &std::path::Path {
        self.shared.part.path()
    }

    #[inline(always)]
    fn core(&self) -> Core<'_> {
        Core::new(self.words.as_array(), self.light)
    }

    #[inline(always)]
    fn acquire(&self, wait: Wait, refuse_itself: bool) -> Result<(), LockError<()>> {
        let me = if self.me.is_current() { self.me } else { self.shared.part.me()? };
        if self.core().take_raw(me.cookie, thread::id()) {
            return Ok(());
        }
        self.acquire_contended(wait, refuse_itself)
    }

    #[cold]
    fn acquire_contended(&self, wait: Wait, refuse_itself: bool) -> Result<(), LockError<()>> {
        let peer = self.shared.part.member()?.peer()?;
        let thread = thread::id();
        if refuse_itself && self.core().is_held_by(peer.cookie(), thread) {
            return Err(LockError::Deadlock);
        }
        let asker = Asker { peer: &peer, thread, place: self.shared.part.place() };
        match self.core().take_contended_raw(asker, wait) {
            Ok(acquired) if acquired.inconsistent => Err(LockError::OwnerDied(())),
            Ok(_) => Ok(()),
            Err(refused) => Err(explain(refused, &peer)),
        }
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("RawMutex");
        text.field("path", &self.path()).field("locked", &self.is_locked()).finish_non_exhaustive()
    }
}
