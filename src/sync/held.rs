//! A lock as a process has it open, and as a guard holds it: what [`Mutex`](super::Mutex) and its kin share.

use std::sync::Arc;

use super::abandon::{self, Abandon, Open};
use super::error::LockError;
use super::lock::{Acquired, Asker, Core, Holding, LOCK_WORDS, Me, Refused, Wait};
use super::part::Part;
use super::thread;
use crate::peer::{Cookie, Peer, PeerInfo, Place};
use crate::segment::lend::LARGEST_ALIGNMENT;
use crate::segment::region::WordArray;
use crate::segment::{Error, Reason};
use crate::sys::barrier::Light;

/// A lock core at the start of a part, as one process has it open.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    words: WordArray<LOCK_WORDS>,
    light: Light,
    me: Me,
    shared: Arc<Inner>,
    _open: Open,
}

#[derive(Debug)]
struct Inner {
    part: Part,
    words: WordArray<LOCK_WORDS>,
}

/// How a guard holds a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Which holding this is: one that was given up for lost, at the end of its thread, has no business here any more.
    holding: Holding,
    inconsistent: bool,
    /// The thread was panicking before.
    panicking: bool,
}

impl Held {
    /// The thread has begun to panic since.
    #[inline(always)]
    pub(crate) fn is_broken(&self) -> bool {
        std::thread::panicking() && !self.panicking
    }

    pub(crate) fn is_consistent(&self) -> bool {
        !self.inconsistent
    }
}

impl Lock {
    pub(crate) fn new(part: Part) -> Result<Self, Reason> {
        let (words, light) = (part.array::<LOCK_WORDS>(0)?, part.light);
        // There for every part that was opened for writing.
        let me = part.me().map_err(|_| Reason::Forked)?;
        let shared = Arc::new(Inner { part, words: words.clone() });
        let open = abandon::register(&shared);
        Ok(Self { words, light, me, shared, _open: open })
    }

    #[inline(always)]
    fn core(&self) -> Core<'_> {
        Core::new(self.words.as_array(), self.light)
    }

    pub(crate) fn part(&self) -> &Part {
        &self.shared.part
    }

    /// Acquires the lock if it is free, consistent and not reserved, and this is the process that opened it: what is usual.
    #[inline(always)]
    pub(crate) fn acquire_at_once(&self) -> Option<Held> {
        if !self.me.is_current() {
            return None;
        }
        let panicking = std::thread::panicking();
        let holding = self.core().take_holding(self.me.cookie, thread::id())?;
        Some(Held { holding, inconsistent: false, panicking })
    }

    /// Acquires the lock. `OwnerDied` comes with how it is held.
    #[inline(always)]
    pub(crate) fn acquire(&self, wait: Wait) -> Result<Held, LockError<Held>> {
        // Boxed: what comes back in registers stays in them.
        match self.acquire_at_once() {
            Some(held) => Ok(held),
            None => self.acquire_boxed(wait).map_err(|error| *error),
        }
    }

    #[cold]
    fn acquire_boxed(&self, wait: Wait) -> Result<Held, Box<LockError<Held>>> {
        self.acquire_contended(wait).map_err(Box::new)
    }

    fn acquire_contended(&self, wait: Wait) -> Result<Held, LockError<Held>> {
        let part = &self.shared.part;
        let peer = part.member()?.peer()?;
        let (thread, panicking) = (thread::id(), std::thread::panicking());
        if !self.me.is_current()
            && let Some(holding) = self.core().take_holding(peer.cookie(), thread)
        {
            return Ok(Held { holding, inconsistent: false, panicking });
        }
        let asker = Asker { peer: &peer, thread, place: part.place() };
        match self.core().take_contended(asker, wait) {
            Ok(Acquired { inconsistent }) => {
                let held = Held { holding: self.core().holder().load(), inconsistent, panicking };
                if inconsistent { Err(LockError::OwnerDied(held)) } else { Ok(held) }
            }
            Err(refused) => Err(explain(refused, &peer)),
        }
    }

    /// Gives the lock back, unless this is a forked child of who has it.
    #[inline(always)]
    pub(crate) fn release(&self, held: &Held) {
        if self.is_current(held) {
            // Who panics in the middle leaves what it guards as one who dies.
            let inconsistent = held.inconsistent || held.is_broken();
            self.core().give_back_holding(held.holding, inconsistent);
        }
    }

    /// How this thread holds it, if it does.
    pub(crate) fn held_here(&self) -> Result<Option<Held>, Error> {
        let me = if self.me.is_current() { self.me } else { self.shared.part.me()? };
        if !self.core().is_held_by(me.cookie, thread::id()) {
            return Ok(None);
        }
        let (holding, inconsistent) = (self.core().holder().load(), self.core().owner().load().is_inconsistent());
        Ok(Some(Held { holding, inconsistent, panicking: std::thread::panicking() }))
    }

    /// Whether it is still held so: not in a forked child, and not after it was given up for lost.
    #[inline(always)]
    pub(crate) fn is_current(&self, held: &Held) -> bool {
        self.core().holder().load() == held.holding && (self.me.is_current() || self.is_childs())
    }

    /// In a child that was forked since it was opened: whether the child has it, not its parent.
    #[cold]
    fn is_childs(&self) -> bool {
        let me = self.shared.part.known_me();
        me.is_some_and(|me| self.core().owner().load().is_settled(me.cookie))
    }

    /// Whether what it guards is whole, as far as its owner, who asks, knows.
    pub(crate) fn is_consistent_now(&self) -> bool {
        !self.core().owner().load().is_inconsistent()
    }

    /// Says that what it guards is whole or is not, with one of several guards of the same holding.
    pub(crate) fn declare(&self, held: &Held, inconsistent: bool) {
        if self.is_current(held) {
            self.core().declare(inconsistent);
        }
    }

    /// Gives it back with the last of several guards of the same holding.
    pub(crate) fn release_last(&self, held: &Held) {
        let inconsistent = !self.is_consistent_now();
        self.release(&Held { inconsistent, ..*held });
    }

    /// Says that what it guards is whole.
    pub(crate) fn mark_consistent(&self, held: &mut Held) {
        if held.inconsistent && self.is_current(held) {
            held.inconsistent = false;
            self.core().declare(false);
        }
    }

    pub(crate) fn is_locked(&self) -> bool {
        !self.core().owner().load().is_free()
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
        // In a forked child: what the child has taken, not what its parent had.
        if let Some(me) = self.part.known_me() {
            Core::new(self.words.as_array(), self.part.light).abandon(me.cookie, thread);
        }
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
