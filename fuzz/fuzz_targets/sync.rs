//! Arbitrary words as each object of `sync`, before it is opened and while it is used: locked, waited on for moments, given back. The
//! answer is a value or an error: no panic, no crash, no hang.
#![no_main]

use std::fs;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sharedware::sync::{
    Barrier, Condvar, Event, Latch, LockError, Mutex, Once, RawMutex, ReentrantMutex, RwLock, Semaphore, SemaphoreSetup,
};
use sharedware::{Domain, Error, Options, ReadOnly, Segment};
use sharedware_fuzz::{Scratch, Word, my_cookie};

/// Where a word is changed.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum At {
    /// Tag, config, lock, and what comes first behind that.
    First(u8),
    Any(u16),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Act {
    /// `amid` happens while a guard is held, if there is one.
    Use {
        what: u8,
        with: u8,
        amid: Option<(At, Word)>,
    },
    Spoil(At, Word),
    Open,
    Look,
}

#[derive(Arbitrary, Debug)]
struct Recipe {
    kind: u8,
    size: u8,
    acts: Vec<Act>,
}

const ACTS: usize = 24;
const CAPACITY: u64 = 1 << 16;
/// Where the mutex is that is used with a condition variable: out of reach.
const MUTEX_AT: u64 = 48 << 10;

type Value = [u64; 3];

fuzz_target!(|recipe: Recipe| {
    let scratch = Scratch::new().expect("a directory in shared memory");
    let domain = Domain::new("f").expect("a good name").in_directory(scratch.path());
    let segment = Segment::create(&domain, "x", CAPACITY, &Options::new()).expect("a new segment");
    let (_member, mine) = join(&domain, &segment);
    assert!(mine != 0, "we are in the registry");
    let play = Play { domain: &domain, segment: &segment, acts: &recipe.acts, mine, raw: recipe.kind % 10 == 1 };
    let size = u32::from(recipe.size);
    let (d, s) = (&domain, &segment);
    match recipe.kind % 10 {
        0 => play.object(Mutex::create_at(d, s, 0, [0; 3]), || Mutex::open_at(d, s, 0), mutex),
        1 => play.object(RawMutex::create_at(d, s, 0), || RawMutex::open_at(d, s, 0), raw_mutex),
        2 => play.object(ReentrantMutex::create_at(d, s, 0, [0; 3]), || ReentrantMutex::open_at(d, s, 0), reentrant),
        3 => play.object(RwLock::create_at(d, s, 0, [0; 3]), || RwLock::open_at(d, s, 0), rwlock),
        4 => {
            let mutex = Mutex::create_at(d, s, MUTEX_AT, [0; 3]).expect("room for it");
            play.object(
                Condvar::create_at(d, s, 0),
                || Condvar::open_at(d, s, 0),
                |condvar, with, spoil| {
                    condition(condvar, &mutex, with, spoil);
                },
            );
        }
        5 => {
            let setup = SemaphoreSetup::new(size % 4).bound(size % 4 + size / 64);
            play.object(Semaphore::create_at(d, s, 0, setup), || Semaphore::open_at(d, s, 0), semaphore);
        }
        6 => play.object(Event::create_at(d, s, 0), || Event::open_at(d, s, 0), event),
        7 => play.object(Barrier::create_at(d, s, 0, 1 + size % 5), || Barrier::open_at(d, s, 0), barrier),
        8 => play.object(Once::create_at(d, s, 0), || Once::open_at(d, s, 0), once),
        _ => play.object(Latch::create_at(d, s, 0, size % 7), || Latch::open_at(d, s, 0), latch),
    }
});

/// The cookie of this process, which is one of the domain for as long as it has this open.
fn join(domain: &Domain, segment: &Segment) -> (Event, u64) {
    let member = Event::create_at(domain, segment, MUTEX_AT - 4096).expect("room for it");
    let registry = fs::read(domain.directory().join("sharedware.f.@peers")).unwrap_or_default();
    (member, my_cookie(&registry))
}

struct Play<'a> {
    domain: &'a Domain,
    segment: &'a Segment,
    acts: &'a [Act],
    mine: u64,
    /// It is a raw mutex, which keeps its process a peer for good if that drops it locked: nothing that a fuzzer's process should collect.
    raw: bool,
}

impl Play<'_> {
    fn spoil(&self, (at, word): (At, Word)) {
        let at = match at {
            At::First(at) => u64::from(at % 64),
            At::Any(at) => u64::from(at) % (MUTEX_AT / 8),
        };
        let value = word.value(self.mine);
        self.segment.write(at * 8, &value.to_le_bytes()).expect("it is ours, and large enough");
    }

    fn object<O>(
        &self,
        made: Result<O, Error>,
        open: impl Fn() -> Result<O, Error>,
        mut act: impl FnMut(&O, (u8, u8), &dyn Fn()),
    ) {
        let mut handles = vec![made.expect("room for it")];
        for step in self.acts.iter().take(ACTS) {
            match *step {
                Act::Use { what, with, amid } => act(&handles[handles.len() - 1], (what, with), &|| {
                    amid.into_iter().for_each(|amid| self.spoil(amid))
                }),
                Act::Spoil(at, word) => self.spoil((at, word)),
                Act::Open => handles.extend(open()),
                Act::Look => self.look(),
            }
        }
        self.look();
        if self.raw {
            self.segment.write(0, &[0; 512]).expect("it is ours, and large enough");
        }
    }

    /// What needs no right to write.
    fn look(&self) {
        let _ = self.domain.locks(&Options::new()).map(|survey| format!("{survey:?}"));
        let Ok(segment) = Segment::<ReadOnly>::open_read_only(self.domain, "x", &Options::new()) else { return };
        if let Ok(event) = Event::<ReadOnly>::open_read_only_at(self.domain, &segment, 0) {
            let _ = (event.is_set(), event.wait_timeout(moment(2)));
        }
        if let Ok(once) = Once::<ReadOnly>::open_read_only_at(self.domain, &segment, 0) {
            let _ = (once.is_completed(), once.wait_timeout(moment(2)));
        }
        if let Ok(latch) = Latch::<ReadOnly>::open_read_only_at(self.domain, &segment, 0) {
            let _ = (latch.is_open(), latch.left(), latch.wait_timeout(moment(2)));
        }
    }
}

fn moment(with: u8) -> Duration {
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(20), Duration::from_micros(60)]
        [usize::from(with) % 4]
}

fn mutex(mutex: &Mutex<Value>, (what, with): (u8, u8), spoil: &dyn Fn()) {
    let outcome = if what % 2 == 0 { mutex.try_lock() } else { mutex.lock_timeout(moment(with)) };
    let guard = match outcome {
        Ok(guard) => Some(guard),
        Err(error) => error.into_guard(),
    };
    if let Some(mut guard) = guard {
        guard[usize::from(with) % 3] += 1;
        spoil();
        if with & 64 != 0 {
            guard.mark_consistent();
        }
        if with & 128 != 0 {
            let _ = mutex.lock_timeout(moment(with)).map(drop).map_err(LockError::drop_guard);
        }
    }
    let _ = (mutex.is_locked(), format!("{mutex:?}"));
}

fn raw_mutex(mutex: &RawMutex, (what, with): (u8, u8), _: &dyn Fn()) {
    match what % 5 {
        0 => drop(mutex.try_lock()),
        1 => drop(mutex.lock_timeout(moment(with))),
        2 | 3 => drop(mutex.unlock()),
        _ => mutex.mark_consistent(),
    }
    let _ = mutex.is_locked();
}

fn reentrant(mutex: &ReentrantMutex<Value>, (what, with): (u8, u8), spoil: &dyn Fn()) {
    let lock = || {
        let outcome = if what % 2 == 0 { mutex.try_lock() } else { mutex.lock_timeout(moment(with)) };
        match outcome {
            Ok(guard) => Some(guard),
            Err(error) => error.into_guard(),
        }
    };
    let Some(guard) = lock() else { return };
    spoil();
    let again = lock();
    guard.set([with.into(); 3]);
    let _ = (guard.get(), guard.is_consistent());
    if with & 64 != 0 {
        guard.mark_consistent();
    }
    if with & 128 != 0 { drop((guard, again)) } else { drop((again, guard)) }
}

fn rwlock(lock: &RwLock<Value>, (what, with): (u8, u8), spoil: &dyn Fn()) {
    match what % 4 {
        0 | 1 => {
            let read = || {
                let outcome = if what % 4 == 0 { lock.try_read() } else { lock.read_timeout(moment(with)) };
                outcome.map_or_else(LockError::into_guard, Some)
            };
            let first = read();
            spoil();
            let second = read();
            if with & 128 != 0 { drop((first, second)) } else { drop((second, first)) }
        }
        _ => {
            let outcome = if what % 4 == 2 { lock.try_write() } else { lock.write_timeout(moment(with)) };
            if let Some(mut guard) = outcome.map_or_else(LockError::into_guard, Some) {
                guard[0] += 1;
                spoil();
                if with & 64 != 0 {
                    guard.mark_consistent();
                }
                if with & 128 != 0 {
                    drop(guard.downgrade());
                }
            }
        }
    }
    let _ = (lock.readers(), lock.has_writer());
}

fn condition(condvar: &Condvar, mutex: &Mutex<Value>, (what, with): (u8, u8), spoil: &dyn Fn()) {
    match what % 4 {
        0 => drop(condvar.notify_one()),
        1 => drop(condvar.notify_all()),
        2 => drop(condvar.notify(with.into())),
        _ => {
            if let Some(guard) = mutex.try_lock().map_or_else(LockError::into_guard, Some) {
                spoil();
                drop(condvar.wait_timeout(guard, moment(with)));
            }
        }
    }
    let _ = condvar.waiters();
}

fn semaphore(semaphore: &Semaphore, (what, with): (u8, u8), spoil: &dyn Fn()) {
    match what % 8 {
        0 => drop(semaphore.try_acquire()),
        1 => drop(semaphore.acquire_timeout(moment(with))),
        2 => drop(semaphore.release()),
        3 => drop(semaphore.release_many(u32::from(with) << (with % 25))),
        what => {
            let permit = if what % 2 == 0 { semaphore.try_permit() } else { semaphore.permit_timeout(moment(with)) };
            spoil();
            match permit {
                Ok(permit) if what == 4 => permit.into_plain(),
                permit => drop(permit),
            }
        }
    }
    let _ = (semaphore.available(), semaphore.bound());
}

fn event(event: &Event, (what, with): (u8, u8), _: &dyn Fn()) {
    match what % 4 {
        0 => event.set(),
        1 => event.clear(),
        2 => drop(event.wait_timeout(moment(with))),
        _ => {
            event.set();
            event.wait_timeout(Duration::MAX).expect("it is set");
        }
    }
    let _ = event.is_set();
}

fn barrier(barrier: &Barrier, (what, with): (u8, u8), spoil: &dyn Fn()) {
    match what % 6 {
        0 | 1 => drop(barrier.wait_timeout(moment(with))),
        2 => {
            let action = || {
                spoil();
                if with % 2 == 0 { Ok(()) } else { Err("on purpose") }
            };
            drop(barrier.wait_with_timeout(moment(with), action));
        }
        3 => drop(barrier.abort()),
        4 => drop(barrier.reset()),
        _ => {
            if let Ok(party) = barrier.party() {
                spoil();
                drop(party.wait_timeout(moment(with)));
            }
        }
    }
    let _ = (barrier.is_broken(), barrier.waiting(), barrier.enlisted(), barrier.generation());
}

fn once(once: &Once, (what, with): (u8, u8), spoil: &dyn Fn()) {
    match what % 2 {
        0 => drop(once.call_once_timeout(moment(with), spoil)),
        _ => drop(once.wait_timeout(moment(with))),
    }
    let _ = once.is_completed();
}

fn latch(latch: &Latch, (what, with): (u8, u8), spoil: &dyn Fn()) {
    match what % 5 {
        0 => drop(latch.count_down(u32::from(with % 4))),
        1 => drop(latch.try_wait()),
        2 => drop(latch.wait_timeout(moment(with))),
        _ => {
            if let Ok(party) = latch.party() {
                spoil();
                if what % 5 == 3 {
                    party.count_down();
                }
            }
        }
    }
    let _ = (latch.left(), latch.is_open());
}
