//! Whoever is stopped for five seconds (SIGSTOP) with everything there is to hold keeps it all: no timeout decides that a process is dead.
//!
//! Forks, so it has one thread and no libtest.

#[path = "common/cases.rs"]
mod cases;
#[path = "common/process.rs"]
mod process;

use std::fmt::Debug;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cases::{PATIENCE, run_all, said};
use process::{Child, Line, Outcome};
use sharedware::Domain;
use sharedware::sync::{
    AcquireError, Barrier, BarrierError, BrokenBy, Latch, LatchError, LockError, Mutex, RawMutex, ReentrantMutex,
    RwLock, Semaphore,
};

fn main() -> ExitCode {
    run_all("stopped", &[("who is stopped for five seconds keeps what it holds", stopped)])
}

const LONG: Duration = Duration::from_secs(5);

struct Things {
    mutex: Mutex<u64>,
    raw: RawMutex,
    reentrant: ReentrantMutex<u64>,
    read: RwLock<u64>,
    written: RwLock<u64>,
    semaphore: Semaphore,
    barrier: Barrier,
    latch: Latch,
}

impl Things {
    fn create(domain: &Domain) -> Outcome<Self> {
        Ok(Self {
            mutex: Mutex::create(domain, "mutex", 0)?,
            raw: RawMutex::create(domain, "raw")?,
            reentrant: ReentrantMutex::create(domain, "reentrant", 0)?,
            read: RwLock::create(domain, "read", 0)?,
            written: RwLock::create(domain, "written", 0)?,
            semaphore: Semaphore::create(domain, "semaphore", 1)?,
            barrier: Barrier::create(domain, "barrier", 3)?,
            latch: Latch::create(domain, "latch", 1)?,
        })
    }

    fn open(domain: &Domain) -> Outcome<Self> {
        Ok(Self {
            mutex: Mutex::open(domain, "mutex")?,
            raw: RawMutex::open(domain, "raw")?,
            reentrant: ReentrantMutex::open(domain, "reentrant")?,
            read: RwLock::open(domain, "read")?,
            written: RwLock::open(domain, "written")?,
            semaphore: Semaphore::open(domain, "semaphore")?,
            barrier: Barrier::open(domain, "barrier")?,
            latch: Latch::open(domain, "latch")?,
        })
    }
}

/// Holds one of each, says so, and gives them back when told to.
fn hold(domain: &Domain, line: &mut Line) -> Outcome {
    let things = Things::open(domain)?;
    let mutex = things.mutex.lock().map_err(LockError::drop_guard)?;
    things.raw.lock()?;
    let reentrant = things.reentrant.lock().map_err(LockError::drop_guard)?;
    let read = things.read.read().map_err(LockError::drop_guard)?;
    let written = things.written.write().map_err(LockError::drop_guard)?;
    let permit = things.semaphore.permit()?;
    let at_barrier = things.barrier.party()?;
    let at_latch = things.latch.party()?;
    line.send(b"held")?;
    line.expect(PATIENCE)?;
    drop((mutex, reentrant, read, written, permit, at_barrier));
    things.raw.unlock()?;
    at_latch.count_down();
    Ok(())
}

type Wait = fn(&Things) -> Result<(), String>;

/// That it waited for all that time, in vain.
fn in_vain<T, E: Debug>(outcome: Result<T, E>, timed_out: impl FnOnce(&E) -> bool) -> Result<(), String> {
    match outcome {
        Err(error) if timed_out(&error) => Ok(()),
        Err(error) => Err(format!("{error:?}")),
        Ok(_) => Err("taken from who was stopped".to_owned()),
    }
}

fn locked<T>(outcome: Result<T, LockError<T>>) -> Result<(), String> {
    in_vain(outcome.map(drop).map_err(LockError::drop_guard), |error| matches!(error, LockError::TimedOut { .. }))
}

const WAITS: [Wait; 8] = [
    |it| locked(it.mutex.lock_timeout(LONG)),
    |it| locked(it.raw.lock_timeout(LONG)),
    |it| locked(it.reentrant.lock_timeout(LONG)),
    |it| locked(it.read.write_timeout(LONG)),
    |it| locked(it.written.read_timeout(LONG)),
    |it| in_vain(it.semaphore.acquire_timeout(LONG), |error| matches!(error, AcquireError::TimedOut)),
    // Whose time is up first breaks it for the other.
    |it| {
        in_vain(it.barrier.wait_timeout(LONG), |error| {
            matches!(error, BarrierError::TimedOut | BarrierError::Broken(BrokenBy::Timeout))
        })
    },
    |it| in_vain(it.latch.wait_timeout(LONG), |error| matches!(error, LatchError::TimedOut)),
];

fn stopped(domain: &Domain) -> Outcome<Option<String>> {
    let things = Things::create(domain)?;
    let mut holder = Child::fork(|line| hold(domain, line))?;
    said(&mut holder, b"held")?;
    holder.signal(libc::SIGSTOP);
    ensure!(holder.wait_stopped()?, "it does not stop");
    let start = Instant::now();
    let mut waiters = Vec::new();
    // Two wait for each all the time, so that one is first in line.
    for (number, wait) in WAITS.iter().enumerate().chain(WAITS.iter().enumerate()) {
        waiters.push(Child::fork(|line| {
            wait(&Things::open(domain)?).map_err(|said| format!("{number}: {said}"))?;
            line.send(b"in vain")?;
            Ok(())
        })?);
    }
    for waiter in &mut waiters {
        said(waiter, b"in vain")?;
        waiter.join(PATIENCE)?;
    }
    ensure!(start.elapsed() >= LONG, "over after {:?}", start.elapsed());
    ensure!(things.semaphore.available() == 0, "its permit is gone");
    holder.signal(libc::SIGCONT);
    holder.line.send(b"go on")?;
    holder.join(PATIENCE)?;
    // Nobody was told of a death.
    drop(things.mutex.lock_timeout(PATIENCE).map_err(LockError::drop_guard)?);
    things.raw.lock_timeout(PATIENCE)?;
    things.raw.unlock()?;
    drop(things.reentrant.lock_timeout(PATIENCE).map_err(LockError::drop_guard)?);
    drop(things.read.write_timeout(PATIENCE).map_err(LockError::drop_guard)?);
    drop(things.written.write_timeout(PATIENCE).map_err(LockError::drop_guard)?);
    things.semaphore.acquire_timeout(PATIENCE)?;
    things.latch.wait_timeout(PATIENCE)?;
    Ok(None)
}
