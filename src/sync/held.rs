//! A lock as a process has it open, and as a guard holds it: what [`Mutex`](super::Mutex) and its kin share.

use std::sync::Arc;

use super::abandon::{self, Abandon};
use super::error::LockError;
use super::lock::{Asker, Core, LOCK_WORDS, Me, Refused, Wait};
use super::part::Part;
use super::thread;
use crate::peer::{Cookie, Peer, PeerInfo, Place};
use crate::segment::lend::LARGEST_ALIGNMENT;
use crate::segment::{Error, Reason};

/// A lock core at the start of a part, as one process has it open.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    core: Core,
    me: Me,
    shared: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    part: Part,
    core: Core,
    me: Me,
}

/// How a guard holds a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    me: Me,
    inconsistent: bool,
    /// The thread was panicking before.
    panicking: bool,
}

impl Held {
    pub(crate) fn is_consistent(&self) -> bool {
        !self.inconsistent
    }
}

impl Lock {
    pub(crate) fn new(part: Part) -> Result<Self, Reason> {
        let core = Core::new(part.array::<LOCK_WORDS>(0)?, part.light);
        // There for every part that was opened for writing.
        let me = part.me().map_err(|_| Reason::Forked)?;
        let shared = Arc::new(Inner { part, core: core.clone(), me });
        abandon::register(&shared);
        Ok(Self { core, me, shared })
    }

    pub(crate) fn part(&self) -> &Part {
        &self.shared.part
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// This process, as it owns locks.
    #[inline(always)]
    pub(crate) fn me(&self) -> Result<Me, Error> {
        if self.me.is_current() { Ok(self.me) } else { self.shared.part.me() }
    }

    /// Acquires the lock. `OwnerDied` comes with how it is held.
    #[inline(always)]
    pub(crate) fn acquire(&self, wait: Wait) -> Result<Held, LockError<Held>> {
        let me = self.me()?;
        let panicking = std::thread::panicking();
        if self.core.take(me.cookie, thread::id()) {
            return Ok(Held { me, inconsistent: false, panicking });
        }
        self.acquire_contended(me, panicking, wait)
    }

    #[cold]
    fn acquire_contended(&self, me: Me, panicking: bool, wait: Wait) -> Result<Held, LockError<Held>> {
        let part = &self.shared.part;
        let peer = part.member()?.peer()?;
        let asker = Asker { peer: &peer, thread: thread::id(), place: part.place() };
        match self.core.take_contended(asker, wait) {
            Ok(acquired) if acquired.inconsistent => {
                Err(LockError::OwnerDied(Held { me, inconsistent: true, panicking }))
            }
            Ok(_) => Ok(Held { me, inconsistent: false, panicking }),
            Err(refused) => Err(explain(refused, &peer)),
        }
    }

    /// Gives the lock back, unless this is a forked child of who has it.
    #[inline(always)]
    pub(crate) fn release(&self, held: &Held) {
        if held.me.is_current() {
            // Who panics in the middle leaves what it guards as one who dies.
            let broken = !held.panicking && std::thread::panicking();
            self.core.give_back(held.inconsistent || broken);
        }
    }

    /// Says that what it guards is whole.
    pub(crate) fn mark_consistent(&self, held: &mut Held) {
        if held.inconsistent && held.me.is_current() {
            held.inconsistent = false;
            self.core.mark_consistent(held.me.cookie);
        }
    }

    /// Whether this thread has it.
    pub(crate) fn is_held_here(&self) -> Result<bool, Error> {
        Ok(self.core.is_held_by(self.me()?.cookie, thread::id()))
    }

    pub(crate) fn is_locked(&self) -> bool {
        !self.core.owner().load().is_free()
    }
}

/// What became of a wish for a lock, in the words of its user.
pub(crate) fn explain<G>(refused: Refused, peer: &Peer) -> LockError<G> {
    let describe = |owner: Option<Cookie>| -> Option<PeerInfo> { owner.and_then(|owner| peer.describe(owner)) };
    match refused {
        Refused::Busy(owner) => LockError::WouldBlock { owner: describe(owner) },
        Refused::TimedOut(owner) => LockError::TimedOut { owner: describe(owner) },
        Refused::Deadlock => LockError::Deadlock,
        Refused::Segment(error) => error.into(),
    }
}

impl Abandon for Inner {
    fn place(&self) -> Place {
        self.part.place()
    }

    fn abandon(&self, thread: Option<u32>) {
        if self.me.is_current() {
            self.core.abandon(self.me.cookie, thread);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        abandon::handle_dropped(self);
    }
}

/// Values of a larger alignment have no place in a part.
pub(crate) fn check_alignment<T>() -> Result<(), Reason> {
    if align_of::<T>() > LARGEST_ALIGNMENT {
        let text = format!("aligned to {} bytes, at most {LARGEST_ALIGNMENT} are possible", align_of::<T>());
        return Err(Reason::Element(text));
    }
    Ok(())
}
