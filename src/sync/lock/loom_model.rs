//! The lock core, as loom sees it. Threads are processes of one thread, unless a model says otherwise. loom's futex has no clock, so a lost
//! wake-up is a deadlock; time passes only when somebody dies.
//!
//! Seen to catch, each seeded alone:
//!
//! - *Owner word*: taken, when it is free, by a load and a store, or Relaxed; given back Relaxed, or before the holder word; settled Relaxed; taken over by a store instead of
//!   an exact exchange, from somebody alive, or without SETTLING; a thread that ends gives up what another thread of its process has.
//! - *Raw mutex*: taken without SETTLING; unlocked while its owner settles, by a store, or Relaxed.
//! - *Waiting*: no ring, or without its light fence; no heavy fence before the sleep, or before who leaves looks again; no look after setting the bell; the bell not set again by who was
//!   woken and wins, lies down once more, or fails; who fails does not ring for what is free; a bell without a count; one woken where `next` is somebody in particular; `next` not
//!   given up by who wins, or leaves, or not taken back from the dead.
//!
//! Seen *not* to catch, since nothing but time depends on it: a spinner that does not give up its place. Nor, since whoever comes next is told by the guard that was given back, or by the
//! death: INCONSISTENT missing in the owner word *while it is owned*. (`tests/layout.rs` and `tests/reentrant.rs` catch that.)

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::contention::{Contest, Look, without_spinning};
use super::core::{Acquired, Asker, Core, LOCK_WORDS, Refused, Unlock, Wait};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::atomic::Word;
use crate::base::explore::{explore, without_light_fences};
use crate::base::mortal;
use crate::peer::{self, Peer, Place};
use crate::segment::region::{WordArray, Words};
use crate::sync::bell::{self, Deadline, LONGEST_SLICE};
use crate::sync::thread::model;
use crate::sys::barrier::{self, Light};
use crate::sys::futex;

const NEVER: Wait = Wait::Until(Deadline::NEVER);
const PLACE: Place = Place { segment: 0, offset: 0 };

/// A lock around two words, which are the same whenever the lock is free and consistent.
struct Guarded {
    words: WordArray<LOCK_WORDS>,
    light: Light,
    value: [Word; 2],
}

impl Guarded {
    fn new() -> Arc<Self> {
        let words = Words::on_heap((0..LOCK_WORDS).map(|_| Word::new(0)).collect());
        let words: WordArray<LOCK_WORDS> = words.array(0).unwrap();
        Arc::new(Self { words, light: Light::register(), value: [Word::new(0), Word::new(0)] })
    }

    fn core(&self) -> Core<'_> {
        Core::new(self.words.as_array(), self.light)
    }

    /// Held by the peer of this slot.
    fn held_by(slot: u64) -> Arc<Self> {
        let guarded = Self::new();
        assert!(!guarded.lock(slot));
        guarded
    }

    fn try_for(&self, slot: u64, wait: Wait) -> Result<Acquired, Refused> {
        let peer = Peer::model(slot);
        if self.core().take(peer.cookie(), model::id()) {
            return Ok(Acquired { inconsistent: false });
        }
        self.core().take_contended(Asker { peer: &peer, thread: model::id(), place: PLACE }, wait)
    }

    /// The same of a raw mutex.
    fn try_raw_for(&self, slot: u64, wait: Wait) -> Result<Acquired, Refused> {
        let peer = Peer::model(slot);
        if self.core().take_raw(peer.cookie(), model::id()) {
            return Ok(Acquired { inconsistent: false });
        }
        self.core().take_contended_raw(Asker { peer: &peer, thread: model::id(), place: PLACE }, wait)
    }

    fn unlock_raw(&self, slot: u64) -> bool {
        let unlocked = self.core().unlock_for_anyone(|owner| Peer::model(slot).is_alive(owner)).unwrap();
        assert!(!matches!(unlocked, Unlock::Settling(_)));
        unlocked == Unlock::Done
    }

    /// Waits for the lock as the peer of this slot; whether it is inconsistent.
    fn lock(&self, slot: u64) -> bool {
        self.try_for(slot, NEVER).unwrap().inconsistent
    }

    fn unlock(&self) {
        self.core().give_back(false);
    }

    /// What the owner does: whatever it does alone leaves both words the same.
    fn change(&self) -> u64 {
        let [first, second] = [0, 1].map(|index| {
            let value = self.value[index].load(Relaxed) + 1;
            self.value[index].store(value, Relaxed);
            value
        });
        assert_eq!(first, second, "two at once, or what the last one wrote is not seen");
        first
    }

    fn lock_and_change(&self, slot: u64) {
        assert!(!self.lock(slot), "nobody died");
        self.change();
        self.unlock();
    }

    /// Takes the lock after somebody may have died holding it; whether we are told.
    fn lock_and_repair(&self, slot: u64) -> bool {
        let told = self.lock(slot);
        let [first, second] = [0, 1].map(|index| self.value[index].load(Relaxed));
        if told {
            assert!(first == second || first == second + 1);
            self.value[1].store(first, Relaxed);
            self.core().declare(false);
        } else {
            assert_eq!(first, second, "half changed, and nobody is told");
        }
        self.change();
        self.unlock();
        told
    }

    fn changes(&self) -> u64 {
        self.value[0].load(Relaxed)
    }
}

fn spawn<R: 'static>(guarded: &Arc<Guarded>, act: impl FnOnce(&Guarded) -> R + 'static) -> JoinHandle<R> {
    let guarded = guarded.clone();
    thread::spawn(move || act(&guarded))
}

/// The peer of slot 1 does something, and dies instead of making store number `stores`; whether it survives.
fn victim(stores: u64, guarded: &Arc<Guarded>, act: impl FnOnce(&Guarded) + 'static) -> JoinHandle<bool> {
    spawn(guarded, move |guarded| peer::model::run(1, stores, || act(guarded)).is_some())
}

fn join<R>(threads: impl IntoIterator<Item = JoinHandle<R>>) -> Vec<R> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

// Everybody lives.

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

// Somebody dies.

/// Whoever comes next is told if the dead was in the middle, one is told at most, and nobody is if all lived.
fn an_owner_dies(preemptions: usize, act: impl Fn(&Guarded) + Copy + Send + Sync + 'static) {
    mortal::at_every_store(preemptions, move |stores| {
        let guarded = Guarded::new();
        let victim = victim(stores, &guarded, act);
        let told = [guarded.lock_and_repair(2), {
            let survived = victim.join().unwrap();
            let told = guarded.lock_and_repair(3);
            assert!(!(survived && told));
            told
        }];
        assert!(told != [true; 2]);
        assert!(!guarded.lock_and_repair(2), "told again of what was repaired");
    });
}

#[test]
fn loom_an_owner_dies_at_every_store() {
    without_spinning(|| an_owner_dies(2, |guarded| guarded.lock_and_change(1)));
}

#[test]
fn loom_an_owner_dies_at_every_store_among_spinners() {
    an_owner_dies(2, |guarded| guarded.lock_and_change(1));
}

/// Nobody sleeps: who comes while it is held goes away.
#[test]
fn loom_what_the_dead_wrote_is_seen() {
    without_light_fences(|| {
        mortal::at_every_store(3, |stores| {
            let guarded = Guarded::new();
            let victim = victim(stores, &guarded, |guarded| {
                if guarded.try_for(1, Wait::Not).is_ok() {
                    guarded.change();
                    guarded.unlock();
                }
            });
            if let Ok(acquired) = guarded.try_for(2, Wait::Not) {
                let values = [0, 1].map(|index| guarded.value[index].load(Relaxed));
                assert!(acquired.inconsistent || values[0] == values[1]);
                guarded.core().give_back(acquired.inconsistent);
            }
            victim.join().unwrap();
            guarded.lock_and_repair(3);
        });
    });
}

/// Who took over from the dead dies as well: the next is told of both.
#[test]
fn loom_a_successor_dies_at_every_store() {
    without_spinning(|| {
        mortal::at_every_store(1, |stores| {
            let guarded = Guarded::held_by(3);
            guarded.value[0].store(1, Relaxed);
            peer::model::bury(3);
            let victim = victim(stores, &guarded, |guarded| {
                guarded.lock_and_repair(1);
            });
            guarded.lock_and_repair(2);
            if victim.join().unwrap() {
                assert_eq!(guarded.changes(), 3);
            } else {
                guarded.lock_and_repair(2);
            }
            assert!(!guarded.lock_and_repair(2));
        });
    });
}

/// One of two who wait dies: asleep, woken, or with the lock.
fn a_waiter_dies(preemptions: usize) {
    mortal::at_every_store(preemptions, |stores| {
        let guarded = Guarded::held_by(3);
        let victim = victim(stores, &guarded, |guarded| guarded.lock_and_change(1));
        let other = spawn(&guarded, |guarded| guarded.lock_and_repair(2));
        guarded.unlock();
        let survived = victim.join().unwrap();
        let told = other.join().unwrap();
        assert!(!(survived && told));
        guarded.lock_and_repair(3);
        assert!(!guarded.lock_and_repair(3));
    });
}

#[test]
fn loom_a_sleeper_dies_at_every_store() {
    without_spinning(|| a_waiter_dies(1));
}

/// The only one who waits, so that it spins and the lock is reserved for it.
#[test]
fn loom_a_spinner_dies_at_every_store() {
    mortal::at_every_store(2, |stores| {
        let guarded = Guarded::held_by(3);
        let victim = victim(stores, &guarded, |guarded| guarded.lock_and_change(1));
        guarded.unlock();
        let told = guarded.lock_and_repair(2);
        let survived = victim.join().unwrap();
        assert!(!(survived && told));
        guarded.lock_and_repair(3);
    });
}

// Raw mutexes.

/// Each unlocking that succeeds is the end of one holding.
#[test]
fn loom_who_owns_a_raw_mutex_and_another_unlock_it() {
    without_spinning(|| {
        explore(2, || {
            let guarded = Guarded::new();
            guarded.try_raw_for(1, NEVER).unwrap();
            let unlockers = [1, 2].map(|slot| spawn(&guarded, move |guarded| u64::from(guarded.unlock_raw(slot))));
            guarded.try_raw_for(3, NEVER).unwrap();
            let unlocked: u64 = join(unlockers).iter().sum();
            assert_eq!(2 - unlocked, u64::from(!guarded.core().owner().load().is_free()));
            assert!(unlocked == 2 || guarded.unlock_raw(3));
            guarded.try_raw_for(1, Wait::Not).unwrap();
        });
    });
}

#[test]
fn loom_a_raw_mutex_hands_over_what_was_written() {
    without_light_fences(|| {
        explore(3, || {
            let guarded = Guarded::new();
            let others = [1, 2].map(|slot| {
                spawn(&guarded, move |guarded| {
                    let taken = guarded.try_raw_for(slot, Wait::Not).is_ok();
                    if taken {
                        guarded.change();
                        assert!(guarded.unlock_raw(slot));
                    }
                })
            });
            join(others);
            guarded.try_raw_for(3, Wait::Not).unwrap();
            guarded.change();
        });
    });
}

/// Somebody takes a raw mutex from the dead while another unlocks it, and a third tries to have it.
#[test]
fn loom_a_raw_mutex_of_the_dead_is_unlocked_while_it_is_taken() {
    without_spinning(|| {
        explore(2, || {
            let guarded = Guarded::new();
            guarded.try_raw_for(3, NEVER).unwrap();
            peer::model::bury(3);
            let unlocker = spawn(&guarded, |guarded| {
                let unlocked = u64::from(guarded.unlock_raw(1));
                let taken = u64::from(guarded.try_raw_for(1, Wait::Not).is_ok());
                unlocked + if taken == 1 { u64::from(guarded.unlock_raw(1)) } else { 0 } - taken
            });
            guarded.try_raw_for(2, NEVER).unwrap();
            let unlocked = join([unlocker])[0];
            // Not every unlocking was of our holding: one may have been of the dead one's.
            let locked = u64::from(!guarded.core().owner().load().is_free());
            assert!(locked + unlocked == 1 || locked + unlocked == 2);
            assert_eq!(guarded.unlock_raw(2), locked == 1);
            assert!(!guarded.unlock_raw(2), "unlocked, and locked all the same");
        });
    });
}

#[test]
fn loom_who_takes_a_raw_mutex_dies_at_every_store() {
    without_spinning(|| {
        mortal::at_every_store(1, |stores| {
            let guarded = Guarded::new();
            let victim = victim(stores, &guarded, |guarded| {
                guarded.try_raw_for(1, NEVER).unwrap();
                guarded.unlock_raw(1);
            });
            let unlocker = spawn(&guarded, |guarded| guarded.unlock_raw(2));
            let told = guarded.try_raw_for(3, NEVER).unwrap().inconsistent;
            guarded.unlock_raw(3);
            let survived = victim.join().unwrap();
            unlocker.join().unwrap();
            assert!(!(survived && told));
            guarded.core().mark_consistent_for_anyone();
            assert!(!guarded.try_raw_for(2, NEVER).unwrap().inconsistent || !survived);
        });
    });
}
