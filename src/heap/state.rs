//! The state of a block: its first word, by which a reader without a lock can tell whether what it copied was the block's.

use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::base::atomic::{Word, fence};

/// What a block's first word holds.
///
/// | bits | meaning |
/// | --- | --- |
/// | 0..2 | 0: nobody's; 1: live; 2: retired; 3: left to those who pin it |
/// | 2 | somebody has pinned it while it was live |
/// | 3..16 | how often it was used again without having been freed |
/// | 16..64 | the number it was allocated with, which no other block was |
///
/// | from | to | who |
/// | --- | --- | --- |
/// | nobody's, retired | live, as nobody has seen it before, not pinned | its owner, when its content is complete |
/// | live | live, pinned | anyone, by CAS |
/// | live | retired, pinned or not | its owner, by CAS, when nobody can find it any more |
/// | retired, pinned | left | the same, under the heap's lock, together with its owner word, if somebody alive pins it |
/// | left | nobody's, and free | anyone who sees that nobody alive pins it, under the heap's lock |
///
/// What is live never changes. So a reader that finds a block live, copies, and finds the same state, but for bit 2, has copied what belongs to that state; and no state comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(u64);

const LIVE: u64 = 1;
const RETIRED: u64 = 2;
const LEFT: u64 = 3;
const PHASE: u64 = 3;
const PINNED: u64 = 1 << 2;
const ONE_MORE: u64 = 1 << 3;
const EPOCH: u32 = 16;

impl State {
    /// What a block that is nobody's is to hold before somebody writes into it.
    pub(crate) fn nobodys() -> Self {
        Self(0)
    }

    /// A live block that was just allocated with that number.
    #[inline]
    pub(crate) fn live(epoch: u64) -> Self {
        Self(epoch << EPOCH | LIVE)
    }

    /// The same block used once more; `None`: it was used too often.
    #[inline]
    pub(crate) fn again(self) -> Option<Self> {
        let next = (self.0 & !(PHASE | PINNED)).wrapping_add(ONE_MORE) | LIVE;
        (next >> EPOCH == self.0 >> EPOCH).then_some(Self(next))
    }

    #[inline]
    pub(crate) fn is_live(self) -> bool {
        self.0 & PHASE == LIVE
    }

    pub(crate) fn is_left(self) -> bool {
        self.0 & PHASE == LEFT
    }

    /// Whether it is the same state, pinned or not.
    #[inline]
    fn is_still(self, other: Self) -> bool {
        (self.0 ^ other.0) & !PINNED == 0
    }

    fn is_pinned(self) -> bool {
        self.0 & PINNED != 0
    }

    /// Whether it is up to those who pin it to free it, or may be soon.
    pub(crate) fn was_pinned_and_retired(self) -> bool {
        self.is_pinned() && matches!(self.0 & PHASE, RETIRED | LEFT)
    }

    /// The word for the same block, left.
    pub(crate) fn left(self) -> u64 {
        self.in_phase(LEFT).0
    }

    fn in_phase(self, phase: u64) -> Self {
        Self(self.0 & !PHASE | phase)
    }
}

/// The word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateWord<'a, A: Access>(pub(crate) &'a Word<A>);

impl<A: Access> StateWord<'_, A> {
    /// Acquire: pairs with `begin_life`; the content is there.
    #[inline(always)]
    pub(crate) fn load(self) -> State {
        State(self.0.load(Acquire))
    }

    /// Whether what was read since `before` was loaded belongs to it.
    #[inline(always)]
    pub(crate) fn was(self, before: State) -> bool {
        // Pairs with `reuse`: who has read anything of a later content sees that the state has changed.
        fence(Acquire);
        State(self.0.load(Relaxed)).is_still(before)
    }
}

impl StateWord<'_, ReadWrite> {
    /// To be called by the owner before it writes another content into what nobody may read any more.
    #[inline(always)]
    pub(crate) fn reuse(self) {
        // Pairs with `was`: the state that is not live was stored before.
        fence(Release);
    }

    /// The content is complete.
    #[inline(always)]
    pub(crate) fn begin_life(self, state: State) {
        self.0.store(state.0, Release);
    }

    /// Says that the block is pinned, which the caller has written down before; `false`: it is not as it was found any more.
    pub(crate) fn pin(self, found: State) -> bool {
        let mut known = found;
        loop {
            // Release and Acquire: if it is retired after this, whoever does that sees what was written down.
            match self.0.compare_exchange(known.0, known.0 | PINNED, AcqRel, Acquire) {
                Ok(_) => return true,
                Err(now) if State(now).is_still(found) && now != known.0 => known = State(now),
                Err(_) => return false,
            }
        }
    }

    /// Ends its life. The caller owns it, and nobody can find it any more. Whether somebody may have pinned it.
    #[inline]
    pub(crate) fn retire(self) -> bool {
        let mut found = State(self.0.load(Relaxed));
        while found.is_live() {
            // Acquire and Release: as in `pin`.
            match self.0.compare_exchange(found.0, found.in_phase(RETIRED).0, AcqRel, Relaxed) {
                Ok(_) => return found.is_pinned(),
                Err(now) => found = State(now),
            }
        }
        found.was_pinned_and_retired()
    }
}
