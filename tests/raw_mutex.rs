//! The raw mutex from outside: one process, several threads, several processes.

use std::thread;
use std::time::Duration;

use sharedware::sync::{LockError, RawMutex, UnlockError};
use sharedware::{Options, Segment};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, SOON, eventually, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

fn create(place: &Place) -> RawMutex {
    RawMutex::create(&place.domain(), "it").unwrap()
}

fn open(place: &Place) -> RawMutex {
    RawMutex::open(&place.domain(), "it").unwrap()
}

#[test]
fn it_is_locked_until_somebody_unlocks_it() {
    let place = Place::new();
    let (mutex, other) = (create(&place), open(&place));
    assert!(matches!(mutex.unlock(), Err(UnlockError::NotLocked)));
    mutex.lock().unwrap();
    assert!(other.is_locked());
    let busy = other.try_lock().unwrap_err();
    assert!(matches!(&busy, LockError::WouldBlock { owner: Some(owner) } if owner.pid == std::process::id()));
    other.unlock().unwrap();
    assert!(!mutex.is_locked());
    assert_eq!(mutex.unlock().unwrap_err().to_string(), "the lock is not held: there is nothing to unlock");
    other.try_lock().unwrap();
    mutex.clone().unlock().unwrap();
    mutex.lock_timeout(Duration::ZERO).unwrap();
    assert!(format!("{mutex:?}").contains("locked: true"), "{mutex:?}");
}

#[test]
fn who_has_it_waits_for_it_only_with_a_limit() {
    let place = Place::new();
    let mutex = create(&place);
    mutex.lock().unwrap();
    assert!(matches!(mutex.lock(), Err(LockError::Deadlock)));
    assert!(matches!(open(&place).lock(), Err(LockError::Deadlock)));
    for timeout in [Duration::ZERO, MOMENT] {
        let outcome = takes_at_least(timeout, || mutex.lock_timeout(timeout));
        assert!(matches!(outcome, Err(LockError::TimedOut { owner: Some(_) })), "{outcome:?}");
    }
    // Another thread unlocks it meanwhile.
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(MOMENT);
            mutex.unlock().unwrap();
        });
        mutex.lock_timeout(Duration::MAX).unwrap();
    });
    // Unlocked by another and locked by a third, it is no longer ours.
    thread::scope(|scope| {
        scope.spawn(|| {
            mutex.unlock().unwrap();
            mutex.lock().unwrap();
        });
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(MOMENT);
            mutex.unlock().unwrap();
        });
        mutex.lock().unwrap();
    });
}

#[test]
fn it_stays_locked_without_its_thread_and_without_a_handle() {
    let place = Place::new();
    let mutex = create(&place);
    let holder = || {
        let [lock] = place.domain().locks_in("it", &Options::new()).unwrap().locks.try_into().unwrap();
        let [holder] = lock.holders.try_into().unwrap();
        (holder.who.peer.unwrap().pid, holder.who.thread)
    };
    thread::scope(|scope| {
        let owner = scope.spawn(|| {
            mutex.lock().unwrap();
            holder()
        });
        let (pid, thread) = owner.join().unwrap();
        assert_ne!(thread, 0);
        assert_eq!(holder(), (pid, 0), "another thread may be given its number");
    });
    assert!(matches!(mutex.lock_timeout(MOMENT), Err(LockError::TimedOut { .. })));
    mutex.unlock().unwrap();

    let segment = Segment::create(&place.domain(), "own", RawMutex::SIZE, &Options::new()).unwrap();
    let part = RawMutex::create_at(&place.domain(), &segment, 0).unwrap();
    part.lock().unwrap();
    drop(part);
    let part = RawMutex::open_at(&place.domain(), &segment, 0).unwrap();
    assert!(matches!(part.try_lock(), Err(LockError::WouldBlock { .. })));
    part.unlock().unwrap();
    part.lock().unwrap();
}

/// Each holding is unlocked once, however many try.
#[test]
fn two_who_unlock_it_at_once() {
    let place = Place::new();
    let mutex = create(&place);
    let unlocked = |mutex: &RawMutex| u32::from(mutex.unlock().is_ok());
    for _ in 0..2000 {
        mutex.lock().unwrap();
        let ours = thread::scope(|scope| {
            let other = scope.spawn(|| unlocked(&mutex));
            unlocked(&mutex) + other.join().unwrap()
        });
        assert_eq!(ours, 1);
    }
}

/// Two processes: one locks, the other unlocks, a thousand times.
#[test]
fn a_signal_from_one_process_to_another() {
    const TEST: &str = "a_signal_from_one_process_to_another";
    const TIMES: u32 = 1000;
    if let Some((_, place)) = place::role() {
        let mutex = open(&place);
        (0..TIMES).for_each(|_| eventually_unlock(&mutex));
        return;
    }
    let place = Place::new();
    let mutex = create(&place);
    mutex.lock().unwrap();
    let other = place.other_process(TEST, "unlocks");
    for _ in 0..TIMES {
        mutex.lock_timeout(SOON).unwrap();
    }
    other.join();
    assert!(mutex.is_locked());
}

fn eventually_unlock(mutex: &RawMutex) {
    eventually(|| match mutex.unlock() {
        Ok(()) => Some(()),
        Err(UnlockError::NotLocked) => {
            thread::yield_now();
            None
        }
        Err(error) => panic!("{error}"),
    });
}

#[test]
fn it_excludes_threads_of_several_processes() {
    const TEST: &str = "it_excludes_threads_of_several_processes";
    const PROCESSES: usize = 3;
    const TIMES: u64 = 4000;
    let count = |segment: &Segment, mutex: &RawMutex| {
        for _ in 0..TIMES {
            mutex.lock_timeout(SOON).unwrap();
            let mut bytes = [0; 8];
            segment.read(0, &mut bytes).unwrap();
            segment.write(0, &(u64::from_ne_bytes(bytes) + 1).to_ne_bytes()).unwrap();
            mutex.unlock().unwrap();
        }
    };
    if let Some((_, place)) = place::role() {
        let segment = Segment::open(&place.domain(), "own", &Options::new()).unwrap();
        let mutex = RawMutex::open_at(&place.domain(), &segment, 64).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| count(&segment, &mutex));
            count(&segment, &mutex);
        });
        return;
    }
    let place = Place::new();
    let segment = Segment::create(&place.domain(), "own", 64 + RawMutex::SIZE, &Options::new()).unwrap();
    let _mutex = RawMutex::create_at(&place.domain(), &segment, 64).unwrap();
    let others = [(); PROCESSES].map(|()| place.other_process(TEST, "counts"));
    others.into_iter().for_each(place::Other::join);
    let mut bytes = [0; 8];
    segment.read(0, &mut bytes).unwrap();
    assert_eq!(u64::from_ne_bytes(bytes), 2 * TIMES * PROCESSES as u64);
}

#[test]
fn a_killed_owner_is_told_of() {
    const TEST: &str = "a_killed_owner_is_told_of";
    if let Some((_, place)) = place::role() {
        open(&place).lock().unwrap();
        place::sleep_until_killed();
    }
    let place = Place::new();
    let mutex = create(&place);
    let other = place.other_process(TEST, "owner");
    eventually(|| mutex.is_locked().then_some(()));
    let busy = mutex.lock_timeout(MOMENT).unwrap_err();
    assert!(busy.to_string().contains(&format!("by pid {}", other.pid())), "{busy}");
    other.kill();
    assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(()))));
    assert!(matches!(mutex.lock(), Err(LockError::Deadlock)), "it is locked, by us");
    mutex.unlock().unwrap();
    assert!(matches!(mutex.try_lock(), Err(LockError::OwnerDied(()))), "told again");
    mutex.mark_consistent();
    mutex.unlock().unwrap();
    mutex.lock().unwrap();

    // Unlocked for the dead, before anybody asked.
    mutex.unlock().unwrap();
    let other = place.other_process(TEST, "owner");
    eventually(|| mutex.is_locked().then_some(()));
    other.kill();
    mutex.unlock().unwrap();
    mutex.lock().unwrap();
}

const INCONSISTENT: u64 = 1 << 63;
const SETTLING: u64 = 1 << 62;

fn forged(words: &[(u64, u64)]) -> (Place, RawMutex) {
    let place = Place::new();
    let segment = Segment::create(&place.domain(), "own", RawMutex::SIZE, &Options::new()).unwrap();
    let mutex = RawMutex::create_at(&place.domain(), &segment, 0).unwrap();
    for (word, value) in words {
        segment.write(64 + 8 * word, &value.to_ne_bytes()).unwrap();
    }
    (place, mutex)
}

/// A process that lives is said to be just taking it, and never goes on: nobody waits for that without end.
#[test]
fn unlocking_does_not_wait_for_ever_for_who_is_just_taking_it() {
    let (place, mutex) = forged(&[]);
    mutex.lock().unwrap();
    let segment = Segment::open(&place.domain(), "own", &Options::new()).unwrap();
    let mut word = [0; 8];
    segment.read(64, &mut word).unwrap();
    let settling = u64::from_ne_bytes(word) | SETTLING;
    segment.write(64, &settling.to_ne_bytes()).unwrap();
    let refused = mutex.unlock().unwrap_err();
    assert!(
        matches!(&refused, UnlockError::BeingTaken { owner: Some(owner) } if owner.pid == std::process::id()),
        "{refused}"
    );
    // Nothing has changed.
    segment.read(64, &mut word).unwrap();
    assert_eq!(u64::from_ne_bytes(word), settling);
    segment.write(64, &0_u64.to_ne_bytes()).unwrap();
    mutex.lock().unwrap();
    mutex.unlock().unwrap();
}

#[test]
fn whatever_its_words_hold_it_locks_and_unlocks() {
    for owner in [1, u64::MAX >> 3, u64::MAX, INCONSISTENT, SETTLING, SETTLING | 1 << 13, 1 << 61 | 99] {
        let (_place, mutex) = forged(&[(0, owner)]);
        assert!(matches!(mutex.lock_timeout(SOON), Err(LockError::OwnerDied(()))), "{owner:#x}");
        mutex.mark_consistent();
        mutex.unlock().unwrap();
        mutex.lock().unwrap();

        // Unlocked as it is found, if it has an owner; who is said to be just taking it does not live.
        let (_place, mutex) = forged(&[(0, owner)]);
        assert_eq!(mutex.unlock().is_ok(), owner << 3 != 0, "{owner:#x}");
        assert!(!mutex.is_locked());
        assert!(matches!(mutex.try_lock(), Ok(()) | Err(LockError::OwnerDied(()))), "{owner:#x}");
        mutex.unlock().unwrap();
    }
    for garbage in [1, u64::MAX, u64::MAX >> 3] {
        let words: Vec<_> = (1..16).map(|word| (word, garbage)).collect();
        let (_place, mutex) = forged(&words);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        mutex.lock_timeout(SOON).unwrap();
                        mutex.unlock().unwrap();
                    }
                });
            }
        });
    }
}
