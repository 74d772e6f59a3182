//! Reader-writer locks from outside: one thread, several, several processes. Those that fork are in `sync_forks.rs`.

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use sharedware::sync::{LockError, Mutex, ReadGuard, RwLock, WriteGuard};
use sharedware::{Domain, Options, Reason, Segment};

mod common {
    pub(crate) mod late;
    pub(crate) mod place;
}
use common::late::{Late, outlives};
use common::place::{self, Place, SOON, eventually, sleep_until_killed, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

/// Words of the state, from its start.
const OWNER: usize = 0;
const HOLDER: usize = 1;
const CHANGING: usize = 17;
const CELLS: std::ops::Range<usize> = 22..536;
const VALUE: usize = 536;

/// A lock in a segment of ours, so that its words can be seen, and spoilt.
struct Bare {
    segment: Segment,
    lock: RwLock<[u64; 2]>,
}

impl Bare {
    fn new(domain: &Domain) -> Self {
        let segment = Segment::create(domain, "bare", RwLock::<[u64; 2]>::SIZE, &Options::new()).unwrap();
        let lock = RwLock::create_at(domain, &segment, 0, [0, 0]).unwrap();
        Self { segment, lock }
    }

    fn word(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        self.segment.read(64 + 8 * index as u64, &mut bytes).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn set(&self, index: usize, value: u64) {
        self.segment.write(64 + 8 * index as u64, &value.to_ne_bytes()).unwrap();
    }

    /// Nobody is in, and nobody has left anything behind.
    fn assert_clean(&self) {
        for index in [OWNER, 2, 12, CHANGING].into_iter().chain(CELLS) {
            assert_eq!(self.word(index), 0, "word {index}");
        }
    }
}

fn domain_lock(place: &Place) -> (Domain, RwLock<[u64; 2]>) {
    let domain = place.domain();
    let lock = RwLock::create(&domain, "lock", [0_u64; 2]).unwrap();
    (domain, lock)
}

// Ordinary use.

#[test]
fn what_a_writer_leaves_readers_see() {
    let place = Place::new();
    let (domain, lock) = domain_lock(&place);
    *lock.write().unwrap() = [1, 2];
    let other = RwLock::<[u64; 2]>::open(&domain, "lock").unwrap();
    assert_eq!(*other.read().unwrap(), [1, 2]);
    other.write().unwrap()[1] = 3;
    let again = RwLock::open_or_create(&domain, "lock", [9_u64; 2]).unwrap();
    assert_eq!(*again.try_read().unwrap(), [1, 3], "what is there is what counts");
    assert_eq!(*again.clone().read_timeout(Duration::MAX).unwrap(), [1, 3]);
    again.write_timeout(Duration::MAX).unwrap()[0] = 5;
    assert_eq!(*again.try_write().unwrap(), [5, 3]);
    assert!(format!("{lock:?}").contains("has_writer: false, readers: 0"), "{lock:?}");
    assert!(format!("{:?}", lock.read().unwrap()).contains("[5, 3]"));
    assert!(format!("{:?}", lock.write().unwrap()).contains("consistent: true"));
}

#[test]
fn another_kind_or_type_is_refused() {
    let place = Place::new();
    let (domain, _lock) = domain_lock(&place);
    assert!(RwLock::<[u32; 2]>::open(&domain, "lock").is_err());
    let refused = Mutex::<[u64; 2]>::open(&domain, "lock").unwrap_err();
    assert!(matches!(refused.reason(), Reason::Kind { .. }), "{refused}");
    assert!(RwLock::<u8>::open(&domain, "none").unwrap_err().is_not_found());
    let segment = Segment::create(&domain, "zeros", RwLock::<u64>::SIZE, &Options::new()).unwrap();
    let refused = RwLock::<u64>::open_at(&domain, &segment, 0).unwrap_err();
    assert!(matches!(refused.reason(), Reason::Part { .. }), "{refused}");
    assert!(RwLock::create_at(&domain, &segment, 64, 1_u64).is_err(), "there is no room");
    assert!(RwLock::create_at(&domain, &segment, 8, 1_u64).is_err(), "not aligned");
    drop(RwLock::create_at(&domain, &segment, 0, 7_u64).unwrap());
    assert_eq!(*RwLock::<u64>::open_at(&domain, &segment, 0).unwrap().read().unwrap(), 7);
    assert!(RwLock::<i64>::open_at(&domain, &segment, 0).is_err());
}

#[test]
fn readers_share_and_exclude_writers() {
    let place = Place::new();
    let (_, lock) = domain_lock(&place);
    let first = lock.read().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let second = lock.read().unwrap();
            assert_eq!(lock.readers(), 2);
            assert_eq!(*second, *first);
            let Err(LockError::Deadlock) = lock.write() else { panic!("it reads") };
        });
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            let Err(LockError::WouldBlock { owner: Some(owner) }) = lock.try_write() else { panic!("somebody reads") };
            assert_eq!(owner.pid, std::process::id());
            let wait = || lock.write_timeout(MOMENT).map(drop);
            let refused = takes_at_least(MOMENT, wait).unwrap_err();
            assert!(matches!(refused, LockError::TimedOut { owner: Some(_) }), "{refused:?}");
        });
    });
    assert_eq!(lock.readers(), 1);
    drop(first);
    assert!(lock.try_write().is_ok());
}

#[test]
fn a_writer_excludes_everybody() {
    let place = Place::new();
    let (_, lock) = domain_lock(&place);
    let guard = lock.write().unwrap();
    assert!(lock.has_writer());
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(lock.try_read(), Err(LockError::WouldBlock { owner: Some(_) })));
            assert!(matches!(lock.try_write(), Err(LockError::WouldBlock { owner: Some(_) })));
            let refused = takes_at_least(MOMENT, || lock.read_timeout(MOMENT).map(drop)).unwrap_err();
            assert!(matches!(refused, LockError::TimedOut { owner: Some(_) }), "{refused:?}");
            let refused = takes_at_least(MOMENT, || lock.write_timeout(MOMENT).map(drop)).unwrap_err();
            assert!(refused.is_busy() && refused.to_string().contains("held all the time by pid"), "{refused}");
        });
    });
    drop(guard);
    assert!(!lock.has_writer());
}

#[test]
fn a_thread_that_is_in_is_told_that_it_waits_for_itself() {
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    let reading = lock.read().unwrap();
    assert!(matches!(lock.write(), Err(LockError::Deadlock)));
    assert!(matches!(lock.write_timeout(Duration::MAX), Err(LockError::Deadlock)));
    assert!(matches!(lock.try_write(), Err(LockError::WouldBlock { .. })));
    drop(reading);
    let writing = lock.write().unwrap();
    assert!(matches!(lock.write(), Err(LockError::Deadlock)));
    assert!(matches!(lock.read(), Err(LockError::Deadlock)));
    assert!(matches!(lock.try_read(), Err(LockError::WouldBlock { .. })));
    assert!(matches!(lock.try_write(), Err(LockError::WouldBlock { .. })));
    drop(writing);
    bare.assert_clean();
}

#[test]
fn who_reads_may_read_again_whoever_waits() {
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    let first = lock.read().unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| lock.write().map(|mut guard| guard[0] = 1).unwrap());
        eventually(|| lock.has_writer().then_some(()));
        let newcomer = scope.spawn(|| assert!(matches!(lock.try_read(), Err(LockError::WouldBlock { .. }))));
        newcomer.join().unwrap();
        let second = lock.read().unwrap();
        let third = lock.try_read().unwrap();
        assert!(matches!(lock.write(), Err(LockError::Deadlock)), "even though another writer is first");
        drop(first);
        let fourth = lock.read_timeout(Duration::ZERO).unwrap();
        for guard in [third, second, fourth] {
            assert_eq!(*guard, [0, 0]);
            assert!(!writer.is_finished());
        }
        writer.join().unwrap();
    });
    assert_eq!(*lock.read().unwrap(), [1, 0]);
    bare.assert_clean();
}

#[test]
fn a_writer_becomes_a_reader() {
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    let mut guard = lock.write().unwrap();
    *guard = [1, 1];
    thread::scope(|scope| {
        let writer = scope.spawn(|| *lock.write().unwrap() = [2, 2]);
        let guard = guard.downgrade();
        assert_eq!(lock.readers(), 1);
        thread::sleep(MOMENT);
        assert_eq!(*guard, [1, 1]);
        let again = lock.read().unwrap();
        drop(guard);
        assert_eq!(*again, [1, 1]);
        drop(again);
        writer.join().unwrap();
    });
    assert_eq!(*lock.read().unwrap(), [2, 2]);
    bare.assert_clean();
}

#[test]
fn who_gives_up_leaves_nothing() {
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    let reading = lock.read().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                assert!(lock.write_timeout(MOMENT).unwrap_err().is_busy());
                assert!(lock.try_write().unwrap_err().is_busy());
                assert!(!lock.has_writer());
                assert!(lock.try_read().unwrap().is_consistent(), "readers get in again");
            }
        });
    });
    drop(reading);
    let writing = lock.write().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(lock.read_timeout(5 * MOMENT).unwrap_err().is_busy());
            assert!(lock.write_timeout(5 * MOMENT).unwrap_err().is_busy());
        });
    });
    drop(writing);
    bare.assert_clean();
}

/// A reader that waits is let in when a writer that waits gives up.
#[test]
fn a_writer_that_gives_up_lets_the_readers_in() {
    let place = Place::new();
    let (_, lock) = domain_lock(&place);
    let reading = lock.read().unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| lock.write_timeout(3 * MOMENT).map(drop).unwrap_err().is_busy());
        eventually(|| lock.has_writer().then_some(()));
        let readers = [(); 3].map(|()| scope.spawn(|| drop(lock.read().unwrap())));
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(writer.join().unwrap());
    });
    drop(reading);
}

#[test]
fn as_many_readers_as_there_are_cells() {
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    let go = &std::sync::Barrier::new(257);
    thread::scope(|scope| {
        for _ in 0..256 {
            let in_small = thread::Builder::new().stack_size(64 << 10);
            let read = move || {
                let guard = lock.read().unwrap();
                go.wait();
                go.wait();
                drop(guard);
            };
            in_small.spawn_scoped(scope, read).unwrap();
        }
        go.wait();
        assert_eq!(lock.readers(), 256);
        assert!(lock.try_read().unwrap_err().is_busy());
        let refused = takes_at_least(MOMENT, || lock.read_timeout(MOMENT).map(drop)).unwrap_err();
        assert!(matches!(refused, LockError::TimedOut { owner: None }), "{refused:?}");
        let late = scope.spawn(|| drop(lock.read().unwrap()));
        thread::sleep(MOMENT);
        assert!(!late.is_finished());
        go.wait();
        late.join().unwrap();
    });
    assert_eq!(lock.readers(), 0);
    drop(lock.write().unwrap());
    bare.assert_clean();
}

// Nobody starves.

/// There is a reader nearly all the time; still every writer gets in.
#[test]
fn readers_do_not_starve_a_writer() {
    let place = Place::new();
    let (_, lock) = domain_lock(&place);
    thread::scope(|scope| {
        let (done, readers) = (&lock, [(); 3]);
        for () in readers {
            scope.spawn(move || {
                let mut guard = done.read().unwrap();
                while guard[0] < 100 {
                    thread::yield_now();
                    drop(guard);
                    guard = done.read().unwrap();
                }
            });
        }
        for _ in 0..100 {
            lock.write_timeout(SOON).unwrap()[0] += 1;
        }
    });
}

/// The lock goes from writer to writer; still every reader gets in.
#[test]
fn writers_do_not_starve_a_reader() {
    let place = Place::new();
    let (_, lock) = domain_lock(&place);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let mut guard = lock.write().unwrap();
                    guard[0] += 1;
                    if guard[1] == 1 {
                        break;
                    }
                }
            });
        }
        let mut seen = 0;
        for _ in 0..50 {
            let now = lock.read_timeout(SOON).unwrap()[0];
            assert!(seen <= now);
            seen = now;
        }
        lock.write_timeout(SOON).unwrap()[1] = 1;
    });
}

/// Pairs stay pairs, and no increment is lost, whatever threads and processes do.
#[test]
fn readers_and_writers_of_two_processes() {
    const TEST: &str = "readers_and_writers_of_two_processes";
    const WRITES: u64 = 3000;
    fn work(lock: &RwLock<[u64; 2]>) {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..WRITES {
                        let mut guard = lock.write().unwrap();
                        guard[0] += 1;
                        guard[1] += 1;
                    }
                });
                scope.spawn(|| {
                    for _ in 0..WRITES {
                        let guard = lock.read().unwrap();
                        assert_eq!(guard[0], guard[1]);
                    }
                });
            }
        });
    }
    if let Some((_, place)) = place::role() {
        work(&RwLock::open(&place.domain(), "lock").unwrap());
        return;
    }
    let place = Place::new();
    let (_, lock) = domain_lock(&place);
    let other = place.other_process(TEST, "worker");
    work(&lock);
    other.join();
    assert_eq!(*lock.read().unwrap(), [4 * WRITES; 2]);
}

// Death.

/// What the other process of a test does: gets in (or waits) and stays there until it is killed.
fn play() -> bool {
    let Some((role, place)) = place::role() else { return false };
    let domain = place.domain();
    let segment = Segment::open(&domain, "bare", &Options::new()).unwrap();
    let lock = RwLock::<[u64; 2]>::open_at(&domain, &segment, 0).unwrap();
    let _guards = match role.as_str() {
        "reads" => (lock.read().ok(), None),
        "writes" => {
            let mut guard = lock.write().unwrap();
            guard[0] = 77;
            (None, Some(guard))
        }
        _ => {
            // Until we are in, or killed.
            let guard = lock.write().unwrap();
            (None, Some(guard))
        }
    };
    sleep_until_killed()
}

#[test]
fn a_dead_reader_is_taken_out() {
    if play() {
        return;
    }
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let other = place.other_process("a_dead_reader_is_taken_out", "reads");
    eventually(|| (bare.lock.readers() == 1).then_some(()));
    assert!(bare.lock.try_write().unwrap_err().is_busy());
    other.kill();
    drop(bare.lock.try_write().expect("nobody lives"));
    bare.assert_clean();

    // While somebody waits already.
    let other = place.other_process("a_dead_reader_is_taken_out", "reads");
    eventually(|| (bare.lock.readers() == 1).then_some(()));
    thread::scope(|scope| {
        let writer = scope.spawn(|| drop(bare.lock.write().unwrap()));
        eventually(|| bare.lock.has_writer().then_some(()));
        other.kill();
        writer.join().unwrap();
    });
    bare.assert_clean();
}

#[test]
fn after_a_dead_writer_all_are_told_until_one_repairs() {
    if play() {
        return;
    }
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    for reader_first in [true, false] {
        let other = place.other_process("after_a_dead_writer_all_are_told_until_one_repairs", "writes");
        eventually(|| (bare.word(VALUE) == 77).then_some(()));
        other.kill();
        if reader_first {
            for _ in 0..2 {
                let Err(LockError::OwnerDied(guard)) = lock.read() else { panic!("nobody was told") };
                assert!(!guard.is_consistent() && guard[0] == 77);
                let again = lock.try_read().unwrap_err().into_guard().unwrap();
                drop(guard);
                assert!(!again.is_consistent());
            }
        }
        let Err(LockError::OwnerDied(guard)) = lock.write() else { panic!("nobody was told") };
        assert!(!guard.is_consistent());
        drop(guard);
        let guard = lock.try_write().unwrap_err().into_guard().unwrap();
        assert!(!guard.downgrade().is_consistent(), "nobody has repaired it");
        let mut guard = lock.write_timeout(SOON).unwrap_err().into_guard().unwrap();
        *guard = [0, 0];
        guard.mark_consistent();
        assert!(guard.is_consistent());
        drop(guard);
        assert!(lock.read().unwrap().is_consistent());
        assert!(lock.write().unwrap().is_consistent());
        bare.assert_clean();
    }
    let other = place.other_process("after_a_dead_writer_all_are_told_until_one_repairs", "writes");
    eventually(|| (bare.word(VALUE) == 77).then_some(()));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| lock.read().map(drop).map_err(LockError::drop_guard));
        thread::sleep(MOMENT);
        other.kill();
        assert!(matches!(waiting.join().unwrap(), Err(LockError::OwnerDied(()))));
    });
    let guard = lock.write_or_repair(|value| *value = [1, 1]).unwrap();
    assert_eq!(*guard, [1, 1]);
}

/// It has changed nothing, so nobody is told.
#[test]
fn a_writer_that_died_waiting_is_forgotten() {
    if play() {
        return;
    }
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    for _ in 0..2 {
        let reading = lock.read().unwrap();
        let other = place.other_process("a_writer_that_died_waiting_is_forgotten", "waits");
        eventually(|| lock.has_writer().then_some(()));
        other.kill();
        thread::scope(|scope| {
            scope.spawn(|| assert!(lock.read().unwrap().is_consistent()));
        });
        drop(reading);
        assert!(lock.write().unwrap().is_consistent());
    }
    bare.assert_clean();
    let reading = lock.read().unwrap();
    let other = place.other_process("a_writer_that_died_waiting_is_forgotten", "waits");
    eventually(|| lock.has_writer().then_some(()));
    other.kill();
    drop(reading);
    assert!(lock.try_write().unwrap().is_consistent());
    bare.assert_clean();
}

#[test]
fn panics_and_guards_leaked_in_threads() {
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    let panics = |writes: bool| {
        let outcome = thread::scope(|scope| {
            let body = move || {
                let _guards = if writes { (None, lock.write().ok()) } else { (lock.read().ok(), None) };
                panic!("as it should");
            };
            scope.spawn(body).join()
        });
        assert!(outcome.is_err());
    };
    panics(false);
    assert!(lock.read().unwrap().is_consistent());
    bare.assert_clean();
    panics(true);
    assert!(matches!(lock.read(), Err(LockError::OwnerDied(_))));
    drop(lock.write_or_repair(|_| {}).unwrap());

    // With the thread.
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                std::mem::forget(lock.read().unwrap());
            }
            assert!(lock.readers() > 0);
        });
    });
    eventually(|| (lock.readers() == 0).then_some(()));
    bare.assert_clean();
    thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(lock.write().unwrap()));
    });
    assert!(matches!(lock.write(), Err(LockError::OwnerDied(_))));
    drop(lock.write_or_repair(|_| {}).unwrap());
}

thread_local! {
    static READING: RefCell<Option<Late<ReadGuard<'static, [u64; 2]>>>> = const { RefCell::new(None) };
    static WRITING: RefCell<Option<Late<WriteGuard<'static, [u64; 2]>>>> = const { RefCell::new(None) };
}

/// They are not leaked: until they are dropped they hold.
#[test]
fn guards_in_thread_locals_hold_until_they_are_dropped() {
    let place = Place::new();
    let bare: &Bare = Box::leak(Box::new(Bare::new(&place.domain())));
    let lock = &bare.lock;
    for touched_first in [true, false] {
        outlives(&READING, touched_first, || lock.read().ok(), || assert_eq!(lock.readers(), 1, "{touched_first}"));
        bare.assert_clean();
        outlives(&WRITING, touched_first, || lock.write().ok(), || assert!(lock.has_writer(), "{touched_first}"));
        bare.assert_clean();
    }
}

/// A guard that finds somebody else in its place must neither end another's reading, nor give back what another has.
#[test]
fn guards_that_were_given_up_rob_nobody() {
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    let guard = lock.read().unwrap();
    let mine = CELLS.map(|index| bare.word(index)).find(|&word| word != 0).unwrap();
    // Another thread of ours, in whichever cell it is.
    CELLS.for_each(|index| bare.set(index, if index % 2 == 0 { mine } else { 1 }));
    drop(guard);
    assert_eq!(lock.readers(), CELLS.len() / 2);
    CELLS.for_each(|index| bare.set(index, 0));

    for downgrades in [false, true] {
        let mut guard = lock.write().unwrap();
        bare.set(OWNER, mine | 1 << 63);
        // The next holding.
        bare.set(HOLDER, bare.word(HOLDER) + 1);
        guard.mark_consistent();
        if downgrades {
            drop(guard.downgrade());
        } else {
            drop(guard);
        }
        assert_eq!((bare.word(OWNER), lock.readers()), (mine | 1 << 63, 0));
        bare.set(OWNER, 0);
    }
    bare.set(CHANGING, 0);
    bare.assert_clean();
}

// Bad words.

/// Whatever stands in the state, every operation ends.
#[test]
fn spoilt_words_do_no_harm_but_delay() {
    let place = Place::new();
    let bare = Bare::new(&place.domain());
    let lock = &bare.lock;
    let guard = lock.read().unwrap();
    let mine = CELLS.map(|index| bare.word(index)).find(|&word| word != 0).unwrap();
    drop(guard);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let short = Duration::from_millis(1);
    let attempt = || {
        drop(lock.try_read());
        drop(lock.try_write());
        drop(lock.read_timeout(short));
        drop(lock.write_timeout(short));
        if let Ok(guard) = lock.write_timeout(short) {
            drop(guard.downgrade());
        }
        drop(format!("{lock:?}"));
        // Held while the words are what they are, and dropped.
        let guard = lock.try_read();
        drop(lock.try_read());
        drop(guard);
    };
    let clear = || (0..VALUE).for_each(|index| bare.set(index, 0));
    let some_words = (0..24).chain([100, 101, VALUE - 2, VALUE - 1]);
    for index in some_words {
        for value in [1, mine, mine | 1 << 63, mine | 1 << 62, 1 << 61, 1 << 63, u64::MAX, next(), next()] {
            bare.set(index, value);
            attempt();
            clear();
        }
    }
    for _ in 0..20 {
        (0..VALUE).for_each(|index| bare.set(index, next()));
        attempt();
    }
    (CELLS.start..CELLS.end).step_by(2).for_each(|index| bare.set(index, mine));
    attempt();
    // While a guard lives.
    clear();
    for index in CELLS {
        let guard = lock.read().unwrap();
        bare.set(index, next());
        drop(guard);
        bare.set(index, 0);
    }
    clear();
    drop(lock.write().unwrap());
    drop(lock.read().unwrap());
    bare.assert_clean();
}
