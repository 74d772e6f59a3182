//! Taking the lock and giving it back. The protocol is in ARCHITECTURE.md, "Locks".

use super::super::bell::Deadline;
use super::contention::{Contention, Contest, Look};
use super::owner::{HolderWord, Holding, Owner, OwnerWord};
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::peer::{Cookie, Peer, Place, WaitRecord};
use crate::segment::Error;
use crate::segment::region::WordArray;
use crate::sys::barrier::Light;
use crate::sys::clock;
use crate::sys::fork::Stamp;

/// Words of a lock core: two lines.
pub(crate) const LOCK_WORDS: usize = 16;

/// This process, as it owns things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Me {
    pub(crate) cookie: Cookie,
    stamp: Stamp,
}

impl Me {
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { cookie: peer.cookie(), stamp: peer.stamp() }
    }

    /// Whether this is still that process, not a forked child of it.
    #[inline(always)]
    pub(crate) fn is_current(self) -> bool {
        self.stamp.is_current()
    }
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    Not,
    Until(Deadline),
}

/// The lock is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acquired {
    /// An owner died, and nobody has said since that the data is whole.
    pub(crate) inconsistent: bool,
}

/// The lock is not ours.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Somebody has it; only if we did not want to wait.
    Busy(Option<Cookie>),
    /// Somebody had it all the time.
    TimedOut(Option<Cookie>),
    /// This very thread has it.
    Deadlock,
    /// The kernel could not be asked whether its owner lives.
    Segment(Error),
}

/// Who asks for a lock, on its slow path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) thread: u32,
    /// Where the lock is, for those who look who waits for what.
    pub(crate) place: Place,
}

/// The words of a lock.
#[derive(Debug, Clone)]
pub(crate) struct Core<A: Access = ReadWrite> {
    words: WordArray<LOCK_WORDS, A>,
    light: Light,
}

impl<A: Access> Core<A> {
    pub(crate) fn new(words: WordArray<LOCK_WORDS, A>, light: Light) -> Self {
        Self { words, light }
    }

    #[inline(always)]
    pub(crate) fn owner(&self) -> OwnerWord<'_, A> {
        OwnerWord(self.words.at::<0>())
    }

    #[inline(always)]
    pub(crate) fn holder(&self) -> HolderWord<'_, A> {
        HolderWord(self.words.at::<1>())
    }

    /// The cookie of who is to have it next, if it is reserved.
    pub(crate) fn next(&self) -> Option<Cookie> {
        Cookie::in_word(self.words.at::<2>().load(Relaxed))
    }

    fn contended(&self) -> &Word<A> {
        self.words.at::<8>()
    }

    fn recovered(&self) -> &Word<A> {
        self.words.at::<9>()
    }

    /// How often somebody had to wait for it, and how often an owner was found dead.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.contended().load(Relaxed), self.recovered().load(Relaxed))
    }

    /// Since when, by [`clock::boot_ns`], a waiter has seen this holding; `None` if none has.
    pub(crate) fn seen_since(&self, holding: Holding) -> Option<u64> {
        let (seen, at) = (self.words.at::<10>(), self.words.at::<11>());
        let at = at.load(Relaxed);
        (holding.thread() != 0 && seen.load(Relaxed) == holding.bits()).then_some(at)
    }
}

impl Core {
    #[inline(always)]
    fn contention(&self) -> Contention<'_> {
        Contention {
            next: self.words.at::<2>(),
            spinner: self.words.at::<3>(),
            bell: self.words.at::<4>(),
            spins: self.words.at::<5>(),
        }
    }

    /// Takes the lock if it is free, consistent and not reserved.
    #[inline(always)]
    pub(crate) fn take(&self, me: Cookie, thread: u32) -> bool {
        if self.contention().is_reserved() || !self.owner().take(me) {
            return false;
        }
        self.holder().begin(thread);
        true
    }

    /// Takes the lock, also when it is not free for the taking.
    #[cold]
    pub(crate) fn take_contended(&self, asker: Asker<'_>, wait: Wait) -> Result<Acquired, Refused> {
        let mut locking = Locking { core: self, asker, record: None };
        let taken = match wait {
            Wait::Not => locking.at_once()?,
            Wait::Until(_) if self.is_held_by(asker.peer.cookie(), asker.thread) => return Err(Refused::Deadlock),
            Wait::Until(deadline) => {
                let me = asker.peer.cookie().bits();
                let outcome = self.contention().wait(me, deadline, self.light, &mut locking);
                let taken = outcome
                    .map_err(Refused::Segment)?
                    .ok_or_else(|| Refused::TimedOut(self.owner().load().cookie()))?;
                count(self.contended());
                taken
            }
        };
        self.holder().begin(asker.thread);
        if taken.over {
            count(self.recovered());
            self.owner().settle(asker.peer.cookie(), true);
        }
        Ok(Acquired { inconsistent: taken.inconsistent })
    }

    /// Gives the lock back. The caller owns it.
    #[inline(always)]
    pub(crate) fn give_back(&self, inconsistent: bool) {
        self.holder().end();
        self.owner().give_back(inconsistent);
        self.contention().ring(self.light);
    }

    /// Says that the data is whole. The caller owns the lock.
    pub(crate) fn mark_consistent(&self, me: Cookie) {
        self.owner().settle(me, false);
    }

    /// Gives the lock back, whoever has it; `false` if nobody has.
    pub(crate) fn unlock_for_anyone(&self, me: Cookie) -> bool {
        loop {
            let found = self.owner().load();
            if found.is_free() {
                return false;
            }
            if self.owner().take_away(found, me) {
                self.give_back(found.is_inconsistent());
                return true;
            }
        }
    }

    /// Whether this thread of this process has the lock.
    pub(crate) fn is_held_by(&self, me: Cookie, thread: u32) -> bool {
        self.owner().load().is_settled(me) && self.holder().load().thread() == thread
    }

    /// Gives the lock back as if its owner had died, if this process has it by that thread, or by any.
    pub(crate) fn abandon(&self, me: Cookie, thread: Option<u32>) {
        let holds = |thread| self.is_held_by(me, thread);
        if thread.map_or_else(|| self.owner().load().is_settled(me), holds) {
            self.give_back(true);
        }
    }
}

fn count(word: &Word) {
    word.store(word.load(Relaxed).wrapping_add(1), Relaxed);
}

/// How a contended lock was taken.
struct Taken {
    inconsistent: bool,
    /// From a dead owner: it is to be settled.
    over: bool,
}

struct Locking<'a> {
    core: &'a Core,
    asker: Asker<'a>,
    record: Option<WaitRecord<'a>>,
}

impl Locking<'_> {
    fn take_found(&self, found: Owner) -> Option<Taken> {
        let taken = self.core.owner().take_found(found, self.asker.peer.cookie());
        // Anything but zero is not as a living owner left it.
        taken.then(|| Taken { inconsistent: found != Owner::FREE, over: false })
    }

    /// Takes the lock if it is free or its owner is dead.
    fn at_once(&mut self) -> Result<Taken, Refused> {
        // Reserved or not: whoever it is reserved for may be dead, which only those who wait find out.
        let found = self.core.owner().load();
        if found.is_free()
            && let Some(taken) = self.take_found(found)
        {
            return Ok(taken);
        }
        let taken = self.check().map_err(Refused::Segment)?;
        taken.ok_or_else(|| Refused::Busy(self.core.owner().load().cookie()))
    }

    /// Notes, for people, since when this holding has been seen.
    fn note_holding(&self) {
        let (seen, at) = (self.core.words.at::<10>(), self.core.words.at::<11>());
        let holding = self.core.holder().load();
        if holding.thread() != 0 && seen.load(Relaxed) != holding.bits() {
            at.store(clock::boot_ns(), Relaxed);
            seen.store(holding.bits(), Relaxed);
        }
    }
}

impl Contest for Locking<'_> {
    type Prize = Taken;
    type Error = Error;

    #[inline]
    fn look(&mut self, may_take: bool) -> Look<Taken> {
        let found = self.core.owner().load();
        if !found.is_free() {
            return Look::Busy;
        }
        if !may_take {
            return Look::Free;
        }
        self.take_found(found).map_or(Look::Busy, Look::Ours)
    }

    fn check(&mut self) -> Result<Option<Taken>, Error> {
        let found = self.core.owner().load();
        let Some(owner) = found.cookie() else { return Ok(None) };
        self.note_holding();
        if self.asker.peer.is_alive(owner)? {
            return Ok(None);
        }
        let taken = self.core.owner().take_over(found, self.asker.peer.cookie());
        Ok(taken.then_some(Taken { inconsistent: true, over: true }))
    }

    fn falls_asleep(&mut self) {
        self.note_holding();
        self.record = self.asker.peer.wait_record(self.asker.thread, self.asker.place);
    }
}
