//! Semaphores from outside: one process, several threads, two processes, spoilt words.

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use sharedware::sync::{AcquireError, Permit, Semaphore, SemaphoreSetup};
use sharedware::{Options, Reason, Segment};

mod common {
    pub(crate) mod late;
    pub(crate) mod place;
}
use common::late::{Late, outlives};
use common::place::{self, Place, SOON, eventually, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);
/// The most permits that can be counted.
const MOST: u32 = u32::MAX / 2;
/// How many guards there can be at once.
const SEATS: u32 = 256;

#[test]
fn permits_are_taken_and_given_back() {
    let place = Place::new();
    let semaphore = Semaphore::create(&place.domain(), "it", 2).unwrap();
    let other = Semaphore::open(&place.domain(), "it").unwrap();
    semaphore.acquire().unwrap();
    other.try_acquire().unwrap();
    assert!(matches!(semaphore.try_acquire(), Err(AcquireError::WouldBlock)));
    assert!(matches!(semaphore.try_permit(), Err(AcquireError::WouldBlock)));
    other.release().unwrap();
    let permit = semaphore.permit_timeout(Duration::MAX).unwrap();
    assert_eq!((semaphore.available(), semaphore.bound()), (0, MOST));
    drop(permit);
    assert_eq!(other.available(), 1);
    other.release_many(5).unwrap();
    other.release_many(0).unwrap();
    assert_eq!(semaphore.available(), 6);
    semaphore.acquire_timeout(Duration::ZERO).unwrap();
    drop(semaphore.try_permit().unwrap());
    assert_eq!(semaphore.available(), 5);
    assert!(format!("{semaphore:?}").contains("available: 5"));
}

#[test]
fn a_permit_is_kept_as_a_plain_one() {
    let place = Place::new();
    let semaphore = Semaphore::create(&place.domain(), "it", SemaphoreSetup::bounded(1)).unwrap();
    semaphore.permit().unwrap().into_plain();
    assert!(semaphore.try_permit().is_err());
    semaphore.release().unwrap();
    assert!(semaphore.release().is_err());
    drop(semaphore.permit().unwrap());
}

#[test]
fn more_than_the_bound_is_an_error_and_changes_nothing() {
    let place = Place::new();
    let bounded = Semaphore::create(&place.domain(), "bounded", SemaphoreSetup::new(1).bound(3)).unwrap();
    bounded.release_many(2).unwrap();
    for more in [1, 2, u32::MAX] {
        let error = bounded.release_many(more).unwrap_err();
        assert_eq!((error.permits, error.available, error.bound), (more, 3, 3));
        assert!(error.to_string().contains("3 of at most 3"), "{error}");
    }
    assert_eq!(bounded.available(), 3);

    let open = Semaphore::create(&place.domain(), "open", MOST).unwrap();
    for more in [1, MOST, u32::MAX] {
        assert!(open.release_many(more).is_err());
    }
    open.acquire().unwrap();
    open.release().unwrap();
    assert_eq!(open.available(), MOST);

    // The permit of a guard has nowhere to go if somebody gave one too many meanwhile.
    let permit = bounded.permit().unwrap();
    bounded.release().unwrap();
    drop(permit);
    assert_eq!(bounded.available(), 3);
}

#[test]
fn counts_out_of_range_are_refused_and_leave_nothing() {
    let place = Place::new();
    let setups = [
        SemaphoreSetup::new(MOST + 1),
        SemaphoreSetup::new(u32::MAX),
        SemaphoreSetup::new(3).bound(2),
        SemaphoreSetup::new(0).bound(MOST + 1),
    ];
    for setup in setups {
        let refused = Semaphore::create(&place.domain(), "it", setup).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Size { .. }), "{refused}");
    }
    assert!(place.files().is_empty(), "{:?}", place.files());
    let none = Semaphore::create(&place.domain(), "it", SemaphoreSetup::bounded(0)).unwrap();
    assert!(none.release().is_err() && none.try_acquire().is_err());
}

#[test]
fn waiting_ends_in_time() {
    let place = Place::new();
    let semaphore = Semaphore::create(&place.domain(), "it", 0).unwrap();
    for timeout in [Duration::ZERO, MOMENT] {
        let refused = takes_at_least(timeout, || semaphore.acquire_timeout(timeout));
        assert!(matches!(refused, Err(AcquireError::TimedOut)));
        let refused = takes_at_least(timeout, || semaphore.permit_timeout(timeout).map(drop));
        assert!(matches!(refused, Err(AcquireError::TimedOut)));
    }
}

#[test]
fn more_guards_than_there_is_room_for() {
    let place = Place::new();
    let semaphore = Semaphore::create(&place.domain(), "it", SEATS + 2).unwrap();
    let mut permits: Vec<_> = (0..SEATS).map(|_| semaphore.permit().unwrap()).collect();
    for refused in [semaphore.permit(), semaphore.try_permit(), semaphore.permit_timeout(MOMENT)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, AcquireError::TooManyPermits { most: 256 }), "{refused}");
    }
    semaphore.acquire().unwrap();
    permits.pop();
    drop(semaphore.permit().unwrap());
    permits.clear();
    assert_eq!(semaphore.available(), SEATS + 1);
}

#[test]
fn threads_take_turns() {
    const ROUNDS: u64 = 2000;
    let place = Place::new();
    let semaphore = Semaphore::create(&place.domain(), "it", 1).unwrap();
    let count = sharedware::slot::Slot::create(&place.domain(), "count", 0_u64).unwrap();
    thread::scope(|scope| {
        for guarded in [false, true, false, true] {
            let semaphore = Semaphore::open(&place.domain(), "it").unwrap();
            let count = &count;
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let permit = guarded.then(|| semaphore.permit_timeout(SOON).unwrap());
                    if !guarded {
                        semaphore.acquire_timeout(SOON).unwrap();
                    }
                    count.try_write(&(count.read().unwrap() + 1)).expect("alone");
                    match permit {
                        Some(permit) => drop(permit),
                        None => semaphore.release().unwrap(),
                    }
                }
            });
        }
    });
    assert_eq!((count.read().unwrap(), semaphore.available()), (4 * ROUNDS, 1));
}

#[test]
fn as_many_wake_as_were_released() {
    let place = Place::new();
    let (items, done) = (
        Semaphore::create(&place.domain(), "items", 0).unwrap(),
        Semaphore::create(&place.domain(), "done", 0).unwrap(),
    );
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    items.acquire_timeout(SOON).unwrap();
                    done.release().unwrap();
                }
            });
        }
        for round in 0..50 {
            if round % 10 == 0 {
                thread::sleep(Duration::from_millis(3));
            }
            items.release_many(4).unwrap();
            (0..4).for_each(|_| done.acquire_timeout(SOON).unwrap());
        }
    });
    assert_eq!((items.available(), done.available()), (0, 0));
}

/// Who sleeps is marked, for who gives back: nothing is no reason to take that mark away.
#[test]
fn to_release_nothing_wakes_nobody_and_hides_nobody() {
    const BELL: u64 = 8 * (8 + 18);
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "mine", Semaphore::SIZE, &Options::new()).unwrap();
    let semaphore = Semaphore::create_at(&domain, &segment, 0, 0).unwrap();
    let bell = || {
        let mut word = [0; 8];
        segment.read(BELL, &mut word).unwrap();
        u64::from_ne_bytes(word)
    };
    thread::scope(|scope| {
        let waiter = scope.spawn(|| semaphore.acquire_timeout(SOON));
        let marked = eventually(|| Some(bell()).filter(|bell| bell & 1 != 0));
        semaphore.release_many(0).unwrap();
        let after = bell();
        semaphore.release().unwrap();
        waiter.join().unwrap().unwrap();
        assert_eq!(after, marked);
    });
}

// Those who do not give back.

#[test]
fn a_thread_that_ends_gives_back_what_it_leaked() {
    let place = Place::new();
    let semaphore = Semaphore::create(&place.domain(), "it", 3).unwrap();
    let _mine = semaphore.permit().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            std::mem::forget(semaphore.permit().unwrap());
            semaphore.permit().unwrap().into_plain();
            assert_eq!(semaphore.available(), 0);
        });
    });
    eventually(|| (semaphore.available() == 1).then_some(()));
    thread::sleep(MOMENT);
    assert_eq!(semaphore.available(), 1);
}

thread_local! {
    static LATE: RefCell<Option<Late<Permit<'static>>>> = const { RefCell::new(None) };
}

/// It is not leaked: until it is dropped it holds, and then it goes back once.
#[test]
fn a_permit_in_a_thread_local_holds_until_it_is_dropped() {
    let place = Place::new();
    let semaphore: &'static _ = Box::leak(Box::new(Semaphore::create(&place.domain(), "it", 1).unwrap()));
    for touched_first in [true, false] {
        let seen = || assert!(matches!(semaphore.try_permit(), Err(AcquireError::WouldBlock)), "{touched_first}");
        outlives(&LATE, touched_first, || semaphore.permit().ok(), seen);
        assert_eq!(semaphore.available(), 1);
    }
}

#[test]
fn the_last_handle_gives_back_what_was_leaked_with_it() {
    let place = Place::new();
    let options = Options::new().lifetime(sharedware::Lifetime::UntilRemoved);
    let semaphore = Semaphore::create_with(&place.domain(), "it", 2, &options).unwrap();
    let second = Semaphore::open(&place.domain(), "it").unwrap();
    std::mem::forget(semaphore.permit().unwrap());
    drop(semaphore);
    assert_eq!(second.available(), 1, "the other handle might have lent it");
    drop(second);
    assert_eq!(Semaphore::open(&place.domain(), "it").unwrap().available(), 2);
}

#[test]
fn a_panic_gives_back() {
    let place = Place::new();
    let semaphore = Semaphore::create(&place.domain(), "it", 1).unwrap();
    let panicked = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _permit = semaphore.permit().unwrap();
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        thread.join().is_err()
    });
    assert!(panicked);
    assert_eq!(semaphore.available(), 1);
}

/// Guarded permits of a killed process come back, at once to who tries and within slices to who waits; plain ones do not.
#[test]
fn a_killed_process_gives_back_its_guards() {
    if let Some((_, place)) = place::role() {
        let semaphore = Semaphore::open(&place.domain(), "it").unwrap();
        let _permits = [semaphore.permit().unwrap(), semaphore.permit().unwrap()];
        semaphore.acquire().unwrap();
        Semaphore::open(&place.domain(), "ready").unwrap().release().unwrap();
        place::sleep_until_killed();
    }
    let place = Place::new();
    let semaphore = Semaphore::create(&place.domain(), "it", 3).unwrap();
    let ready = Semaphore::create(&place.domain(), "ready", 0).unwrap();
    for waits in [false, true] {
        let other = place.other_process("a_killed_process_gives_back_its_guards", "holder");
        ready.acquire_timeout(SOON).unwrap();
        assert!(semaphore.try_acquire().is_err());
        if waits {
            thread::scope(|scope| {
                let waiter = scope.spawn(|| semaphore.acquire_timeout(SOON));
                thread::sleep(MOMENT);
                other.kill();
                waiter.join().unwrap().unwrap();
            });
        } else {
            other.kill();
            semaphore.try_acquire().unwrap();
        }
        assert_eq!(semaphore.available(), 1);
        assert!(semaphore.try_acquire().is_ok() && semaphore.try_acquire().is_err(), "the plain one is lost");
        semaphore.release_many(3).unwrap();
    }
}

/// As many guards as there can be, all of them of the dead: they are in nobody's way, although there are permits enough that nobody has to wait.
#[test]
fn guards_of_the_dead_take_no_room() {
    const TEST: &str = "guards_of_the_dead_take_no_room";
    if let Some((role, place)) = place::role() {
        let semaphore = Semaphore::open(&place.domain(), "it").unwrap();
        let permits: Vec<_> = (0..role.parse().unwrap()).map(|_| semaphore.permit().unwrap()).collect();
        assert_eq!(permits.len(), SEATS as usize / 16);
        place::die();
    }
    let place = Place::new();
    let semaphore = Semaphore::create(&place.domain(), "it", 2 * SEATS).unwrap();
    for tries in [false, true] {
        // More processes than who looks once asks about.
        for _ in 0..16 {
            place.other_process(TEST, &(SEATS / 16).to_string()).end();
        }
        assert_eq!(semaphore.available(), SEATS);
        let permit = if tries { semaphore.try_permit() } else { semaphore.permit() };
        drop(permit.unwrap());
        eventually(|| (semaphore.try_permit().is_ok() && semaphore.available() > SEATS).then_some(()));
        // Whatever nobody has had to look for yet.
        let all: Vec<_> = (0..SEATS).map(|_| semaphore.permit().unwrap()).collect();
        assert_eq!(semaphore.available(), SEATS);
        drop(all);
        assert_eq!(semaphore.available(), 2 * SEATS);
    }
}

// Bad input.

#[test]
fn it_stands_in_a_segment_of_ones_own() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "mine", 2 * Semaphore::SIZE, &Options::new()).unwrap();
    let first = Semaphore::create_at(&domain, &segment, 0, 1).unwrap();
    let second = Semaphore::create_at(&domain, &segment, Semaphore::SIZE, SemaphoreSetup::bounded(7)).unwrap();
    first.acquire().unwrap();
    assert_eq!(Semaphore::open_at(&domain, &segment, 0).unwrap().available(), 0);
    let again = Semaphore::open_at(&domain, &segment, Semaphore::SIZE).unwrap();
    assert_eq!((again.available(), again.bound(), second.available()), (7, 7, 7));
    assert!(matches!(Semaphore::open(&domain, "mine").unwrap_err().reason(), Reason::Kind { .. }));
}

#[test]
fn a_config_that_cannot_be_is_refused() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "mine", Semaphore::SIZE, &Options::new()).unwrap();
    for (word, value) in [(1, 4), (1, u64::MAX), (2, u64::from(MOST) + 1), (2, u64::MAX), (3, 0), (3, 257)] {
        Semaphore::create_at(&domain, &segment, 0, SemaphoreSetup::bounded(3)).unwrap();
        segment.write(word * 8, &value.to_ne_bytes()).unwrap();
        let refused = Semaphore::open_at(&domain, &segment, 0).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Spoilt { .. }), "{refused}");
    }
}

/// Whatever stands in its words: every operation with a time limit ends.
#[test]
fn spoilt_words_hang_nobody() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "mine", Semaphore::SIZE, &Options::new()).unwrap();
    let semaphore = Semaphore::create_at(&domain, &segment, 0, SemaphoreSetup::bounded(3)).unwrap();
    let mut random = place::Random::new(11);
    for _ in 0..100 {
        for word in 8..Semaphore::SIZE / 8 {
            segment.write(word * 8, &random.word().to_ne_bytes()).unwrap();
        }
        let timeout = Duration::from_micros(100);
        let _ = semaphore.acquire_timeout(timeout);
        let permit = semaphore.permit_timeout(timeout);
        let _ = semaphore.release();
        let _ = semaphore.try_acquire();
        drop(permit);
        let _ = semaphore.try_permit();
        let _ = semaphore.release_many(u32::MAX);
        let _ = semaphore.available();
    }
}
