//! How permits move between the count and the seats of guards, so that whoever dies in between, none is lost and none doubled.
//!
//! All of it happens under the internal lock. The intent is written first; the count then changes together with its tag; the seat comes last.
//! Whoever next has the lock finds the intent, and by the tag whether the count has changed.
//!
//! | store | others see | if dead right after |
//! | --- | --- | --- |
//! | intent := take, seat, tag + 1 | nothing | the tag says that nothing happened: intent := 0 |
//! | count: permits - 1, tag + 1 | a permit fewer | it is given back, as below |
//! | seat := thread, cookie | its holder | the same: the seat's holder is dead |
//! | intent := 0 | nothing | the seat is found, and given back |
//!
//! | store | others see | if dead right after |
//! | --- | --- | --- |
//! | intent := give, seat, tag + 1 | nothing | the tag says that the count has not changed: it is done for the dead |
//! | count: permits + 1, tag + 1 | a permit more | seat := 0, intent := 0 are done for the dead |
//! | seat := 0 | the seat is free | the same once more |
//! | intent := 0 | nothing | done |
//!
//! Plain operations change the permits in between and keep the tag.

use super::super::seats::Seats;
use super::count::CountWord;
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::atomic::Word;
use crate::peer::Cookie;

/// What an intent word holds: `operation (2 bits) << 48 | seat (16 bits) << 32 | tag (32 bits)`; 0: nothing is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Intent(u64);

const TAKE: u64 = 1;
const GIVE: u64 = 2;

impl Intent {
    const NONE: Self = Self(0);

    fn new(operation: u64, seat: usize, tag: u32) -> Self {
        Self(operation << 48 | (seat as u64 & 0xffff) << 32 | u64::from(tag))
    }

    fn operation(self) -> u64 {
        self.0 >> 48
    }

    fn seat(self) -> usize {
        (self.0 >> 32 & 0xffff) as usize
    }

    /// The tag that the count has once it has changed.
    fn tag(self) -> u32 {
        self.0 as u32
    }
}

/// The words, for who has the internal lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ledger<'a> {
    pub(super) count: CountWord<'a>,
    pub(super) intent: &'a Word,
    pub(super) seats: &'a Seats,
    pub(super) bound: u32,
}

/// All seats are taken.
#[derive(Debug)]
pub(super) struct Full;

impl Ledger<'_> {
    /// Whether somebody is at something, or died over it. Also for who does not have the lock.
    pub(super) fn is_open(self) -> bool {
        self.intent.load(Relaxed) != 0
    }

    fn note(self, intent: Intent) {
        // Release: the seat is as it should be before the intent goes. That the intent comes before the count changes, that change's own release sees to.
        self.intent.store(intent.0, Release);
    }

    /// Finishes what somebody died over. How many permits came back.
    pub(super) fn settle(self) -> u32 {
        // Acquire: pairs with `note`. (The lock did that already, or the kernel, when it said that its owner was dead.)
        let intent = Intent(self.intent.load(Acquire));
        if intent == Intent::NONE {
            return 0;
        }
        let changed = self.count.load().tag() == intent.tag();
        match (intent.operation(), changed) {
            (TAKE, true) => self.give(intent.seat()),
            (GIVE, _) => self.finish_giving(intent, changed),
            // Nothing had happened; or the word was spoilt.
            _ => {
                self.note(Intent::NONE);
                0
            }
        }
    }

    /// Takes a permit and a seat for it; `None` if there is no permit.
    pub(super) fn take(self, me: Cookie, thread: u32) -> Result<Option<usize>, Full> {
        let seen = self.count.load();
        if seen.permits() == 0 {
            return Ok(None);
        }
        let seat = self.seats.free(0).ok_or(Full)?;
        let tag = seen.tag().wrapping_add(1);
        self.note(Intent::new(TAKE, seat, tag));
        let taken = self.count.change(|count| count.one_taken().map(|left| left.with_tag(tag))).is_ok();
        if taken {
            self.seats.occupy(seat, me, thread);
        }
        self.note(Intent::NONE);
        Ok(taken.then_some(seat))
    }

    /// Gives the permit of a seat back; how many that made: none at the bound, since then there are more than there should be.
    pub(super) fn give(self, seat: usize) -> u32 {
        let intent = Intent::new(GIVE, seat, self.count.load().tag().wrapping_add(1));
        self.note(intent);
        self.finish_giving(intent, false)
    }

    fn finish_giving(self, intent: Intent, changed: bool) -> u32 {
        let mut given = 0;
        if !changed {
            let more = |permits: u32| if permits < self.bound { permits + 1 } else { permits };
            let before =
                self.count.change(|count| Some(count.with_permits(more(count.permits())).with_tag(intent.tag())));
            given = before.map_or(0, |before| more(before.permits()) - before.permits());
        }
        self.seats.vacate(intent.seat());
        self.note(Intent::NONE);
        given
    }
}
