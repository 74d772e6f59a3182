//! Taking the lock and giving it back. The protocol is in ARCHITECTURE.md, "Locks".

use super::super::bell::Deadline;
use super::contention::{Contention, Contest, Look};
use super::owner::{HolderWord, Holding, Owner, OwnerWord};
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Relaxed};
use crate::base::atomic::{Word, fence, spin};
use crate::peer::{Cookie, Peer, Place, WaitRecord};
use crate::segment::Error;
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

/// The words of a lock, borrowed from who keeps them mapped: made wherever it is needed, of nothing but their address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Core<'a, A: Access = ReadWrite> {
    words: &'a [Word<A>; LOCK_WORDS],
    light: Light,
}

impl<'a, A: Access> Core<'a, A> {
    #[inline(always)]
    pub(crate) fn new(words: &'a [Word<A>; LOCK_WORDS], light: Light) -> Self {
        Self { words, light }
    }

    /// Over the words from `from` on; `None` if they are not all there.
    #[inline(always)]
    pub(crate) fn at(words: &'a [Word<A>], from: usize, light: Light) -> Option<Self> {
        Some(Self::new(words.get(from..)?.first_chunk()?, light))
    }

    #[inline(always)]
    pub(crate) fn owner(self) -> OwnerWord<'a, A> {
        OwnerWord(&self.words[0])
    }

    #[inline(always)]
    pub(crate) fn holder(self) -> HolderWord<'a, A> {
        HolderWord(&self.words[1])
    }

    /// The cookie of who is to have it next, if it is reserved.
    pub(crate) fn next(self) -> Option<Cookie> {
        Cookie::in_word(self.words[2].load(Relaxed))
    }

    fn contended(self) -> &'a Word<A> {
        &self.words[8]
    }

    fn recovered(self) -> &'a Word<A> {
        &self.words[9]
    }

    /// How often somebody had to wait for it, and how often an owner was found dead.
    pub(crate) fn counts(self) -> (u64, u64) {
        (self.contended().load(Relaxed), self.recovered().load(Relaxed))
    }

    /// Since when, by [`clock::boot_ns`], a waiter has seen this holding; `None` if none has.
    pub(crate) fn seen_since(self, holding: Holding) -> Option<u64> {
        let (seen, at) = (&self.words[10], &self.words[11]);
        let at = at.load(Relaxed);
        (holding.thread() != 0 && seen.load(Relaxed) == holding.bits()).then_some(at)
    }
}

impl<'a> Core<'a> {
    #[inline(always)]
    pub(crate) fn contention(self) -> Contention<'a> {
        Contention { next: &self.words[2], spinner: &self.words[12], bell: &self.words[3], spins: &self.words[13] }
    }

    /// Takes the lock if it is free, consistent and not reserved.
    #[inline(always)]
    pub(crate) fn take(self, me: Cookie, thread: u32) -> bool {
        self.take_holding(me, thread).is_some()
    }

    /// The same; tells which holding it is.
    #[inline(always)]
    pub(crate) fn take_holding(self, me: Cookie, thread: u32) -> Option<Holding> {
        if self.contention().is_reserved() || !self.owner().take(me) {
            return None;
        }
        Some(self.holder().begin(thread))
    }

    /// The same of a raw mutex.
    #[inline(always)]
    pub(crate) fn take_raw(self, me: Cookie, thread: u32) -> bool {
        if self.contention().is_reserved() || !self.owner().take_unsettled(Owner::FREE, me) {
            return false;
        }
        self.holder().begin(thread);
        self.owner().settle(me, false);
        true
    }

    /// Takes the lock, also when it is not free for the taking.
    #[cold]
    pub(crate) fn take_contended(self, asker: Asker<'_>, wait: Wait) -> Result<Acquired, Refused> {
        self.take_contended_judging(asker, wait, &|| true)
    }

    /// The same. `spoils` is asked, while the lock names a dead owner, whether that one may have left the data half changed.
    pub(crate) fn take_contended_judging(
        self,
        asker: Asker<'_>,
        wait: Wait,
        spoils: &dyn Fn() -> bool,
    ) -> Result<Acquired, Refused> {
        if matches!(wait, Wait::Until(_)) && self.is_held_by(asker.peer.cookie(), asker.thread) {
            return Err(Refused::Deadlock);
        }
        self.contend(Locking { core: self, asker, raw: false, spoils, record: None }, wait)
    }

    /// The same of a raw mutex. Who has it may wait for it: others may unlock it.
    #[cold]
    pub(crate) fn take_contended_raw(self, asker: Asker<'_>, wait: Wait) -> Result<Acquired, Refused> {
        self.contend(Locking { core: self, asker, raw: true, spoils: &|| true, record: None }, wait)
    }

    fn contend(self, mut locking: Locking<'_>, wait: Wait) -> Result<Acquired, Refused> {
        let asker = locking.asker;
        let taken = match wait {
            Wait::Not => locking.at_once()?,
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
        }
        if taken.over || locking.raw {
            self.owner().settle(asker.peer.cookie(), taken.inconsistent);
        }
        Ok(Acquired { inconsistent: taken.inconsistent })
    }

    /// Gives the lock back. The caller owns it.
    #[inline(always)]
    pub(crate) fn give_back(self, inconsistent: bool) {
        self.give_back_holding(self.holder().load(), inconsistent);
    }

    /// The same of this holding.
    #[inline(always)]
    pub(crate) fn give_back_holding(self, holding: Holding, inconsistent: bool) {
        self.holder().end(holding);
        self.owner().give_back(inconsistent);
        self.contention().ring(self.light);
    }

    /// Says that the data is whole, or is not. The caller owns the lock.
    pub(crate) fn declare(self, inconsistent: bool) {
        self.owner().declare(inconsistent);
    }

    /// Gives a raw mutex back, whoever has it; `false` if nobody has. `is_alive` is asked of who is just taking it.
    pub(crate) fn unlock_for_anyone<E>(self, is_alive: impl Fn(Cookie) -> Result<bool, E>) -> Result<Unlock, E> {
        let mut patience = Patience::new();
        loop {
            let found = self.owner().load();
            let Some(owner) = found.cookie() else { return Ok(Unlock::NotLocked) };
            // Who is just taking it writes two more words, and must not find itself robbed between.
            if found.is_settling() && patience.wait(|| is_alive(owner))? {
                if patience.is_over() {
                    return Ok(Unlock::Settling(owner));
                }
                continue;
            }
            if self.owner().give_back_found(found) {
                self.contention().ring(self.light);
                return Ok(Unlock::Done);
            }
        }
    }

    /// Says that what a raw mutex guards is whole, whoever has it.
    pub(crate) fn mark_consistent_for_anyone(self) {
        loop {
            let found = self.owner().load();
            // Who is just taking it is about to be told, and may say so itself.
            let marked = found.is_inconsistent() && !found.is_settling();
            if !marked || self.owner().mark_found_consistent(found) {
                return;
            }
        }
    }

    /// Takes the lock from its owner, if that one is dead, and gives it back at once; whether it did. `spoils` as above.
    pub(crate) fn give_back_for_dead(self, peer: &Peer, spoils: &dyn Fn() -> bool) -> Result<bool, Error> {
        let found = self.owner().load();
        let Some(owner) = found.cookie() else { return Ok(false) };
        if peer.is_alive(owner)? {
            return Ok(false);
        }
        let inconsistent = found.is_inconsistent() || spoils();
        let taken = self.owner().take_over(found, peer.cookie(), inconsistent);
        if taken {
            count(self.recovered());
            self.give_back(inconsistent);
        }
        Ok(taken)
    }

    /// Counts that somebody had to wait. The caller owns the lock.
    pub(crate) fn count_contended(self) {
        count(self.contended());
    }

    /// Notes, for people, since when this holding has been seen.
    pub(crate) fn note_holding(self) {
        if cfg!(loom) {
            return;
        }
        let (seen, at) = (&self.words[10], &self.words[11]);
        let holding = self.holder().load();
        if holding.thread() != 0 && seen.load(Relaxed) != holding.bits() {
            at.store(clock::boot_ns(), Relaxed);
            seen.store(holding.bits(), Relaxed);
        }
    }

    /// Whether this thread of this process has the lock.
    pub(crate) fn is_held_by(self, me: Cookie, thread: u32) -> bool {
        // The holder word on both sides of the owner word, and the same: otherwise it may be that of a thread elsewhere with the same number, whose
        // process has given the lock back meanwhile to another thread of ours.
        let before = self.holder().load();
        fence(Acquire);
        before.thread() == thread && self.owner().load().is_settled(me) && self.holder().load() == before
    }

    /// Says of a raw mutex, if this thread was the last to take it, that it is held by no thread any more: this one ends.
    pub(crate) fn forget_thread(self, me: Cookie, thread: u32) {
        let found = self.holder().load();
        if self.is_held_by(me, thread) {
            self.holder().forget_thread(found);
        }
    }

    /// Gives the lock back as if its owner had died, if this process has it by that thread, or by any.
    pub(crate) fn abandon(self, me: Cookie, thread: Option<u32>) {
        let holds = |thread| self.is_held_by(me, thread);
        if thread.map_or_else(|| self.owner().load().is_settled(me), holds) {
            self.give_back(true);
        }
    }
}

/// What became of an attempt to unlock a raw mutex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unlock {
    Done,
    NotLocked,
    /// This process is just about to have it, and does not go on.
    Settling(Cookie),
}

/// Waiting for what takes a living process two stores.
struct Patience(u32);

impl Patience {
    fn new() -> Self {
        Self(0)
    }

    /// Whether it has been some tenth of a second: that process is stopped, or the word was spoilt.
    fn is_over(&self) -> bool {
        self.0 > 400
    }

    /// Waits a moment; asks now and then, more and more slowly, whether that process is alive. `false`: it is not.
    fn wait<E>(&mut self, is_alive: impl FnOnce() -> Result<bool, E>) -> Result<bool, E> {
        const TURNS: u32 = if cfg!(loom) { 1 } else { 100 };
        self.0 = self.0.saturating_add(1);
        if self.0 < TURNS {
            spin();
            return Ok(true);
        }
        let alive = is_alive()?;
        if alive {
            // It is not running, or stopped.
            #[cfg(not(loom))]
            std::thread::sleep(std::time::Duration::from_micros(u64::from(self.0.min(1000))));
            #[cfg(loom)]
            spin();
        }
        Ok(alive)
    }
}

/// Counts, for people. (Models leave out what only people look at.)
fn count(word: &Word) {
    if cfg!(loom) {
        return;
    }
    word.store(word.load(Relaxed).wrapping_add(1), Relaxed);
}

/// How a contended lock was taken.
struct Taken {
    inconsistent: bool,
    /// From a dead owner.
    over: bool,
}

struct Locking<'a> {
    core: Core<'a>,
    asker: Asker<'a>,
    /// Anyone may unlock it.
    raw: bool,
    spoils: &'a dyn Fn() -> bool,
    record: Option<WaitRecord<'a>>,
}

impl Locking<'_> {
    fn take_found(&self, found: Owner) -> Option<Taken> {
        let (owner, me) = (self.core.owner(), self.asker.peer.cookie());
        let taken = if self.raw { owner.take_unsettled(found, me) } else { owner.take_found(found, me) };
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
}

impl Contest for Locking<'_> {
    type Prize = Taken;
    type Error = Error;

    #[inline]
    fn look(&mut self, may_take: bool) -> Look<Taken> {
        // At once, not after a look: where it is taken and given back all the time, what a look finds has passed.
        if may_take && let Some(taken) = self.take_found(Owner::FREE) {
            return Look::Ours(taken);
        }
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
        self.core.note_holding();
        if self.asker.peer.is_alive(owner)? {
            return Ok(None);
        }
        // Nobody changes what the dead owned before the word below is ours.
        let inconsistent = found.is_inconsistent() || (self.spoils)();
        let taken = self.core.owner().take_over(found, self.asker.peer.cookie(), inconsistent);
        Ok(taken.then_some(Taken { inconsistent, over: true }))
    }

    fn falls_asleep(&mut self) {
        self.core.note_holding();
        self.record = self.asker.peer.wait_record(self.asker.thread, self.asker.place);
    }
}
