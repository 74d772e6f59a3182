//! The identity of a peer, as stored in shared words.

use std::fmt;

/// How many peers a domain's registry has room for.
pub(crate) const SLOTS: u64 = 4096;

const SLOT_BITS: u32 = 13;
const INCARNATION_BITS: u32 = 48;

/// A peer's identity: `incarnation (48 bits) << 13 | slot (13 bits)`. Never 0, since incarnations start above 0.
///
/// The three bits above belong to whichever word stores the cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cookie(u64);

impl Cookie {
    /// The bits that a cookie occupies in a word.
    pub(crate) const MASK: u64 = (1 << (SLOT_BITS + INCARNATION_BITS)) - 1;

    /// The incarnation may be larger than fits; see [`trim`](Self::trim).
    pub(crate) fn new(slot: u64, incarnation: u64) -> Self {
        debug_assert!(slot < SLOTS && Self::trim(incarnation) > 0);
        Self((incarnation << SLOT_BITS | slot) & Self::MASK)
    }

    /// What a cookie holds of an incarnation that was computed from words in which anything may stand.
    pub(crate) fn trim(incarnation: u64) -> u64 {
        incarnation & ((1 << INCARNATION_BITS) - 1)
    }

    /// The cookie in a word that may hold anything; `None` for nobody.
    pub(crate) fn in_word(word: u64) -> Option<Self> {
        Some(word & Self::MASK).filter(|&bits| bits != 0).map(Self)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn slot(self) -> u64 {
        self.0 & ((1 << SLOT_BITS) - 1)
    }

    pub(crate) fn incarnation(self) -> u64 {
        self.0 >> SLOT_BITS
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.slot(), self.incarnation())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn takes_itself_apart() {
        let largest = (1 << INCARNATION_BITS) - 1;
        for (slot, incarnation) in [(0, 1), (4095, 1), (7, largest), (4095, largest)] {
            let cookie = Cookie::new(slot, incarnation);
            assert_eq!((cookie.slot(), cookie.incarnation()), (slot, incarnation));
            let flags = 0b111 << 61;
            assert_eq!(Cookie::in_word(cookie.bits() | flags), Some(cookie));
        }
        assert_eq!(Cookie::in_word(0b111 << 61), None);
    }
}
