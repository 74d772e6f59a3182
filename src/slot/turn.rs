//! Whose turn it is to write: the owner word of a slot.
//!
//! | word | meaning | who may change it, to what |
//! | --- | --- | --- |
//! | 0 | free | anyone, by CAS, to their cookie |
//! | cookie | that process is writing | itself, to 0; anyone, by CAS of the exact word, once that process is dead |
//! | cookie, bit 63 | that process has an exclusive writer | as above, when the writer is dropped |
//!
//! A successor of a dead writer has nothing to repair: see `cell`.

use super::cell::{Cell, OWNER, TURN};
use super::error::WriteError;
use crate::base::access::ReadWrite;
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::atomic::Word;
use crate::peer::{Cookie, Peer};
use crate::sync::bell::{self, Deadline};
use crate::sync::spin::Spin;
use crate::sys::barrier::Light;

const FREE: u64 = 0;
const EXCLUSIVE: u64 = 1 << 63;

/// How long to wait for one's turn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    Not,
    Until(Deadline),
}

/// The two words that turns are taken with.
pub(super) struct Turn<'a> {
    owner: &'a Word,
    bell: &'a Word,
}

/// The owner that a waiter waits for is dead.
struct Dead;

impl<'a> Turn<'a> {
    pub(super) fn of(cell: &Cell<'a, ReadWrite>) -> Option<Self> {
        Some(Self { owner: cell.word(OWNER)?, bell: cell.word(TURN)? })
    }

    /// Takes the turn; returns the word that now says so.
    #[inline]
    pub(super) fn take(&self, peer: &Peer, exclusive: bool, wait: Wait) -> Result<u64, WriteError> {
        let mine = peer.cookie().bits() | if exclusive { EXCLUSIVE } else { 0 };
        match self.replace(FREE, mine) {
            Ok(()) => Ok(mine),
            Err(found) => self.take_contended(found, mine, peer, wait),
        }
    }

    /// Gives the turn back, if it is still ours, and wakes who waits for it.
    #[inline]
    pub(super) fn give_back(&self, mine: u64, light: Light) {
        // Release: what we wrote is before what the next owner writes.
        if self.owner.compare_exchange(mine, FREE, Release, Relaxed).is_ok() {
            bell::ring(self.bell, light);
        }
    }

    #[inline(always)]
    fn replace(&self, expected: u64, mine: u64) -> Result<(), u64> {
        // Acquire: what the previous owner wrote is before what we write.
        self.owner.compare_exchange(expected, mine, Acquire, Relaxed).map(|_| ())
    }

    #[cold]
    fn take_contended(&self, mut found: u64, mine: u64, peer: &Peer, wait: Wait) -> Result<u64, WriteError> {
        let mut spin = Spin::new();
        loop {
            let at_once = found & EXCLUSIVE != 0 || matches!(wait, Wait::Not);
            let dead = match Cookie::in_word(found) {
                // Flags without a cookie: nobody of ours wrote this, and nobody will take it back.
                None => true,
                Some(owner) if at_once => !peer.is_alive(owner)?,
                Some(owner) => self.wait_for(owner, found, peer, wait, &mut spin)?,
            };
            if at_once && !dead {
                let who = Cookie::in_word(found).and_then(|owner| peer.describe(owner));
                return Err(if found & EXCLUSIVE != 0 { WriteError::Owned(who) } else { WriteError::Busy(who) });
            }
            let expected = if dead { found } else { FREE };
            match self.replace(expected, mine) {
                Ok(()) => return Ok(mine),
                Err(now) => found = now,
            }
            if let Wait::Until(deadline) = wait
                && deadline.has_passed()
            {
                // Others were faster each time.
                return Err(WriteError::Busy(Cookie::in_word(found).and_then(|owner| peer.describe(owner))));
            }
            if found == FREE {
                match self.replace(FREE, mine) {
                    Ok(()) => return Ok(mine),
                    Err(now) => found = now,
                }
            }
        }
    }

    /// Waits until the owner word is no longer `found`; `true` if its owner is dead instead.
    fn wait_for(
        &self,
        owner: Cookie,
        found: u64,
        peer: &Peer,
        wait: Wait,
        spin: &mut Spin,
    ) -> Result<bool, WriteError> {
        let Wait::Until(deadline) = wait else { return Ok(false) };
        let mut trouble = None;
        let changed = bell::wait(
            self.bell,
            deadline,
            spin,
            |_| (self.owner.load(Relaxed) != found).then_some(()),
            || match peer.is_alive(owner) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Dead),
                Err(error) => {
                    trouble = Some(error);
                    Err(Dead)
                }
            },
        );
        match (changed, trouble) {
            (_, Some(error)) => Err(error.into()),
            (Err(Dead), None) => Ok(true),
            (Ok(Some(())), None) => Ok(false),
            (Ok(None), None) => Err(WriteError::Busy(peer.describe(owner))),
        }
    }
}
