//! The two sides of a ring, each with one owner at a time, named by a word.
//!
//! | word | meaning | who may change it, to what |
//! | --- | --- | --- |
//! | 0 | never taken | anyone, by CAS, to their cookie |
//! | cookie | taken by that process | itself, to the same with bit 63; anyone, by CAS of the exact word, once that process is dead |
//! | cookie, bit 63 | its owner has left in good order | anyone, by CAS, to their cookie |

use std::sync::Arc;

use super::error::{AttachError, Gone};
use crate::base::access::Access;
use crate::base::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::base::atomic::Word;
use crate::peer::{Cookie, Peer, PeerInfo};
use crate::segment::Error;
use crate::segment::region::WordArray;
use crate::sync::bell;
use crate::sys::barrier::Light;
use crate::sys::fork::Stamp;

/// Words at the start of both rings, on one line that is seldom written: 0 the producer's side, 1 the consumer's, 2 and 3 the bells that they
/// sleep on.
pub(super) const SIDE_WORDS: usize = 8;

const LEFT: u64 = 1 << 63;

/// Which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Producer,
    Consumer,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Producer => Self::Consumer,
            Self::Consumer => Self::Producer,
        }
    }
}

/// The state of a side of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerState {
    /// Nobody has taken it yet.
    Never,
    /// A living process has it; who, as far as the registry tells.
    Alive(Option<PeerInfo>),
    /// Its owner left in good order.
    Left,
    /// Its owner died, and nobody has replaced it.
    Dead,
}

/// What a blocked call does when the other side is gone and nobody has replaced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenPeerGone {
    /// Fails with [`Gone`], once everything committed has been drained.
    #[default]
    Fail,
    /// Goes on waiting, for a successor.
    Wait,
}

/// A side of a ring, taken. Given back when dropped, unless in a forked child.
#[derive(Debug)]
pub(super) struct Side {
    words: WordArray<SIDE_WORDS>,
    role: Role,
    mine: u64,
    peer: Arc<Peer>,
    /// The peer's, closer at hand.
    stamp: Stamp,
    light: Light,
    own_bell: WordArray<1>,
    other_bell: WordArray<1>,
    pub(super) when_gone: WhenPeerGone,
}

impl Side {
    /// Takes the side, if nobody living has it.
    pub(super) fn take(words: WordArray<SIDE_WORDS>, role: Role, peer: Arc<Peer>) -> Result<Self, AttachError> {
        let word = Self::word_of(&words, role);
        let mine = peer.cookie().bits();
        let mut found = word.load(Acquire);
        loop {
            if let Some(owner) = owner_of(found)
                && peer.is_alive(owner)?
            {
                return Err(AttachError::Taken { side: role.name(), by: peer.describe(owner) });
            }
            // Acquire: whatever the previous owner did comes before whatever we do.
            match word.compare_exchange(found, mine, AcqRel, Acquire) {
                Ok(_) => break,
                Err(now) => found = now,
            }
        }
        let light = Light::register();
        let stamp = peer.stamp();
        let (own_bell, other_bell) = (Self::bell_of(&words, role), Self::bell_of(&words, role.other()));
        let when_gone = WhenPeerGone::default();
        let side = Self { words, role, mine, peer, stamp, light, own_bell, other_bell, when_gone };
        // Who waits for us to come (or for our predecessor) may want to know.
        side.wake_other();
        Ok(side)
    }

    #[inline(always)]
    fn word_of(words: &WordArray<SIDE_WORDS>, role: Role) -> &Word {
        match role {
            Role::Producer => words.at::<0>(),
            Role::Consumer => words.at::<1>(),
        }
    }

    fn bell_of(words: &WordArray<SIDE_WORDS>, role: Role) -> WordArray<1> {
        match role {
            Role::Producer => words.part::<2, 1>(),
            Role::Consumer => words.part::<3, 1>(),
        }
    }

    /// The bell that this side sleeps on.
    #[inline(always)]
    pub(super) fn own_bell(&self) -> &Word {
        self.own_bell.at::<0>()
    }

    /// Wakes the other side, if it sleeps. After the store that it waits for.
    #[inline(always)]
    pub(super) fn wake_other(&self) {
        bell::ring(self.other_bell.at::<0>(), self.light);
    }

    /// Whether this is the process that took the side.
    #[inline(always)]
    pub(super) fn is_current(&self) -> bool {
        self.stamp.is_current()
    }

    /// The state of the other side.
    pub(super) fn other(&self) -> Result<PeerState, Error> {
        look(Self::word_of(&self.words, self.role.other()), &self.peer)
    }

    /// The state of a side, told without taking one.
    pub(super) fn state(words: &WordArray<SIDE_WORDS>, role: Role, peer: &Peer) -> Result<PeerState, Error> {
        look(Self::word_of(words, role), peer)
    }

    /// At the end of a slice of waiting: an error if the other side is gone and the handle does not wait for a successor.
    pub(super) fn check_other<E: From<Box<Error>>>(&self, gone: impl Fn(Gone) -> E) -> Result<(), E> {
        if self.when_gone == WhenPeerGone::Wait {
            return Ok(());
        }
        match self.other().map_err(Box::new)? {
            PeerState::Dead => Err(gone(Gone::Died)),
            PeerState::Left => Err(gone(Gone::Left)),
            PeerState::Never | PeerState::Alive(_) => Ok(()),
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if !self.is_current() {
            return;
        }
        let word = Self::word_of(&self.words, self.role);
        // Release: what we did comes before whatever our successor does. Fails only if somebody spoilt the word.
        let _ = word.compare_exchange(self.mine, self.mine | LEFT, Release, Relaxed);
        self.wake_other();
    }
}

/// The owner named by a side word, if it has not left.
fn owner_of(word: u64) -> Option<Cookie> {
    Cookie::in_word(word).filter(|_| word & LEFT == 0)
}

/// The state that a side word tells of.
fn look<A: Access>(word: &Word<A>, peer: &Peer) -> Result<PeerState, Error> {
    let found = word.load(Acquire);
    match owner_of(found) {
        None if found == 0 => Ok(PeerState::Never),
        None => Ok(PeerState::Left),
        Some(owner) if peer.is_alive(owner)? => Ok(PeerState::Alive(peer.describe(owner))),
        // Dead; unless it was replaced while we asked.
        Some(_) if word.load(Acquire) != found => look(word, peer),
        Some(_) => Ok(PeerState::Dead),
    }
}
