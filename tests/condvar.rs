//! Condition variables from outside: one thread, several, several processes. Those that fork are in `sync_forks.rs`.

use std::sync::Mutex as Private;
use std::thread;
use std::time::Duration;

use sharedware::sync::{Condvar, LockError, Mutex, Wake};
use sharedware::{Domain, Options, Reason, Segment};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, SOON, eventually, sleep_until_killed, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

/// Words of the state, and where its cells are.
const WORDS: usize = 520;
const CELLS: usize = 8;

struct Pair {
    mutex: Mutex<u64>,
    condvar: Condvar,
    segment: Segment,
}

impl Pair {
    fn new(domain: &Domain) -> Self {
        let options = Options::new();
        let segment = Segment::create(domain, "pair", Condvar::SIZE + Mutex::<u64>::SIZE, &options).unwrap();
        let condvar = Condvar::create_at(domain, &segment, 0).unwrap();
        let mutex = Mutex::create_at(domain, &segment, Condvar::SIZE, 0).unwrap();
        Self { mutex, condvar, segment }
    }

    fn open(domain: &Domain) -> Self {
        let segment = Segment::open(domain, "pair", &Options::new()).unwrap();
        let condvar = Condvar::open_at(domain, &segment, 0).unwrap();
        let mutex = Mutex::open_at(domain, &segment, Condvar::SIZE).unwrap();
        Self { mutex, condvar, segment }
    }

    /// Until so many wait.
    fn wait_for_waiters(&self, count: usize) {
        eventually(|| (self.condvar.waiters() == count).then_some(()));
    }

    fn set(&self, index: usize, value: u64) {
        self.segment.write(64 + 8 * index as u64, &value.to_ne_bytes()).unwrap();
    }

    fn word(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        self.segment.read(64 + 8 * index as u64, &mut bytes).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn assert_clean(&self) {
        assert!((CELLS..WORDS).all(|index| self.word(index) == 0));
        assert!(!self.mutex.is_locked());
    }
}

// Ordinary use.

#[test]
fn what_is_notified_wakes_up() {
    let place = Place::new();
    let domain = place.domain();
    let (mutex, condvar) =
        (Mutex::create(&domain, "mutex", 0_u64).unwrap(), Condvar::create(&domain, "condvar").unwrap());
    let other = Condvar::open(&domain, "condvar").unwrap();
    assert_eq!((other.notify_one(), other.notify_all(), other.notify(7)), (0, 0, 0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..200 {
                let mut guard = condvar.wait_while(mutex.lock().unwrap(), |at| *at != 2 * turn + 1).unwrap();
                *guard += 1;
                if turn % 2 == 0 {
                    drop(guard);
                }
                condvar.notify_all();
            }
        });
        for turn in 0..200 {
            let mut guard = mutex.lock().unwrap();
            *guard += 1;
            other.notify_all();
            drop(other.wait_while(guard, |at| *at != 2 * turn + 2).unwrap());
        }
    });
    assert_eq!(*mutex.lock().unwrap(), 400);
    assert!(format!("{:?}", condvar.clone()).contains("waiters: 0"), "{condvar:?}");
    let refused = Mutex::<u64>::open(&domain, "condvar").unwrap_err();
    assert!(matches!(refused.reason(), Reason::Kind { .. }), "{refused}");
}

#[test]
fn time_outs() {
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    for timeout in [Duration::ZERO, Duration::from_nanos(1), MOMENT, 3 * MOMENT] {
        let guard = pair.mutex.lock().unwrap();
        let (guard, wake) = takes_at_least(timeout, || pair.condvar.wait_timeout(guard, timeout).unwrap());
        assert!(wake.timed_out() && guard.is_consistent());
        let wait = || pair.condvar.wait_timeout_while(guard, timeout, |_| true).unwrap();
        let (guard, wake) = takes_at_least(timeout, wait);
        assert_eq!(wake, Wake::TimedOut);
        let (_guard, wake) = pair.condvar.wait_timeout_while(guard, timeout, |_| false).unwrap();
        assert_eq!(wake, Wake::Notified, "there was nothing to wait for");
    }
    pair.assert_clean();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| pair.condvar.wait_timeout(pair.mutex.lock().unwrap(), Duration::MAX).unwrap().1);
        pair.wait_for_waiters(1);
        drop(pair.mutex.lock().unwrap());
        assert_eq!(pair.condvar.notify_one(), 1);
        assert_eq!(waiter.join().unwrap(), Wake::Notified);
    });
    pair.assert_clean();
}

/// In the order in which they came, and nobody who was not.
#[test]
fn the_oldest_are_notified_first() {
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    let woken = Private::new(Vec::new());
    thread::scope(|scope| {
        let (pair, woken) = (&pair, &woken);
        for number in 0..8 {
            scope.spawn(move || {
                drop(pair.condvar.wait(pair.mutex.lock().unwrap()).unwrap());
                woken.lock().unwrap().push(number);
            });
            pair.wait_for_waiters(number + 1);
        }
        for number in 0..3 {
            assert_eq!(pair.condvar.notify_one(), 1);
            eventually(|| (woken.lock().unwrap().len() == number + 1).then_some(()));
        }
        assert_eq!(*woken.lock().unwrap(), [0, 1, 2]);
        // Who came in late has the first cell, but not the first place.
        scope.spawn(move || {
            drop(pair.condvar.wait(pair.mutex.lock().unwrap()).unwrap());
            woken.lock().unwrap().push(99);
        });
        pair.wait_for_waiters(6);
        assert_eq!(pair.condvar.notify(2), 2);
        eventually(|| (woken.lock().unwrap().len() == 5).then_some(()));
        let mut pair_of_them = woken.lock().unwrap()[3..].to_vec();
        pair_of_them.sort_unstable();
        assert_eq!(pair_of_them, [3, 4]);
        thread::sleep(MOMENT);
        assert_eq!((woken.lock().unwrap().len(), pair.condvar.waiters()), (5, 4));
        assert_eq!(pair.condvar.notify_all(), 4);
        assert_eq!(pair.condvar.notify_all(), 0);
    });
    assert_eq!(woken.lock().unwrap().len(), 9);
    pair.assert_clean();
}

/// Each notification wakes one wait, and each wait that ends so had one.
#[test]
fn as_many_wake_up_as_are_notified() {
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    let (mut notified, mut woken) = (0, 0);
    thread::scope(|scope| {
        let waiters = [(); 3].map(|()| {
            scope.spawn(|| {
                let mut woken = 0;
                let mut guard = pair.mutex.lock().unwrap();
                while *guard == 0 {
                    let (again, wake) = pair.condvar.wait_timeout(guard, Duration::from_micros(50)).unwrap();
                    guard = again;
                    woken += usize::from(wake == Wake::Notified);
                }
                woken
            })
        });
        for count in (0..3000).map(|turn| turn % 4) {
            notified += if count == 3 { pair.condvar.notify_all() } else { pair.condvar.notify(count) };
        }
        *pair.mutex.lock().unwrap() = 1;
        woken = waiters.map(|waiter| waiter.join().unwrap()).iter().sum();
    });
    assert_eq!(notified, woken);
    pair.assert_clean();
}

#[test]
fn as_many_waiters_as_there_are_cells() {
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    thread::scope(|scope| {
        for _ in 0..256 {
            let in_small = thread::Builder::new().stack_size(64 << 10);
            let wait = || drop(pair.condvar.wait(pair.mutex.lock().unwrap()).unwrap());
            in_small.spawn_scoped(scope, wait).unwrap();
        }
        pair.wait_for_waiters(256);
        let refused = pair.condvar.wait(pair.mutex.lock().unwrap()).unwrap_err();
        assert!(matches!(refused, LockError::TooManyWaiters(_)) && refused.to_string().contains("256"), "{refused}");
        assert!(pair.mutex.is_locked(), "still held");
        drop(refused.into_guard().unwrap());
        let refused = pair.condvar.wait_timeout(pair.mutex.lock().unwrap(), MOMENT).unwrap_err();
        assert!(matches!(refused, LockError::TooManyWaiters((_, Wake::TimedOut))), "{refused:?}");
        drop(refused);
        assert_eq!(pair.condvar.notify_all(), 256);
    });
    pair.assert_clean();
}

// Death.

/// What the other process of a test does.
fn play() -> bool {
    let Some((role, place)) = place::role() else { return false };
    let pair = Pair::open(&place.domain());
    match role.as_str() {
        // Until it is killed, or the test fails.
        "waits" => {
            let mut guard = pair.mutex.lock().unwrap();
            loop {
                guard = pair.condvar.wait(guard).unwrap();
            }
        }
        "many" => thread::scope(|scope| {
            for _ in 0..256 {
                scope.spawn(|| drop(pair.condvar.wait(pair.mutex.lock().unwrap())));
            }
        }),
        "notifies" => {
            for _ in 0..100 {
                *pair.mutex.lock().unwrap() += 1;
                pair.condvar.notify_one();
            }
            return true;
        }
        _ => {
            let mut guard = pair.mutex.lock().unwrap();
            *guard = 77;
            sleep_until_killed();
        }
    }
    sleep_until_killed()
}

#[test]
fn two_processes() {
    if play() {
        return;
    }
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    let other = place.other_process("two_processes", "notifies");
    let mut guard = pair.mutex.lock().unwrap();
    for count in 1..=100 {
        guard = pair.condvar.wait_while(guard, |counted| *counted < count).unwrap();
    }
    drop(guard);
    other.join();
    pair.assert_clean();
}

#[test]
fn a_notification_of_a_dead_waiter_goes_to_another() {
    if play() {
        return;
    }
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    for dies_first in [true, false] {
        let others = [0, 1].map(|number| {
            let other = place.other_process("a_notification_of_a_dead_waiter_goes_to_another", "waits");
            pair.wait_for_waiters(number + 1);
            other
        });
        thread::scope(|scope| {
            let waiter = scope.spawn(|| drop(pair.condvar.wait(pair.mutex.lock().unwrap()).unwrap()));
            pair.wait_for_waiters(3);
            // They are stopped, so to speak, by the lock, with their notifications.
            let guard = pair.mutex.lock().unwrap();
            if dies_first {
                others.into_iter().for_each(place::Other::kill);
                assert_eq!(pair.condvar.notify(2), 2);
            } else {
                assert_eq!(pair.condvar.notify(2), 2);
                others.into_iter().for_each(place::Other::kill);
            }
            drop(guard);
            waiter.join().unwrap();
        });
        // Cleared by somebody who waits, or who needs them.
        eventually(|| {
            let wait = pair.condvar.wait_timeout(pair.mutex.lock().unwrap(), MOMENT).unwrap();
            assert_eq!(wait.1, Wake::TimedOut, "what nobody was left for wakes nobody who comes later");
            (pair.condvar.waiters() == 0 && pair.word(CELLS) == 0).then_some(())
        });
    }
    pair.assert_clean();
}

#[test]
fn cells_of_the_dead_are_used_again() {
    if play() {
        return;
    }
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    let other = place.other_process("cells_of_the_dead_are_used_again", "many");
    pair.wait_for_waiters(256);
    let refused = pair.condvar.wait_timeout(pair.mutex.lock().unwrap(), Duration::ZERO).map(drop).unwrap_err();
    assert!(matches!(refused, LockError::TooManyWaiters(_)), "{refused}");
    drop(refused);
    other.kill();
    let waits = || pair.condvar.wait_timeout(pair.mutex.lock().unwrap(), MOMENT).map(|(_, wake)| wake);
    assert_eq!(waits().unwrap(), Wake::TimedOut);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| pair.condvar.wait(pair.mutex.lock().unwrap()).map(drop).unwrap());
        pair.wait_for_waiters(256);
        // All but ours are dead; each of these is passed on, and we are the oldest and only one that is left.
        assert_eq!(pair.condvar.notify(1), 1);
        waiter.join().unwrap();
    });
}

#[test]
fn the_lock_may_come_back_inconsistent() {
    if play() {
        return;
    }
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    let guard = pair.mutex.lock().unwrap();
    let other = place.other_process("the_lock_may_come_back_inconsistent", "locks");
    thread::scope(|scope| {
        let killer = scope.spawn(|| {
            eventually(|| (pair.word(WORDS + 8 + 16) == 77).then_some(()));
            assert_eq!(pair.condvar.notify_one(), 1);
            other.kill();
        });
        let Err(LockError::OwnerDied(guard)) = pair.condvar.wait(guard) else { panic!("nobody was told") };
        assert!(!guard.is_consistent() && *guard == 77);
        // What it was, it is after another wait, too.
        let refused = pair.condvar.wait_timeout(guard, Duration::from_millis(1)).unwrap_err();
        let (mut guard, wake) = refused.into_guard().unwrap();
        assert!(!guard.is_consistent() && wake.timed_out());
        guard.mark_consistent();
        let (guard, _) = pair.condvar.wait_timeout(guard, Duration::from_millis(1)).unwrap();
        assert!(guard.is_consistent());
        drop(guard);
        killer.join().unwrap();
    });
    pair.assert_clean();
}

// Bad words.

/// Whatever stands in the state, every operation ends.
#[test]
fn spoilt_words_do_no_harm() {
    let place = Place::new();
    let pair = Pair::new(&place.domain());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let attempt = || {
        let _ = (pair.condvar.notify_one(), pair.condvar.notify(3), pair.condvar.waiters());
        drop(pair.condvar.wait_timeout(pair.mutex.lock().unwrap(), Duration::from_millis(1)));
        pair.condvar.notify_all();
        drop(pair.condvar.wait_timeout_while(pair.mutex.lock().unwrap(), Duration::from_millis(1), |_| true));
    };
    let clear = || (0..WORDS).for_each(|index| pair.set(index, 0));
    for index in (0..CELLS + 8).chain([WORDS - 2, WORDS - 1]) {
        for value in [1, 2, 3, 1 << 61, 1 << 62, 1 << 63, u64::MAX, u64::MAX - 1, next(), next()] {
            pair.set(index, value);
            attempt();
            clear();
        }
    }
    for _ in 0..20 {
        (0..WORDS).for_each(|index| pair.set(index, next()));
        attempt();
    }
    clear();
    // While somebody sleeps.
    for value in [0, 1, 2, 3, u64::MAX, next()] {
        thread::scope(|scope| {
            scope.spawn(|| drop(pair.condvar.wait_timeout(pair.mutex.lock().unwrap(), 3 * MOMENT)));
            pair.wait_for_waiters(1);
            for index in [CELLS, CELLS + 1, 0, 1] {
                pair.set(index, value);
            }
            pair.condvar.notify_all();
        });
        clear();
    }
    let (_guard, wake) = pair.condvar.wait_timeout(pair.mutex.lock_timeout(SOON).unwrap(), MOMENT).unwrap();
    assert!(wake.timed_out());
}
