//! Doing something once, from outside: one process, several threads, several processes, other users.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use sharedware::sync::{FormerRun, Once, OnceError};
use sharedware::{Options, Owner, Reason, Segment};

mod common {
    pub(crate) mod place;
}
mod input;
use common::place::{self, Place, SOON, eventually, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

#[test]
fn it_is_done_once() {
    let place = Place::new();
    let once = Once::create(&place.domain(), "it").unwrap();
    let other = Once::open(&place.domain(), "it").unwrap();
    assert!(!once.is_completed() && !other.is_completed());
    let mut ran = 0;
    once.call_once(|| ran += 1).unwrap();
    assert!(once.is_completed() && other.is_completed());
    other.call_once(|| ran += 1).unwrap();
    other.call_once_timeout(Duration::ZERO, || ran += 1).unwrap();
    once.clone().try_call_once(|_| Err("not reached")).unwrap();
    assert_eq!(ran, 1);
    assert!(format!("{once:?}").contains("completed: true"), "{once:?}");
}

#[test]
fn threads_of_processes_do_it_once() {
    const TEST: &str = "threads_of_processes_do_it_once";
    let count = |segment: &Segment, once: &Once| {
        let add = || {
            let mut bytes = [0; 8];
            segment.read(0, &mut bytes).unwrap();
            thread::sleep(MOMENT);
            segment.write(0, &(u64::from_ne_bytes(bytes) + 1).to_ne_bytes()).unwrap();
        };
        once.call_once(add).unwrap();
        // Done when the call returns.
        let mut bytes = [0; 8];
        segment.read(0, &mut bytes).unwrap();
        assert_eq!(u64::from_ne_bytes(bytes), 1);
    };
    if let Some((_, place)) = place::role() {
        let segment = Segment::open(&place.domain(), "own", &Options::new()).unwrap();
        let once = Once::open_at(&place.domain(), &segment, 64).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| count(&segment, &once));
            count(&segment, &once);
        });
        return;
    }
    let place = Place::new();
    let segment = Segment::create(&place.domain(), "own", 64 + Once::SIZE, &Options::new()).unwrap();
    let once = Once::create_at(&place.domain(), &segment, 64).unwrap();
    let others = [(); 3].map(|()| place.other_process(TEST, "calls"));
    once.wait();
    count(&segment, &once);
    others.into_iter().for_each(place::Other::join);
}

#[test]
fn who_fails_leaves_it_to_the_next() {
    let place = Place::new();
    let once = Once::create(&place.domain(), "it").unwrap();
    let outcome = once.try_call_once(|state| {
        assert!(!state.is_takeover() && state.former().is_none());
        Err("no room")
    });
    assert!(matches!(&outcome, Err(OnceError::Failed("no room"))), "{outcome:?}");
    assert_eq!(outcome.unwrap_err().to_string(), "not done: no room");
    assert!(!once.is_completed());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        once.try_call_once(|state| {
            assert_eq!(state.former(), Some(FormerRun::Failed));
            panic!("in the middle (as it should)");
            #[allow(unreachable_code)]
            Ok::<(), String>(())
        })
    }));
    assert!(outcome.is_err() && !once.is_completed());
    let mut former = None;
    once.try_call_once(|state| {
        former = state.former();
        Ok::<(), String>(())
    })
    .unwrap();
    assert_eq!(former, Some(FormerRun::Failed));
    assert!(once.is_completed());
}

#[test]
fn a_call_within_the_call_is_refused() {
    let place = Place::new();
    let once = Once::create(&place.domain(), "it").unwrap();
    let other = Once::open(&place.domain(), "it").unwrap();
    once.call_once(|| {
        for inner in [&once, &other] {
            assert!(matches!(inner.call_once(|| {}), Err(OnceError::Deadlock)));
            assert!(matches!(inner.call_once_timeout(Duration::MAX, || {}), Err(OnceError::Deadlock)));
        }
        assert!(!once.wait_timeout(Duration::ZERO));
        thread::scope(|scope| {
            scope.spawn(|| {
                for timeout in [Duration::ZERO, MOMENT] {
                    let late = takes_at_least(timeout, || once.call_once_timeout(timeout, || {})).unwrap_err();
                    assert!(matches!(&late, OnceError::TimedOut { owner: Some(_) }), "{late}");
                    assert!(late.to_string().contains(&format!("by pid {}", std::process::id())), "{late}");
                }
            });
        });
    })
    .unwrap();
    assert!(once.is_completed());
}

#[test]
fn who_dies_leaves_it_to_the_next() {
    const TEST: &str = "who_dies_leaves_it_to_the_next";
    if let Some((role, place)) = place::role() {
        let once = Once::open(&place.domain(), "it").unwrap();
        let flag = Segment::open(&place.domain(), "flag", &Options::new()).unwrap();
        once.call_once(|| {
            flag.write(0, role.as_bytes()).unwrap();
            place::sleep_until_killed();
        })
        .unwrap();
        return;
    }
    let place = Place::new();
    let once = Once::create(&place.domain(), "it").unwrap();
    let flag = Segment::create(&place.domain(), "flag", 8, &Options::new()).unwrap();
    let other = place.other_process(TEST, "x");
    eventually(|| {
        let mut byte = [0];
        flag.read(0, &mut byte).unwrap();
        (byte == *b"x").then_some(())
    });
    let late = once.call_once_timeout(MOMENT, || {}).unwrap_err();
    assert!(late.to_string().contains(&format!("by pid {}", other.pid())), "{late}");
    let former = Mutex::new(None);
    thread::scope(|scope| {
        // Who only waits is not woken by a death, but by who does it then.
        let waits = scope.spawn(|| once.wait_timeout(SOON));
        let calls = scope.spawn(|| {
            let run = |state: &sharedware::sync::OnceState| {
                *former.lock().unwrap() = state.former();
                Ok::<(), String>(())
            };
            once.try_call_once(run).unwrap();
        });
        thread::sleep(MOMENT);
        other.kill();
        calls.join().unwrap();
        assert!(waits.join().unwrap());
    });
    assert_eq!(former.into_inner().unwrap(), Some(FormerRun::Died));
}

#[test]
fn who_may_only_look_waits_as_well() {
    let place = Place::new();
    let once = Once::create(&place.domain(), "it").unwrap();
    let reader = Once::open_read_only(&place.domain(), "it").unwrap();
    for timeout in [Duration::ZERO, MOMENT] {
        assert!(!takes_at_least(timeout, || reader.wait_timeout(timeout)));
        assert!(!takes_at_least(timeout, || once.wait_timeout(timeout)));
    }
    thread::scope(|scope| {
        scope.spawn(|| reader.wait());
        scope.spawn(|| assert!(reader.clone().wait_timeout(Duration::MAX)));
        scope.spawn(|| once.wait());
        thread::sleep(MOMENT);
        once.call_once(|| {}).unwrap();
    });
    assert!(reader.is_completed());

    let segment = Segment::create(&place.domain(), "own", Once::SIZE, &Options::new()).unwrap();
    let part = Once::create_at(&place.domain(), &segment, 0).unwrap();
    let segment = Segment::open_read_only(&place.domain(), "own", &Options::new()).unwrap();
    let reader = Once::open_read_only_at(&place.domain(), &segment, 0).unwrap();
    assert!(!reader.is_completed());
    part.call_once(|| {}).unwrap();
    reader.wait();
}

/// Looking needs no right to write, calling does.
#[test]
fn who_may_not_write_may_look() {
    const TEST: &str = "who_may_not_write_may_look";
    if input::role().is_some() {
        let domain = input::domain_in(&input::parents_room());
        let options = Options::new().owner(Owner::User(0));
        let reader = Once::open_read_only_with(&domain, "it", &options).unwrap();
        assert!(!reader.wait_timeout(MOMENT));
        let refused = Once::open_with(&domain, "it", &options).unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
        return;
    }
    if !input::root(TEST) {
        return;
    }
    let room = input::Room::new();
    let _once = Once::create_with(&room.domain(), "it", &Options::new().mode(0o644)).unwrap();
    input::Child::new(TEST, "nobody", room.path()).by_nobody().run();
}

#[test]
fn whatever_its_words_hold_it_is_done_or_not() {
    for garbage in [1, 2, 3, 99 << 13, u64::MAX, u64::MAX >> 3] {
        let place = Place::new();
        let segment = Segment::create(&place.domain(), "own", Once::SIZE, &Options::new()).unwrap();
        let once = Once::create_at(&place.domain(), &segment, 0).unwrap();
        for word in 0..24 {
            segment.write(64 + 8 * word, &garbage.to_ne_bytes()).unwrap();
        }
        assert_eq!(once.is_completed(), garbage == 3);
        let mut former = None;
        once.try_call_once(|state| {
            former = state.former();
            Ok::<(), String>(())
        })
        .unwrap();
        let expected = match garbage {
            3 => None,
            2 => Some(FormerRun::Failed),
            _ => Some(FormerRun::Died),
        };
        assert_eq!(former, expected, "{garbage:#x}");
        assert!(once.wait_timeout(SOON));
    }
    let place = Place::new();
    let _segment = Segment::create(&place.domain(), "own", Once::SIZE, &Options::new()).unwrap();
    let refused = Once::open_read_only(&place.domain(), "own").unwrap_err();
    assert!(matches!(refused.reason(), Reason::Kind { .. }), "{refused}");
}
