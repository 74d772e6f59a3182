//! Waiting for what several want and one gets: spin while that pays, then sleep; nobody starves. The protocol is in ARCHITECTURE.md, "Locks".

use std::time::{Duration, Instant};

use super::super::bell::{self, Deadline, FIRST_SLICE, Mark};
use crate::base::atomic::Ordering::{Relaxed, SeqCst};
use crate::base::atomic::{Word, fence, spin};
use crate::sys::barrier::{self, Light};
use crate::sys::futex;
#[cfg(not(loom))]
use crate::sys::process;

/// What a look at the contested thing showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look<R> {
    /// It is ours, with this.
    Ours(R),
    /// It could have been ours, had we been allowed to take it.
    Free,
    /// It is not to be had.
    Busy,
}

/// One who waits, and for what. Everything but the words is the caller's.
pub(crate) trait Contest {
    /// What the winner gets.
    type Prize;
    /// What ends the wait instead.
    type Error;

    /// Looks, and takes it if `may_take`. Called often: cheap.
    fn look(&mut self, may_take: bool) -> Look<Self::Prize>;

    /// At the end of each slice of sleep, and of the whole: finds out whether those who are in the way live, and takes it from the dead.
    ///
    /// # Errors
    ///
    /// Ends the wait.
    fn check(&mut self) -> Result<Option<Self::Prize>, Self::Error>;

    /// Whether a look has failed: then there is nothing to sleep for, and `check` says why.
    fn has_failed(&self) -> bool {
        false
    }

    /// How long the first slice of sleep is; for the others see [`bell::longer`].
    fn first_slice(&self) -> Duration {
        FIRST_SLICE
    }

    /// Before the first sleep.
    fn falls_asleep(&mut self) {}
}

/// The words by which those who wait keep out of each other's way. All but the bell are hints: whatever they hold, nothing worse comes of it
/// than a delay of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contention<'a> {
    /// 0, or the cookie of one who has waited long: the others leave it to that one.
    pub(crate) next: &'a Word,
    /// 0, or the cookie of the only one who spins.
    pub(crate) spinner: &'a Word,
    pub(crate) bell: &'a Word,
    /// How many looks it paid to spin lately, before asking to be next.
    pub(crate) spins: &'a Word,
}

/// Looks of one who spins before it asks to be next; it gives up after as long again.
const FEWEST_LOOKS: u64 = 2;
const MOST_LOOKS: u64 = 16;
/// Turns between two looks: a look takes the line from its owner, who in that time could have had the lock some dozens of times.
const FIRST_PAUSE: u32 = 32;
const LONGEST_PAUSE: u32 = 64;
/// The same once nobody else takes it.
const NEXT_PAUSE: u32 = 4;
/// Turns for which who cannot spin waits for that one to have it.
const GRACE: u32 = 64;
/// Of those who wait for what stays in one hand.
const LONGEST_SLICE: Duration = Duration::from_millis(150);
/// Of those who wait for what others have in turn meanwhile.
const LONGEST_BUSY_SLICE: Duration = Duration::from_millis(5);
/// Who has slept through so many slices has waited long, and so has who has slept for so many first slices, woken as often as may be.
const LONG: u32 = 3;
const LONG_IN_ALL: u32 = 7;
/// What is free for so long, and has been somebody's to have next all the time, that one does not take: it is stopped or dead.
const UNCLAIMED: Duration = Duration::from_millis(20);

impl Contention<'_> {
    /// Whether somebody who has waited long is to have it next.
    #[inline(always)]
    pub(crate) fn is_reserved(&self) -> bool {
        self.next.load(Relaxed) != 0
    }

    /// Wakes one who sleeps, or all if it is somebody's in particular. To be called after it became free.
    #[inline(always)]
    pub(crate) fn ring(&self, light: Light) {
        self.ring_for(1, light);
    }

    /// The same where so many can have it.
    #[inline(always)]
    pub(crate) fn ring_for(&self, count: u32, light: Light) {
        light.pass();
        if bell::has_sleeper(self.bell) {
            self.ring_out(count);
        }
    }

    #[cold]
    fn ring_out(&self, count: u32) {
        // Before the look at who spins. Pairs with `wake_others`.
        fence(SeqCst);
        let (spinner, next) = (self.spinner.load(Relaxed), self.next.load(Relaxed));
        // That one will have it. Or it gives up spinning, and looks once more.
        if count == 1 && spinner != 0 && (next == 0 || next == spinner) {
            return;
        }
        if bell::count_ring(self.bell) {
            if next != 0 {
                futex::wake_all(self.bell);
            } else if count == 1 {
                futex::wake_one(self.bell);
            } else {
                futex::wake_some(self.bell, count);
            }
        }
    }

    /// Waits until `contest` is won. `Ok(None)`: the deadline has passed.
    pub(crate) fn wait<C: Contest>(
        &self,
        me: u64,
        deadline: Deadline,
        light: Light,
        contest: &mut C,
    ) -> Result<Option<C::Prize>, C::Error> {
        let mut wait = Waiting { words: *self, me, light, reserved: false };
        if let Some(prize) = wait.spin(contest) {
            return Ok(Some(prize));
        }
        contest.falls_asleep();
        let outcome = wait.sleep(deadline, contest);
        if !matches!(outcome, Ok(Some(_))) {
            wait.leave(contest);
        }
        outcome
    }
}

#[cfg(not(loom))]
fn can_spin() -> bool {
    process::cores() > 1
}

/// Rests between two looks.
#[cfg(not(loom))]
fn rest(turns: u32) {
    (0..turns).for_each(|_| spin());
}

/// How many looks who is next takes as long for as these turns.
#[cfg(not(loom))]
fn looks_as_next(turns: u32) -> u32 {
    turns / NEXT_PAUSE
}

#[cfg(loom)]
pub(crate) use model::{can_spin, looks_as_next, rest, without_sleeping, without_spinning};

/// Models of sleeping are large enough without.
#[cfg(loom)]
mod model {
    use std::cell::Cell;

    thread_local! {
        static SPIN: Cell<bool> = const { Cell::new(true) };
        static SLEEP: Cell<bool> = const { Cell::new(true) };
    }

    pub(crate) fn can_spin() -> bool {
        SPIN.get()
    }

    /// Who rested would let everybody else go first, which is what is wanted only where nobody sleeps.
    pub(crate) fn rest(_: u32) {
        if !SLEEP.get() {
            super::spin();
        }
    }

    pub(crate) fn looks_as_next(_: u32) -> u32 {
        if SLEEP.get() { 1 } else { u32::MAX }
    }

    /// Explores models in which everybody spins for as long as it takes, and nobody dies: for those without light fences, where nobody would be woken.
    pub(crate) fn without_sleeping(explore: impl FnOnce()) {
        SLEEP.set(false);
        explore();
        SLEEP.set(true);
    }

    /// Explores models in which everybody goes to sleep at once.
    pub(crate) fn without_spinning(explore: impl FnOnce()) {
        SPIN.set(false);
        explore();
        SPIN.set(true);
    }
}

struct Waiting<'a> {
    words: Contention<'a>,
    me: u64,
    light: Light,
    reserved: bool,
}

impl Waiting<'_> {
    /// Looks, and takes it unless it waits for somebody else.
    fn look<C: Contest>(&mut self, contest: &mut C) -> Look<C::Prize> {
        let next = self.words.next.load(Relaxed);
        // Somebody thought us dead, or the word was spoilt: then we wait like everybody else.
        self.reserved &= next == self.me;
        // Nobody else takes what is ours to have next: no hurry, and no need to take the line from its owner.
        if self.reserved && matches!(contest.look(false), Look::Busy) {
            return Look::Busy;
        }
        let look = contest.look(next == 0 || self.reserved);
        if matches!(look, Look::Ours(_)) {
            self.won(contest);
        }
        look
    }

    fn won<C: Contest>(&mut self, contest: &mut C) {
        if self.reserved {
            self.give_up_reservation();
            self.wake_others(contest);
        }
    }

    /// To be called by who until a moment ago spun for it or was next: if more of it is to be had, or ours was given back by a stranger, or we have not got it after all,
    /// others may have gone to sleep beside it, and nobody was woken.
    fn wake_others<C: Contest>(&self, contest: &mut C) {
        // Pairs with `ring_out`: either it sees that nobody spins, or this sees what it gave back.
        fence(SeqCst);
        if matches!(contest.look(false), Look::Free) {
            self.words.ring(self.light);
        }
    }

    /// Asks to be next; whether it is.
    fn reserve(&mut self) -> bool {
        self.reserved = self.words.next.compare_exchange(0, self.me, Relaxed, Relaxed).is_ok();
        self.reserved
    }

    fn give_up_reservation(&mut self) {
        self.reserved = false;
        let _ = self.words.next.compare_exchange(self.me, 0, Relaxed, Relaxed);
    }

    /// Becomes the one who spins, unless somebody else does and goes on.
    fn becomes_spinner(&self) -> bool {
        let spinner = self.words.spinner;
        for _ in 0..if cfg!(loom) { 1 } else { GRACE } {
            if spinner.load(Relaxed) == 0 && spinner.compare_exchange(0, self.me, Relaxed, Relaxed).is_ok() {
                return true;
            }
            spin();
        }
        false
    }

    /// Spins, unless somebody does already, or nobody could run meanwhile.
    fn spin<C: Contest>(&mut self, contest: &mut C) -> Option<C::Prize> {
        if !can_spin() || !self.becomes_spinner() {
            return None;
        }
        let known = self.words.spins.load(Relaxed);
        let usual = if known == 0 { MOST_LOOKS } else { known.clamp(FEWEST_LOOKS, MOST_LOOKS) };
        let prize = self.look_often(if cfg!(loom) { 1 } else { usual }, contest);
        if self.reserved {
            // Whoever has it has it for long: the others need not wait for one who sleeps.
            self.give_up_reservation();
        }
        // What did not pay is tried for half as long next time.
        let now = if prize.is_some() { (2 * usual).min(MOST_LOOKS) } else { (usual / 2).max(FEWEST_LOOKS) };
        if now != known {
            self.words.spins.store(now, Relaxed);
        }
        let _ = self.words.spinner.compare_exchange(self.me, 0, Relaxed, Relaxed);
        self.wake_others(contest);
        prize
    }

    /// Looks so many times; then asks to be next, and looks more often, for as long again.
    fn look_often<C: Contest>(&mut self, looks: u64, contest: &mut C) -> Option<C::Prize> {
        let (mut pause, mut turns) = (FIRST_PAUSE, 0);
        for _ in 0..looks {
            if let Look::Ours(prize) = self.look(contest) {
                return Some(prize);
            }
            rest(pause);
            turns += pause;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
        // It is short of luck, not of patience.
        self.reserve();
        for _ in 0..looks_as_next(turns) {
            if let Look::Ours(prize) = self.look(contest) {
                return Some(prize);
            }
            rest(NEXT_PAUSE);
        }
        None
    }

    fn sleep<C: Contest>(&mut self, deadline: Deadline, contest: &mut C) -> Result<Option<C::Prize>, C::Error> {
        let since = Instant::now();
        let mut slice = contest.first_slice();
        let patience = slice * LONG_IN_ALL;
        let mut slices = 0;
        let mut mark = Mark::default();
        let mut unclaimed = Unclaimed::default();
        loop {
            let (asleep, anew) = mark.announce(self.words.bell);
            let spinner = self.words.spinner.load(Relaxed);
            if anew && let Look::Ours(prize) = self.look_after(&mut unclaimed, contest) {
                return Ok(Some(prize));
            }
            let nap = if contest.has_failed() { None } else { deadline.left(slice) };
            let (mut elapsed, mut idle) = (true, true);
            if let Some(nap) = nap {
                elapsed = futex::wait(self.words.bell, asleep, nap) == futex::Woken::ByTime;
                idle = mark.is_on(self.words.bell);
                // Who woke us woke nobody else, and took the mark of the others with ours. Before the look: once it is ours, somebody else
                // may give back at once, and must see the mark.
                bell::set(self.words.bell);
                fence(SeqCst);
                // Who spins does not for so long: it is stopped or dead.
                if elapsed {
                    take_back(self.words.spinner, spinner);
                }
                let before = unclaimed;
                match self.look_after(&mut unclaimed, contest) {
                    Look::Ours(prize) => return Ok(Some(prize)),
                    Look::Free => {
                        if unclaimed.is_left(before, elapsed) {
                            take_back(self.words.next, unclaimed.next);
                        }
                        // Whoever it is reserved for may not be by now: nobody need ring for us to have it.
                        mark.forget();
                    }
                    Look::Busy => {}
                }
            }
            // Also when the time is up before the first nap: who waits for moments only must learn of a death as well.
            if let Some(prize) = contest.check()? {
                self.won(contest);
                return Ok(Some(prize));
            }
            if nap.is_none() {
                // Whoever it is reserved for may be dead: who has no time to find out takes it.
                return Ok(match contest.look(true) {
                    Look::Ours(prize) => {
                        self.won(contest);
                        Some(prize)
                    }
                    Look::Free | Look::Busy => None,
                });
            }
            if elapsed {
                slices += 1;
                // Where it goes from hand to hand, our turn to be next may come at any time.
                slice = if idle { bell::longer(slice, LONGEST_SLICE) } else { (2 * slice).min(LONGEST_BUSY_SLICE) };
            }
            let long = slices >= LONG || (!cfg!(loom) && since.elapsed() >= patience);
            if long && !self.reserved && self.reserve() {
                mark.forget();
            }
        }
    }

    /// Looks, and keeps in mind since when it is free, but not for us.
    fn look_after<C: Contest>(&mut self, unclaimed: &mut Unclaimed, contest: &mut C) -> Look<C::Prize> {
        let next = self.words.next.load(Relaxed);
        let look = self.look(contest);
        if !matches!(look, Look::Free) {
            *unclaimed = Unclaimed::default();
        } else if unclaimed.next != next {
            *unclaimed = Unclaimed { next, since: Some(Instant::now()) };
        }
        look
    }

    /// Leaves without it: a wake-up that we may have had is passed on, and nobody waits for us.
    fn leave<C: Contest>(&mut self, contest: &mut C) {
        if self.reserved {
            self.give_up_reservation();
        }
        bell::set(self.words.bell);
        barrier::heavy();
        if matches!(contest.look(false), Look::Free) {
            self.words.ring(self.light);
        }
    }
}

/// What was found free at each look since, but somebody else's to have next.
#[derive(Debug, Clone, Copy, Default)]
struct Unclaimed {
    /// Whose; 0: it was not.
    next: u64,
    since: Option<Instant>,
}

impl Unclaimed {
    /// Whether that one lets it be: it was so before a nap that nobody ended, or is for long, however often we were woken. (Models have no clock.)
    fn is_left(self, before: Self, undisturbed: bool) -> bool {
        let long = !cfg!(loom) && self.since.is_some_and(|since| since.elapsed() >= UNCLAIMED);
        self.next == before.next && (undisturbed || long)
    }
}

/// Takes back what was granted to somebody who has let it be.
fn take_back(word: &Word, granted: u64) {
    if granted != 0 {
        let _ = word.compare_exchange(granted, 0, Relaxed, Relaxed);
    }
}
