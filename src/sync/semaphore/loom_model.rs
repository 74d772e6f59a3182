//! Semaphores, as loom sees them.
//!
//! Seen to catch: what a dead one was taking not given back.

use std::sync::Arc;

use loom::thread;

use super::{AcquireError, Semaphore, SemaphoreSetup};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::base::explore::{explore, without_light_fences};
use crate::base::mortal;
use crate::peer;
use crate::sync::lock::contention::without_spinning;
use crate::sync::part::model::Heap;

/// How many stores it takes to take a permit and give it back: each time four of the lock's, the rest is the ledger's.
const TAKE_AND_GIVE: u64 = 9 + 8;

fn semaphore(permits: u32) -> Heap {
    Heap::new::<Semaphore>(&SemaphoreSetup::new(permits))
}

/// How many permits can be had now; all are given back.
fn permits(semaphore: &Semaphore) -> usize {
    let mut held = Vec::new();
    loop {
        match semaphore.try_permit() {
            Ok(permit) => held.push(permit),
            Err(AcquireError::WouldBlock | AcquireError::TooManyPermits { .. }) => return held.len(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Lets others go to sleep, for which they need no preemption then: on their way they yield, and who yields is not preempted.
fn let_others_sleep() {
    (0..4).for_each(|_| thread::yield_now());
}

fn as_one_alone(value: &Word) {
    let seen = value.load(Relaxed);
    value.store(seen + 1, Relaxed);
}

#[test]
fn loom_one_permit_is_for_one_at_a_time() {
    explore(2, || {
        let heap = semaphore(1);
        let value = Arc::new(Word::new(0));
        let others = [1, 2].map(|slot| {
            let (semaphore, value) = (heap.open::<Semaphore>(slot), value.clone());
            thread::spawn(move || {
                semaphore.acquire().unwrap();
                as_one_alone(&value);
                semaphore.release().unwrap();
            })
        });
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(value.load(Relaxed), 2);
        assert_eq!(heap.open::<Semaphore>(0).available(), 1);
    });
}

#[test]
fn loom_a_guarded_permit_is_for_one_at_a_time() {
    explore(2, || {
        let heap = semaphore(1);
        let value = Arc::new(Word::new(0));
        let other = {
            let (semaphore, value) = (heap.open::<Semaphore>(1), value.clone());
            thread::spawn(move || {
                let _permit = semaphore.permit().unwrap();
                as_one_alone(&value);
            })
        };
        let semaphore: Semaphore = heap.open(0);
        let permit = semaphore.permit().unwrap();
        as_one_alone(&value);
        drop(permit);
        other.join().unwrap();
        assert_eq!(value.load(Relaxed), 2);
        assert_eq!(semaphore.available(), 1);
    });
}

/// Whoever finds that no more guards can be had, on the way to sleep as well, is told so and does not sleep.
#[test]
fn loom_nobody_sleeps_for_a_guard_that_cannot_be_had() {
    without_spinning(|| {
        explore(2, || {
            let heap = semaphore(2);
            let semaphore: Semaphore = heap.open(0);
            let all = [semaphore.permit().unwrap(), semaphore.permit().unwrap()];
            let other = {
                let semaphore = heap.open::<Semaphore>(1);
                thread::spawn(move || semaphore.permit().map(drop))
            };
            semaphore.release().unwrap();
            assert!(matches!(other.join().unwrap(), Err(AcquireError::TooManyPermits { .. })));
            drop(all);
        });
    });
}

/// Without anybody asleep, the count alone hands over what was written.
#[test]
fn loom_a_permit_hands_over_what_was_written() {
    without_light_fences(|| {
        explore(3, || {
            let heap = semaphore(0);
            let value = Arc::new(Word::new(0));
            let other = {
                let (semaphore, value) = (heap.open::<Semaphore>(1), value.clone());
                thread::spawn(move || {
                    value.store(1, Relaxed);
                    semaphore.release().unwrap();
                })
            };
            let semaphore: Semaphore = heap.open(0);
            if semaphore.try_acquire().is_ok() {
                assert_eq!(value.load(Relaxed), 1);
            }
            other.join().unwrap();
        });
    });
}

fn all_are_woken(release: impl Fn(&Semaphore) + Copy + Send + Sync + 'static) {
    explore(1, move || {
        let heap = semaphore(0);
        let waiters = [1, 2].map(|slot| {
            let semaphore: Semaphore = heap.open(slot);
            thread::spawn(move || semaphore.acquire().unwrap())
        });
        let semaphore: Semaphore = heap.open(0);
        let_others_sleep();
        release(&semaphore);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(semaphore.available(), 0);
    });
}

#[test]
fn loom_who_releases_two_wakes_two() {
    all_are_woken(|semaphore| semaphore.release_many(2).unwrap());
}

#[test]
fn loom_two_releases_wake_two() {
    all_are_woken(|semaphore| {
        semaphore.release().unwrap();
        semaphore.release().unwrap();
    });
}

/// One waits for a guard, and gives it back; then the other gets it.
#[test]
fn loom_a_guard_that_goes_wakes_the_next() {
    explore(1, || {
        let heap = semaphore(0);
        let waiters = [1, 2].map(|slot| {
            let semaphore: Semaphore = heap.open(slot);
            thread::spawn(move || drop(semaphore.permit().unwrap()))
        });
        let_others_sleep();
        heap.open::<Semaphore>(0).release().unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(permits(&heap.open(0)), 1);
    });
}

/// Somebody dies at every store of taking a permit and giving it back, another takes and gives one meanwhile: in the end there is one.
#[test]
fn loom_a_holder_dies_at_every_store() {
    mortal::at_every_store(1, |stores| {
        let heap = semaphore(1);
        let victim = {
            let semaphore: Semaphore = heap.open(1);
            thread::spawn(move || {
                peer::model::run(1, stores, || drop(semaphore.try_permit()));
            })
        };
        let semaphore: Semaphore = heap.open(2);
        drop(semaphore.try_permit());
        victim.join().unwrap();
        assert_eq!(permits(&semaphore), 1);
    });
}

/// Plain permits come and go while a holder of a guarded one dies.
#[test]
fn loom_plain_permits_come_and_go_while_a_holder_dies() {
    mortal::at_every_store(1, |stores| {
        let heap = semaphore(2);
        let victim = {
            let semaphore: Semaphore = heap.open(1);
            thread::spawn(move || {
                peer::model::run(1, stores, || drop(semaphore.try_permit()));
            })
        };
        let semaphore: Semaphore = heap.open(2);
        semaphore.try_acquire().unwrap();
        semaphore.release().unwrap();
        victim.join().unwrap();
        assert_eq!(permits(&semaphore), 2);
    });
}

/// Who waits for the permit that a dying process has, gets it.
#[test]
fn loom_who_waits_for_the_permit_of_the_dead_gets_it() {
    mortal::at_every_store(2, |stores| {
        let heap = semaphore(1);
        let victim = {
            let semaphore: Semaphore = heap.open(1);
            thread::spawn(move || {
                peer::model::run(1, stores, || {
                    let permit = semaphore.try_permit();
                    let_others_sleep();
                    drop(permit);
                })
            })
        };
        let semaphore: Semaphore = heap.open(2);
        let_others_sleep();
        semaphore.acquire().unwrap();
        victim.join().unwrap();
        assert_eq!(permits(&semaphore), 0);
    });
}

/// Who gives permits back dies at every store: what was given can be taken, and who waits finds it.
#[test]
fn loom_who_releases_dies_at_every_store() {
    mortal::at_every_store(3, |stores| {
        let heap = semaphore(0);
        let victim = {
            let semaphore: Semaphore = heap.open(1);
            thread::spawn(move || {
                let_others_sleep();
                peer::model::run(1, stores, || semaphore.release().unwrap()).is_some()
            })
        };
        let waiter = {
            let semaphore: Semaphore = heap.open(2);
            thread::spawn(move || semaphore.acquire().unwrap())
        };
        let survived = victim.join().unwrap();
        let semaphore: Semaphore = heap.open(0);
        if !survived && semaphore.available() == 0 {
            // Perhaps the waiter has it already; otherwise it needs one.
            semaphore.release().unwrap();
        }
        waiter.join().unwrap();
        assert!(semaphore.available() <= 1);
    });
}

/// One after the other: the first dies anywhere, the second anywhere while it looks after that, the third finds all permits there.
#[test]
fn loom_who_settles_for_the_dead_dies_too() {
    for (first, second) in
        (0..=TAKE_AND_GIVE).flat_map(|first| (0..=3 * TAKE_AND_GIVE).map(move |second| (first, second)))
    {
        explore(0, move || {
            let heap = semaphore(2);
            let (one, two): (Semaphore, Semaphore) = (heap.open(1), heap.open(2));
            let died = peer::model::run(1, first, || drop(one.try_permit())).is_none();
            assert_eq!(died, first < TAKE_AND_GIVE);
            peer::model::run(2, second, || {
                let _held = (two.try_permit(), two.try_permit());
            });
            assert_eq!(permits(&heap.open(0)), 2, "after {first} and {second} stores");
        });
    }
}

/// A permit that is kept as a plain one is taken for good once the guard is gone, and comes back before.
#[test]
fn loom_a_permit_is_kept_or_comes_back() {
    mortal::at_every_store(2, |stores| {
        let heap = semaphore(1);
        let semaphore: Semaphore = heap.open(1);
        let kept = peer::model::run(1, stores, || semaphore.permit().unwrap().into_plain()).is_some();
        let left = permits(&heap.open(2));
        assert!(left == 1 || kept || left == 0, "{left}");
        if kept {
            assert_eq!(left, 0);
        }
    });
}

/// A guard that was leaked comes back with the thread, or with the handle.
#[test]
fn loom_what_was_leaked_comes_back() {
    use crate::sync::abandon::Abandon;
    explore(2, || {
        let heap = semaphore(1);
        let waiter = {
            let semaphore: Semaphore = heap.open(2);
            thread::spawn(move || semaphore.acquire().unwrap())
        };
        let semaphore: Semaphore = heap.open(1);
        if let Ok(permit) = semaphore.try_permit() {
            std::mem::forget(permit);
            semaphore.inner.abandon(Some(7));
            assert_eq!(semaphore.available(), 0, "another thread's");
            semaphore.inner.abandon(Some(crate::sync::thread::id()));
        }
        waiter.join().unwrap();
        assert_eq!(semaphore.available(), 0);
    });
}
