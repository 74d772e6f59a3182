//! Words that change all at once or not at all, whenever the process that changes them dies.
//!
//! A redo log: the changes are written down, then counted, then made, then the count is taken back. The protocol is in ARCHITECTURE.md, "Heap".

use super::layout::{JOURNAL, MOST_CHANGES};
use crate::base::atomic::Ordering::{Relaxed, Release};
use crate::base::atomic::{Word, light_fence};
use crate::segment::Reason;
use crate::segment::region::Words;

/// Changes that are yet to be made, by who holds the lock around the journal.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    words: &'a Words,
    pending: [(usize, u64); MOST_CHANGES],
    count: usize,
}

/// What a word's index leads to, if it leads anywhere.
pub(crate) fn word(words: &Words, index: usize) -> Result<&Word, Reason> {
    words.get(index).ok_or_else(|| spoilt("a position", format!("below {}", words.len()), index as u64))
}

#[cold]
pub(crate) fn spoilt(what: &'static str, expected: String, found: u64) -> Reason {
    Reason::Spoilt { what, expected, found }
}

impl<'a> Changes<'a> {
    /// None yet. Whatever a dead holder had begun is finished first.
    #[inline]
    pub(crate) fn begin(words: &'a Words) -> Result<Self, Reason> {
        if word(words, JOURNAL)?.load(Relaxed) != 0 {
            redo(words)?;
        }
        Ok(Self { words, pending: [(0, 0); MOST_CHANGES], count: 0 })
    }

    /// Without the lock, for words that are nobody else's: never to be committed.
    pub(crate) fn alone(words: &'a Words) -> Self {
        Self { words, pending: [(0, 0); MOST_CHANGES], count: 0 }
    }

    /// The word as it will be.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Result<u64, Reason> {
        let pending = self.pending.get(..self.count).unwrap_or_default();
        match pending.iter().rev().find(|(at, _)| *at == index) {
            Some((_, value)) => Ok(*value),
            None => Ok(word(self.words, index)?.load(Relaxed)),
        }
    }

    /// The word as it is, which nobody else changes: not to be used for what is part of a change.
    #[inline]
    pub(crate) fn word(&self, index: usize) -> Result<&'a Word, Reason> {
        word(self.words, index)
    }

    /// Whether the word is to change.
    pub(crate) fn concerns(&self, index: usize) -> bool {
        self.pending.iter().take(self.count).any(|(at, _)| *at == index)
    }

    /// Has the word be that in the end.
    #[inline]
    pub(crate) fn set(&mut self, index: usize, value: u64) -> Result<(), Reason> {
        word(self.words, index)?;
        let (known, rest) = self.pending.split_at_mut(self.count.min(MOST_CHANGES));
        if let Some(place) = known.iter_mut().find(|(at, _)| *at == index) {
            place.1 = value;
            return Ok(());
        }
        // Nothing here changes as many.
        let place = rest
            .first_mut()
            .ok_or_else(|| spoilt("a number of changes", format!("up to {MOST_CHANGES}"), self.count as u64))?;
        *place = (index, value);
        self.count += 1;
        Ok(())
    }

    /// Makes them all.
    #[inline]
    pub(crate) fn commit(&mut self) -> Result<(), Reason> {
        let pending = self.pending.get(..self.count).unwrap_or_default();
        if let [(index, value)] = pending {
            word(self.words, *index)?.store(*value, Release);
        } else if !pending.is_empty() {
            let journal = self.words.get(JOURNAL + 1..JOURNAL + 1 + 2 * MOST_CHANGES).unwrap_or_default();
            for (pair, (index, value)) in journal.chunks_exact(2).zip(pending) {
                let [at, to] = pair else { continue };
                at.store(*index as u64, Relaxed);
                to.store(*value, Relaxed);
            }
            // Release: whoever finds the count finds what it counts.
            word(self.words, JOURNAL)?.store(self.count as u64, Release);
            // No change before it, in the order in which this process makes its stores.
            light_fence();
            for (index, value) in pending {
                word(self.words, *index)?.store(*value, Release);
            }
            light_fence();
            word(self.words, JOURNAL)?.store(0, Release);
        }
        self.count = 0;
        Ok(())
    }

    /// Makes none of them.
    pub(crate) fn forget(&mut self) {
        self.count = 0;
    }
}

/// Makes the changes that somebody dead had counted.
#[cold]
fn redo(words: &Words) -> Result<(), Reason> {
    let count = word(words, JOURNAL)?;
    let found = usize::try_from(count.load(Relaxed)).unwrap_or(usize::MAX);
    let journal = words.get(JOURNAL + 1..JOURNAL + 1 + 2 * MOST_CHANGES).unwrap_or_default();
    // A count that cannot be was not written by one of us: nothing to be redone.
    if found <= MOST_CHANGES {
        for pair in journal.chunks_exact(2).take(found) {
            let [at, to] = pair else { continue };
            let index = usize::try_from(at.load(Relaxed)).unwrap_or(usize::MAX);
            if let Some(word) = words.get(index) {
                word.store(to.load(Relaxed), Release);
            }
        }
        light_fence();
    }
    count.store(0, Release);
    Ok(())
}
