//! Words that change all at once or not at all, whenever the process that changes them dies.
//!
//! A redo log: the changes are written down, then counted, then made, then the count is taken back. The protocol is in ARCHITECTURE.md, "Heap".

use super::layout::{JOURNAL, MOST_CHANGES};
use crate::base::atomic::Ordering::{Relaxed, Release};
use crate::base::atomic::{Word, light_fence};
use crate::segment::Reason;
use crate::segment::region::Words;

/// What went wrong: small, since it comes out of the smallest functions.
pub(crate) type Fault = Box<Reason>;

/// Changes that are yet to be made, by who holds the lock around the journal.
///
/// They are written down in the journal at once: as long as they are not counted nobody goes by them.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    words: &'a Words,
    count: usize,
}

/// What a word's index leads to, if it leads anywhere.
#[inline(always)]
pub(crate) fn word(words: &Words, index: usize) -> Result<&Word, Fault> {
    words.get(index).ok_or_else(|| outside(words, index))
}

#[cold]
fn outside(words: &Words, index: usize) -> Fault {
    spoilt("a position", format!("below {}", words.len()), index as u64)
}

#[cold]
pub(crate) fn spoilt(what: &'static str, expected: String, found: u64) -> Fault {
    Box::new(Reason::Spoilt { what, expected, found })
}

impl<'a> Changes<'a> {
    /// None yet. Whatever a dead holder had begun is finished first.
    #[inline]
    pub(crate) fn begin(words: &'a Words) -> Result<Self, Fault> {
        if word(words, JOURNAL)?.load(Relaxed) != 0 {
            redo(words)?;
        }
        Ok(Self { words, count: 0 })
    }

    /// Without the lock, for words that are nobody else's: never to be set or committed.
    pub(crate) fn alone(words: &'a Words) -> Self {
        Self { words, count: 0 }
    }

    /// What has been written down: indices and values.
    #[inline(always)]
    fn pending(&self) -> impl Iterator<Item = (&'a Word, &'a Word)> {
        let journal = self.words.get(JOURNAL + 1..JOURNAL + 1 + 2 * self.count).unwrap_or_default();
        journal.as_chunks().0.iter().map(|[at, to]| (at, to))
    }

    #[inline(always)]
    fn find(&self, index: usize) -> Option<&'a Word> {
        self.pending().find(|(at, _)| at.load(Relaxed) == index as u64).map(|(_, to)| to)
    }

    /// The word as it will be.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Result<u64, Fault> {
        match self.find(index) {
            Some(to) => Ok(to.load(Relaxed)),
            None => Ok(word(self.words, index)?.load(Relaxed)),
        }
    }

    /// The word as it is, which nobody else changes: not to be used for what is part of a change.
    #[inline]
    pub(crate) fn word(&self, index: usize) -> Result<&'a Word, Fault> {
        word(self.words, index)
    }

    /// Whether the word is to change.
    pub(crate) fn concerns(&self, index: usize) -> bool {
        self.find(index).is_some()
    }

    /// Has the word be that in the end.
    #[inline]
    pub(crate) fn set(&mut self, index: usize, value: u64) -> Result<(), Fault> {
        word(self.words, index)?;
        if let Some(to) = self.find(index) {
            to.store(value, Relaxed);
            return Ok(());
        }
        let place = JOURNAL + 1 + 2 * self.count;
        let [at, to] = self.words.get(place..place + 2).unwrap_or_default() else {
            return Err(outside(self.words, place));
        };
        // Nothing here changes as many.
        if self.count == MOST_CHANGES {
            return Err(spoilt("a number of changes", format!("up to {MOST_CHANGES}"), self.count as u64 + 1));
        }
        at.store(index as u64, Relaxed);
        to.store(value, Relaxed);
        self.count += 1;
        Ok(())
    }

    /// Makes them all.
    #[inline]
    pub(crate) fn commit(&mut self) -> Result<(), Fault> {
        let count = word(self.words, JOURNAL)?;
        // Release: whoever finds the count finds what it counts.
        count.store(self.count as u64, Release);
        // No change before it, in the order in which this process makes its stores.
        light_fence();
        self.make()?;
        self.count = 0;
        light_fence();
        count.store(0, Release);
        Ok(())
    }

    #[inline(always)]
    fn make(&self) -> Result<(), Fault> {
        for (at, to) in self.pending() {
            let index = usize::try_from(at.load(Relaxed)).unwrap_or(usize::MAX);
            word(self.words, index)?.store(to.load(Relaxed), Release);
        }
        Ok(())
    }
}

/// Makes the changes that somebody dead had counted.
#[cold]
fn redo(words: &Words) -> Result<(), Fault> {
    let counted = word(words, JOURNAL)?;
    let count = usize::try_from(counted.load(Relaxed)).unwrap_or(usize::MAX);
    // A count that cannot be was not written by one of us: there is nothing to be redone.
    if count <= MOST_CHANGES {
        Changes { words, count }.make()?;
        light_fence();
    }
    counted.store(0, Release);
    Ok(())
}
