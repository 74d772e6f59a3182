//! Seats: who holds something, each by process and thread, so that what the dead hold is found.
//!
//! ```text
//! word 0 of a seat   0: free; or a cookie, with bit 63 if it was lost: its holder lives, but will never give it back;
//!                    with bit 62 while word 1 is not yet this holder's
//! word 1             the thread that took it, as the kernel counts them; means nothing while the seat is free
//! ```
//!
//! Only its holder changes a seat that is taken, or somebody who found it lost or its holder dead, by the exact word.

use super::questions::Questions;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::base::atomic::Word;
use crate::peer::{Cookie, Peer};
use crate::segment::Error;
use crate::segment::region::Words;

pub(crate) const SEAT_WORDS: usize = 2;
const LOST: u64 = 1 << 63;
/// The thread of the last holder may have the number of one that ends just now: it must not lose what another has just taken.
const SETTLING: u64 = 1 << 62;

/// A run of seats.
#[derive(Debug, Clone)]
pub(crate) struct Seats<A: Access = ReadWrite> {
    words: Words<A>,
}

impl<A: Access> Seats<A> {
    pub(crate) fn new(words: Words<A>) -> Self {
        Self { words }
    }

    pub(crate) fn len(&self) -> usize {
        self.words.len() / SEAT_WORDS
    }

    fn holder(&self, index: usize) -> Option<&Word<A>> {
        self.words.get(index.checked_mul(SEAT_WORDS)?)
    }

    fn thread(&self, index: usize) -> Option<&Word<A>> {
        self.words.get(index.checked_mul(SEAT_WORDS)?.checked_add(1)?)
    }

    /// What a seat holds; 0 if it is free, or there is none.
    ///
    /// Acquire: pairs with `vacate`: what its holder did before leaving is seen.
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.holder(index).map_or(0, |word| word.load(Acquire))
    }

    /// How many of the first `most` are taken.
    pub(crate) fn taken(&self, most: usize) -> usize {
        (0..self.len().min(most)).filter(|&index| self.word(index) != 0).count()
    }

    /// The first free seat from `from` on, all the way round.
    pub(crate) fn free(&self, from: usize) -> Option<usize> {
        around(from, self.len()).find(|&index| self.word(index) == 0)
    }
}

impl Seats {
    /// Takes a free seat, of which there may be several who want it.
    pub(crate) fn claim(&self, me: Cookie, thread: u32) -> Option<usize> {
        for index in 0..self.len() {
            let Some(holder) = self.holder(index) else { continue };
            // Acquire: the last holder's stores are before ours. Release: who finds us here sees what we did before.
            if holder.load(Relaxed) == 0 && holder.compare_exchange(0, me.bits() | SETTLING, AcqRel, Relaxed).is_ok() {
                self.occupy(index, me, thread);
                return Some(index);
            }
        }
        None
    }

    /// Takes a seat that is free and that nobody else can want now.
    pub(crate) fn occupy(&self, index: usize, me: Cookie, thread: u32) {
        if let Some((holder, word)) = self.holder(index).zip(self.thread(index)) {
            word.store(thread.into(), Relaxed);
            // Release: as in `claim`; and who sees us here sees our thread.
            holder.store(me.bits(), Release);
        }
    }

    /// Whether this is a seat of ours: it may be another thread's by now, if ours was thought to have ended, or was given back for lost.
    pub(crate) fn is_held_by(&self, index: usize, me: Cookie, thread: u32) -> bool {
        self.word(index) == me.bits() && self.is_of(index, thread)
    }

    /// Whether any is a seat of ours.
    pub(crate) fn has(&self, me: Cookie, thread: u32) -> bool {
        (0..self.len()).any(|index| self.is_held_by(index, me, thread))
    }

    fn is_of(&self, index: usize, thread: u32) -> bool {
        self.thread(index).is_some_and(|word| word.load(Relaxed) == u64::from(thread))
    }

    /// Leaves a seat. To be called by its holder, or by who alone may tidy up after the dead.
    pub(crate) fn vacate(&self, index: usize) {
        if let Some(holder) = self.holder(index) {
            // Release: pairs with `word`.
            holder.store(0, Release);
        }
    }

    /// Says of a seat of ours that it will never be given back. `false` if it is not ours.
    pub(crate) fn lose(&self, index: usize, me: Cookie) -> bool {
        // Release: as in `claim`.
        self.holder(index)
            .is_some_and(|word| word.compare_exchange(me.bits(), me.bits() | LOST, Release, Relaxed).is_ok())
    }

    /// The same of all of ours that this thread took, or any.
    pub(crate) fn lose_all(&self, me: Cookie, thread: Option<u32>) -> bool {
        let mut any = false;
        for index in 0..self.len() {
            if self.word(index) == me.bits() && thread.is_none_or(|thread| self.is_of(index, thread)) {
                any |= self.lose(index, me);
            }
        }
        any
    }

    /// Looks for seats that were lost or whose holders are dead, and tells of each where it is and what it holds, until told to stop by `false`. Goes on where the last look
    /// ended, whoever's that was, so that all get their turn: `cursor` is a hint.
    pub(crate) fn find_lost(
        &self,
        peer: &Peer,
        cursor: &Word,
        tell: impl FnMut(usize, u64) -> bool,
    ) -> Result<(), Error> {
        let start = usize::try_from(cursor.load(Relaxed)).unwrap_or(0);
        if let Some(index) = find(self, start, Questions::a_few(peer), tell)? {
            cursor.store(index as u64, Relaxed);
        }
        Ok(())
    }

    /// The same of all, however many holders are to be asked about.
    pub(crate) fn find_all_lost(&self, peer: &Peer, tell: impl FnMut(usize, u64) -> bool) -> Result<(), Error> {
        find(self, 0, Questions::all(peer), tell).map(drop)
    }

    /// Frees all seats that were lost or whose holders are dead.
    pub(crate) fn free_lost(&self, peer: &Peer) -> Result<(), Error> {
        self.find_all_lost(peer, |index, word| {
            // Acquire, Release: as in `claim`. If it fails, somebody else did it.
            let _ = self.holder(index).map(|holder| holder.compare_exchange(word, 0, AcqRel, Relaxed));
            true
        })
    }
}

/// Looks from `start` on; if that would take too many questions, where to go on.
fn find(
    seats: &Seats,
    start: usize,
    mut questions: Questions<'_>,
    mut tell: impl FnMut(usize, u64) -> bool,
) -> Result<Option<usize>, Error> {
    for index in around(start, seats.len()) {
        let word = seats.word(index);
        let Some(holder) = Cookie::in_word(word) else { continue };
        if word & LOST == 0 {
            match questions.ask(holder)? {
                Some(true) => continue,
                Some(false) => {}
                None => return Ok(Some(index)),
            }
        }
        if !tell(index, word) {
            break;
        }
    }
    Ok(None)
}

/// What a seat's words say: who holds it, and which thread, 0 if that is not known.
pub(crate) fn read(who: u64, thread: u64) -> (u64, u32) {
    (who, if who & SETTLING == 0 { thread as u32 } else { 0 })
}

/// All indices below `length`, from anywhere on.
fn around(start: usize, length: usize) -> impl Iterator<Item = usize> {
    let start = start.checked_rem(length).unwrap_or(0);
    (start..length).chain(0..start)
}

#[cfg(all(test, loom))]
mod tests {
    use loom::thread;

    use super::*;
    use crate::base::explore::explore;
    use crate::peer;

    /// One thread of a process has left a seat and ends, while another takes that seat: it keeps it.
    #[test]
    fn loom_who_ends_loses_no_seat_of_another_thread() {
        explore(3, || {
            let seats = Seats::new(Words::on_heap((0..SEAT_WORDS).map(|_| Word::new(0)).collect()));
            let me = Cookie::new(1, 1);
            assert_eq!(seats.claim(me, 11), Some(0));
            seats.vacate(0);
            let ends = seats.clone();
            let ends = thread::spawn(move || ends.lose_all(me, Some(11)));
            assert_eq!(seats.claim(me, 12), Some(0));
            assert!(!ends.join().unwrap() && seats.is_held_by(0, me, 12));
        });
    }

    /// However those who live are seated, they are asked about once each.
    #[test]
    fn loom_one_look_finds_the_dead_among_many_seats_of_a_few() {
        explore(0, || {
            let seats = Seats::new(Words::on_heap((0..SEAT_WORDS * 13).map(|_| Word::new(0)).collect()));
            for seat in 0..12 {
                assert_eq!(seats.claim(Peer::model(1 + seat % 2).cookie(), 1), Some(seat as usize));
            }
            assert_eq!(seats.claim(Peer::model(3).cookie(), 1), Some(12));
            peer::model::bury(3);
            let mut found = Vec::new();
            let looked = seats.find_lost(&Peer::model(4), &Word::new(0), |seat, _| {
                found.push(seat);
                true
            });
            looked.unwrap();
            assert_eq!(found, [12]);
        });
    }
}
