//! Barriers, as loom sees them.
//!
//! Seen to catch: the generation turned before the places are told.

use std::sync::Arc;

use loom::thread;

use super::arrive::{Arrived, Role};
use super::round::Outcome;
use super::{Barrier, BarrierError, BrokenBy};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::base::explore::{explore, without_light_fences};
use crate::base::mortal;
use crate::peer::{self, Peer};
use crate::sync::bell::Deadline;
use crate::sync::lock::contention::without_sleeping;
use crate::sync::part::model::Heap;

/// As much of a wait as comes before the waiting.
fn arrive(barrier: &Barrier, slot: u64) -> Arrived {
    barrier.inner.arrive(&Peer::model(slot), Deadline::NEVER, false).unwrap()
}

/// And the rest.
fn await_outcome(barrier: &Barrier, slot: u64, arrived: Arrived) -> Result<(), BarrierError> {
    let Role::Waits(at) = arrived.role else { panic!("need not wait") };
    barrier.inner.await_outcome(&Peer::model(slot), arrived, at, Deadline::NEVER)
}

fn broken<T>(outcome: &Result<T, BarrierError>) -> Option<BrokenBy> {
    match outcome {
        Ok(_) => None,
        Err(BarrierError::Broken(by)) => Some(*by),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn loom_two_meet_and_have_seen_each_other() {
    without_light_fences(|| {
        without_sleeping(|| {
            explore(2, || {
                let heap = Heap::new::<Barrier>(&2);
                let words = Arc::new([Word::new(0), Word::new(0)]);
                let meet = |index: usize| {
                    let (barrier, words) = (heap.open::<Barrier>(index as u64 + 1), words.clone());
                    move || {
                        words[index].store(1, Relaxed);
                        // Nobody sleeps: fences would hide what is missing.
                        let arrived = arrive(&barrier, index as u64 + 1);
                        if let Role::Waits(at) = arrived.role {
                            loop {
                                match barrier.inner.outcome(arrived.round, at) {
                                    Some(Outcome::Released) => break,
                                    Some(Outcome::Broken(by)) => panic!("{by}"),
                                    None => thread::yield_now(),
                                }
                            }
                            barrier.inner.places.leave(at);
                        }
                        assert_eq!(words[1 - index].load(Relaxed), 1, "let go before the other came");
                        arrived.index
                    }
                };
                let other = thread::spawn(meet(1));
                assert_eq!(meet(0)() + other.join().unwrap(), 1);
            });
        })
    });
}

#[test]
fn loom_two_meet_twice() {
    explore(2, || {
        let heap = Heap::new::<Barrier>(&2);
        let meet = |slot| {
            let barrier: Barrier = heap.open(slot);
            move || [(); 2].map(|()| barrier.wait().unwrap())
        };
        let other = thread::spawn(meet(1));
        let mine = meet(2)();
        let theirs = other.join().unwrap();
        for (generation, (mine, theirs)) in mine.into_iter().zip(theirs).enumerate() {
            assert_eq!((mine.generation, theirs.generation), (generation as u64, generation as u64));
            assert!(mine.is_leader != theirs.is_leader && mine.index + theirs.index == 1);
        }
    });
}

#[test]
fn loom_three_meet() {
    explore(1, || {
        let heap = Heap::new::<Barrier>(&3);
        let others = [1, 2].map(|slot| {
            let barrier: Barrier = heap.open(slot);
            thread::spawn(move || barrier.wait().unwrap().index)
        });
        let mine = heap.open::<Barrier>(3).wait().unwrap().index;
        let indices: u32 = others.map(|other| 1 << other.join().unwrap()).iter().sum();
        assert_eq!(indices + (1 << mine), 0b111);
    });
}

/// One has arrived; while it looks, its round is reset, and the next is gone through.
#[test]
fn loom_who_looks_late_is_told_what_its_own_round_came_to() {
    explore(2, || {
        let heap = Heap::new::<Barrier>(&2);
        let barrier: Barrier = heap.open(1);
        let arrived = arrive(&barrier, 1);
        let late = thread::spawn(move || await_outcome(&barrier, 1, arrived));
        let barrier: Barrier = heap.open(2);
        barrier.reset().unwrap();
        let first = arrive(&barrier, 2);
        assert!(matches!(arrive(&barrier, 2).role, Role::Done));
        await_outcome(&barrier, 2, first).unwrap();
        assert_eq!(broken(&late.join().unwrap()), Some(BrokenBy::Reset));
    });
    explore(2, || {
        let heap = Heap::new::<Barrier>(&2);
        let barrier: Barrier = heap.open(1);
        let arrived = arrive(&barrier, 1);
        let late = thread::spawn(move || await_outcome(&barrier, 1, arrived));
        let barrier: Barrier = heap.open(2);
        assert!(matches!(arrive(&barrier, 2).role, Role::Done));
        barrier.abort().unwrap();
        late.join().unwrap().unwrap();
        assert_eq!(broken(&barrier.wait()), Some(BrokenBy::Abort));
        barrier.reset().unwrap();
        assert!(!barrier.is_broken());
    });
}

/// Somebody breaks it while the last arrives: both are let go or both turned away.
#[test]
fn loom_it_is_broken_for_all_or_for_nobody() {
    explore(2, || {
        let heap = Heap::new::<Barrier>(&2);
        let barrier: Barrier = heap.open(1);
        let arrived = arrive(&barrier, 1);
        let first = thread::spawn(move || await_outcome(&barrier, 1, arrived));
        let breaker = {
            let barrier: Barrier = heap.open(3);
            let round = arrived.round;
            thread::spawn(move || barrier.inner.break_round(round, BrokenBy::Timeout))
        };
        let last = heap.open::<Barrier>(2).wait();
        let expected = breaker.join().unwrap().then_some(BrokenBy::Timeout);
        assert_eq!((broken(&first.join().unwrap()), broken(&last)), (expected, expected));
    });
}

/// The last to arrive dies at every store: the first is let go, or told; if anybody was let go, so is it; and the barrier goes on.
#[test]
fn loom_the_last_to_arrive_dies_at_every_store() {
    mortal::at_every_store(2, |stores| {
        let heap = Heap::new::<Barrier>(&2);
        let barrier: Barrier = heap.open(1);
        let arrived = arrive(&barrier, 1);
        let first = thread::spawn(move || await_outcome(&barrier, 1, arrived));
        let victim = {
            let barrier: Barrier = heap.open(2);
            thread::spawn(move || peer::model::run(2, stores, || barrier.wait().unwrap()).is_some())
        };
        let survived = victim.join().unwrap();
        let barrier: Barrier = heap.open(3);
        if !survived && barrier.waiting() == 1 {
            // It never came.
            barrier.abort().unwrap();
        }
        let outcome = broken(&first.join().unwrap());
        assert!(outcome.is_none() || !survived);
        goes_on(&barrier, outcome.is_some());
    });
}

/// Two more come, after a reset if it is broken.
fn goes_on(barrier: &Barrier, is_broken: bool) {
    assert_eq!(barrier.is_broken(), is_broken);
    if is_broken {
        barrier.reset().unwrap();
    }
    let first = arrive(barrier, 3);
    assert!(matches!(arrive(barrier, 3).role, Role::Done));
    await_outcome(barrier, 3, first).unwrap();
}

/// One of three dies at every store of arriving, or after that; another waits: it is told. If it was enlisted, also if it never came.
fn one_dies_while_another_waits(is_enlisted: bool) {
    mortal::at_every_store(2, move |stores| {
        let heap = Heap::new::<Barrier>(&3);
        let barrier: Barrier = heap.open(1);
        let arrived = arrive(&barrier, 1);
        let first = thread::spawn(move || await_outcome(&barrier, 1, arrived));
        let victim = {
            let barrier: Barrier = heap.open(2);
            thread::spawn(move || {
                peer::model::run(2, stores, || {
                    if is_enlisted {
                        std::mem::forget(barrier.party().unwrap());
                    }
                    arrive(&barrier, 2);
                })
                .is_some()
            })
        };
        let survived = victim.join().unwrap();
        let barrier: Barrier = heap.open(3);
        let came = barrier.waiting() == 2;
        if survived {
            // Goes in the end without having waited.
            peer::model::bury(2);
        }
        if !came && barrier.enlisted() == 0 {
            // It never came, or came and was found out already; or it died while it came, which may be found out or not.
            barrier.inner.break_round(arrived.round, BrokenBy::Death);
        }
        assert_eq!(broken(&first.join().unwrap()), Some(BrokenBy::Death));
        barrier.reset().unwrap();
        assert_eq!(barrier.enlisted(), 0);
    });
}

#[test]
fn loom_who_is_enlisted_dies_at_every_store() {
    one_dies_while_another_waits(true);
}

#[test]
fn loom_who_has_arrived_dies_at_every_store() {
    one_dies_while_another_waits(false);
}

/// The one who resets dies at every store, one waits meanwhile.
#[test]
fn loom_who_resets_dies_at_every_store() {
    mortal::at_every_store(2, |stores| {
        let heap = Heap::new::<Barrier>(&2);
        let barrier: Barrier = heap.open(1);
        let arrived = arrive(&barrier, 1);
        let first = thread::spawn(move || await_outcome(&barrier, 1, arrived));
        let victim = {
            let barrier: Barrier = heap.open(2);
            thread::spawn(move || peer::model::run(2, stores, || barrier.reset().unwrap()).is_some())
        };
        let survived = victim.join().unwrap();
        let barrier: Barrier = heap.open(3);
        if survived || barrier.waiting() == 0 {
            assert_eq!(broken(&first.join().unwrap()), Some(BrokenBy::Reset));
        } else {
            assert!(matches!(arrive(&barrier, 3).role, Role::Done));
            first.join().unwrap().unwrap();
        }
        goes_on(&barrier, false);
    });
}

/// Each brings an action; one is run, and both see what it did. Who runs it dies at every store.
#[test]
fn loom_an_action_is_run_before_anybody_goes_on() {
    mortal::at_every_store(1, |stores| {
        let heap = Heap::new::<Barrier>(&2);
        let word = Arc::new(Word::new(0));
        let meet = |slot| {
            let (barrier, word) = (heap.open::<Barrier>(slot), word.clone());
            move || {
                let act = || {
                    word.store(word.load(Relaxed) + 1, Relaxed);
                    Ok::<(), ()>(())
                };
                let outcome = barrier.wait_with(act);
                assert!(outcome.is_err() || word.load(Relaxed) == 1, "let go before the action, or after two");
                outcome.is_ok()
            }
        };
        let victim = meet(1);
        let victim = thread::spawn(move || peer::model::run(1, stores, victim));
        let other = thread::spawn(meet(2));
        let survived = victim.join().unwrap();
        let barrier: Barrier = heap.open(3);
        if survived.is_none() && barrier.is_broken() {
            assert!(!other.join().unwrap());
        } else if survived.is_none() {
            // It died without having come, or the other has not found out yet, or all were let go.
            let _ = barrier.abort();
            other.join().unwrap();
        } else {
            assert_eq!(survived, Some(other.join().unwrap()));
        }
    });
}
