//! Spinning that learns: long while it pays off, short while it does not.

use crate::base::atomic::spin;
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

    /// Spins until `ready` has something, or it has been long enough.
    #[inline]
    pub(crate) fn until<R>(&mut self, mut ready: impl FnMut() -> Option<R>) -> Option<R> {
        let turns = if cfg!(loom) { 1 } else { self.turns };
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
