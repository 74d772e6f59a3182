//! Locks between processes that are stopped, killed and forked.
//!
//! Each case runs in processes of its own, forked from this program, which has one thread (hence no libtest).

#[path = "common/cases.rs"]
mod cases;
#[path = "common/process.rs"]
mod process;

use std::process::ExitCode;

use cases::{Case, PATIENCE, WHILE, run_all, said};
use process::{Child, End, Line, Outcome, exit_now, fork_bare, process_id, reap};
use sharedware::sync::{LockError, Mutex, Once, OnceError, RawMutex, ReentrantMutex, UnlockError};
use sharedware::{Domain, Reason};

const CASES: &[(&str, Case)] = &[
    ("a stopped owner keeps its lock", stopped_owner),
    ("a stopped waiter is in nobody's way", stopped_waiter),
    ("a killed waiter leaves nothing", killed_waiter),
    ("a killed owner is dead before it is reaped", zombie),
    ("a guard carried over a fork does nothing", carried),
    ("a forked child locks as itself", inherits),
    ("what a forked child leaks it gives up", leaks),
    ("a forked child does not keep its parent's lock", outlives),
    ("a forked child unlocks a raw mutex", unlocks),
    ("a fork in the middle of a once", once),
];

fn main() -> ExitCode {
    run_all("locks", CASES)
}

const NAME: &str = "it";

fn owner<G>(refused: &LockError<G>) -> Option<u32> {
    match refused {
        LockError::TimedOut { owner } | LockError::WouldBlock { owner } => owner.as_ref().map(|peer| peer.pid),
        _ => None,
    }
}

/// All three kinds of locks.
struct Locks {
    mutex: Mutex<u64>,
    raw: RawMutex,
    reentrant: ReentrantMutex<u64>,
}

impl Locks {
    fn create(domain: &Domain) -> Outcome<Self> {
        Ok(Self {
            mutex: Mutex::create(domain, "mutex", 0)?,
            raw: RawMutex::create(domain, "raw")?,
            reentrant: ReentrantMutex::create(domain, "reentrant", 0)?,
        })
    }

    fn open(domain: &Domain) -> Outcome<Self> {
        Ok(Self {
            mutex: Mutex::open(domain, "mutex")?,
            raw: RawMutex::open(domain, "raw")?,
            reentrant: ReentrantMutex::open(domain, "reentrant")?,
        })
    }

    /// That is what everybody finds who tries to have them.
    fn ensure_held_by(&self, pid: i32) -> Outcome {
        let found = [
            self.mutex.try_lock().map(drop).map_err(LockError::drop_guard),
            self.mutex.lock_timeout(WHILE).map(drop).map_err(LockError::drop_guard),
            self.raw.try_lock(),
            self.raw.lock_timeout(WHILE),
            self.reentrant.try_lock().map(drop).map_err(LockError::drop_guard),
            self.reentrant.lock_timeout(WHILE).map(drop).map_err(LockError::drop_guard),
        ];
        for (which, found) in found.iter().enumerate() {
            let told = found.as_ref().err().and_then(owner);
            ensure!(told == Some(pid.unsigned_abs()), "attempt {which} at what {pid} has: {found:?}");
        }
        Ok(())
    }

    /// Takes and gives back each; `expected`: whether we are told of a death. Whole again afterwards.
    fn ensure_free(&self, expected: bool) -> Outcome {
        let told = match self.mutex.lock_timeout(PATIENCE) {
            Ok(_) => false,
            Err(LockError::OwnerDied(mut guard)) => {
                guard.mark_consistent();
                true
            }
            Err(error) => return Err(error.drop_guard().into()),
        };
        ensure!(told == expected, "of the mutex, told of a death: {told}");
        let told = match self.raw.lock_timeout(PATIENCE) {
            Ok(()) => false,
            Err(LockError::OwnerDied(())) => {
                self.raw.mark_consistent();
                true
            }
            Err(error) => return Err(error.into()),
        };
        self.raw.unlock()?;
        ensure!(told == expected, "of the raw mutex, told of a death: {told}");
        let told = match self.reentrant.lock_timeout(PATIENCE) {
            Ok(_) => false,
            Err(LockError::OwnerDied(guard)) => {
                guard.mark_consistent();
                true
            }
            Err(error) => return Err(error.drop_guard().into()),
        };
        ensure!(told == expected, "of the reentrant mutex, told of a death: {told}");
        Ok(())
    }
}

/// Takes all three, says so, and gives them back when told to.
fn hold(domain: &Domain, line: &mut Line) -> Outcome {
    let locks = Locks::open(domain)?;
    let mut guard = locks.mutex.lock().map_err(LockError::drop_guard)?;
    locks.raw.lock()?;
    let reentrant = locks.reentrant.lock().map_err(LockError::drop_guard)?;
    *guard += 1;
    line.send(b"held")?;
    line.expect(PATIENCE)?;
    *guard += 1;
    reentrant.set(2);
    locks.raw.unlock()?;
    Ok(())
}

fn holder(domain: &Domain) -> Outcome<Child> {
    let mut child = Child::fork(|line| hold(domain, line))?;
    said(&mut child, b"held")?;
    Ok(child)
}

fn stopped_owner(domain: &Domain) -> Outcome<Option<String>> {
    let locks = Locks::create(domain)?;
    let mut child = holder(domain)?;
    child.signal(libc::SIGSTOP);
    ensure!(child.wait_stopped()?, "it does not stop");
    locks.ensure_held_by(child.pid)?;
    child.signal(libc::SIGCONT);
    child.line.send(b"go on")?;
    child.join(PATIENCE)?;
    locks.ensure_free(false)?;
    let value = *locks.mutex.lock().map_err(LockError::drop_guard)?;
    ensure!(value == 2, "it did not go on where it was stopped: {value}");
    Ok(None)
}

/// A child that waits for all three, one after the other, and says when it has had them.
fn waiter(domain: &Domain) -> Outcome<Child> {
    let mut child = Child::fork(|line| {
        let locks = Locks::open(domain)?;
        line.send(b"waits")?;
        locks.ensure_free(false)?;
        line.send(b"had")?;
        Ok(())
    })?;
    said(&mut child, b"waits")?;
    // Long enough to have the lock reserved for it.
    std::thread::sleep(WHILE);
    Ok(child)
}

fn stopped_waiter(domain: &Domain) -> Outcome<Option<String>> {
    let locks = Locks::create(domain)?;
    let guard = locks.mutex.lock().map_err(LockError::drop_guard)?;
    let mut child = waiter(domain)?;
    child.signal(libc::SIGSTOP);
    ensure!(child.wait_stopped()?, "it does not stop");
    drop(guard);
    for _ in 0..100 {
        locks.ensure_free(false)?;
    }
    child.signal(libc::SIGCONT);
    said(&mut child, b"had")?;
    child.join(PATIENCE)?;
    Ok(None)
}

fn killed_waiter(domain: &Domain) -> Outcome<Option<String>> {
    let locks = Locks::create(domain)?;
    let guard = locks.mutex.lock().map_err(LockError::drop_guard)?;
    let mut children = [waiter(domain)?, waiter(domain)?];
    for child in &mut children {
        child.kill()?;
    }
    drop(guard);
    for _ in 0..100 {
        locks.ensure_free(false)?;
    }
    Ok(None)
}

fn zombie(domain: &Domain) -> Outcome<Option<String>> {
    let locks = Locks::create(domain)?;
    let child = holder(domain)?;
    locks.ensure_held_by(child.pid)?;
    child.signal(libc::SIGKILL);
    ensure!(child.has_ended(PATIENCE)?, "SIGKILL does not end it");
    locks.ensure_free(true)?;
    locks.ensure_free(false)?;
    Ok(None)
}

/// Runs it in a forked child without any strings attached, which must end well.
fn in_child(act: impl FnOnce() -> Outcome) -> Outcome {
    let Some(child) = fork_bare()? else {
        let outcome = act();
        if let Err(error) = &outcome {
            println!("locks: in the child: {error}");
        }
        exit_now(i32::from(outcome.is_err()))
    };
    ensure!(reap(child)? == End::Exited(0), "the child failed, see above");
    Ok(())
}

fn carried(domain: &Domain) -> Outcome<Option<String>> {
    let locks = Locks::create(domain)?;
    let parent = process_id();
    let mut guard = locks.mutex.lock().map_err(LockError::drop_guard)?;
    let reentrant = [(); 2].map(|()| locks.reentrant.lock().ok());
    locks.raw.lock()?;
    let mut dropped = Some(guard);
    let mut reentrants = Some(reentrant);
    in_child(|| {
        reentrants.iter().flatten().flatten().for_each(|guard| guard.set(9));
        drop(dropped.take());
        drop(reentrants.take());
        // Also not with the thread that inherited them.
        locks.ensure_held_by(parent)
    })?;
    guard = dropped.ok_or("still here")?;
    *guard += 1;
    let value = locks.reentrant.lock().map_err(LockError::drop_guard)?.get();
    ensure!(value == 0, "the child has changed the value: {value}");
    drop((guard, reentrants));
    locks.raw.unlock()?;

    // Nor can a child say that all is well.
    in_child(|| {
        std::mem::forget(locks.mutex.lock());
        Ok(())
    })?;
    let Err(LockError::OwnerDied(guard)) = locks.mutex.lock() else { return Err("the child died with it".into()) };
    let mut guard = Some(guard);
    in_child(|| {
        let mut guard = guard.take().ok_or("a guard")?;
        guard.mark_consistent();
        Ok(())
    })?;
    drop(guard);
    let told = locks.mutex.lock();
    ensure!(matches!(told, Err(LockError::OwnerDied(_))), "a child has spoken for its parent");
    Ok(None)
}

fn inherits(domain: &Domain) -> Outcome<Option<String>> {
    let locks = Locks::create(domain)?;
    let mut child = Child::fork(|line| {
        {
            let mut guard = locks.mutex.lock().map_err(LockError::drop_guard)?;
            *guard += 1;
            ensure!(matches!(locks.mutex.lock(), Err(LockError::Deadlock)), "it waits for itself");
            let reentrant = [(); 2].map(|()| locks.reentrant.lock().ok());
            ensure!(reentrant.iter().flatten().count() == 2, "not reentrant");
            locks.raw.lock()?;
            line.send(b"held")?;
            line.expect(PATIENCE)?;
            locks.raw.unlock()?;
        }
        line.send(b"given back")?;
        line.expect(PATIENCE)?;
        let guards = (locks.mutex.lock(), locks.raw.lock()?, locks.reentrant.lock());
        line.send(b"held again")?;
        line.expect(PATIENCE)?;
        drop(guards);
        Ok(())
    })?;
    said(&mut child, b"held")?;
    locks.ensure_held_by(child.pid)?;
    child.line.send(b"go on")?;
    said(&mut child, b"given back")?;
    locks.ensure_free(false)?;
    child.line.send(b"go on")?;
    said(&mut child, b"held again")?;
    locks.ensure_held_by(child.pid)?;
    child.kill()?;
    locks.ensure_free(true)?;
    ensure!(*locks.mutex.lock().map_err(LockError::drop_guard)? == 1, "what the child did is not there");
    Ok(None)
}

/// By a thread that ends, and with its last handle; with an inherited handle as with one of its own.
fn leaks(domain: &Domain) -> Outcome<Option<String>> {
    let mutex = Mutex::create(domain, NAME, 0_u64)?;
    let witness = Mutex::<u64>::open(domain, NAME)?;
    let told = |what: &str| -> Outcome {
        match witness.lock_timeout(PATIENCE) {
            Err(LockError::OwnerDied(mut guard)) => guard.mark_consistent(),
            Ok(_) => return Err(format!("{what}: not told").into()),
            Err(error) => return Err(format!("{what}: {}", error.drop_guard()).into()),
        }
        Ok(())
    };
    let mut inherited = Some(mutex);
    let mut child = Child::fork(|line| {
        let own = Mutex::<u64>::open(domain, NAME)?;
        for mutex in [inherited.as_ref().ok_or("inherited")?, &own] {
            std::thread::scope(|scope| {
                scope.spawn(|| std::mem::forget(mutex.lock()));
            });
            line.send(b"leaked by a thread")?;
            line.expect(PATIENCE)?;
        }
        std::mem::forget(own.lock());
        drop(own);
        ensure!(witness.is_locked(), "there are other handles");
        Ok(())
    })?;
    for _ in 0..2 {
        said(&mut child, b"leaked by a thread")?;
        told("a thread ended")?;
        child.line.send(b"go on")?;
    }
    child.join(PATIENCE)?;
    told("its process ended")?;
    drop(inherited.take());

    let mut last = Some(Mutex::create(domain, "last", 0_u64)?);
    let mut child = Child::fork(|line| {
        let mutex = last.take().ok_or("inherited")?;
        std::mem::forget(mutex.lock());
        drop(mutex);
        line.send(b"dropped")?;
        line.expect(PATIENCE)?;
        Ok(())
    })?;
    said(&mut child, b"dropped")?;
    let ours = last.as_ref().ok_or("still here")?;
    ensure!(matches!(ours.lock_timeout(PATIENCE), Err(LockError::OwnerDied(_))), "its last handle is gone: not told");
    child.line.send(b"end")?;
    child.join(PATIENCE)?;
    Ok(None)
}

/// The parent is killed while its child, who inherited everything, lives.
fn outlives(domain: &Domain) -> Outcome<Option<String>> {
    process::adopt_orphans();
    let locks = Locks::create(domain)?;
    let mut parent = Child::fork(|line| {
        let locks = Locks::open(domain)?;
        let guards = (locks.mutex.lock(), locks.raw.lock()?, locks.reentrant.lock());
        let mut theirs = line.share()?;
        let Some(child) = fork_bare()? else {
            theirs.expect(PATIENCE)?;
            exit_now(0)
        };
        line.send(&child.to_ne_bytes())?;
        std::thread::sleep(PATIENCE);
        drop(guards);
        Ok(())
    })?;
    let grandchild = i32::from_ne_bytes(parent.line.expect(PATIENCE)?.as_slice().try_into()?);
    locks.ensure_held_by(parent.pid)?;
    parent.kill()?;
    locks.ensure_free(true)?;
    parent.line.send(b"end")?;
    ensure!(reap(grandchild)? == End::Exited(0), "the child failed");
    Ok(None)
}

fn unlocks(domain: &Domain) -> Outcome<Option<String>> {
    let raw = RawMutex::create(domain, NAME)?;
    raw.lock()?;
    in_child(|| {
        ensure!(raw.lock_timeout(WHILE).is_err(), "it is the parent's");
        raw.unlock()?;
        ensure!(matches!(raw.unlock(), Err(UnlockError::NotLocked)), "unlocked twice");
        raw.lock()?;
        raw.unlock()?;
        Ok(())
    })?;
    raw.lock()?;
    // By a child that has no handle of its own, and of a lock that its parent never had.
    let child = RawMutex::create(domain, "childs")?;
    in_child(|| {
        child.lock()?;
        Ok(())
    })?;
    // What this process leaves locked keeps it a peer until its end.
    for raw in [raw, child] {
        raw.unlock()?;
    }
    Ok(None)
}

fn once(domain: &Domain) -> Outcome<Option<String>> {
    let once = Once::create(domain, NAME)?;
    let parent = process_id();
    let mut forked = None;
    let outcome = once.try_call_once(|_| -> Outcome {
        forked = fork_bare()?;
        Ok(())
    });
    if process_id() != parent {
        let refused = match &outcome {
            Err(OnceError::Segment(error)) => matches!(error.reason(), Reason::Forked),
            _ => false,
        };
        if !refused {
            println!("locks: in the child: {outcome:?}");
        }
        exit_now(i32::from(!refused));
    }
    outcome.map_err(|error| error.to_string())?;
    ensure!(once.is_completed(), "the parent has done it");
    ensure!(reap(forked.ok_or("a child")?)? == End::Exited(0), "the child failed, see above");

    // A child calls by an inherited handle, and dies at it.
    let once = Once::create(domain, "another")?;
    let mut child = Child::fork(|line| {
        once.call_once(|| {
            let _ = line.send(b"runs");
            std::thread::sleep(PATIENCE);
        })?;
        Ok(())
    })?;
    said(&mut child, b"runs")?;
    child.signal(libc::SIGSTOP);
    ensure!(child.wait_stopped()?, "it does not stop");
    let late = once.call_once_timeout(WHILE, || {});
    ensure!(
        matches!(&late, Err(OnceError::TimedOut { owner: Some(owner) }) if owner.pid == child.pid.unsigned_abs()),
        "{late:?}"
    );
    child.kill()?;
    let mut takeover = false;
    once.try_call_once(|state| {
        takeover = state.is_takeover();
        Ok::<(), String>(())
    })?;
    ensure!(takeover && once.is_completed(), "not told that the child died at it");
    Ok(None)
}
