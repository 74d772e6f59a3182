//! Locks and `fork`: a child has none of what its parent has, whatever it inherits.
//!
//! Each case runs in a process of its own, forked from this program, which has one thread (hence no libtest).
//!
//! # Safety
//!
//! No unsafe code here; that of `process` is argued there.

#[path = "common/process.rs"]
mod process;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use process::{Child, Outcome, process_id};
use sharedware::sync::{Condvar, LockError, Mutex, RwLock, WriteGuard};
use sharedware::{Domain, Reason};

/// Longer than that is a hang.
const PATIENCE: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_millis(20);

type Case = fn(&Domain) -> Outcome;

const CASES: &[(&str, Case)] = &[
    ("a reader's guard in a child does nothing", inherited_reader),
    ("a writer's guard in a child does nothing", inherited_writer),
    ("a child reads and writes by itself", child_locks),
    ("guards that were leaked end with the last handle", leaked),
    ("guards that a child has leaked by its parent's handle end with their thread", leaked_by_child),
    ("nobody waits with a parent's guard", inherited_wait),
    ("a child waits and notifies by itself", child_waits),
];

fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let directory = PathBuf::from(format!("/dev/shm/sharedware-forks-{}", process_id()));
    let mut failures = 0;
    for (name, case) in CASES.iter().filter(|(name, _)| name.contains(&only)) {
        let verdict = match run(&directory, *case) {
            Ok(()) => "ok".to_owned(),
            Err(error) => {
                failures += 1;
                format!("FAILED: {error}")
            }
        };
        println!("sync_forks: {name} ... {verdict}");
    }
    println!("sync_forks: {failures} failed");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One case, in a process and a directory of its own.
fn run(directory: &PathBuf, case: Case) -> Outcome {
    std::fs::create_dir(directory)?;
    let child = Child::fork(|_| {
        let domain = Domain::new("forks")?.in_directory(directory);
        case(&domain)
    });
    let outcome = child?.join(PATIENCE);
    std::fs::remove_dir_all(directory)?;
    outcome
}

fn inherited_reader(domain: &Domain) -> Outcome {
    let lock = RwLock::create(domain, "it", 1_u64)?;
    // In the child only they are taken out of it.
    let mut guards = [(); 2].map(|()| lock.read().ok());
    let mut child = Child::fork(|_| {
        guards.iter_mut().for_each(|guard| drop(guard.take()));
        ensure!(lock.readers() == 1, "the child has ended the parent's reading: {lock:?}");
        let refused = lock.write_timeout(MOMENT).map(drop).map_err(LockError::drop_guard);
        ensure!(matches!(refused, Err(LockError::TimedOut { .. })), "{refused:?}");
        Ok(())
    })?;
    child.join(PATIENCE)?;
    ensure!(lock.readers() == 1, "{lock:?}");
    let refused = lock.write().map(drop).map_err(LockError::drop_guard);
    ensure!(matches!(refused, Err(LockError::Deadlock)), "{refused:?}");
    Ok(())
}

fn inherited_writer(domain: &Domain) -> Outcome {
    let lock = RwLock::create(domain, "it", 1_u64)?;
    let mut guard = Some(lock.write().map_err(LockError::drop_guard)?);
    let mut child = Child::fork(|_| {
        drop(guard.take().map(WriteGuard::downgrade));
        ensure!(lock.has_writer() && lock.readers() == 0, "the child has ended the parent's writing: {lock:?}");
        let refused = lock.read_timeout(MOMENT).map(drop).map_err(LockError::drop_guard);
        ensure!(matches!(refused, Err(LockError::TimedOut { .. })), "{refused:?}");
        Ok(())
    })?;
    child.join(PATIENCE)?;
    ensure!(lock.has_writer(), "{lock:?}");
    Ok(())
}

fn child_locks(domain: &Domain) -> Outcome {
    let lock = RwLock::create(domain, "it", 0_u64)?;
    let mut dies = Child::fork(|line| {
        let mut guard = lock.write().map_err(LockError::drop_guard)?;
        *guard = 7;
        line.send(b"in")?;
        line.expect(PATIENCE)?;
        Ok(())
    })?;
    ensure!(dies.line.expect(PATIENCE)? == b"in", "it is not in");
    dies.kill()?;
    let Err(LockError::OwnerDied(guard)) = lock.read() else { return Err("nobody was told".into()) };
    let mut other = Child::fork(|_| {
        let refused = lock.read().map(drop).map_err(LockError::drop_guard);
        ensure!(matches!(refused, Err(LockError::OwnerDied(()))), "{refused:?}");
        Ok(())
    })?;
    other.join(PATIENCE)?;
    drop(guard);
    let mut other = Child::fork(|_| {
        drop(lock.write_or_repair(|value| *value = 8)?);
        Ok(())
    })?;
    other.join(PATIENCE)?;
    ensure!(lock.read().is_ok_and(|guard| *guard == 8), "{lock:?}");
    Ok(())
}

fn leaked(domain: &Domain) -> Outcome {
    let keeps = RwLock::create(domain, "other", 0_u64)?;
    let lock = RwLock::create_with(
        domain,
        "it",
        0_u64,
        &sharedware::Options::new().lifetime(sharedware::Lifetime::UntilRemoved),
    )?;
    for _ in 0..3 {
        std::mem::forget(lock.read().map_err(LockError::drop_guard)?);
    }
    let clone = lock.clone();
    drop(lock);
    ensure!(clone.readers() > 0, "a handle is left");
    drop(clone);
    let lock = RwLock::<u64>::open(domain, "it")?;
    ensure!(lock.readers() == 0 && keeps.readers() == 0, "{lock:?}");
    std::mem::forget(lock.write().map_err(LockError::drop_guard)?);
    drop(lock);
    let lock = RwLock::<u64>::open(domain, "it")?;
    let refused = lock.try_read().map(drop).map_err(LockError::drop_guard);
    ensure!(matches!(refused, Err(LockError::OwnerDied(()))), "{refused:?}");
    domain.remove("it")?;
    Ok(())
}

fn leaked_by_child(domain: &Domain) -> Outcome {
    let lock = RwLock::create(domain, "it", 0_u64)?;
    let mut child = Child::fork(|line| {
        std::thread::scope(|scope| {
            scope.spawn(|| lock.read().map(std::mem::forget).is_ok());
        });
        line.send(b"read")?;
        line.expect(PATIENCE)?;
        std::thread::scope(|scope| {
            scope.spawn(|| lock.write().map(std::mem::forget).is_ok());
        });
        line.send(b"written")?;
        line.expect(PATIENCE)?;
        Ok(())
    })?;
    ensure!(child.line.expect(PATIENCE)? == b"read", "it does not read");
    let guard = lock.write_timeout(PATIENCE).map_err(LockError::drop_guard)?;
    ensure!(guard.is_consistent(), "told of a reader");
    drop(guard);
    child.line.send(b"on")?;
    ensure!(child.line.expect(PATIENCE)? == b"written", "it does not write");
    let told = lock.read_timeout(PATIENCE).map(drop).map_err(LockError::drop_guard);
    ensure!(matches!(told, Err(LockError::OwnerDied(()))), "{told:?}");
    child.line.send(b"on")?;
    child.join(PATIENCE)
}

fn inherited_wait(domain: &Domain) -> Outcome {
    let (mutex, condvar) = (Mutex::create(domain, "mutex", 0_u64)?, Condvar::create(domain, "condvar")?);
    let mut guard = Some(mutex.lock().map_err(LockError::drop_guard)?);
    let mut child = Child::fork(|_| {
        let inherited = guard.take().ok_or("there is no guard")?;
        let Err(LockError::Segment(error)) = condvar.wait(inherited) else { return Err("it waited".into()) };
        ensure!(matches!(error.reason(), Reason::Forked), "{error}");
        ensure!(mutex.is_locked() && condvar.waiters() == 0, "it has changed something");
        Ok(())
    })?;
    child.join(PATIENCE)?;
    ensure!(mutex.is_locked(), "the child has given the lock back");
    Ok(())
}

fn child_waits(domain: &Domain) -> Outcome {
    let (mutex, condvar) = (Mutex::create(domain, "mutex", 0_u64)?, Condvar::create(domain, "condvar")?);
    let mut child = Child::fork(|_| {
        let guard = mutex.lock().map_err(LockError::drop_guard)?;
        let mut guard = condvar.wait_while(guard, |value| *value == 0).map_err(LockError::drop_guard)?;
        *guard = 2;
        condvar.notify_one();
        Ok(())
    })?;
    let mut guard = mutex.lock().map_err(LockError::drop_guard)?;
    *guard = 1;
    condvar.notify_one();
    drop(condvar.wait_while(guard, |value| *value == 1).map_err(LockError::drop_guard)?);
    child.join(PATIENCE)
}
