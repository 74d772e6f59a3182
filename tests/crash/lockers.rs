//! Eight processes that count behind locks, and are killed while they do.

use std::time::Duration;

use sharedware::sync::{LockError, Mutex, MutexGuard};
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
const MUTEX: u64 = 0;

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
    Mutex::<Counts>::create_with(domain, "mutex", [0; WORKERS + 2], &options)?;
    Ok(())
}

fn finish(domain: &Domain, oracle: Oracle) -> Outcome {
    let mutex = Mutex::<Counts>::open(domain, "mutex")?;
    let counts = mutex.lock_or_repair(repair)?;
    for by in 0..WORKERS as u64 {
        within("counter", oracle.known(Note::Counted { counter: MUTEX, by }), counts[by as usize], 1)?;
    }
    drop(counts);
    domain.remove("mutex")?;
    domain.clean()?;
    Ok(())
}

/// What is behind the lock, whole; `None` if the lock was not to be had in time.
fn whole<'a>(
    outcome: Result<MutexGuard<'a, Counts>, LockError<MutexGuard<'a, Counts>>>,
) -> Outcome<Option<MutexGuard<'a, Counts>>> {
    match outcome {
        Ok(guard) => {
            ensure!(is_whole(&guard), "torn: {:?} under a lock said to be consistent", *guard);
            Ok(Some(guard))
        }
        Err(LockError::OwnerDied(mut guard)) => {
            repair(&mut guard);
            guard.mark_consistent();
            Ok(Some(guard))
        }
        Err(error) if error.is_busy() => Ok(None),
        Err(error) => Err(error.drop_guard().into()),
    }
}

fn work(domain: &Domain, me: Me, mut random: Random) -> Outcome {
    let mutex = Mutex::<Counts>::open(domain, "mutex")?;
    let note = Note::Counted { counter: MUTEX, by: me.index as u64 };
    let mut found = None;
    loop {
        let outcome = match random.below(8) {
            0 => mutex.try_lock(),
            1 => mutex.lock_timeout(Duration::from_micros(random.below(5000))),
            _ => mutex.lock(),
        };
        let Some(mut counts) = whole(outcome)? else { continue };
        let mine = counts[me.index];
        match found {
            // The predecessor's last increment may not have been acknowledged. Found to be there, it counts: the next death may come at once.
            None => {
                within("counter of the predecessor", me.oracle.known(note), mine, 1)?;
                me.oracle.note(note, mine);
            }
            Some(found) => ensure!(mine == found, "lost: {found} increments made, {mine} there"),
        }
        increment(&mut counts, me.index);
        drop(counts);
        found = Some(mine + 1);
        me.oracle.note(note, mine + 1);
        me.acked(1);
        random.breathe();
    }
}
