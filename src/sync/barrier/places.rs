//! The places of those who have arrived: each keeps what became of one, for as long as that one takes to look.
//!
//! ```text
//! word 0 of a place   holder: 0: free; or the cookie of who waits here
//! word 1              note: generation (42 bits) << 22 | index (17 bits) << 4 | outcome (4 bits; 0: none yet)
//! ```
//!
//! Places are taken, and outcomes noted, under the internal lock; the holder alone leaves. Of the dead, who has the lock takes them back.

use super::super::questions::Questions;
use super::round::Outcome;
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::atomic::Word;
use crate::peer::{Cookie, Peer};
use crate::segment::Error;
use crate::segment::region::Words;

pub(super) const PLACE_WORDS: usize = 2;
/// How many places there are beyond one for each party: for those who have not looked yet when the next come.
pub(super) const SPARE: usize = if cfg!(loom) { 1 } else { 64 };
const MARK: u64 = 0xf;

#[derive(Debug)]
pub(super) struct Places {
    words: Words,
}

impl Places {
    pub(super) fn new(words: Words) -> Self {
        Self { words }
    }

    fn len(&self) -> usize {
        self.words.len() / PLACE_WORDS
    }

    fn place(&self, index: usize) -> Option<(&Word, &Word)> {
        let at = index.checked_mul(PLACE_WORDS)?;
        Some((self.words.get(at)?, self.words.get(at + 1)?))
    }

    /// The holder of a place in which nobody has been told anything yet, of this generation.
    fn waiting(&self, index: usize, generation: u64) -> Option<(Cookie, &Word)> {
        let (holder, note) = self.place(index)?;
        // Acquire: pairs with `take`, so the note is the holder's.
        let holder = Cookie::in_word(holder.load(Acquire))?;
        let found = note.load(Relaxed);
        (found >> 22 == generation && found & MARK == 0).then_some((holder, note))
    }

    /// Takes a place. Under the internal lock.
    pub(super) fn take(&self, me: Cookie, generation: u64, index: u32) -> Option<usize> {
        let start = usize::try_from(generation.wrapping_add(index.into())).unwrap_or(0);
        let is_free = |&at: &usize| self.place(at).is_some_and(|(holder, _)| holder.load(Relaxed) == 0);
        let at = self.around(start).find(is_free)?;
        let (holder, note) = self.place(at)?;
        note.store(generation << 22 | u64::from(index) << 4, Relaxed);
        // Release: pairs with `waiting`.
        holder.store(me.bits(), Release);
        Some(at)
    }

    /// Leaves a place of ours.
    pub(super) fn leave(&self, at: usize) {
        if let Some((holder, _)) = self.place(at) {
            // Whoever takes it next does so under the lock, and overwrites the note; we have read it.
            holder.store(0, Release);
        }
    }

    /// What became of us, once the generation is over.
    pub(super) fn outcome(&self, at: usize) -> Option<Outcome> {
        // The round, in which we saw that it is over, was loaded with Acquire.
        Outcome::of_mark(self.place(at)?.1.load(Relaxed) & MARK)
    }

    /// Notes in the places of a generation what became of it. Under the internal lock.
    pub(super) fn tell(&self, generation: u64, outcome: Outcome) {
        for at in 0..self.len() {
            if let Some((_, note)) = self.waiting(at, generation) {
                // Seen by who sees the next generation, which is stored with Release.
                note.store(note.load(Relaxed) | outcome.mark(), Relaxed);
            }
        }
    }

    /// Whether somebody has died who waits in this generation: asks about a few, from where the last one who asked left off.
    pub(super) fn has_dead(&self, generation: u64, peer: &Peer, cursor: &Word) -> Result<bool, Error> {
        let mut questions = Questions::a_few(peer);
        let start = usize::try_from(cursor.load(Relaxed)).unwrap_or(0);
        for at in self.around(start) {
            let Some((holder, _)) = self.waiting(at, generation) else { continue };
            match questions.ask(holder)? {
                Some(true) => {}
                Some(false) => return Ok(true),
                None => {
                    cursor.store(at as u64, Relaxed);
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// Takes back places of earlier generations whose holders have died. Under the internal lock.
    pub(super) fn clear_dead(&self, generation: u64, peer: &Peer) -> Result<(), Error> {
        let mut questions = Questions::all(peer);
        for at in 0..self.len() {
            let Some((holder, note)) = self.place(at) else { continue };
            let Some(cookie) = Cookie::in_word(holder.load(Acquire)) else { continue };
            if note.load(Relaxed) >> 22 != generation && questions.is_dead(cookie)? {
                holder.store(0, Release);
            }
        }
        Ok(())
    }

    fn around(&self, start: usize) -> impl Iterator<Item = usize> {
        let length = self.len();
        let start = start.checked_rem(length).unwrap_or(0);
        (start..length).chain(0..start)
    }
}
