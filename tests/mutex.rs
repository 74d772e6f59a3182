//! The mutex from outside: one process, several threads, several processes.

#![cfg(feature = "derive")]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use sharedware::sync::{LockError, Mutex, MutexGuard};
use sharedware::{Options, Reason, Segment, Shared};

mod common {
    pub(crate) mod late;
    pub(crate) mod place;
}
use common::late::{Late, outlives};
use common::place::{self, Place, SOON, eventually, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C)]
struct Account {
    owner: [u8; 8],
    balance: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C, align(64))]
struct Wide {
    words: [u64; 9 + 7],
}

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C, align(128))]
struct Wider {
    words: [u64; 16],
}

type Outcome<'a, T> = Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

/// The guard that comes with the news that an owner died.
#[track_caller]
fn owner_died<T: Shared>(outcome: Outcome<'_, T>) -> MutexGuard<'_, T> {
    match outcome {
        Err(LockError::OwnerDied(guard)) => {
            assert!(!guard.is_consistent());
            guard
        }
        Err(error) => panic!("expected an owner to have died: {error}"),
        Ok(_) => panic!("expected an owner to have died, but all is well"),
    }
}

/// The text of a refusal.
#[track_caller]
fn refused<T: Shared>(outcome: Outcome<'_, T>) -> LockError<()> {
    match outcome {
        Ok(_) => panic!("expected a refusal"),
        Err(error) => error.drop_guard(),
    }
}

// Ordinary use.

#[test]
fn a_value_is_changed_under_the_lock() {
    let place = Place::new();
    let first = Account { owner: *b"SHARED\0\0", balance: 3 };
    let mutex = Mutex::create(&place.domain(), "account", first).unwrap();
    assert!(!mutex.is_locked());
    let mut guard = mutex.lock().unwrap();
    assert_eq!(*guard, first);
    guard.balance += 1;
    assert!(mutex.is_locked() && guard.is_consistent());
    drop(guard);

    let other = Mutex::<Account>::open(&place.domain(), "account").unwrap();
    assert_eq!(other.try_lock().unwrap().balance, 4);
    let again = Mutex::open_or_create(&place.domain(), "account", Account::zeroed()).unwrap();
    assert_eq!(again.lock_timeout(Duration::ZERO).unwrap().balance, 4, "what is there is what counts");
    assert!(format!("{again:?}").contains("sharedware.test.account"), "{again:?}");
    assert!(format!("{:?}", again.lock().unwrap()).contains("balance: 4"));
}

#[test]
fn values_of_every_size_and_alignment() {
    fn holds<T: Shared + PartialEq + std::fmt::Debug>(place: &Place, name: &str) {
        let mut value = T::zeroed();
        for (index, byte) in bytemuck::bytes_of_mut(&mut value).iter_mut().enumerate() {
            *byte = index as u8 ^ 0xa5;
        }
        let mutex = Mutex::create(&place.domain(), name, T::zeroed()).unwrap();
        assert_eq!(*mutex.lock().unwrap(), T::zeroed());
        *mutex.lock().unwrap() = value;
        let other = Mutex::<T>::open(&place.domain(), name).unwrap();
        assert_eq!(*other.lock().unwrap(), value, "{name}");
    }
    let place = Place::new();
    holds::<u8>(&place, "1");
    holds::<[u8; 7]>(&place, "7");
    holds::<[u64; 3]>(&place, "24");
    holds::<[u8; 65]>(&place, "65");
    holds::<Wide>(&place, "aligned-64");
    holds::<[u8; 5000]>(&place, "pages");
    holds::<[u32; 0]>(&place, "nothing");
    let refused = Mutex::create(&place.domain(), "aligned-128", Wider::zeroed()).unwrap_err();
    assert!(matches!(refused.reason(), Reason::Element(_)), "{refused}");
}

#[test]
fn locks_stand_side_by_side_in_a_segment() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "own", 4096, &Options::new()).unwrap();
    let size = Mutex::<Account>::SIZE;
    let first = Mutex::create_at(&domain, &segment, 64, Account { owner: [1; 8], balance: 1 }).unwrap();
    let second = Mutex::create_at(&domain, &segment, 64 + size, Account { owner: [2; 8], balance: 2 }).unwrap();
    let guard = first.lock().unwrap();
    let mut other = second.lock().unwrap();
    other.balance += guard.balance;
    drop((guard, other));
    let opened = Mutex::<Account>::open_at(&domain, &segment, 64 + size).unwrap();
    assert_eq!(opened.lock().unwrap().balance, 3);
    // Made anew, over what was there.
    drop((first, second, opened));
    let anew = Mutex::create_at(&domain, &segment, 64, 7_u64).unwrap();
    assert_eq!(*anew.lock().unwrap(), 7);
}

#[test]
fn processes_and_their_threads_take_turns() {
    const TEST: &str = "processes_and_their_threads_take_turns";
    const PROCESSES: usize = 3;
    const THREADS: usize = 2;
    const TIMES: usize = 3000;
    if let Some((_, place)) = place::role() {
        let mutex = Mutex::<[u64; 9]>::open(&place.domain(), "counter").unwrap();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..TIMES {
                        let mut guard = mutex.lock().unwrap();
                        assert!(guard.iter().all(|word| *word == guard[0]), "torn: {guard:?}");
                        guard.iter_mut().for_each(|word| *word += 1);
                    }
                });
            }
        });
        return;
    }
    let place = Place::new();
    let mutex = Mutex::create(&place.domain(), "counter", [0_u64; 9]).unwrap();
    let others = [(); PROCESSES].map(|()| place.other_process(TEST, "counter"));
    others.into_iter().for_each(place::Other::join);
    assert_eq!(*mutex.lock().unwrap(), [(PROCESSES * THREADS * TIMES) as u64; 9]);
}

// Who has it.

#[test]
fn a_thread_does_not_wait_for_itself() {
    let place = Place::new();
    let mutex = Mutex::create(&place.domain(), "it", 0_u64).unwrap();
    let other = Mutex::<u64>::open(&place.domain(), "it").unwrap();
    let guard = mutex.lock().unwrap();
    for mutex in [&mutex, &other] {
        assert!(matches!(refused(mutex.lock()), LockError::Deadlock));
        assert!(matches!(refused(mutex.lock_timeout(Duration::MAX)), LockError::Deadlock));
        assert!(matches!(refused(mutex.lock_timeout(Duration::ZERO)), LockError::Deadlock));
        let busy = refused(mutex.try_lock());
        assert!(matches!(&busy, LockError::WouldBlock { owner: Some(owner) } if owner.pid == std::process::id()));
        assert!(busy.is_busy() && busy.to_string().contains(&format!("by pid {}", std::process::id())), "{busy}");
    }
    drop(guard);
    drop(other.lock().unwrap());
}

#[test]
fn others_wait_as_long_as_they_are_told() {
    let place = Place::new();
    let mutex = Mutex::create(&place.domain(), "it", 0_u64).unwrap();
    let guard = mutex.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for timeout in [Duration::ZERO, MOMENT] {
                let outcome = takes_at_least(timeout, || refused(mutex.lock_timeout(timeout)));
                assert!(matches!(&outcome, LockError::TimedOut { owner: Some(_) }), "{outcome}");
                assert!(outcome.to_string().contains(&format!("by pid {}", std::process::id())), "{outcome}");
            }
        });
    });
    thread::scope(|scope| {
        let waiters = [Duration::MAX, Duration::from_secs(u64::MAX), SOON].map(|timeout| {
            let mutex = &mutex;
            scope.spawn(move || *mutex.lock_timeout(timeout).unwrap() += 1)
        });
        thread::sleep(MOMENT);
        drop(guard);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
    assert_eq!(*mutex.lock().unwrap(), 3);
}

// Guards that are not dropped.

#[test]
fn a_guard_leaked_in_a_living_thread_holds() {
    let place = Place::new();
    let mutex = Mutex::create(&place.domain(), "it", 0_u64).unwrap();
    std::mem::forget(mutex.lock().unwrap());
    assert!(matches!(refused(mutex.lock()), LockError::Deadlock));
    thread::scope(|scope| {
        scope.spawn(|| assert!(matches!(refused(mutex.lock_timeout(MOMENT)), LockError::TimedOut { owner: Some(_) })));
    });
}

#[test]
fn a_thread_that_ends_gives_up_what_it_leaked() {
    let place = Place::new();
    let mutex = Mutex::create(&place.domain(), "it", 0_u64).unwrap();
    let other = Mutex::create(&place.domain(), "other", 0_u64).unwrap();
    let kept = other.lock().unwrap();
    thread::scope(|scope| {
        let (taken, when_taken) = std::sync::mpsc::channel();
        let mutex = &mutex;
        scope.spawn(move || {
            std::mem::forget(mutex.lock().unwrap());
            taken.send(()).unwrap();
        });
        when_taken.recv().unwrap();
        owner_died(mutex.lock()).mark_consistent();
    });
    drop(mutex.lock().unwrap());
    drop(kept);
    assert!(other.lock().is_ok(), "of another thread");
}

#[test]
fn the_last_handle_gives_up_what_was_leaked() {
    let place = Place::new();
    let witness = Segment::create(&place.domain(), "own", Mutex::<u64>::SIZE, &Options::new()).unwrap();
    let mutex = Mutex::create_at(&place.domain(), &witness, 0, 0_u64).unwrap();
    let clone = mutex.clone();
    std::mem::forget(mutex.lock().unwrap());
    drop(mutex);
    let second = Mutex::<u64>::open_at(&place.domain(), &witness, 0).unwrap();
    assert!(matches!(refused(second.lock()), LockError::Deadlock), "there is a clone");
    drop(clone);
    assert!(matches!(refused(second.lock()), LockError::Deadlock), "there is another handle");
    drop(second);
    let again = Mutex::<u64>::open_at(&place.domain(), &witness, 0).unwrap();
    owner_died(again.lock()).mark_consistent();
    assert!(again.lock().is_ok());
}

thread_local! {
    static LATE: RefCell<Option<Late<MutexGuard<'static, u64>>>> = const { RefCell::new(None) };
}

/// It is not leaked: until it is dropped it holds, and nobody is told.
#[test]
fn a_guard_in_a_thread_local_holds_until_it_is_dropped() {
    let place = Place::new();
    let mutex: &'static _ = Box::leak(Box::new(Mutex::create(&place.domain(), "it", 0_u64).unwrap()));
    for touched_first in [true, false] {
        let seen = || assert!(matches!(mutex.try_lock(), Err(LockError::WouldBlock { .. })), "{touched_first}");
        outlives(&LATE, touched_first, || mutex.lock().ok(), seen);
        assert!(mutex.lock().is_ok());
    }
}

// Owners that fail.

#[test]
fn an_owner_that_panics_leaves_it_inconsistent() {
    let place = Place::new();
    let mutex = Mutex::create(&place.domain(), "it", [0_u64; 2]).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = mutex.lock().unwrap();
        guard[0] = 1;
        panic!("in the middle (as it should)");
    }));
    assert!(outcome.is_err());
    assert_eq!(*owner_died(mutex.lock()), [1, 0], "told, and dropped without a word");
    let mut guard = owner_died(mutex.try_lock());
    guard[1] = 1;
    guard.mark_consistent();
    assert!(guard.is_consistent());
    drop(guard);
    assert_eq!(*mutex.lock().unwrap(), [1, 1]);
}

#[test]
fn a_guard_that_comes_and_goes_in_a_panic_is_no_harm() {
    struct Tidy<'a>(&'a Mutex<u64>);
    impl Drop for Tidy<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let place = Place::new();
    let mutex = Mutex::create(&place.domain(), "it", 0_u64).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _tidy = Tidy(&mutex);
        panic!("elsewhere (as it should)");
    }));
    assert!(outcome.is_err());
    assert_eq!(*mutex.lock().unwrap(), 1);
}

#[test]
fn what_was_left_is_repaired_once() {
    let place = Place::new();
    let mutex = Mutex::create(&place.domain(), "it", [5_u64, 0]).unwrap();
    let leave = || {
        let outcome = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let _guard = mutex.lock();
                panic!("in the middle (as it should)");
            });
            thread.join()
        });
        assert!(outcome.is_err());
    };
    leave();
    // Who panics over the repair leaves it to the next.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _ = mutex.lock_or_repair(|value| {
            value[1] = 1;
            panic!("over the repair (as it should)")
        });
    }));
    assert!(outcome.is_err());
    let guard = mutex.lock_or_repair(|value| value[1] = value[0]).unwrap();
    assert_eq!(*guard, [5, 5]);
    drop(guard);
    drop(mutex.lock_or_repair(|_| panic!("there is nothing to repair")).unwrap());
}

#[test]
fn a_killed_owner_is_told_of_until_somebody_says_that_all_is_well() {
    const TEST: &str = "a_killed_owner_is_told_of_until_somebody_says_that_all_is_well";
    if let Some((role, place)) = place::role() {
        let mutex = Mutex::<[u64; 2]>::open(&place.domain(), "it").unwrap();
        let mut guard = match role.as_str() {
            "first" => mutex.lock().unwrap(),
            _ => owner_died(mutex.lock()),
        };
        guard[0] += 1;
        place::sleep_until_killed();
    }
    let place = Place::new();
    let mutex = Mutex::create(&place.domain(), "it", [0_u64; 2]).unwrap();
    let other = place.other_process(TEST, "first");
    eventually(|| mutex.is_locked().then_some(()));
    let busy = refused(mutex.lock_timeout(MOMENT));
    assert!(busy.to_string().contains(&format!("by pid {}", other.pid())), "{busy}");
    other.kill();
    assert!(mutex.is_locked(), "nobody has taken it yet");
    assert_eq!(owner_died(mutex.try_lock())[0], 1);
    assert_eq!(*owner_died(mutex.lock()), [1, 0]);

    // Dropped without a word, and a second one dies.
    let other = place.other_process(TEST, "second");
    eventually(|| mutex.is_locked().then_some(()));
    thread::scope(|scope| {
        // Waits, and sees it happen.
        let waiter = scope.spawn(|| owner_died(mutex.lock()).mark_consistent());
        thread::sleep(MOMENT);
        other.kill();
        waiter.join().unwrap();
    });
    assert_eq!(mutex.lock().unwrap()[0], 2);
}

// Words that anybody may have written.

/// A mutex within a segment whose words the test writes.
fn forged(words: &[(u64, u64)]) -> (Place, Segment, Mutex<u64>) {
    let place = Place::new();
    let segment = Segment::create(&place.domain(), "own", Mutex::<u64>::SIZE, &Options::new()).unwrap();
    let mutex = Mutex::create_at(&place.domain(), &segment, 0, 7_u64).unwrap();
    for (word, value) in words {
        segment.write(64 + 8 * word, &value.to_ne_bytes()).unwrap();
    }
    (place, segment, mutex)
}

const OWNER: u64 = 0;
const INCONSISTENT: u64 = 1 << 63;
const SETTLING: u64 = 1 << 62;

#[test]
fn an_owner_that_never_was_is_dead() {
    for owner in [1, 12_345 << 13 | 7, u64::MAX >> 3, u64::MAX, 1 << 60, SETTLING | 1 << 13, 1 << 61 | 99] {
        let (_place, _segment, mutex) = forged(&[(OWNER, owner)]);
        assert!(mutex.is_locked());
        let mut guard = owner_died(mutex.lock());
        assert_eq!(*guard, 7);
        guard.mark_consistent();
        drop(guard);
        assert!(mutex.try_lock().is_ok(), "{owner:#x}");
    }
}

/// A guard that finds another holding in place of its own has been given up: it must not give back what is another's.
#[test]
fn a_guard_that_was_given_up_robs_nobody() {
    let (_place, segment, mutex) = forged(&[]);
    let guard = mutex.lock().unwrap();
    let mut holder = [0; 8];
    segment.read(64 + 8, &mut holder).unwrap();
    segment.write(64 + 8, &(u64::from_ne_bytes(holder) + 1).to_ne_bytes()).unwrap();
    drop(guard);
    assert!(mutex.is_locked());
}

#[test]
fn flags_alone_are_nobodys() {
    for flags in [INCONSISTENT, SETTLING, 1 << 61, 0b111 << 61] {
        let (_place, _segment, mutex) = forged(&[(OWNER, flags)]);
        assert!(!mutex.is_locked());
        owner_died(mutex.try_lock()).mark_consistent();
        assert!(mutex.lock().is_ok());
    }
}

/// Whatever the other words hold, the lock works.
#[test]
fn garbage_beside_the_owner_is_no_harm() {
    for garbage in [1, 1 << 13, u64::from(u32::MAX), u64::MAX, u64::MAX >> 3, 0x5555_5555_5555_5555] {
        for word in (1..16).chain([99]) {
            let words: Vec<_> = (1..16).filter(|at| *at == word || word == 99).map(|at| (at, garbage)).collect();
            let (_place, _segment, mutex) = forged(&words);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| (0..50).for_each(|_| *mutex.lock().unwrap() += 1));
                }
            });
            assert_eq!(*mutex.lock_timeout(SOON).unwrap(), 107, "{garbage:#x} in {words:?}");
        }
    }
}
