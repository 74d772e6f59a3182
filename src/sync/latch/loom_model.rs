//! Latches, as loom sees them.
//!
//! Seen to catch: moves not counted; a party that leaves its seat before it is back in the count; nobody who opens it before saying that it is open.

use std::sync::Arc;

use loom::thread;

use super::{Latch, LatchError};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::base::explore::{explore, without_light_fences};
use crate::base::mortal;
use crate::peer;
use crate::sync::part::model::Heap;

/// Two do their part, each in one of two ways; somebody waits for both.
fn opens_after(first: fn(&Latch), second: fn(&Latch)) {
    explore(2, move || {
        let heap = Heap::new::<Latch>(&2);
        let doers = [first, second].map(|act| {
            let latch: Latch = heap.open(1);
            thread::spawn(move || act(&latch))
        });
        let latch: Latch = heap.open(2);
        latch.wait().unwrap();
        for doer in doers {
            doer.join().unwrap();
        }
        assert!(latch.is_open() && latch.left() == 0);
    });
}

fn plain(latch: &Latch) {
    latch.count_down(1).unwrap();
}

fn enlisted(latch: &Latch) {
    latch.party().unwrap().count_down();
}

#[test]
fn loom_a_latch_opens_when_two_have_counted_down() {
    opens_after(plain, plain);
}

#[test]
fn loom_a_latch_opens_when_a_party_and_another_have_counted_down() {
    opens_after(plain, enlisted);
}

/// Both were enlisted before: only their last steps are at once.
#[test]
fn loom_a_latch_opens_when_two_parties_have_counted_down() {
    explore(2, || {
        let heap = Heap::new::<Latch>(&2);
        let latch: Latch = heap.open(1);
        let seats = [(); 2].map(|()| {
            let party = latch.party().unwrap();
            let seat = party.seat();
            std::mem::forget(party);
            seat
        });
        let doers = seats.map(|seat| {
            let latch = latch.clone();
            thread::spawn(move || latch.party_of(1, seat).count_down())
        });
        heap.open::<Latch>(2).wait().unwrap();
        for doer in doers {
            doer.join().unwrap();
        }
    });
}

#[test]
fn loom_who_sees_it_open_sees_what_was_done_before() {
    for act in [plain as fn(&Latch), enlisted] {
        without_light_fences(|| {
            explore(2, move || {
                let heap = Heap::new::<Latch>(&2);
                let words = Arc::new([Word::new(0), Word::new(0)]);
                let doers = [0, 1].map(|index| {
                    let (latch, words) = (heap.open::<Latch>(1), words.clone());
                    thread::spawn(move || {
                        words[index].store(1, Relaxed);
                        if index == 0 { plain(&latch) } else { act(&latch) }
                    })
                });
                let latch: Latch = heap.open(2);
                if latch.is_open() {
                    assert!(words.iter().all(|word| word.load(Relaxed) == 1), "open before all was done");
                }
                for doer in doers {
                    doer.join().unwrap();
                }
                assert!(latch.is_open());
            });
        });
    }
}

/// A party dies at every store of enlisting and counting down: it has counted, or who waits is told.
#[test]
fn loom_a_party_dies_at_every_store() {
    mortal::at_every_store(3, |stores| {
        let heap = Heap::new::<Latch>(&1);
        let victim = {
            let latch: Latch = heap.open(1);
            thread::spawn(move || peer::model::run(1, stores, || enlisted(&latch)).is_some())
        };
        let waiter = {
            let latch: Latch = heap.open(2);
            thread::spawn(move || latch.wait())
        };
        let survived = victim.join().unwrap();
        let latch: Latch = heap.open(3);
        if !survived && latch.inner.seats.taken(1) == 0 && latch.left() > 0 {
            // It died before it had enlisted.
            plain(&latch);
        }
        match waiter.join().unwrap() {
            Ok(()) => assert!(latch.is_open()),
            Err(LatchError::PartyDied) => assert!(!survived && !latch.is_open()),
            Err(error) => panic!("{error}"),
        }
    });
}

/// One leaves in good order, or dies over it, while another counts down; the rest is somebody else's to do.
#[test]
fn loom_a_party_that_leaves_dies_at_every_store() {
    mortal::at_every_store(3, |stores| {
        let heap = Heap::new::<Latch>(&2);
        let victim = {
            let latch: Latch = heap.open(1);
            thread::spawn(move || peer::model::run(1, stores, || drop(latch.party())).is_some())
        };
        let latch: Latch = heap.open(2);
        plain(&latch);
        assert!(!latch.is_open());
        let survived = victim.join().unwrap();
        match latch.try_wait() {
            Err(LatchError::WouldBlock) => {
                assert_eq!(latch.left(), 1);
                plain(&latch);
                latch.wait().unwrap();
            }
            Err(LatchError::PartyDied) => assert!(!survived),
            other => panic!("{other:?}"),
        }
    });
}

/// One unit is left: who enlists for it and who counts it down cannot both have it, and what was open stays open.
#[test]
fn loom_the_last_unit_is_for_one() {
    explore(3, || {
        let heap = Heap::new::<Latch>(&1);
        let other = {
            let latch: Latch = heap.open(1);
            thread::spawn(move || latch.party().map(super::LatchParty::count_down).is_ok())
        };
        let latch: Latch = heap.open(2);
        let ours = latch.count_down(1).is_ok();
        let was_open = latch.is_open();
        let theirs = other.join().unwrap();
        assert!(ours != theirs && latch.is_open(), "{ours} {was_open}");
    });
}

/// A plain counting down that dies, and a waiter that is not woken by it.
#[test]
fn loom_who_counts_down_dies_at_every_store() {
    mortal::at_every_store(3, |stores| {
        let heap = Heap::new::<Latch>(&1);
        let victim = {
            let latch: Latch = heap.open(1);
            thread::spawn(move || peer::model::run(1, stores, || plain(&latch)).is_some())
        };
        let waiter = {
            let latch: Latch = heap.open(2);
            thread::spawn(move || latch.wait().unwrap())
        };
        let survived = victim.join().unwrap();
        let latch: Latch = heap.open(3);
        if latch.left() == 1 {
            assert!(!survived);
            plain(&latch);
        }
        waiter.join().unwrap();
    });
}

/// A unit leaves a seat that somebody has not looked at yet, and comes back to one that he has: it is not missed.
#[test]
fn loom_a_unit_that_moves_behind_a_look_is_not_missed() {
    explore(3, || {
        let heap = Heap::new::<Latch>(&2);
        let latch: Latch = heap.open(1);
        let [first, second] = [(); 2].map(|()| latch.party().unwrap());
        let seat = second.seat();
        std::mem::forget(second);
        first.count_down();
        let mover = {
            let latch = latch.clone();
            thread::spawn(move || {
                drop(latch.party_of(1, seat));
                let again = latch.party().unwrap();
                assert!(again.seat() < seat);
                std::mem::forget(again);
            })
        };
        let looker: Latch = heap.open(2);
        assert!(!looker.is_open(), "one is still to come");
        mover.join().unwrap();
        assert!(!looker.is_open() && looker.left() == 1);
    });
}

/// Who enlists dies at every store, while somebody else does the last thing there was to do: what was seen to be open stays open.
#[test]
fn loom_who_enlists_too_late_and_dies_spoils_nothing() {
    mortal::at_every_store(2, |stores| {
        let heap = Heap::new::<Latch>(&1);
        let victim = {
            let latch: Latch = heap.open(1);
            thread::spawn(move || peer::model::run(1, stores, || enlisted_if_any(&latch)))
        };
        let doer = {
            let latch: Latch = heap.open(2);
            thread::spawn(move || drop(latch.count_down(1)))
        };
        let latch: Latch = heap.open(3);
        let was_open = latch.is_open();
        victim.join().unwrap();
        doer.join().unwrap();
        match latch.try_wait() {
            Ok(()) => assert!(latch.is_open()),
            Err(error) => assert!(!was_open, "{error}, and it was open"),
        }
    });
}

fn enlisted_if_any(latch: &Latch) {
    let _ = latch.party().map(super::LatchParty::count_down);
}
