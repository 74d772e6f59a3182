//! Events from outside: one process, several threads, two processes, spoilt words.

use std::thread;
use std::time::Duration;

use sharedware::sync::{Event, WaitError};
use sharedware::{Options, ReadOnly, Reason, Segment};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, SOON, eventually, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

#[test]
fn an_event_is_set_cleared_and_seen_by_all() {
    let place = Place::new();
    let event = Event::create(&place.domain(), "event").unwrap();
    let other = Event::open(&place.domain(), "event").unwrap();
    let reader = Event::<ReadOnly>::open_read_only(&place.domain(), "event").unwrap();
    assert!(!event.is_set() && !other.is_set() && !reader.is_set());
    for _ in 0..3 {
        event.set();
        assert!(event.is_set() && other.is_set() && reader.clone().is_set());
        other.wait().unwrap();
        reader.wait().unwrap();
        reader.wait_timeout(Duration::ZERO).unwrap();
    }
    for _ in 0..3 {
        other.clear();
        assert!(!event.is_set() && !reader.is_set());
    }
    assert_eq!(event.path(), reader.path());
    assert!(format!("{event:?}").contains("set: false"));
}

#[test]
fn waiting_ends_in_time() {
    let place = Place::new();
    let event = Event::create(&place.domain(), "event").unwrap();
    let reader = Event::open_read_only(&place.domain(), "event").unwrap();
    for timeout in [Duration::ZERO, MOMENT] {
        assert!(matches!(takes_at_least(timeout, || event.wait_timeout(timeout)), Err(WaitError::TimedOut)));
        assert!(matches!(takes_at_least(timeout, || reader.wait_timeout(timeout)), Err(WaitError::TimedOut)));
    }
    event.set();
    for timeout in [Duration::ZERO, MOMENT, Duration::MAX] {
        event.wait_timeout(timeout).unwrap();
        reader.wait_timeout(timeout).unwrap();
    }
}

#[test]
fn it_stands_in_a_segment_of_ones_own() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "mine", 4096, &Options::new()).unwrap();
    assert_eq!(Event::SIZE, 128);
    assert!(matches!(Event::open_at(&domain, &segment, 64).unwrap_err().reason(), Reason::Part { .. }));
    let first = Event::create_at(&domain, &segment, 64).unwrap();
    let second = Event::create_at(&domain, &segment, 64 + Event::SIZE).unwrap();
    first.set();
    assert!(Event::open_at(&domain, &segment, 64).unwrap().is_set());
    assert!(!second.is_set());
    for offset in [65, 4096 - 64, 4096, u64::MAX - 63] {
        assert!(matches!(Event::create_at(&domain, &segment, offset).unwrap_err().reason(), Reason::Size { .. }));
    }
    let again = Event::open_or_create(&domain, "event").unwrap();
    again.set();
    assert!(Event::open_or_create(&domain, "event").unwrap().is_set());
    assert!(matches!(Event::open(&domain, "mine").unwrap_err().reason(), Reason::Kind { .. }));
}

#[test]
fn all_who_wait_are_let_go_by_a_pulse() {
    const ROUNDS: u64 = 100;
    let place = Place::new();
    let event = Event::create(&place.domain(), "event").unwrap();
    let back = sharedware::sync::Semaphore::create(&place.domain(), "back", 0).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            let event = Event::open(&place.domain(), "event").unwrap();
            let back = back.clone();
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    event.wait_timeout(SOON).unwrap();
                    back.release().unwrap();
                }
            });
        }
        for _ in 0..ROUNDS {
            // However short, and whoever may be awake or asleep: set often enough, everybody hears it.
            while back.available() < 3 {
                event.set();
                event.clear();
                thread::yield_now();
            }
            (0..3).for_each(|_| back.acquire().unwrap());
        }
        // Who has fallen behind.
        event.set();
    });
}

/// One pulse is enough for all who sleep.
#[test]
fn no_pulse_is_lost() {
    let place = Place::new();
    let domain = place.domain();
    let event = Event::create(&domain, "event").unwrap();
    for _ in 0..30 {
        thread::scope(|scope| {
            let waiters = [(); 3].map(|()| scope.spawn(|| event.wait_timeout(SOON)));
            let sleeping = || domain.locks(&Options::new()).unwrap().locks[0].waiters.len();
            eventually(|| (sleeping() == 3).then_some(()));
            event.set();
            event.clear();
            for waiter in waiters {
                waiter.join().unwrap().unwrap();
            }
        });
        assert!(!event.is_set());
    }
}

#[test]
fn another_process_sets_it_and_dies() {
    if let Some((_, place)) = place::role() {
        Event::open(&place.domain(), "event").unwrap().set();
        place::die();
    }
    let place = Place::new();
    let event = Event::create(&place.domain(), "event").unwrap();
    let reader = Event::open_read_only(&place.domain(), "event").unwrap();
    let other = place.other_process("another_process_sets_it_and_dies", "setter");
    event.wait_timeout(SOON).unwrap();
    reader.wait_timeout(SOON).unwrap();
    other.end();
    assert!(event.is_set());
}

#[test]
fn a_waiter_that_is_killed_leaves_no_trace() {
    if let Some((_, place)) = place::role() {
        let event = Event::open(&place.domain(), "event").unwrap();
        Event::open(&place.domain(), "begun").unwrap().set();
        event.wait().unwrap();
        place::sleep_until_killed();
    }
    let place = Place::new();
    let event = Event::create(&place.domain(), "event").unwrap();
    let begun = Event::create(&place.domain(), "begun").unwrap();
    let other = place.other_process("a_waiter_that_is_killed_leaves_no_trace", "waiter");
    begun.wait_timeout(SOON).unwrap();
    thread::sleep(MOMENT);
    other.kill();
    event.set();
    event.wait().unwrap();
    event.clear();
    assert!(event.wait_timeout(MOMENT).is_err());
}

/// Whatever stands in its words: every operation ends.
#[test]
fn spoilt_words_hang_nobody() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "mine", Event::SIZE, &Options::new()).unwrap();
    let event = Event::create_at(&domain, &segment, 0).unwrap();
    let mut random = place::Random::new(7);
    for _ in 0..200 {
        for word in 8..Event::SIZE / 8 {
            segment.write(word * 8, &random.word().to_ne_bytes()).unwrap();
        }
        let _ = event.wait_timeout(Duration::from_micros(100));
        event.clear();
        assert!(!event.is_set());
        let _ = event.wait_timeout(Duration::ZERO);
        event.set();
        event.wait().unwrap();
    }
}
