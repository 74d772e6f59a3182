//! The two words of a reader. The protocol is in ARCHITECTURE.md, "Reader-writer lock".

use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::base::atomic::{Word, total_order};
use crate::peer::Cookie;

/// What a cell's first word holds.
///
/// | word | meaning |
/// | --- | --- |
/// | 0 | free |
/// | a cookie | its process reads, or tries to |
/// | a cookie with bit 63 | its process clears the cell of a dead one |
/// | anything else | spoilt, and nobody's |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Occupant(u64);

const CLEARING: u64 = 1 << 63;

impl Occupant {
    pub(super) fn is_free(self) -> bool {
        self.0 == 0
    }

    /// Whom a writer has to wait for.
    #[inline(always)]
    pub(super) fn reader(self) -> Option<Cookie> {
        if self.0 & !Cookie::MASK == 0 { Cookie::in_word(self.0) } else { None }
    }

    /// Whose it is, reading or clearing.
    pub(super) fn cookie(self) -> Option<Cookie> {
        Cookie::in_word(self.0)
    }
}

/// One reader.
///
/// The second word is `guards beside the first (32 bits) << 32 | thread (32 bits)`, and 0 while the cell is free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a, A: Access = ReadWrite> {
    pub(super) occupant: &'a Word<A>,
    pub(super) thread: &'a Word<A>,
}

const ONE_MORE: u64 = 1 << 32;

impl<A: Access> Cell<'_, A> {
    /// Relaxed: a writer that has seen all readers gone passes a fence, and who claims a cell does so by its CAS.
    #[inline(always)]
    pub(super) fn occupant(self) -> Occupant {
        Occupant(self.occupant.load(Relaxed))
    }

    /// Whether this thread of this process reads here.
    #[inline(always)]
    pub(super) fn is_of(self, me: Cookie, thread: u32) -> bool {
        // Acquire: pairs with `leave`; the thread is not that of somebody who was here before another thread of ours.
        let occupant = Occupant(self.occupant.load(Acquire));
        occupant.reader() == Some(me) && self.thread.load(Relaxed) as u32 == thread
    }

    /// The same for who has read here: what it wrote itself needs no order, which would cost as much as all the rest of a read.
    #[inline(always)]
    pub(super) fn is_still_of(self, me: Cookie, thread: u32) -> bool {
        self.occupant().reader() == Some(me) && self.thread.load(Relaxed) as u32 == thread
    }
}

impl Cell<'_> {
    /// Takes the cell, if it is free. The owner word is to be loaded behind it, [in order](super::super::lock::owner::OwnerWord::load_in_order).
    #[inline(always)]
    pub(super) fn claim(self, me: Cookie) -> bool {
        // SeqCst: the reader's half of Dekker's pattern. Acquire is in it: what was read here before is before what we do.
        let claimed = self.occupant.compare_exchange(0, me.bits(), SeqCst, Relaxed).is_ok();
        total_order();
        claimed
    }

    /// Says which thread it is that has claimed the cell and got in.
    #[inline(always)]
    pub(super) fn name(self, thread: u32) {
        self.thread.store(thread.into(), Relaxed);
    }

    /// One guard more of the thread that reads here; `false` if they cannot be counted.
    pub(super) fn add_guard(self) -> bool {
        let more = self.thread.load(Relaxed).checked_add(ONE_MORE);
        more.inspect(|&more| self.thread.store(more, Relaxed)).is_some()
    }

    /// One guard less, unless it is the only one.
    #[inline(always)]
    pub(super) fn drop_guard(self) -> bool {
        let guards = self.thread.load(Relaxed);
        if guards < ONE_MORE {
            return false;
        }
        self.thread.store(guards - ONE_MORE, Relaxed);
        true
    }

    /// Frees the cell that this process has.
    #[inline(always)]
    pub(super) fn leave(self) {
        self.thread.store(0, Relaxed);
        // Release: pairs with the writer's fence behind its look at the cells, and with `claim`. Behind the other store, so that a free cell's thread is 0.
        self.occupant.store(0, Release);
    }

    /// Frees the cell that somebody dead, or nobody, was found in.
    pub(super) fn take_out(self, found: Occupant, me: Cookie) -> bool {
        let taken = self.occupant.compare_exchange(found.0, me.bits() | CLEARING, Acquire, Relaxed).is_ok();
        if taken {
            self.leave();
        }
        taken
    }

    /// Takes the cell that is kept for who is the writer now.
    pub(super) fn become_reader(self, me: Cookie, thread: u32) {
        self.occupant.store(me.bits(), Relaxed);
        self.name(thread);
    }
}
