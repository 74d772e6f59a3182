//! The word that says how far a barrier's present round is.

use super::error::BrokenBy;
use crate::base::atomic::Ordering::{AcqRel, Acquire, Release};
use crate::base::atomic::Word;

/// The most parties that a barrier can have.
pub(super) const MOST: u32 = 0xffff;

const COUNT_BITS: u32 = 17;
const STATE_BITS: u32 = 2;
const WHY_BITS: u32 = 3;
const GENERATION_SHIFT: u32 = COUNT_BITS + STATE_BITS + WHY_BITS;

/// What the word holds: `generation (42 bits) << 22 | why (3 bits) << 19 | state (2 bits) << 17 | arrived (17 bits)`.
///
/// | from | to | who |
/// | --- | --- | --- |
/// | g, filling, n | g, filling, n + 1 | who arrives, under the internal lock |
/// | g, filling, all (or all but who does it) | g, releasing | who arrived last: **all are let go** |
/// | g, filling | g, broken, why | anyone: **all are turned away**, until a reset |
/// | g, filling or broken | g, resetting, why | anyone: who waited is turned away |
/// | g, releasing or resetting | g + 1, filling, 0 | who has the internal lock, once every place of g says what became of it |
///
/// All but the last are by CAS. Each of the bold ones is one store, so whoever dies after it has done it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Filling,
    Releasing,
    Broken(BrokenBy),
    Resetting(BrokenBy),
}

impl Round {
    pub(super) fn of_word(word: u64) -> Self {
        Self(word)
    }

    /// A fresh round.
    pub(super) fn new(generation: u64) -> Self {
        Self(generation << GENERATION_SHIFT)
    }

    pub(super) fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }

    /// How many have arrived; means nothing unless it is filling.
    pub(super) fn arrived(self) -> u32 {
        (self.0 & ((1 << COUNT_BITS) - 1)) as u32
    }

    pub(super) fn state(self) -> State {
        let why = BrokenBy::from_number(self.0 >> (COUNT_BITS + STATE_BITS) & ((1 << WHY_BITS) - 1));
        match self.0 >> COUNT_BITS & ((1 << STATE_BITS) - 1) {
            0 => State::Filling,
            1 => State::Releasing,
            2 => State::Broken(why),
            _ => State::Resetting(why),
        }
    }

    pub(super) fn is_filling(self) -> bool {
        self.state() == State::Filling
    }

    pub(super) fn one_more(self) -> Self {
        Self(self.0 + 1)
    }

    /// The same generation in another state.
    pub(super) fn to(self, state: State) -> Self {
        let (state, why) = match state {
            State::Filling => (0, 0),
            State::Releasing => (1, 0),
            State::Broken(why) => (2, why.number()),
            State::Resetting(why) => (3, why.number()),
        };
        Self(Self::new(self.generation()).0 | why << (COUNT_BITS + STATE_BITS) | state << COUNT_BITS)
    }

    pub(super) fn next(self) -> Self {
        Self::new(self.generation().wrapping_add(1))
    }

    /// What became of those who wait in a generation, as far as this word tells: `None` if nothing yet.
    pub(super) fn outcome(self) -> Option<Outcome> {
        match self.state() {
            State::Filling => None,
            State::Releasing => Some(Outcome::Released),
            State::Broken(why) | State::Resetting(why) => Some(Outcome::Broken(why)),
        }
    }
}

/// What becomes of one who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Released,
    Broken(BrokenBy),
}

impl Outcome {
    /// In 4 bits, of which 0 stands for none yet.
    pub(super) fn mark(self) -> u64 {
        match self {
            Self::Released => 1,
            Self::Broken(why) => 2 + why.number(),
        }
    }

    pub(super) fn of_mark(mark: u64) -> Option<Self> {
        match mark {
            0 => None,
            1 => Some(Self::Released),
            _ => Some(Self::Broken(BrokenBy::from_number(mark - 2))),
        }
    }
}

/// The word itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoundWord<'a>(pub(super) &'a Word);

impl RoundWord<'_> {
    /// Acquire: pairs with the others; who sees that all have arrived sees what each did before, and who sees the next generation sees what places say.
    pub(super) fn load(self) -> Round {
        Round(self.0.load(Acquire))
    }

    /// AcqRel: what those did who arrived before goes on to who comes next.
    pub(super) fn change(self, from: Round, to: Round) -> bool {
        self.0.compare_exchange(from.0, to.0, AcqRel, Acquire).is_ok()
    }

    /// The next generation. For who has the internal lock, and only from releasing and resetting, in which nobody else changes it.
    pub(super) fn turn(self, to: Round) {
        self.0.store(to.0, Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_itself_apart() {
        let last = (1 << 42) - 1;
        for generation in [0, 1, last] {
            let round = Round::new(generation).one_more().one_more();
            assert_eq!((round.generation(), round.arrived(), round.state()), (generation, 2, State::Filling));
            for number in 0..8 {
                let why = BrokenBy::from_number(number);
                for state in [State::Releasing, State::Broken(why), State::Resetting(why)] {
                    assert_eq!((round.to(state).generation(), round.to(state).state()), (generation, state));
                }
                assert_eq!(Outcome::of_mark(Outcome::Broken(why).mark()), Some(Outcome::Broken(why)));
            }
            assert_eq!(round.next(), Round::new(if generation == last { 0 } else { generation + 1 }));
        }
        assert_eq!(Outcome::of_mark(Outcome::Released.mark()), Some(Outcome::Released));
        let full = (0..=MOST).fold(Round::new(7), |round, _| round.one_more());
        assert_eq!((full.arrived(), full.state(), full.generation()), (MOST + 1, State::Filling, 7));
    }
}
