//! The reentrant mutex from outside: one process, several threads, several processes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use sharedware::sync::{LockError, ReentrantMutex, ReentrantMutexGuard};
use sharedware::{Options, Segment, Shared};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, SOON, eventually, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

type Outcome<'a, T> = Result<ReentrantMutexGuard<'a, T>, LockError<ReentrantMutexGuard<'a, T>>>;

#[track_caller]
fn owner_died<T: Shared>(outcome: Outcome<'_, T>) -> ReentrantMutexGuard<'_, T> {
    match outcome {
        Err(LockError::OwnerDied(guard)) => {
            assert!(!guard.is_consistent());
            guard
        }
        Err(error) => panic!("expected an owner to have died: {error}"),
        Ok(_) => panic!("expected an owner to have died, but all is well"),
    }
}

#[track_caller]
fn refused<T: Shared>(outcome: Outcome<'_, T>) -> LockError<()> {
    match outcome {
        Ok(_) => panic!("expected a refusal"),
        Err(error) => error.drop_guard(),
    }
}

/// Whether another thread gets it.
fn is_free<T: Shared>(mutex: &ReentrantMutex<T>) -> bool {
    thread::scope(|scope| scope.spawn(|| mutex.try_lock().is_ok()).join().unwrap())
}

#[test]
fn a_thread_takes_it_again() {
    let place = Place::new();
    let mutex = ReentrantMutex::create(&place.domain(), "it", [1_u64, 2]).unwrap();
    let other = ReentrantMutex::<[u64; 2]>::open(&place.domain(), "it").unwrap();
    let first = mutex.lock().unwrap();
    let second = other.try_lock().unwrap();
    let third = mutex.lock_timeout(Duration::MAX).unwrap();
    first.set([3, 4]);
    assert_eq!((second.get(), third.get()), ([3, 4], [3, 4]));
    assert_eq!(third.update(|value| std::mem::replace(&mut value[0], 5)), 3);
    // In any order.
    drop(first);
    assert!(!is_free(&mutex));
    drop(third);
    assert!(!is_free(&mutex) && mutex.is_locked());
    assert_eq!(second.get(), [5, 4]);
    assert!(format!("{mutex:?} {second:?}").contains("[5, 4]"));
    drop(second);
    assert!(is_free(&mutex) && !mutex.is_locked());
    assert_eq!(other.clone().lock().unwrap().get(), [5, 4]);
}

#[test]
fn others_wait_until_the_last_guard_is_gone() {
    let place = Place::new();
    let mutex = ReentrantMutex::create(&place.domain(), "it", 0_u64).unwrap();
    let guards = [mutex.lock().unwrap(), mutex.lock().unwrap()];
    thread::scope(|scope| {
        scope.spawn(|| {
            let busy = refused(mutex.try_lock());
            assert!(matches!(&busy, LockError::WouldBlock { owner: Some(owner) } if owner.pid == std::process::id()));
            for timeout in [Duration::ZERO, MOMENT] {
                let late = takes_at_least(timeout, || refused(mutex.lock_timeout(timeout)));
                assert!(matches!(late, LockError::TimedOut { owner: Some(_) }), "{late}");
            }
        });
    });
    thread::scope(|scope| {
        let waiter = scope.spawn(|| mutex.lock_timeout(Duration::MAX).unwrap().update(|value| *value += 1));
        thread::sleep(MOMENT);
        for guard in guards {
            assert_eq!(guard.get(), 0);
        }
        waiter.join().unwrap();
    });
    assert_eq!(mutex.lock().unwrap().get(), 1);
}

#[test]
fn processes_and_their_threads_take_turns() {
    const TEST: &str = "processes_and_their_threads_take_turns";
    const PROCESSES: usize = 3;
    const TIMES: u64 = 2000;
    if let Some((_, place)) = place::role() {
        let mutex = ReentrantMutex::<[u64; 5]>::open(&place.domain(), "counter").unwrap();
        let count = || {
            for _ in 0..TIMES {
                let outer = mutex.lock().unwrap();
                assert!(outer.get().iter().all(|word| *word == outer.get()[0]));
                mutex.lock().unwrap().update(|value| value.iter_mut().for_each(|word| *word += 1));
            }
        };
        thread::scope(|scope| {
            scope.spawn(count);
            count();
        });
        return;
    }
    let place = Place::new();
    let mutex = ReentrantMutex::create(&place.domain(), "counter", [0_u64; 5]).unwrap();
    let others = [(); PROCESSES].map(|()| place.other_process(TEST, "counter"));
    others.into_iter().for_each(place::Other::join);
    assert_eq!(mutex.lock().unwrap().get(), [2 * TIMES * PROCESSES as u64; 5]);
}

// Guards that are not dropped, owners that fail.

#[test]
fn a_guard_leaked_in_a_living_thread_holds() {
    let place = Place::new();
    let mutex = ReentrantMutex::create(&place.domain(), "it", 0_u64).unwrap();
    std::mem::forget(mutex.lock().unwrap());
    drop(mutex.lock().unwrap());
    assert!(!is_free(&mutex));
    assert!(mutex.lock().unwrap().is_consistent());
}

#[test]
fn a_thread_that_ends_gives_up_what_it_leaked() {
    let place = Place::new();
    let mutex = ReentrantMutex::create(&place.domain(), "it", 0_u64).unwrap();
    thread::scope(|scope| {
        let (taken, when_taken) = std::sync::mpsc::channel();
        let mutex = &mutex;
        scope.spawn(move || {
            std::mem::forget(mutex.lock().unwrap());
            std::mem::forget(mutex.lock().unwrap());
            taken.send(()).unwrap();
        });
        when_taken.recv().unwrap();
        owner_died(mutex.lock()).mark_consistent();
    });
    assert!(is_free(&mutex));
}

#[test]
fn the_last_handle_gives_up_what_was_leaked() {
    let place = Place::new();
    let segment = Segment::create(&place.domain(), "own", ReentrantMutex::<u64>::SIZE, &Options::new()).unwrap();
    let mutex = ReentrantMutex::create_at(&place.domain(), &segment, 0, 0_u64).unwrap();
    std::mem::forget(mutex.lock().unwrap());
    drop(mutex);
    let again = ReentrantMutex::<u64>::open_at(&place.domain(), &segment, 0).unwrap();
    drop(owner_died(again.lock()));
    drop(owner_died(again.lock()));
}

#[test]
fn a_panic_is_seen_by_the_outer_guard_and_by_the_next_owner() {
    let place = Place::new();
    let mutex = ReentrantMutex::create(&place.domain(), "it", 0_u64).unwrap();
    let panics = || {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let _inner = mutex.lock();
            panic!("in the middle (as it should)");
        }));
        assert!(outcome.is_err());
    };
    panics();
    owner_died(mutex.lock()).mark_consistent();

    let outer = mutex.lock().unwrap();
    assert!(outer.is_consistent());
    panics();
    assert!(!outer.is_consistent());
    assert!(mutex.lock().is_ok(), "who has it is not told again");
    drop(outer);
    let outer = owner_died(mutex.lock());
    mutex.lock().unwrap().mark_consistent();
    assert!(outer.is_consistent());
    drop(outer);
    assert!(mutex.lock().is_ok());

    // What was being changed stays as it was.
    let outer = mutex.lock().unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| outer.update(|_| panic!("in the middle (as it should)"))));
    assert!(outcome.is_err() && outer.get() == 0 && outer.is_consistent());
}

#[test]
fn a_killed_owner_leaves_one_guard_to_the_next() {
    const TEST: &str = "a_killed_owner_leaves_one_guard_to_the_next";
    if let Some((_, place)) = place::role() {
        let mutex = ReentrantMutex::<u64>::open(&place.domain(), "it").unwrap();
        let _guards = [mutex.lock().unwrap(), mutex.lock().unwrap(), mutex.lock().unwrap()];
        place::sleep_until_killed();
    }
    let place = Place::new();
    let mutex = ReentrantMutex::create(&place.domain(), "it", 0_u64).unwrap();
    let other = place.other_process(TEST, "owner");
    eventually(|| mutex.is_locked().then_some(()));
    other.kill();
    drop(owner_died(mutex.lock_timeout(SOON)));
    assert!(!mutex.is_locked());
    let guard = owner_died(mutex.lock());
    guard.mark_consistent();
    drop(guard);
    assert!(is_free(&mutex));
}

// Words that anybody may have written.

const DEPTH: u64 = 64 + 8 * 16;

#[test]
fn no_more_guards_than_can_be_counted() {
    let place = Place::new();
    let segment = Segment::create(&place.domain(), "own", ReentrantMutex::<u64>::SIZE, &Options::new()).unwrap();
    let mutex = ReentrantMutex::create_at(&place.domain(), &segment, 0, 0_u64).unwrap();
    let set_depth = |depth: u64| segment.write(DEPTH, &depth.to_ne_bytes()).unwrap();
    set_depth(u64::MAX);
    let guard = mutex.lock().unwrap();
    for depth in [u64::from(u32::MAX), u64::MAX] {
        set_depth(depth);
        assert!(matches!(refused(mutex.lock()), LockError::TooDeep));
        let text = refused(mutex.try_lock()).to_string();
        assert!(text.contains("more guards than can be counted"), "{text}");
    }
    set_depth(u64::from(u32::MAX) - 1);
    std::mem::forget(mutex.lock().unwrap());
    assert!(mutex.lock().is_err());
    // Spoilt: too many guards for its count.
    set_depth(0);
    drop(guard);
    assert!(is_free(&mutex));
}

#[test]
fn whatever_its_words_hold_it_locks() {
    for garbage in [1, 99 << 13, u64::MAX, u64::MAX >> 3] {
        let place = Place::new();
        let segment = Segment::create(&place.domain(), "own", ReentrantMutex::<u64>::SIZE, &Options::new()).unwrap();
        let mutex = ReentrantMutex::create_at(&place.domain(), &segment, 0, 0_u64).unwrap();
        for word in 0..24 {
            segment.write(64 + 8 * word, &garbage.to_ne_bytes()).unwrap();
        }
        owner_died(mutex.lock_timeout(SOON)).mark_consistent();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..100).for_each(|_| mutex.lock().unwrap().update(|value| *value += 1)));
            }
        });
        assert_eq!(mutex.lock().unwrap().get(), 200, "{garbage:#x}");
    }
}
