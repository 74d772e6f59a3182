//! The word that counts permits.

use crate::base::access::Access;
use crate::base::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::base::atomic::Word;

/// The most permits that can be.
pub(super) const MOST: u32 = i32::MAX.unsigned_abs();

/// What the word holds: `tag (32 bits) << 32 | permits (32 bits)`.
///
/// The tag tells whether a guard's change of the count has happened: it does so together with the tag; see `ledger`.
///
/// | change | who |
/// | --- | --- |
/// | permits - 1, if there is one | anyone, plain acquire |
/// | permits + n, up to the bound | anyone, plain release |
/// | permits -+ 1, tag + 1 | who has the internal lock |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(u64);

impl Count {
    pub(super) fn permits(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[must_use]
    pub(super) fn with_permits(self, permits: u32) -> Self {
        Self(self.0 >> 32 << 32 | u64::from(permits))
    }

    #[must_use]
    pub(super) fn with_tag(self, tag: u32) -> Self {
        Self(u64::from(tag) << 32 | u64::from(self.permits()))
    }

    /// One permit fewer; `None` if there is none.
    pub(super) fn one_taken(self) -> Option<Self> {
        self.permits().checked_sub(1).map(|left| self.with_permits(left))
    }
}

/// The word itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct CountWord<'a>(pub(super) &'a Word);

impl CountWord<'_> {
    #[inline(always)]
    pub(super) fn load(self) -> Count {
        Count(self.0.load(Acquire))
    }

    /// Changes the count as `change` says, and returns what it was; `Err` with what it is if that says `None`.
    #[inline(always)]
    pub(super) fn change(self, change: impl Fn(Count) -> Option<Count>) -> Result<Count, Count> {
        let mut seen = self.load();
        loop {
            let Some(changed) = change(seen) else { return Err(seen) };
            // AcqRel, pairs with itself: what came before a release is before what comes after the acquire that it made possible; and who
            // says that it may have to be woken, and then takes a permit, is seen to have said so by who gives one back after that.
            match self.0.compare_exchange(seen.0, changed.0, AcqRel, Acquire) {
                Ok(_) => return Ok(seen),
                Err(found) => seen = Count(found),
            }
        }
    }
}

/// How often somebody had to wait (32 bits) and how many permits came back from the dead (above), for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally(u64);

impl Tally {
    pub(super) fn of<A: Access>(word: &Word<A>) -> Self {
        Self(word.load(Relaxed))
    }

    pub(super) fn contended(self) -> u64 {
        u64::from(self.0 as u32)
    }

    pub(super) fn recovered(self) -> u64 {
        self.0 >> 32
    }

    /// Adds to the word. (Models leave out what only people look at.)
    pub(super) fn add(word: &Word, contended: u32, recovered: u32) {
        if cfg!(loom) {
            return;
        }
        let mut seen = word.load(Relaxed);
        loop {
            let (low, high) = ((seen as u32).wrapping_add(contended), ((seen >> 32) as u32).wrapping_add(recovered));
            let now = u64::from(high) << 32 | u64::from(low);
            match word.compare_exchange(seen, now, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }
}
