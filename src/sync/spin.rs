//! Spinning that learns: long while it pays off, short while it does not.

use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::{Word, spin};
use crate::sys::process;

/// How many turns to spin before sleeping, adapted to what came of it (as glibc's adaptive mutexes do it).
#[derive(Debug, Clone)]
pub(crate) struct Spin {
    turns: u32,
}

impl Spin {
    const FEWEST: u32 = 16;
    const MOST: u32 = 4096;
    const BRIEF: u32 = 256;

    pub(crate) fn new() -> Self {
        Self { turns: Self::MOST }
    }

    /// For a wait about which nothing is known, and nothing is learnt.
    pub(crate) fn brief() -> Self {
        Self { turns: if process::cores() == 1 { 0 } else { Self::BRIEF } }
    }

    /// As many turns as paid off last, by a word that all who wait for the same thing share: a hint, whatever it holds. None where nobody could run
    /// meanwhile.
    pub(crate) fn recall(word: &Word) -> Self {
        let known = u32::try_from(word.load(Relaxed)).unwrap_or(Self::MOST);
        let turns = if known == 0 { Self::MOST } else { known.clamp(Self::FEWEST, Self::MOST) };
        Self { turns: if process::cores() == 1 { 0 } else { turns } }
    }

    /// Leaves the number of turns for [`recall`](Self::recall).
    pub(crate) fn keep(&self, word: &Word) {
        let now = u64::from(self.turns);
        if word.load(Relaxed) != now {
            word.store(now, Relaxed);
        }
    }

    /// Spins until `ready` has something, or it has been long enough.
    #[inline]
    pub(crate) fn until<R>(&mut self, mut ready: impl FnMut() -> Option<R>) -> Option<R> {
        let turns = if cfg!(loom) { self.turns.min(1) } else { self.turns };
        for _ in 0..turns {
            if let Some(result) = ready() {
                self.turns = (self.turns * 2).min(Self::MOST);
                return Some(result);
            }
            spin();
        }
        self.turns = (self.turns / 2).max(Self::FEWEST);
        None
    }
}
