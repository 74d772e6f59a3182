//! Barriers from outside: one process, several threads, two processes, spoilt words.

use std::cell::RefCell;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use sharedware::sync::{ActionError, Arrival, Barrier, BarrierError, BrokenBy, Party, Semaphore};
use sharedware::{Options, Reason, Segment};

mod common {
    pub(crate) mod late;
    pub(crate) mod place;
}
use common::late::{Late, outlives};
use common::place::{self, Place, SOON, eventually, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

#[track_caller]
fn assert_broken<T: std::fmt::Debug>(outcome: Result<T, BarrierError>, expected: BrokenBy) {
    match outcome {
        Err(BarrierError::Broken(by)) => assert_eq!(by, expected),
        other => panic!("expected broken by {expected:?}, found {other:?}"),
    }
}

/// Waits until so many wait.
fn until_waiting(barrier: &Barrier, count: u32) {
    eventually(|| (barrier.waiting() == count).then_some(()));
}

#[test]
fn all_go_on_together_round_after_round() {
    const PARTIES: u32 = 4;
    const ROUNDS: u64 = 200;
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", PARTIES).unwrap();
    assert_eq!((barrier.parties(), barrier.waiting(), barrier.generation()), (PARTIES, 0, 0));
    let arrivals = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..PARTIES {
            let barrier = Barrier::open(&place.domain(), "it").unwrap();
            let arrivals = &arrivals;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    arrivals.lock().unwrap().push((round, None));
                    let arrival = barrier.wait_timeout(SOON).unwrap();
                    let mut arrivals = arrivals.lock().unwrap();
                    let came = arrivals.iter().filter(|(of, arrival)| *of == round && arrival.is_none()).count();
                    assert_eq!(came, PARTIES as usize, "let go before all came");
                    arrivals.push((round, Some(arrival)));
                }
            });
        }
    });
    let arrivals: Vec<(u64, Option<Arrival>)> = arrivals.into_inner().unwrap();
    for round in 0..ROUNDS {
        let mut indices: Vec<u32> = Vec::new();
        for arrival in arrivals.iter().filter(|(of, _)| *of == round).filter_map(|(_, arrival)| *arrival) {
            assert_eq!(arrival.generation, round);
            assert_eq!(arrival.is_leader, arrival.index + 1 == PARTIES);
            indices.push(arrival.index);
        }
        indices.sort_unstable();
        assert_eq!(indices, (0..PARTIES).collect::<Vec<_>>());
    }
    assert_eq!((barrier.generation(), barrier.waiting(), barrier.is_broken()), (ROUNDS, 0, false));
}

#[test]
fn one_party_never_waits() {
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 1).unwrap();
    for round in 0..100 {
        let arrival = barrier.wait_timeout(Duration::ZERO).unwrap();
        assert!(arrival.is_leader && arrival.index == 0 && arrival.generation == round);
    }
}

#[test]
fn who_waits_too_long_breaks_it_for_all() {
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 3).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until_waiting(&barrier, 1);
        let outcome = takes_at_least(MOMENT, || barrier.wait_timeout(MOMENT));
        assert!(matches!(outcome, Err(BarrierError::TimedOut)), "{outcome:?}");
        assert_broken(waiter.join().unwrap(), BrokenBy::Timeout);
    });
    assert!(barrier.is_broken() && barrier.waiting() == 0);
    assert_broken(barrier.wait(), BrokenBy::Timeout);
    assert_broken(barrier.wait_timeout(Duration::ZERO), BrokenBy::Timeout);
    barrier.reset().unwrap();
    assert!(!barrier.is_broken());
    let outcome = barrier.wait_timeout(Duration::ZERO);
    assert!(matches!(outcome, Err(BarrierError::TimedOut)), "{outcome:?}");
}

#[test]
fn it_is_aborted_until_it_is_reset() {
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 2).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until_waiting(&barrier, 1);
        barrier.abort().unwrap();
        assert_broken(waiter.join().unwrap(), BrokenBy::Abort);
        assert_broken(barrier.wait(), BrokenBy::Abort);
        barrier.abort().unwrap();
        barrier.reset().unwrap();
        let waiter = scope.spawn(|| barrier.wait());
        barrier.wait().unwrap();
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn a_reset_turns_away_who_waits_and_makes_it_new() {
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 2).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until_waiting(&barrier, 1);
        barrier.reset().unwrap();
        assert_broken(waiter.join().unwrap(), BrokenBy::Reset);
        assert!(!barrier.is_broken());
        let waiter = scope.spawn(|| barrier.wait());
        assert_eq!(barrier.wait().unwrap().generation, 1);
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn an_action_is_run_by_one_before_all_go_on() {
    const ROUNDS: u32 = 100;
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 3).unwrap();
    let count = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    let act = || {
                        *count.lock().unwrap() += 1;
                        Ok::<(), ()>(())
                    };
                    barrier.wait_with_timeout(SOON, act).unwrap();
                    assert_eq!(*count.lock().unwrap(), round);
                    // So that nobody begins the next round before all have looked.
                    barrier.wait_timeout(SOON).unwrap();
                }
            });
        }
    });
}

#[test]
fn an_action_that_fails_breaks_it_for_the_others() {
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 2).unwrap();
    thread::scope(|scope| {
        for panics in [false, true] {
            let waiter = scope.spawn(|| barrier.wait());
            until_waiting(&barrier, 1);
            if panics {
                let runner = scope.spawn(|| {
                    barrier.wait_with(|| -> Result<(), ()> { std::panic::resume_unwind(Box::new("on purpose")) })
                });
                assert!(runner.join().is_err());
            } else {
                let outcome = barrier.wait_with(|| Err("no"));
                assert!(matches!(outcome, Err(ActionError::Action("no"))), "{outcome:?}");
            }
            assert_broken(waiter.join().unwrap(), BrokenBy::Action);
            assert_broken(barrier.wait(), BrokenBy::Action);
            barrier.reset().unwrap();
        }
    });
}

/// Who waits within the action waits for itself; the barrier is none the worse for it.
#[test]
fn who_runs_the_action_cannot_wait() {
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 2).unwrap();
    let inner = Barrier::create(&place.domain(), "inner", 1).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until_waiting(&barrier, 1);
        let act = || {
            // By whichever handle; and within the action of another.
            for barrier in [&barrier, &Barrier::open(&place.domain(), "it").unwrap()] {
                assert!(matches!(barrier.wait(), Err(BarrierError::Deadlock)));
                assert!(matches!(barrier.wait_timeout(SOON), Err(BarrierError::Deadlock)));
                inner.wait_with(|| barrier.wait().map(|_| ())).unwrap_err();
                inner.reset().unwrap();
            }
            Ok::<(), ()>(())
        };
        barrier.wait_with(act).unwrap();
        waiter.join().unwrap().unwrap();
        // Not of a later round.
        let waiter = scope.spawn(|| barrier.wait());
        barrier.wait_timeout(SOON).unwrap();
        waiter.join().unwrap().unwrap();
    });
}

/// While an action runs, one does not want to wait any longer; and who comes for the next round waits for that.
#[test]
fn others_may_leave_and_come_while_an_action_runs() {
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 2).unwrap();
    let begun = Semaphore::create(&place.domain(), "begun", 0).unwrap();
    let go_on = Semaphore::create(&place.domain(), "go-on", 0).unwrap();
    let act = || {
        begun.release().unwrap();
        go_on.acquire().unwrap();
        Ok::<(), ()>(())
    };
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until_waiting(&barrier, 1);
        let runner = scope.spawn(|| barrier.wait_with(act));
        begun.acquire().unwrap();
        let early = scope.spawn(|| barrier.wait());
        let too_early = takes_at_least(MOMENT, || barrier.wait_timeout(MOMENT));
        assert!(matches!(too_early, Err(BarrierError::TimedOut)), "{too_early:?}");
        assert!(!barrier.is_broken(), "it was not its round");
        go_on.release().unwrap();
        runner.join().unwrap().unwrap();
        waiter.join().unwrap().unwrap();
        until_waiting(&barrier, 1);
        assert_eq!(barrier.wait().unwrap().generation, 1);
        early.join().unwrap().unwrap();

        let waiter = scope.spawn(|| barrier.wait_timeout(4 * MOMENT));
        until_waiting(&barrier, 1);
        let runner = scope.spawn(|| barrier.wait_with(act));
        begun.acquire().unwrap();
        let outcome = waiter.join().unwrap();
        assert!(matches!(outcome, Err(BarrierError::TimedOut)), "{outcome:?}");
        go_on.release().unwrap();
        match runner.join().unwrap() {
            Err(ActionError::Barrier(error)) => assert_broken::<()>(Err(error), BrokenBy::Timeout),
            other => panic!("{other:?}"),
        }
    });
}

// Parties.

#[test]
fn parties_are_counted_and_leave_in_good_order() {
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 2).unwrap();
    let party = barrier.party().unwrap();
    let other = barrier.party().unwrap();
    assert_eq!(barrier.enlisted(), 2);
    assert!(matches!(barrier.party(), Err(BarrierError::TooManyParties(2))));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        party.wait().unwrap();
        waiter.join().unwrap().unwrap();
    });
    drop(party);
    drop(other);
    assert_eq!(barrier.enlisted(), 0);
    assert!(matches!(barrier.party().unwrap().wait_timeout(MOMENT), Err(BarrierError::TimedOut)));
}

#[test]
fn a_thread_that_ends_with_a_leaked_party_is_dead() {
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 2).unwrap();
    for panics in [false, true] {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let party = barrier.party().unwrap();
                if panics {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
                std::mem::forget(party);
            });
            assert_eq!(thread.join().is_err(), panics);
        });
        assert_broken(barrier.wait_timeout(SOON), BrokenBy::Death);
        assert_eq!(barrier.enlisted(), 1);
        barrier.reset().unwrap();
        assert_eq!(barrier.enlisted(), 0);
    }
}

thread_local! {
    static LATE: RefCell<Option<Late<Party<'static>>>> = const { RefCell::new(None) };
}

/// It is not leaked: until it is dropped it is enlisted, and breaks nothing.
#[test]
fn a_party_in_a_thread_local_stays_until_it_is_dropped() {
    let place = Place::new();
    let barrier: &'static _ = Box::leak(Box::new(Barrier::create(&place.domain(), "it", 1).unwrap()));
    for touched_first in [true, false] {
        let seen = || {
            assert_eq!(barrier.enlisted(), 1, "{touched_first}");
            barrier.wait().unwrap();
        };
        outlives(&LATE, touched_first, || barrier.party().ok(), seen);
        assert_eq!(barrier.enlisted(), 0);
        assert!(!barrier.is_broken());
    }
}

#[test]
fn who_arrived_and_is_killed_breaks_it() {
    if let Some((_, place)) = place::role() {
        let _ = Barrier::open(&place.domain(), "it").unwrap().wait();
        place::sleep_until_killed();
    }
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 3).unwrap();
    for waits_before in [false, true] {
        thread::scope(|scope| {
            let before = waits_before.then(|| scope.spawn(|| barrier.wait()));
            until_waiting(&barrier, u32::from(waits_before));
            let other = place.other_process("who_arrived_and_is_killed_breaks_it", "party");
            until_waiting(&barrier, 1 + u32::from(waits_before));
            other.kill();
            let outcome = before.map_or_else(|| barrier.wait_timeout(SOON), |before| before.join().unwrap());
            assert_broken(outcome, BrokenBy::Death);
            assert_broken(barrier.wait(), BrokenBy::Death);
        });
        barrier.reset().unwrap();
    }
}

#[test]
fn who_is_enlisted_and_killed_on_its_way_breaks_it() {
    if let Some((_, place)) = place::role() {
        let barrier = Barrier::open(&place.domain(), "it").unwrap();
        let _party = barrier.party().unwrap();
        place::sleep_until_killed();
    }
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 2).unwrap();
    let other = place.other_process("who_is_enlisted_and_killed_on_its_way_breaks_it", "party");
    eventually(|| (barrier.enlisted() == 1).then_some(()));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait_timeout(SOON));
        until_waiting(&barrier, 1);
        thread::sleep(MOMENT);
        assert_eq!(barrier.waiting(), 1, "it lives");
        other.kill();
        assert_broken(waiter.join().unwrap(), BrokenBy::Death);
    });
    // Also who comes after the death.
    barrier.reset().unwrap();
    assert_eq!(barrier.enlisted(), 0);
}

#[test]
fn who_is_killed_in_its_action_breaks_it() {
    if let Some((_, place)) = place::role() {
        let _ = Barrier::open(&place.domain(), "it").unwrap().wait_with(|| -> Result<(), ()> { place::die() });
        return;
    }
    let place = Place::new();
    let barrier = Barrier::create(&place.domain(), "it", 2).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait_timeout(SOON));
        until_waiting(&barrier, 1);
        place.other_process("who_is_killed_in_its_action_breaks_it", "runner").end();
        assert_broken(waiter.join().unwrap(), BrokenBy::Death);
    });
}

// Bad input.

#[test]
fn numbers_of_parties_that_cannot_be_are_refused() {
    let place = Place::new();
    for parties in [0, 65_536, u32::MAX] {
        let refused = Barrier::create(&place.domain(), "it", parties).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Size { .. }), "{refused}");
        assert_eq!(Barrier::size_of_part(parties), None);
    }
    assert!(place.files().is_empty(), "{:?}", place.files());
    let large = Barrier::create(&place.domain(), "large", 65_535).unwrap();
    assert!(matches!(large.wait_timeout(Duration::ZERO), Err(BarrierError::TimedOut)));
    large.reset().unwrap();
    drop(large.party().unwrap());
}

#[test]
fn it_stands_in_a_segment_of_ones_own() {
    let place = Place::new();
    let domain = place.domain();
    let size = Barrier::size_of_part(2).unwrap();
    let segment = Segment::create(&domain, "mine", 2 * size, &Options::new()).unwrap();
    let first = Barrier::create_at(&domain, &segment, 0, 2).unwrap();
    let second = Barrier::create_at(&domain, &segment, size, 1).unwrap();
    first.abort().unwrap();
    second.wait().unwrap();
    assert!(Barrier::open_at(&domain, &segment, 0).unwrap().is_broken());
    assert_eq!(Barrier::open_at(&domain, &segment, size).unwrap().generation(), 1);
    for (word, value) in [(1, 0), (1, 3), (1, 65_536), (1, u64::MAX), (2, 65), (2, 0)] {
        Barrier::create_at(&domain, &segment, 0, 2).unwrap();
        segment.write(word * 8, &u64::to_ne_bytes(value)).unwrap();
        let refused = Barrier::open_at(&domain, &segment, 0).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Spoilt { .. }), "{refused}");
    }
}

/// Whatever stands in its words: every operation with a time limit ends.
#[test]
fn spoilt_words_hang_nobody() {
    let place = Place::new();
    let domain = place.domain();
    for parties in [1, 3] {
        let size = Barrier::size_of_part(parties).unwrap();
        let segment = Segment::create(&domain, &format!("mine-{parties}"), size, &Options::new()).unwrap();
        let barrier = Barrier::create_at(&domain, &segment, 0, parties).unwrap();
        let mut random = place::Random::new(13);
        for _ in 0..60 {
            for word in 8..size / 8 {
                segment.write(word * 8, &random.word().to_ne_bytes()).unwrap();
            }
            let timeout = Duration::from_micros(100);
            let _ = barrier.wait_timeout(timeout);
            let party = barrier.party();
            let _ = barrier.wait_with_timeout(timeout, || Err(()));
            let _ = (barrier.waiting(), barrier.is_broken(), barrier.generation(), barrier.enlisted());
            drop(party);
            let _ = barrier.abort();
            let _ = barrier.wait_timeout(timeout);
            let _ = barrier.reset();
            let _ = barrier.wait_timeout(timeout);
        }
    }
}
