//! Whoever is to have it next, and is dead or stopped, holds nobody up, however often the others are woken meanwhile.
//!
//! Forks, so it has one thread and no libtest.

#[path = "common/cases.rs"]
mod cases;
#[path = "common/process.rs"]
mod process;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cases::{PATIENCE, run_all, said};
use process::{Child, Heard, Outcome};
use sharedware::sync::{LockError, Mutex, Semaphore};
use sharedware::{Domain, Options};

fn main() -> ExitCode {
    run_all(
        "reserved",
        &[
            ("permits come and go, and who is next for one is dead", |domain| permits(domain, libc::SIGKILL)),
            ("permits come and go, and who is next for one is stopped", |domain| permits(domain, libc::SIGSTOP)),
            ("a lock is tried again and again, and who is next for it is dead", tried),
        ],
    )
}

/// Less than a slice of who has slept for some time, so that no nap of theirs is undisturbed.
const BEAT: Duration = Duration::from_millis(1);

/// Waits until somebody is to have it next.
fn wait_until_reserved(domain: &Domain) -> Outcome {
    let start = Instant::now();
    while !domain.locks(&Options::new())?.locks.iter().any(|lock| lock.reserved.is_some()) {
        ensure!(start.elapsed() < PATIENCE, "nobody asks to be next");
        std::thread::sleep(BEAT);
    }
    Ok(())
}

/// Two that wait: the first is next, and the second has slept for long when the first is gone.
fn two_waiters(domain: &Domain, signal: i32, wait: impl Fn(&Domain) -> Outcome + Copy) -> Outcome<(Child, Child)> {
    let wait = |line: &mut process::Line| {
        line.send(b"waiting")?;
        wait(domain)?;
        line.send(b"had it")?;
        Ok(())
    };
    let mut next = Child::fork(wait)?;
    said(&mut next, b"waiting")?;
    wait_until_reserved(domain)?;
    let mut other = Child::fork(wait)?;
    said(&mut other, b"waiting")?;
    std::thread::sleep(Duration::from_millis(300));
    if signal == libc::SIGKILL {
        next.kill()?;
    } else {
        next.signal(signal);
        ensure!(next.wait_stopped()?, "it does not stop");
    }
    Ok((next, other))
}

/// Goes on with `act` until that one says that it had it.
fn until_had(waiter: &mut Child, mut act: impl FnMut() -> Outcome) -> Outcome {
    let start = Instant::now();
    loop {
        act()?;
        match waiter.line.recv(BEAT)? {
            Heard::Silence => ensure!(start.elapsed() < PATIENCE, "held up by who is gone"),
            Heard::Message(said) => {
                ensure!(said == b"had it", "{}", String::from_utf8_lossy(&said));
                return waiter.join(PATIENCE);
            }
            Heard::Closed => return Err("its process ended without a word".into()),
        }
    }
}

fn permits(domain: &Domain, signal: i32) -> Outcome<Option<String>> {
    let semaphore = Semaphore::create(domain, "semaphore", 0)?;
    let (next, mut other) = two_waiters(domain, signal, |domain| Ok(Semaphore::open(domain, "semaphore")?.acquire()?))?;
    until_had(&mut other, || Ok(semaphore.release()?))?;
    // One who comes only now does not wait for that one either.
    let mut fresh = Child::fork(|line| {
        Semaphore::open(domain, "semaphore")?.acquire()?;
        line.send(b"had it")?;
        Ok(())
    })?;
    until_had(&mut fresh, || Ok(semaphore.release()?))?;
    goes_on(next, signal)?;
    Ok(None)
}

/// Who was stopped gets what it waits for when it goes on.
fn goes_on(mut next: Child, signal: i32) -> Outcome {
    if signal == libc::SIGSTOP {
        next.signal(libc::SIGCONT);
        said(&mut next, b"had it")?;
        next.join(PATIENCE)?;
    }
    Ok(())
}

fn tried(domain: &Domain) -> Outcome<Option<String>> {
    let mutex = Mutex::create(domain, "mutex", 0_u64)?;
    let held = mutex.lock().map_err(LockError::drop_guard)?;
    let (_, mut other) = two_waiters(domain, libc::SIGKILL, |domain| {
        drop(Mutex::<u64>::open(domain, "mutex")?.lock().map_err(LockError::drop_guard)?);
        Ok(())
    })?;
    drop(held);
    until_had(&mut other, || {
        drop(mutex.try_lock());
        Ok(())
    })?;
    Ok(None)
}
