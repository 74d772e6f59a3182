//! Eight processes that count behind locks, and are killed while they do.

use std::time::Duration;

use sharedware::slot::Slot;
use sharedware::sync::{AcquireError, LockError, Mutex, ReentrantMutex, RwLock, Semaphore, SemaphoreSetup};
use sharedware::{Domain, Lifetime, Options};

use crate::cast::{Cast, Random, Role, within};
use crate::ensure;
use crate::oracle::{Me, Note, Oracle};
use crate::process::Outcome;

pub(crate) const CAST: Cast = Cast {
    title: "locks",
    prepare,
    finish,
    roles: &[
        Role { name: "locker 0", structure: 0, work },
        Role { name: "locker 1", structure: 0, work },
        Role { name: "locker 2", structure: 0, work },
        Role { name: "locker 3", structure: 0, work },
        Role { name: "locker 4", structure: 0, work },
        Role { name: "locker 5", structure: 0, work },
        Role { name: "locker 6", structure: 0, work },
        Role { name: "locker 7", structure: 0, work },
    ],
};

const WORKERS: usize = 8;

/// What is counted behind; its number is that of the counter.
#[derive(Debug, Clone, Copy)]
enum Behind {
    Mutex,
    RwLock,
    Reentrant,
    /// The only permit of a semaphore. Nobody is told of a death, so the counts are in a slot, which is whole at every moment.
    Permit,
}

const ALL: [Behind; 4] = [Behind::Mutex, Behind::RwLock, Behind::Reentrant, Behind::Permit];

/// Increments by each worker, their sum, and the sum again: whoever dies in the middle leaves them at odds.
type Counts = [u64; WORKERS + 2];

fn is_whole(counts: &Counts) -> bool {
    let sum = counts.iter().take(WORKERS).sum::<u64>();
    counts[WORKERS] == sum && counts[WORKERS + 1] == sum
}

fn repair(counts: &mut Counts) {
    let sum = counts.iter().take(WORKERS).sum::<u64>();
    counts[WORKERS] = sum;
    counts[WORKERS + 1] = sum;
}

/// One more of ours, in steps that can be told apart.
fn increment(counts: &mut Counts, by: usize) {
    let sum = counts[WORKERS] + 1;
    counts[WORKERS] = sum;
    std::hint::black_box(&mut *counts)[by] += 1;
    std::hint::black_box(&mut *counts)[WORKERS + 1] = sum;
}

fn prepare(domain: &Domain) -> Outcome {
    let options = Options::new().lifetime(Lifetime::UntilRemoved);
    let none = [0; WORKERS + 2];
    Mutex::<Counts>::create_with(domain, "mutex", none, &options)?;
    RwLock::<Counts>::create_with(domain, "rwlock", none, &options)?;
    ReentrantMutex::<Counts>::create_with(domain, "reentrant", none, &options)?;
    Semaphore::create_with(domain, "semaphore", SemaphoreSetup::bounded(1), &options)?;
    Slot::<Counts>::create_with(domain, "slot", none, &options)?;
    Ok(())
}

fn finish(domain: &Domain, oracle: Oracle) -> Outcome {
    let locks = Locks::open(domain)?;
    for behind in ALL {
        let mut found = None;
        let used = locks.with(behind, How::Patiently, |counts| {
            found = Some(*counts);
            Ok(())
        })?;
        let counts = found.filter(|_| used).ok_or("a lock is not to be had")?;
        for by in 0..WORKERS as u64 {
            let note = Note::Counted { counter: behind as u64, by };
            within(&format!("counter {behind:?}"), oracle.known(note), counts[by as usize], 1)?;
        }
    }
    drop(locks);
    for name in ["mutex", "rwlock", "reentrant", "semaphore", "slot"] {
        domain.remove(name)?;
    }
    domain.clean()?;
    Ok(())
}

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy)]
enum How {
    Not,
    AtMost(Duration),
    Patiently,
}

/// Tries, waits for so long, or waits.
macro_rules! acquire {
    ($how:expr, $try:expr, $timeout:expr, $patiently:expr) => {
        match $how {
            How::Not => $try,
            How::AtMost(time) => $timeout(time),
            How::Patiently => $patiently,
        }
    };
}

struct Locks {
    mutex: Mutex<Counts>,
    rwlock: RwLock<Counts>,
    reentrant: ReentrantMutex<Counts>,
    semaphore: Semaphore,
    slot: Slot<Counts>,
}

/// The guard, and whether there may be something to repair; `None` if the lock was not to be had in time.
fn acquired<G>(outcome: Result<G, LockError<G>>) -> Outcome<Option<(G, bool)>> {
    match outcome {
        Ok(guard) => Ok(Some((guard, false))),
        Err(LockError::OwnerDied(guard)) => Ok(Some((guard, true))),
        Err(error) if error.is_busy() => Ok(None),
        Err(error) => Err(error.drop_guard().into()),
    }
}

fn whole(counts: &Counts) -> Outcome {
    ensure!(is_whole(counts), "torn: {counts:?} under a lock said to be consistent");
    Ok(())
}

impl Locks {
    fn open(domain: &Domain) -> Outcome<Self> {
        Ok(Self {
            mutex: Mutex::open(domain, "mutex")?,
            rwlock: RwLock::open(domain, "rwlock")?,
            reentrant: ReentrantMutex::open(domain, "reentrant")?,
            semaphore: Semaphore::open(domain, "semaphore")?,
            slot: Slot::open(domain, "slot")?,
        })
    }

    /// Does it with what is behind a lock, whole; `false` if the lock was not to be had in time.
    fn with(&self, behind: Behind, how: How, act: impl FnOnce(&mut Counts) -> Outcome) -> Outcome<bool> {
        match behind {
            Behind::Mutex => {
                let lock = &self.mutex;
                let outcome = acquire!(how, lock.try_lock(), |time| lock.lock_timeout(time), lock.lock());
                let Some((mut counts, died)) = acquired(outcome)? else { return Ok(false) };
                if died {
                    repair(&mut counts);
                    counts.mark_consistent();
                }
                whole(&counts)?;
                act(&mut counts)?;
            }
            Behind::RwLock => {
                let lock = &self.rwlock;
                let outcome = acquire!(how, lock.try_write(), |time| lock.write_timeout(time), lock.write());
                let Some((mut counts, died)) = acquired(outcome)? else { return Ok(false) };
                if died {
                    repair(&mut counts);
                    counts.mark_consistent();
                }
                whole(&counts)?;
                act(&mut counts)?;
            }
            Behind::Reentrant => {
                let lock = &self.reentrant;
                let outcome = acquire!(how, lock.try_lock(), |time| lock.lock_timeout(time), lock.lock());
                let Some((outer, died)) = acquired(outcome)? else { return Ok(false) };
                if died {
                    outer.update(repair);
                    outer.mark_consistent();
                }
                let mut counts = outer.get();
                whole(&counts)?;
                let inner = lock.lock().map_err(LockError::drop_guard)?;
                act(&mut counts)?;
                inner.set(counts);
            }
            Behind::Permit => {
                let all = &self.semaphore;
                let outcome = acquire!(how, all.try_permit(), |time| all.permit_timeout(time), all.permit());
                let _permit = match outcome {
                    Ok(permit) => permit,
                    Err(AcquireError::WouldBlock | AcquireError::TimedOut) => return Ok(false),
                    Err(error) => return Err(error.into()),
                };
                let mut counts = self.slot.read()?;
                whole(&counts)?;
                act(&mut counts)?;
                self.slot.write(&counts)?;
            }
        }
        Ok(true)
    }

    /// Many read at a time; what they see is whole, or they are told.
    fn read(&self, how: How) -> Outcome {
        let lock = &self.rwlock;
        let outcome = acquire!(how, lock.try_read(), |time| lock.read_timeout(time), lock.read());
        match acquired(outcome)? {
            Some((counts, false)) => whole(&counts),
            _ => Ok(()),
        }
    }
}

fn work(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    let locks = Locks::open(domain)?;
    let mut found = [None; ALL.len()];
    loop {
        let how = match random.below(8) {
            0 => How::Not,
            1 => How::AtMost(Duration::from_micros(random.below(5000))),
            _ => How::Patiently,
        };
        let behind = match random.below(16) {
            0..=8 => Behind::Mutex,
            9..=10 => Behind::RwLock,
            11 => {
                locks.read(how)?;
                continue;
            }
            12..=13 => Behind::Reentrant,
            _ => Behind::Permit,
        };
        let note = Note::Counted { counter: behind as u64, by: me.index as u64 };
        let found = &mut found[behind as usize];
        let mut mine = 0;
        let used = locks.with(behind, how, |counts| {
            mine = counts[me.index];
            match *found {
                // The predecessor's last increment may not have been acknowledged. Found to be there, it counts: the next death may come at once.
                None => {
                    within("counter of the predecessor", me.oracle.known(note), mine, 1)?;
                    me.oracle.note(note, mine);
                }
                Some(found) => ensure!(mine == found, "lost behind {behind:?}: {found} increments made, {mine} there"),
            }
            increment(counts, me.index);
            Ok(())
        })?;
        if used {
            *found = Some(mine + 1);
            me.oracle.note(note, mine + 1);
            me.acked(1);
            random.breathe();
        }
    }
}
