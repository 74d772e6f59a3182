//! The words of one slot, and what reading and writing do to them. The protocol is in ARCHITECTURE.md, "Slots".
//!
//! ```text
//! word 0            current   the version that readers shall read; its copy is version mod 8
//! word 8            owner     0, or who writes (see `turn`)
//! word 9            bell      of who waits for a change
//! word 10           turn      bell of who waits to write
//! word 16 ...       8 copies, each a sequence word and the value, padded to 64 bytes
//! ```

use super::error::ReadError;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::atomic::{Word, fence, spin};
use crate::base::copy::{self, words_for};
use crate::segment::region::Words;
use crate::sync::bell;
use crate::sys::barrier::Light;

/// How many copies of a value there are: a reader is disturbed only if this many writes happen during its read.
pub(super) const COPIES: u64 = 8;
const HEAD_WORDS: usize = 16;
const LINE_WORDS: usize = 8;

const CURRENT: usize = 0;
pub(super) const OWNER: usize = 8;
pub(super) const BELL: usize = 9;
pub(super) const TURN: usize = 10;

/// A copy's sequence while it is being written.
const WRITING: u64 = u64::MAX;
/// How often a read starts over before it gives up.
const ATTEMPTS: u32 = 1 << 16;

/// How many words a copy of a value of `size` bytes takes.
pub(super) const fn copy_words(size: usize) -> usize {
    (1 + words_for(size)).next_multiple_of(LINE_WORDS)
}

/// How many words a slot of values of `size` bytes takes.
pub(super) const fn slot_words(size: usize) -> usize {
    HEAD_WORDS + COPIES as usize * copy_words(size)
}

/// A view of one slot's words: [`HEAD_WORDS`] and [`COPIES`] copies of equal length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a, A: Access> {
    words: &'a [Word<A>],
}

impl<'a, A: Access> Cell<'a, A> {
    /// The slot `index` of the array in `words`; `None` if it is not there.
    #[inline(always)]
    pub(super) fn at(words: &'a Words<A>, index: usize, size: usize) -> Option<Self> {
        let start = index.checked_mul(slot_words(size))?;
        Some(Self { words: words.get(start..start.checked_add(slot_words(size))?)? })
    }

    #[inline(always)]
    fn current(&self) -> Option<&'a Word<A>> {
        self.words.get(CURRENT)
    }

    /// The version that readers see.
    #[inline(always)]
    pub(super) fn version(&self) -> u64 {
        self.current().map_or(0, |word| word.load(Acquire))
    }

    /// The word that changes with each write, for sleeping on.
    pub(super) fn current_word(&self) -> Option<&'a Word<A>> {
        self.current()
    }

    /// The sequence and the value of the copy that a version lives in.
    #[inline(always)]
    fn copy_of(self, version: u64) -> Option<(&'a Word<A>, &'a [Word<A>])> {
        let length = (self.words.len() - HEAD_WORDS) / COPIES as usize;
        let start = HEAD_WORDS + (version % COPIES) as usize * length;
        let (sequence, value) = self.words.get(start..start + length)?.split_first()?;
        Some((sequence, value))
    }

    /// The current value, as `copy` makes it of the words, and its version.
    #[inline(always)]
    pub(super) fn read<R>(self, index: usize, copy: impl Fn(&[Word<A>]) -> R) -> Result<(R, u64), ReadError> {
        let version = self.version();
        match self.read_version(version, &copy) {
            Ok(value) => Ok((value, version)),
            Err(_) => self.read_again(index, copy),
        }
    }

    /// The value of `version`; the sequence found instead, if its copy holds another by now.
    #[inline(always)]
    fn read_version<R>(self, version: u64, copy: impl Fn(&[Word<A>]) -> R) -> Result<R, u64> {
        let Some((sequence, words)) = self.copy_of(version) else { return Err(WRITING) };
        let value = copy(words);
        // Pairs with the release fence in `write`: if a byte above came from a later write, then so does the sequence below.
        fence(Acquire);
        match sequence.load(Relaxed) {
            found if found == version => Ok(value),
            found => {
                // Pairs with the release fence of the write that this sequence belongs to: who sees it sees, next, how far `current` had come.
                fence(Acquire);
                Err(found)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn read_again<R>(self, index: usize, copy: impl Fn(&[Word<A>]) -> R) -> Result<(R, u64), ReadError> {
        for _ in 0..if cfg!(loom) { 3 } else { ATTEMPTS } {
            let version = self.version();
            match self.read_version(version, &copy) {
                Ok(value) => return Ok((value, version)),
                Err(found) => {
                    // The copy was written over, so `current` must have moved on; if it has not, no writer of ours did this. Acquire, so
                    // that the load below is after that of the sequence: pairs with the release fence of the write before the one that
                    // stored the sequence, which comes after a later `current`.
                    fence(Acquire);
                    if self.version() == version {
                        return Err(ReadError::Corrupt { index, expected: version, found });
                    }
                    spin();
                }
            }
        }
        Err(ReadError::Overrun { index })
    }
}

impl<'a> Cell<'a, ReadWrite> {
    #[inline(always)]
    pub(super) fn word(&self, at: usize) -> Option<&'a Word> {
        self.words.get(at)
    }

    /// Writes the next version. The caller owns the slot.
    #[inline(always)]
    pub(super) fn write(&self, from: &[u8], light: Light) -> u64 {
        let Some(current) = self.current() else { return 0 };
        // Nobody but the owner stores `current`.
        let mut version = current.load(Relaxed).wrapping_add(1);
        if version == WRITING {
            version = version.wrapping_add(1);
        }
        if let Some((sequence, value)) = self.copy_of(version) {
            sequence.store(WRITING, Relaxed);
            // Pairs with the acquire fence in `read_version`.
            fence(Release);
            copy::store_bytes(value, from);
            sequence.store(version, Release);
        }
        // Pairs with the load in `version`: who sees the version sees its bytes.
        current.store(version, Release);
        if let Some(bell) = self.word(BELL) {
            bell::ring(bell, light);
        }
        version
    }

    /// Puts the first value, version 0, into a slot that nobody knows yet.
    pub(super) fn initialise(&self, from: &[u8]) {
        if let Some((sequence, value)) = self.copy_of(0) {
            copy::store_bytes(value, from);
            sequence.store(0, Relaxed);
        }
        // Copies that were never written must not pass for versions 1 to 7 of theirs.
        for version in 1..COPIES {
            if let Some((sequence, _)) = self.copy_of(version) {
                sequence.store(WRITING, Relaxed);
            }
        }
    }
}
