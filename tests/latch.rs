//! Latches from outside: one process, several threads, two processes, spoilt words.

use std::thread;
use std::time::Duration;

use sharedware::sync::{CountDownError, Latch, LatchError};
use sharedware::{Options, ReadOnly, Reason, Segment};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, SOON, eventually, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);
/// The most that can be counted down from.
const MOST: u32 = u32::MAX / 2;

#[test]
fn it_opens_at_zero_and_stays_open() {
    let place = Place::new();
    let latch = Latch::create(&place.domain(), "it", 3).unwrap();
    let reader = Latch::<ReadOnly>::open_read_only(&place.domain(), "it").unwrap();
    latch.count_down(0).unwrap();
    latch.count_down(2).unwrap();
    assert!(!latch.is_open() && !reader.is_open());
    assert_eq!((latch.left(), reader.left()), (1, 1));
    for by in [2, u32::MAX] {
        let refused = latch.count_down(by).unwrap_err();
        assert_eq!((refused.by, refused.left), (by, 1));
        assert_eq!(latch.left(), 1, "nothing has changed");
    }
    assert!(matches!(latch.try_wait(), Err(LatchError::WouldBlock)));
    Latch::open(&place.domain(), "it").unwrap().arrive_and_wait().unwrap();
    for latch in [&latch, &latch.clone()] {
        latch.wait().unwrap();
        latch.try_wait().unwrap();
        latch.wait_timeout(Duration::ZERO).unwrap();
    }
    reader.wait().unwrap();
    reader.clone().wait_timeout(Duration::MAX).unwrap();
    assert!(reader.is_open() && latch.left() == 0);
    assert!(matches!(latch.count_down(1), Err(CountDownError { by: 1, left: 0, .. })));
    assert!(matches!(latch.arrive_and_wait(), Err(LatchError::BelowZero(_))));
    assert!(matches!(latch.party(), Err(LatchError::BelowZero(_))));
}

#[test]
fn waiting_ends_in_time() {
    let place = Place::new();
    let latch = Latch::create(&place.domain(), "it", 1).unwrap();
    let reader = Latch::open_read_only(&place.domain(), "it").unwrap();
    for timeout in [Duration::ZERO, MOMENT] {
        assert!(matches!(takes_at_least(timeout, || latch.wait_timeout(timeout)), Err(LatchError::TimedOut)));
        assert!(matches!(takes_at_least(timeout, || reader.wait_timeout(timeout)), Err(LatchError::TimedOut)));
    }
}

#[test]
fn counts_out_of_range_are_refused() {
    let place = Place::new();
    for count in [MOST + 1, u32::MAX] {
        let refused = Latch::create(&place.domain(), "it", count).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Size { .. }), "{refused}");
        assert_eq!(Latch::size_of_part(count), None);
    }
    assert!(place.files().is_empty(), "{:?}", place.files());
    assert!(Latch::create(&place.domain(), "nothing", 0).unwrap().is_open());
    let much = Latch::create(&place.domain(), "much", MOST).unwrap();
    much.count_down(MOST - 1).unwrap();
    much.arrive_and_wait().unwrap();
}

#[test]
fn all_who_wait_are_let_go() {
    let place = Place::new();
    for round in 0..30 {
        let name = format!("it-{round}");
        let latch = Latch::create(&place.domain(), &name, 4).unwrap();
        thread::scope(|scope| {
            for party in 0..4 {
                let latch = &latch;
                scope.spawn(move || {
                    if party % 2 == 0 {
                        latch.arrive_and_wait().unwrap();
                    } else {
                        latch.party().unwrap().arrive_and_wait().unwrap();
                    }
                    assert!(latch.is_open());
                });
            }
            let reader = Latch::open_read_only(&place.domain(), &name).unwrap();
            scope.spawn(move || reader.wait_timeout(SOON).unwrap());
            latch.wait_timeout(SOON).unwrap();
        });
    }
}

#[test]
fn parties_count_down_by_themselves() {
    let place = Place::new();
    let latch = Latch::create(&place.domain(), "it", 2).unwrap();
    let (first, second) = (latch.party().unwrap(), latch.party().unwrap());
    assert_eq!(latch.left(), 2);
    assert!(matches!(latch.count_down(1), Err(CountDownError { left: 0, .. })));
    assert!(matches!(latch.party(), Err(LatchError::BelowZero(_))));
    drop(second);
    assert_eq!(latch.left(), 2, "left in good order: it remains to be done");
    let second = latch.party().unwrap();
    first.count_down();
    assert!(!latch.is_open());
    second.count_down();
    assert!(latch.is_open());
}

#[test]
fn who_has_to_count_down_cannot_wait() {
    let place = Place::new();
    let latch = Latch::create(&place.domain(), "it", 2).unwrap();
    let party = latch.party().unwrap();
    assert!(matches!(latch.wait(), Err(LatchError::Deadlock)));
    assert!(matches!(latch.wait_timeout(SOON), Err(LatchError::Deadlock)));
    assert!(matches!(latch.arrive_and_wait(), Err(LatchError::Deadlock)), "it counts down by one beside");
    assert!(matches!(latch.try_wait(), Err(LatchError::WouldBlock)));
    // Another thread may.
    thread::scope(|scope| {
        let waiter = scope.spawn(|| latch.wait_timeout(SOON));
        party.count_down();
        waiter.join().unwrap().unwrap();
    });
    latch.wait().unwrap();
}

#[test]
fn more_parties_than_there_is_room_for() {
    let place = Place::new();
    let latch = Latch::create(&place.domain(), "it", 300).unwrap();
    let parties: Vec<_> = (0..256).map(|_| latch.party().unwrap()).collect();
    assert!(matches!(latch.party(), Err(LatchError::TooManyParties { most: 256 })));
    latch.count_down(44).unwrap();
    parties.into_iter().for_each(sharedware::sync::LatchParty::count_down);
    latch.wait().unwrap();
}

#[test]
fn a_thread_that_ends_without_having_counted_down_is_dead() {
    for panics in [false, true] {
        let place = Place::new();
        let latch = Latch::create(&place.domain(), "it", 1).unwrap();
        let reader = Latch::open_read_only(&place.domain(), "it").unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| latch.wait_timeout(SOON));
            let thread = scope.spawn(|| {
                let party = latch.party().unwrap();
                thread::sleep(MOMENT);
                if panics {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
                std::mem::forget(party);
            });
            assert_eq!(thread.join().is_err(), panics);
            assert!(matches!(waiter.join().unwrap(), Err(LatchError::PartyDied)));
        });
        assert!(matches!(reader.wait(), Err(LatchError::PartyDied)));
        assert!(matches!(latch.try_wait(), Err(LatchError::PartyDied)));
        assert!(!latch.is_open());
    }
}

#[test]
fn a_party_that_is_killed_is_reported_unless_it_has_counted_down() {
    const TEST: &str = "a_party_that_is_killed_is_reported_unless_it_has_counted_down";
    if let Some((role, place)) = place::role() {
        let latch = Latch::open(&place.domain(), "it").unwrap();
        let party = latch.party().unwrap();
        if role == "counts" {
            party.count_down();
            latch.count_down(1).unwrap();
            place::die();
        }
        Latch::open(&place.domain(), "ready").unwrap().count_down(1).unwrap();
        place::sleep_until_killed();
    }
    let place = Place::new();
    let latch = Latch::create(&place.domain(), "it", 3).unwrap();
    place.other_process(TEST, "counts").end();
    assert_eq!(latch.left(), 1);
    assert!(matches!(latch.try_wait(), Err(LatchError::WouldBlock)));

    let ready = Latch::create(&place.domain(), "ready", 1).unwrap();
    let other = place.other_process(TEST, "waits");
    ready.wait_timeout(SOON).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| latch.wait_timeout(SOON));
        let reader = Latch::open_read_only(&place.domain(), "it").unwrap();
        let reader = scope.spawn(move || reader.wait_timeout(SOON));
        thread::sleep(MOMENT);
        assert!(matches!(latch.try_wait(), Err(LatchError::WouldBlock)), "it lives");
        other.kill();
        assert!(matches!(waiter.join().unwrap(), Err(LatchError::PartyDied)));
        assert!(matches!(reader.join().unwrap(), Err(LatchError::PartyDied)));
    });
    eventually(|| matches!(latch.wait(), Err(LatchError::PartyDied)).then_some(()));
}

#[test]
fn it_stands_in_a_segment_of_ones_own() {
    let place = Place::new();
    let domain = place.domain();
    let size = Latch::size_of_part(3).unwrap();
    assert_eq!((size, Latch::size_of_part(0), Latch::size_of_part(MOST)), (192, Some(128), Some(128 + 4096)));
    let segment = Segment::create(&domain, "mine", 2 * size, &Options::new()).unwrap();
    let first = Latch::create_at(&domain, &segment, 0, 3).unwrap();
    let second = Latch::create_at(&domain, &segment, size, 3).unwrap();
    first.count_down(3).unwrap();
    assert!(Latch::open_at(&domain, &segment, 0).unwrap().is_open() && !second.is_open());
    for (word, value) in [(1, 4), (1, u64::MAX), (2, 2), (2, 257)] {
        Latch::create_at(&domain, &segment, 0, 3).unwrap();
        segment.write(word * 8, &u64::to_ne_bytes(value)).unwrap();
        let refused = Latch::open_at(&domain, &segment, 0).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Spoilt { .. }), "{refused}");
    }
}

/// Whatever stands in its words: every operation with a time limit ends.
#[test]
fn spoilt_words_hang_nobody() {
    let place = Place::new();
    let domain = place.domain();
    let size = Latch::size_of_part(300).unwrap();
    let segment = Segment::create(&domain, "mine", size, &Options::new()).unwrap();
    let latch = Latch::create_at(&domain, &segment, 0, 300).unwrap();
    let mut random = place::Random::new(17);
    for _ in 0..100 {
        for word in 8..size / 8 {
            segment.write(word * 8, &random.word().to_ne_bytes()).unwrap();
        }
        let timeout = Duration::from_micros(100);
        let _ = latch.wait_timeout(timeout);
        let _ = latch.count_down(1);
        let party = latch.party();
        let _ = latch.try_wait();
        let _ = (latch.left(), latch.is_open());
        drop(party);
        let _ = latch.party().map(sharedware::sync::LatchParty::count_down);
        let _ = latch.wait_timeout(timeout);
    }
}
