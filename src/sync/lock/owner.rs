//! The two words that say who has a lock.

use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::base::atomic::Word;
use crate::peer::Cookie;

/// What an owner word holds.
///
/// | bits | meaning |
/// | --- | --- |
/// | 0..61 | the cookie of the process that owns the lock; 0: free |
/// | 61 | 0 |
/// | 62 | settling: just taken, and the holder word is not yet the new owner's |
/// | 63 | inconsistent: an owner died, and nobody has said since that the data is whole |
///
/// | from | to | who |
/// | --- | --- | --- |
/// | free, inconsistent or not | owned, the same; settling if it is a raw mutex's | anyone |
/// | owned | free, inconsistent or not | the owner, by a plain store through its guard |
/// | owned by a dead process | owned, settling, inconsistent unless that one had not begun | anyone |
/// | settling | the same without it | its owner, by a plain store |
/// | owned, not settling unless its owner is dead | free, the same | anyone who unlocks a raw mutex |
///
/// While a lock is free nobody's thread is in its holder word, unless it is a raw mutex's: of that whoever unlocks it is not who writes the holder
/// word, so a new owner settles first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(u64);

const SETTLING: u64 = 1 << 62;
const INCONSISTENT: u64 = 1 << 63;

impl Owner {
    pub(crate) const FREE: Self = Self(0);

    pub(crate) fn owned(cookie: Cookie) -> Self {
        Self(cookie.bits())
    }

    /// Whose it is. Flags alone are nobody's, whoever wrote them.
    pub(crate) fn cookie(self) -> Option<Cookie> {
        Cookie::in_word(self.0)
    }

    #[inline(always)]
    pub(crate) fn is_free(self) -> bool {
        self.0 & Cookie::MASK == 0
    }

    #[inline(always)]
    pub(crate) fn is_inconsistent(self) -> bool {
        self.0 & INCONSISTENT != 0
    }

    pub(crate) fn is_settling(self) -> bool {
        self.0 & SETTLING != 0
    }

    /// Owned by this process, and the holder word tells by which thread.
    pub(crate) fn is_settled(self, cookie: Cookie) -> bool {
        self.0 & !INCONSISTENT == cookie.bits()
    }

    #[must_use]
    #[inline(always)]
    pub(crate) fn inconsistent(self, inconsistent: bool) -> Self {
        Self(self.0 & !INCONSISTENT | if inconsistent { INCONSISTENT } else { 0 })
    }
}

/// The owner word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnerWord<'a, A: Access = ReadWrite>(pub(super) &'a Word<A>);

impl<A: Access> OwnerWord<'_, A> {
    /// Acquire: what its owner wrote before this word, the holder word in particular, is seen after it.
    #[inline(always)]
    pub(crate) fn load(self) -> Owner {
        Owner(self.0.load(Acquire))
    }

    /// The same for who has just announced itself by another word with a sequentially consistent CAS: either this sees the owner, or the owner, if it
    /// looks behind a sequentially consistent fence, sees the announcement.
    #[inline(always)]
    pub(crate) fn load_in_order(self) -> Owner {
        Owner(self.0.load(SeqCst))
    }
}

impl OwnerWord<'_> {
    /// Takes the lock, if it is free and consistent.
    #[inline(always)]
    pub(crate) fn take(self, cookie: Cookie) -> bool {
        // Acquire: pairs with `give_back`; what the last owner wrote is before what we read.
        self.0.compare_exchange(0, cookie.bits(), Acquire, Relaxed).is_ok()
    }

    /// Takes the lock as it was found: free. Keeps the mark of inconsistency.
    pub(crate) fn take_found(self, found: Owner, cookie: Cookie) -> bool {
        debug_assert!(found.is_free());
        let taken = Owner::owned(cookie).inconsistent(found.0 != 0);
        // Acquire: as in `take`.
        self.0.compare_exchange(found.0, taken.0, Acquire, Relaxed).is_ok()
    }

    /// Takes the lock from who was found to own it and is dead. To be settled or given back.
    pub(crate) fn take_over(self, found: Owner, cookie: Cookie, inconsistent: bool) -> bool {
        let taken = Owner(cookie.bits() | SETTLING).inconsistent(inconsistent);
        // Acquire: all stores of the dead came before the kernel's answer; this orders those of an earlier taker, too.
        self.0.compare_exchange(found.0, taken.0, Acquire, Relaxed).is_ok()
    }

    /// Takes a raw mutex as it was found: free. Keeps the mark of inconsistency. To be settled.
    #[inline(always)]
    pub(crate) fn take_unsettled(self, found: Owner, cookie: Cookie) -> bool {
        debug_assert!(found.is_free());
        let taken = Owner::owned(cookie).inconsistent(found.0 != 0);
        // Acquire: as in `take`.
        self.0.compare_exchange(found.0, taken.0 | SETTLING, Acquire, Relaxed).is_ok()
    }

    /// Gives a raw mutex back, whoever owns it, if it is as it was found.
    pub(crate) fn give_back_found(self, found: Owner) -> bool {
        // Release: pairs with `take_unsettled`. (What its owner wrote before it settled comes along: this is an exchange.)
        self.0.compare_exchange(found.0, Owner::FREE.inconsistent(found.is_inconsistent()).0, Release, Relaxed).is_ok()
    }

    /// Takes the mark of inconsistency off a raw mutex, if it is as it was found.
    pub(crate) fn mark_found_consistent(self, found: Owner) -> bool {
        // Release: what whoever repaired the data wrote is before what the next one reads.
        self.0.compare_exchange(found.0, found.inconsistent(false).0, Release, Relaxed).is_ok()
    }

    /// Marks the data as consistent or not. The caller owns the lock.
    pub(crate) fn declare(self, inconsistent: bool) {
        // Release: what whoever repaired the data wrote is before what the next one reads.
        self.0.store(self.load().inconsistent(inconsistent).0, Release);
    }

    /// Settles. The caller owns the lock.
    pub(crate) fn settle(self, cookie: Cookie, inconsistent: bool) {
        // Release: who sees us settled sees our holder word.
        self.0.store(Owner::owned(cookie).inconsistent(inconsistent).0, Release);
    }

    /// Gives the lock back. The caller owns it.
    #[inline(always)]
    pub(crate) fn give_back(self, inconsistent: bool) {
        // Release: pairs with `take`.
        self.0.store(Owner::FREE.inconsistent(inconsistent).0, Release);
    }
}

/// What a holder word holds: `thread (32 bits) << 32 | number of the holding (32 bits)`. The thread is 0 while nobody holds the lock (of a raw mutex:
/// it stays that of the last owner, until that thread ends).
///
/// Written by the owner only, or by that thread of it. The number goes on from holding to holding, so two looks at the same word are looks at the same holding (unless it
/// went round).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding(u64);

impl Holding {
    pub(crate) fn thread(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn number(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }
}

/// The holder word. All accesses are relaxed: the owner word orders them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HolderWord<'a, A: Access = ReadWrite>(pub(super) &'a Word<A>);

impl<A: Access> HolderWord<'_, A> {
    #[inline(always)]
    pub(crate) fn load(self) -> Holding {
        Holding(self.0.load(Relaxed))
    }
}

impl HolderWord<'_> {
    /// Another holding, by this thread.
    #[inline(always)]
    pub(crate) fn begin(self, thread: u32) -> Holding {
        let number = self.load().number().wrapping_add(1);
        let holding = Holding(u64::from(thread) << 32 | u64::from(number));
        self.0.store(holding.0, Relaxed);
        holding
    }

    /// Takes the thread, which ends, off the holding as it was found, which goes on without one.
    ///
    /// Whoever has the lock by now has begun another, and it is left alone: an exchange comes right after what it found in the order of the word, so
    /// before all that was stored by those who knew of that. (Loom does not know the former, so there is no model of this.)
    pub(crate) fn forget_thread(self, found: Holding) {
        let _ = self.0.compare_exchange(found.0, u64::from(found.number()), Relaxed, Relaxed);
    }

    /// The end of this holding.
    #[inline(always)]
    pub(crate) fn end(self, holding: Holding) {
        self.0.store(u64::from(holding.number()), Relaxed);
    }
}
