//! Condition variables with a lock that has no guard.

use std::thread;
use std::time::Duration;

use sharedware::sync::{Condvar, LockError, RawMutex, Wake};
use sharedware::{Domain, Options, Segment};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, eventually, sleep_until_killed, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);
/// Where the value that the lock guards is.
const VALUE: u64 = Condvar::SIZE + RawMutex::SIZE;

struct Pair {
    mutex: RawMutex,
    condvar: Condvar,
    segment: Segment,
}

impl Pair {
    fn new(domain: &Domain) -> Self {
        let segment = Segment::create(domain, "pair", VALUE + 8, &Options::new()).unwrap();
        let condvar = Condvar::create_at(domain, &segment, 0).unwrap();
        let mutex = RawMutex::create_at(domain, &segment, Condvar::SIZE).unwrap();
        Self { mutex, condvar, segment }
    }

    fn open(domain: &Domain) -> Self {
        let segment = Segment::open(domain, "pair", &Options::new()).unwrap();
        let condvar = Condvar::open_at(domain, &segment, 0).unwrap();
        let mutex = RawMutex::open_at(domain, &segment, Condvar::SIZE).unwrap();
        Self { mutex, condvar, segment }
    }

    fn value(&self) -> u64 {
        let mut bytes = [0; 8];
        self.segment.read(VALUE, &mut bytes).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn write(&self, value: u64) {
        self.segment.write(VALUE, &value.to_ne_bytes()).unwrap();
    }

    /// Adds one under the lock, and tells.
    fn count(&self) {
        self.mutex.lock().unwrap();
        self.write(self.value() + 1);
        self.condvar.notify_one();
        self.mutex.unlock().unwrap();
    }

    fn wait_for_waiters(&self, count: usize) {
        eventually(|| (self.condvar.waiters() == count).then_some(()));
    }

    fn assert_clean(&self) {
        assert_eq!((self.condvar.waiters(), self.mutex.is_locked()), (0, false));
    }
}

#[test]
fn it_is_unlocked_for_the_wait_and_locked_after_it() {
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    for timeout in [Duration::ZERO, Duration::from_nanos(1), MOMENT] {
        pair.mutex.lock().unwrap();
        let wake = takes_at_least(timeout, || pair.condvar.wait_raw_timeout(&pair.mutex, timeout).unwrap());
        assert!(wake.timed_out() && pair.mutex.is_locked());
        pair.mutex.unlock().unwrap();
    }
    pair.assert_clean();
    thread::scope(|scope| {
        let waits: [fn(&Pair) -> Wake; 2] = [
            |pair| pair.condvar.wait_raw(&pair.mutex).map(|()| Wake::Notified).unwrap(),
            |pair| pair.condvar.wait_raw_timeout(&pair.mutex, Duration::MAX).unwrap(),
        ];
        for wait in waits {
            let pair = &pair;
            pair.mutex.lock().unwrap();
            let waiter = scope.spawn(move || {
                // It is locked, although not by this thread.
                let wake = wait(pair);
                assert!(pair.mutex.is_locked());
                assert!(matches!(pair.mutex.lock(), Err(LockError::Deadlock)), "locked by this thread now");
                pair.mutex.unlock().unwrap();
                wake
            });
            pair.wait_for_waiters(1);
            // It was unlocked.
            pair.mutex.lock().unwrap();
            assert_eq!(pair.condvar.notify_all(), 1);
            pair.mutex.unlock().unwrap();
            assert_eq!(waiter.join().unwrap(), Wake::Notified);
        }
    });
    pair.assert_clean();
}

/// As Python's `Condition.wait` on a lock that is not acquired.
#[test]
fn nobody_waits_with_an_unlocked_one() {
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    let refused = pair.condvar.wait_raw(&pair.mutex).unwrap_err();
    assert!(matches!(refused, LockError::NotLocked) && refused.to_string().contains("lock it first"), "{refused}");
    let refused = pair.condvar.wait_raw_timeout(&pair.mutex, MOMENT).unwrap_err();
    assert!(matches!(refused, LockError::NotLocked) && refused.into_guard().is_none());
    pair.assert_clean();
}

/// What the other process of a test does.
fn play() -> bool {
    let Some((role, place)) = place::role() else { return false };
    let pair = Pair::open(&place.domain());
    match role.as_str() {
        "counts" => (0..100).for_each(|_| pair.count()),
        "locks" => {
            pair.mutex.lock().unwrap();
            pair.write(77);
            sleep_until_killed()
        }
        _ => {
            pair.mutex.lock().unwrap();
            pair.condvar.wait_raw(&pair.mutex).unwrap();
            sleep_until_killed()
        }
    }
    true
}

#[test]
fn two_processes() {
    if play() {
        return;
    }
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    let other = place.other_process("two_processes", "counts");
    pair.mutex.lock().unwrap();
    while pair.value() < 100 {
        pair.condvar.wait_raw(&pair.mutex).unwrap();
    }
    pair.mutex.unlock().unwrap();
    other.join();
    pair.assert_clean();
}

/// The notifier dies with the lock: who waited has it, and is told, also after another wait, until it says that all is well.
#[test]
fn the_lock_may_come_back_inconsistent() {
    if play() {
        return;
    }
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    pair.mutex.lock().unwrap();
    let other = place.other_process("the_lock_may_come_back_inconsistent", "locks");
    thread::scope(|scope| {
        scope.spawn(|| {
            // It has the lock, so the other thread waits.
            eventually(|| (pair.value() == 77).then_some(()));
            assert_eq!(pair.condvar.notify_one(), 1);
            other.kill();
        });
        assert!(matches!(pair.condvar.wait_raw(&pair.mutex), Err(LockError::OwnerDied(()))));
    });
    let again = || pair.condvar.wait_raw_timeout(&pair.mutex, Duration::ZERO);
    assert!(matches!(again(), Err(LockError::OwnerDied(Wake::TimedOut))) && pair.mutex.is_locked());
    pair.mutex.mark_consistent();
    assert_eq!(again().unwrap(), Wake::TimedOut);
    pair.mutex.unlock().unwrap();
    pair.assert_clean();
}

/// Who waits and dies leaves neither the lock locked nor a notification lost.
#[test]
fn a_notification_of_a_dead_waiter_goes_to_another() {
    if play() {
        return;
    }
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    let other = place.other_process("a_notification_of_a_dead_waiter_goes_to_another", "waits");
    pair.wait_for_waiters(1);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            pair.mutex.lock().unwrap();
            pair.condvar.wait_raw(&pair.mutex).unwrap();
            pair.mutex.unlock().unwrap();
        });
        pair.wait_for_waiters(2);
        // The other one is notified, being the older, and cannot return without the lock.
        pair.mutex.lock().unwrap();
        assert_eq!(pair.condvar.notify_one(), 1);
        other.kill();
        pair.mutex.unlock().unwrap();
        waiter.join().unwrap();
    });
    pair.assert_clean();
}
