//! Everybody lives, or is dead before it begins.

use std::sync::Arc;

use super::super::contention::{Contest, Look, without_spinning};
use super::super::core::Wait;
use super::{Guarded, NEVER, join, spawn};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::explore::{explore, without_light_fences};
use crate::peer::{self, Peer};
use crate::sync::bell::{self, Deadline, LONGEST_SLICE};
use crate::sync::thread::model;
use crate::sys::barrier::{self, Light};
use crate::sys::futex;

#[test]
fn loom_two_exclude_each_other() {
    explore(3, || {
        let guarded = Guarded::new();
        let other = spawn(&guarded, |guarded| {
            guarded.lock_and_change(1);
            guarded.lock_and_change(1);
        });
        guarded.lock_and_change(2);
        join([other]);
        assert_eq!(guarded.changes(), 3);
        assert!(guarded.core().owner().load().is_free());
    });
}

#[test]
fn loom_three_exclude_each_other() {
    explore(1, || {
        let guarded = Guarded::new();
        let others = [1, 2].map(|slot| spawn(&guarded, move |guarded| guarded.lock_and_change(slot)));
        guarded.lock_and_change(3);
        join(others);
        assert_eq!(guarded.changes(), 3);
    });
}

/// Nobody sleeps, so nothing but the owner word hands over from one to the other.
#[test]
fn loom_the_lock_hands_over_what_was_written() {
    without_light_fences(|| {
        explore(3, || {
            let guarded = Guarded::new();
            let others = [1, 2].map(|slot| {
                spawn(&guarded, move |guarded| {
                    let taken = guarded.try_for(slot, Wait::Not).is_ok();
                    if taken {
                        guarded.change();
                        guarded.unlock();
                    }
                    u64::from(taken)
                })
            });
            let taken: u64 = join(others).iter().sum();
            assert!(!guarded.try_for(3, Wait::Not).unwrap().inconsistent);
            assert_eq!(guarded.change(), taken + 1);
        });
    });
}

fn two_wait(preemptions: usize) {
    explore(preemptions, || {
        let guarded = Guarded::held_by(3);
        let sleepers = [1, 2].map(|slot| spawn(&guarded, move |guarded| guarded.lock_and_change(slot)));
        guarded.unlock();
        join(sleepers);
        assert_eq!(guarded.changes(), 2);
    });
}

/// One is woken, and wakes the other.
#[test]
fn loom_two_sleepers() {
    without_spinning(|| two_wait(2));
}

#[test]
fn loom_a_spinner_and_a_sleeper() {
    two_wait(1);
}

/// If it is somebody's in particular all are woken: nobody knows where in line that one is.
#[test]
fn loom_all_are_woken_for_who_is_next() {
    explore(3, || {
        let guarded = Guarded::held_by(3);
        guarded.core().contention().next.store(Peer::model(1).cookie().bits(), Relaxed);
        let sleepers = [1, 2].map(|_| {
            spawn(&guarded, |guarded| {
                let bell = guarded.core().contention().bell;
                let asleep = bell::set(bell);
                barrier::heavy();
                if !guarded.core().owner().load().is_free() {
                    futex::wait(bell, asleep, LONGEST_SLICE);
                }
            })
        });
        guarded.unlock();
        join(sleepers);
    });
}

/// One of two sleepers gives up, perhaps when it has been woken and somebody was faster; the other must not sleep on.
fn one_gives_up(naps: u64, preemptions: usize) {
    explore(preemptions, move || {
        let guarded = Guarded::held_by(3);
        let hasty = spawn(&guarded, move |guarded| {
            if guarded.try_for(1, Wait::Until(Deadline::after_naps(naps))).is_ok() {
                guarded.change();
                guarded.unlock();
            }
        });
        let patient = spawn(&guarded, |guarded| guarded.lock_and_change(2));
        guarded.unlock();
        guarded.lock_and_change(3);
        join([hasty, patient]);
    });
}

#[test]
fn loom_who_gives_up_at_once_passes_the_wake_up_on() {
    without_spinning(|| one_gives_up(0, 1));
}

#[test]
fn loom_who_gives_up_passes_the_wake_up_on() {
    without_spinning(|| one_gives_up(1, 2));
}

/// Nobody else may wait for it then.
#[test]
fn loom_who_gives_up_gives_up_its_reservation() {
    explore(2, || {
        let guarded = Guarded::held_by(2);
        let hasty = spawn(&guarded, |guarded| {
            if guarded.try_for(1, Wait::Until(Deadline::after_naps(0))).is_ok() {
                guarded.unlock();
            }
        });
        guarded.unlock();
        guarded.lock_and_change(2);
        join([hasty]);
        guarded.lock_and_change(2);
    });
}

/// A wait for word 1 of `value` to become 0, which is then set to 1.
struct Flag<'a> {
    guarded: &'a Guarded,
    /// The kernel answers no question.
    fails: bool,
}

impl Contest for Flag<'_> {
    type Prize = ();
    type Error = ();

    fn look(&mut self, may_take: bool) -> Look<()> {
        let flag = &self.guarded.value[1];
        match flag.load(Acquire) {
            0 if !may_take => Look::Free,
            0 if flag.compare_exchange(0, 1, Acquire, Relaxed).is_ok() => Look::Ours(()),
            _ => Look::Busy,
        }
    }

    fn check(&mut self) -> Result<Option<()>, ()> {
        if self.fails { Err(()) } else { Ok(None) }
    }
}

/// One of two sleepers is woken, and finds somebody else faster and an error; the other must not sleep on.
#[test]
fn loom_who_fails_passes_the_wake_up_on() {
    fn wait(guarded: &Guarded, slot: u64, fails: bool) -> bool {
        let me = Peer::model(slot).cookie().bits();
        let contention = guarded.core().contention();
        contention.wait(me, Deadline::NEVER, Light::register(), &mut Flag { guarded, fails }).is_ok()
    }
    fn give_back(guarded: &Guarded) {
        guarded.value[1].store(0, Release);
        guarded.core().contention().ring(Light::register());
    }
    without_spinning(|| {
        explore(2, || {
            let guarded = Guarded::new();
            guarded.value[1].store(1, Relaxed);
            let waiters = [true, false].map(|fails| {
                spawn(&guarded, move |guarded| {
                    let won = wait(guarded, 1 + u64::from(fails), fails);
                    assert!(won || fails);
                    if won {
                        give_back(guarded);
                    }
                })
            });
            give_back(&guarded);
            let mut faster = Flag { guarded: &guarded, fails: false };
            if faster.look(true) == Look::Ours(()) {
                give_back(&guarded);
            }
            join(waiters);
        });
    });
}

/// With several threads to a process: nobody is told that it waits for itself.
fn threads_of_one_process(preemptions: usize, guarded: impl Fn() -> Arc<Guarded> + Send + Sync + 'static, raw: bool) {
    explore(preemptions, move || {
        let guarded = guarded();
        let threads = [1, 2].map(|id| {
            spawn(&guarded, move |guarded| {
                model::be(id);
                if !raw {
                    guarded.lock_and_repair(1);
                } else if guarded.core().is_held_by(Peer::model(1).cookie(), id) {
                    panic!("taken for the owner");
                } else {
                    guarded.try_raw_for(1, NEVER).unwrap();
                    guarded.change();
                    assert!(guarded.unlock_raw(1));
                }
            })
        });
        join(threads);
        assert_eq!(guarded.changes(), 2);
    });
}

#[test]
fn loom_threads_of_one_process() {
    threads_of_one_process(2, Guarded::new, false);
}

/// Who takes a reservation back from the dead has the lock without another nap, since nobody will ring.
#[test]
fn loom_nobody_sleeps_twice_beside_a_lock_reserved_for_the_dead() {
    without_spinning(|| {
        explore(2, || {
            let guarded = Guarded::new();
            guarded.core().contention().next.store(Peer::model(1).cookie().bits(), Relaxed);
            peer::model::bury(1);
            let before = futex::naps();
            guarded.lock_and_change(2);
            assert_eq!(futex::naps() - before, 1);
        });
    });
}

/// Nor does who has little time leave it to the dead.
#[test]
fn loom_who_has_little_time_takes_what_is_reserved_for_the_dead() {
    without_spinning(|| {
        explore(2, || {
            let guarded = Guarded::new();
            guarded.core().contention().next.store(Peer::model(1).cookie().bits(), Relaxed);
            peer::model::bury(1);
            assert!(guarded.try_for(2, Wait::Until(Deadline::after_naps(1))).is_ok());
            assert_eq!(guarded.core().next(), None);
        });
    });
}

/// What the dead left in the holder word is the number of a thread of ours.
#[test]
fn loom_threads_of_one_process_follow_a_dead_owner() {
    let held_by_the_dead = || {
        let guarded = Guarded::held_by(2);
        peer::model::bury(2);
        guarded
    };
    without_spinning(|| threads_of_one_process(1, held_by_the_dead, false));
}

/// The holder word of a raw mutex tells of its last owner.
#[test]
fn loom_threads_of_one_process_follow_an_owner_of_a_raw_mutex() {
    let was_held = || {
        let guarded = Guarded::new();
        guarded.try_raw_for(2, NEVER).unwrap();
        assert!(guarded.unlock_raw(1));
        guarded
    };
    without_spinning(|| threads_of_one_process(2, was_held, true));
}

/// A thread that ends gives up what it has, and nothing else.
#[test]
fn loom_a_thread_ends() {
    without_spinning(|| {
        explore(2, || {
            let guarded = Guarded::new();
            let cookie = Peer::model(1).cookie();
            let thread = spawn(&guarded, move |guarded| {
                model::be(2);
                guarded.lock_and_repair(1);
                guarded.core().abandon(cookie, Some(2));
                let told = guarded.lock(1);
                guarded.core().abandon(cookie, Some(2));
                told
            });
            let told = [(); 2].map(|()| guarded.lock_and_repair(1));
            let told = join([thread]).into_iter().chain(told).chain([guarded.lock_and_repair(1)]);
            assert_eq!(told.filter(|&told| told).count(), 1);
        });
    });
}
