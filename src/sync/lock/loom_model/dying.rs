//! Somebody dies.

use super::super::contention::without_spinning;
use super::super::core::Wait;
use super::{Guarded, NEVER, join, spawn, victim};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::explore::{explore, without_light_fences};
use crate::base::mortal;
use crate::peer;

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
