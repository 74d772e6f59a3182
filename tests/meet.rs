//! Semaphores, barriers and latches among forked processes: stopped, killed, and killed at random.
//!
//! Each case runs in a process of its own, forked from this program, which has one thread (hence no libtest).

#[path = "common/process.rs"]
mod process;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use process::{Child, Line, Outcome, exit_now, fork_bare, process_id, reap};
use sharedware::Domain;
use sharedware::sync::{AcquireError, Barrier, BarrierError, BrokenBy, Latch, LatchError, Semaphore, SemaphoreSetup};

/// Longer than that is a hang.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to look at something that must not happen.
const WHILE: Duration = Duration::from_millis(120);
const NAME: &str = "it";

type Case = fn(&Domain) -> Outcome;

const CASES: &[(&str, Case)] = &[
    ("a stopped process keeps its permit", stopped_holder),
    ("a forked child does not hold its parent's permit", forked_permit),
    ("a permit comes back however often its holder is killed", killed_holders),
    ("who is stopped for rounds learns what its own came to", stopped_party),
    ("who has not looked yet takes up a place, and no more", many_stopped),
    ("a forked child is not its parent's party", forked_party),
    ("a barrier goes on however often parties are killed", killed_parties),
    ("a forked child is not its parent's party of a latch", forked_latch_party),
];

fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let directory = PathBuf::from(format!("/dev/shm/sharedware-meet-{}", process_id()));
    let mut failures = 0;
    for (name, case) in CASES.iter().filter(|(name, _)| name.contains(&only)) {
        let verdict = run(&directory, *case).map_or_else(|error| format!("FAILED: {error}"), |()| "ok".to_owned());
        failures += u32::from(verdict != "ok");
        println!("meet: {name} ... {verdict}");
    }
    println!("meet: {failures} failed");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One case, in a process and a directory of its own.
fn run(directory: &PathBuf, case: Case) -> Outcome {
    std::fs::create_dir(directory)?;
    let mut child = Child::fork(|_| {
        let domain = Domain::new("meet")?.in_directory(directory);
        case(&domain)?;
        domain.clean()?;
        Ok(())
    })?;
    let outcome = child.join(Duration::from_secs(120));
    let left: Vec<_> = std::fs::read_dir(directory)?.flatten().map(|entry| entry.file_name()).collect();
    std::fs::remove_dir_all(directory)?;
    outcome?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

fn said(child: &mut Child, expected: &[u8]) -> Outcome {
    let heard = child.line.expect(PATIENCE)?;
    ensure!(heard == expected, "{}", String::from_utf8_lossy(&heard));
    Ok(())
}

/// Whether a process sleeps, as far as the kernel tells.
fn is_asleep(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

/// Looks until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Outcome {
    let start = Instant::now();
    while !is_so() {
        ensure!(start.elapsed() < PATIENCE, "hangs: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// In a forked child that does nothing else: runs `act`, and the parent waits for that.
fn in_child(act: impl FnOnce() -> Outcome) -> Outcome {
    let Some(child) = fork_bare()? else {
        let code = act().map_or_else(
            |error| {
                println!("in the child: {error}");
                1
            },
            |()| 0,
        );
        exit_now(code)
    };
    let end = reap(child)?;
    ensure!(end == process::End::Exited(0), "the child: {end:?}");
    Ok(())
}

// Semaphores.

fn stopped_holder(domain: &Domain) -> Outcome {
    let semaphore = Semaphore::create(domain, NAME, 1)?;
    let mut holder = Child::fork(|line| {
        let semaphore = Semaphore::open(domain, NAME)?;
        let permit = semaphore.permit()?;
        line.send(b"held")?;
        line.expect(PATIENCE)?;
        drop(permit);
        line.send(b"given back")?;
        Ok(())
    })?;
    said(&mut holder, b"held")?;
    holder.signal(libc::SIGSTOP);
    ensure!(holder.wait_stopped()?, "it does not stop");
    let told = semaphore.acquire_timeout(WHILE);
    ensure!(matches!(told, Err(AcquireError::TimedOut)), "a stopped holder was robbed: {told:?}");
    let told = semaphore.try_permit();
    ensure!(matches!(told, Err(AcquireError::WouldBlock)), "a stopped holder was robbed: {told:?}");
    holder.signal(libc::SIGCONT);
    holder.line.send(b"go on")?;
    said(&mut holder, b"given back")?;
    semaphore.acquire_timeout(PATIENCE)?;
    holder.join(PATIENCE)
}

fn forked_permit(domain: &Domain) -> Outcome {
    let semaphore = Semaphore::create(domain, NAME, SemaphoreSetup::bounded(2))?;
    let permit = semaphore.permit()?;
    let mut permit = Some(permit);
    in_child(|| {
        drop(permit.take());
        ensure!(semaphore.available() == 1, "the child gave back what its parent holds");
        // It may hold one of its own; and gives it back by its end.
        std::mem::forget(semaphore.permit()?);
        ensure!(semaphore.available() == 0, "the child holds none");
        Ok(())
    })?;
    semaphore.acquire_timeout(PATIENCE)?;
    ensure!(semaphore.available() == 0, "{} permits", semaphore.available());
    semaphore.release()?;
    drop(permit);
    ensure!(semaphore.available() == 2, "{} permits", semaphore.available());
    Ok(())
}

/// Many are killed at any time while they take permits and give them back: none is lost, none is doubled.
fn killed_holders(domain: &Domain) -> Outcome {
    const PERMITS: u32 = 2;
    let semaphore = Semaphore::create(domain, NAME, SemaphoreSetup::bounded(PERMITS))?;
    let work = |line: &mut Line| -> Outcome {
        let semaphore = Semaphore::open(domain, NAME)?;
        line.send(b"ready")?;
        loop {
            let first = semaphore.permit_timeout(PATIENCE)?;
            let second = semaphore.try_permit();
            drop(first);
            drop(second);
        }
    };
    let mut workers = Vec::new();
    for round in 0..150_u64 {
        while workers.len() < 3 {
            let mut worker = Child::fork(work)?;
            said(&mut worker, b"ready")?;
            workers.push(worker);
        }
        std::thread::sleep(Duration::from_micros(round * 7919 % 1500));
        let mut victim = workers.remove(0);
        victim.kill()?;
        // Among those who still work, somebody gets on.
        drop(semaphore.permit_timeout(PATIENCE)?);
        ensure!(semaphore.available() <= PERMITS, "{} permits", semaphore.available());
    }
    drop(workers);
    let all = [semaphore.permit_timeout(PATIENCE)?, semaphore.permit_timeout(PATIENCE)?];
    let more = semaphore.permit_timeout(WHILE);
    ensure!(matches!(more, Err(AcquireError::TimedOut)), "a permit was doubled: {more:?}");
    drop(all);
    Ok(())
}

// Barriers.

/// A child that waits at the barrier once, and tells what came of it.
fn one_wait(domain: &Domain) -> std::io::Result<Child> {
    Child::fork(|line| {
        let told = match Barrier::open(domain, NAME)?.wait() {
            Ok(arrival) => format!("round {}", arrival.generation),
            Err(error) => error.to_string(),
        };
        line.send(told.as_bytes())?;
        Ok(())
    })
}

fn stopped(domain: &Domain, barrier: &Barrier) -> Outcome<Child> {
    let before = barrier.waiting();
    let mut child = one_wait(domain)?;
    until("it does not arrive", || barrier.waiting() == before + 1)?;
    // Stopped just after it has arrived, it would hold up who arrives next: it is to sleep.
    until("it does not sleep", || is_asleep(child.pid))?;
    child.signal(libc::SIGSTOP);
    ensure!(child.wait_stopped()?, "it does not stop");
    Ok(child)
}

fn continued(mut child: Child, expected: &str) -> Outcome {
    child.signal(libc::SIGCONT);
    said(&mut child, expected.as_bytes())?;
    child.join(PATIENCE)
}

/// Goes through a round with a child.
fn meet_once(domain: &Domain, barrier: &Barrier) -> Outcome {
    let mut child = one_wait(domain)?;
    let arrival = barrier.wait_timeout(PATIENCE)?;
    said(&mut child, format!("round {}", arrival.generation).as_bytes())?;
    child.join(PATIENCE)
}

fn stopped_party(domain: &Domain) -> Outcome {
    let barrier = Barrier::create(domain, NAME, 2)?;
    let released = stopped(domain, &barrier)?;
    barrier.wait_timeout(PATIENCE)?;
    let reset = stopped(domain, &barrier)?;
    barrier.reset()?;
    let aborted = stopped(domain, &barrier)?;
    barrier.abort()?;
    barrier.reset()?;
    for _ in 0..3 {
        meet_once(domain, &barrier)?;
    }
    // The last round they see is broken, and not theirs.
    barrier.abort()?;
    continued(released, "round 0")?;
    continued(reset, &BarrierError::Broken(BrokenBy::Reset).to_string())?;
    continued(aborted, &BarrierError::Broken(BrokenBy::Abort).to_string())
}

/// More have not looked yet than there are places kept for: who comes has to wait for one of them, or say that it took too long.
fn many_stopped(domain: &Domain) -> Outcome {
    const PLACES: usize = 2 + 64;
    let barrier = Barrier::create(domain, NAME, 2)?;
    let mut late = Vec::new();
    for _ in 0..PLACES {
        late.push(stopped(domain, &barrier)?);
        barrier.wait_timeout(PATIENCE)?;
    }
    let told = barrier.wait_timeout(WHILE);
    ensure!(matches!(told, Err(BarrierError::TimedOut)), "there is a place: {told:?}");
    ensure!(barrier.is_broken(), "who gave up is waited for");
    barrier.reset()?;
    let mut waits = one_wait(domain)?;
    std::thread::sleep(WHILE);
    ensure!(barrier.waiting() == 0, "there is a place");
    // One is killed, another looks: two places.
    late.remove(0).kill()?;
    continued(late.remove(0), "round 1")?;
    until("no place for who waits", || barrier.waiting() == 1)?;
    let arrival = barrier.wait_timeout(PATIENCE)?;
    said(&mut waits, format!("round {}", arrival.generation).as_bytes())?;
    continued(late.remove(0), "round 2")
}

fn forked_party(domain: &Domain) -> Outcome {
    let barrier = Barrier::create(domain, NAME, 2)?;
    let mut party = Some(barrier.party()?);
    in_child(|| {
        drop(party.take());
        ensure!(barrier.enlisted() == 1, "the child left for its parent");
        Ok(())
    })?;
    meet_once(domain, &barrier)?;
    // A child of its own kind.
    in_child(|| {
        std::mem::forget(barrier.party()?);
        Ok(())
    })?;
    let told = barrier.wait_timeout(PATIENCE);
    ensure!(matches!(told, Err(BarrierError::Broken(BrokenBy::Death))), "the child died as a party: {told:?}");
    barrier.reset()?;
    ensure!(barrier.enlisted() == 1, "{} parties", barrier.enlisted());
    Ok(())
}

/// Parties meet, and are killed at any time. Whoever lives is let go or told, and resets what is broken; in the end they meet again.
fn killed_parties(domain: &Domain) -> Outcome {
    let barrier = Barrier::create(domain, NAME, 3)?;
    let work = |line: &mut Line| -> Outcome {
        let barrier = Barrier::open(domain, NAME)?;
        let mut party = barrier.party();
        line.send(b"ready")?;
        loop {
            let outcome = match &party {
                Ok(party) => party.wait_timeout(PATIENCE),
                Err(_) => barrier.wait_timeout(PATIENCE),
            };
            match outcome {
                Ok(_) => {}
                Err(BarrierError::Broken(_)) => {
                    if barrier.is_broken() {
                        barrier.reset()?;
                    }
                    if party.is_err() {
                        party = barrier.party();
                    }
                }
                Err(error) => return Err(format!("hangs: {error}").into()),
            }
        }
    };
    let mut workers = Vec::new();
    for round in 0..150_u64 {
        while workers.len() < 3 {
            let mut worker = Child::fork(work)?;
            said(&mut worker, b"ready")?;
            workers.push(worker);
        }
        let before = barrier.generation();
        until("nobody gets on", || barrier.generation() != before)?;
        std::thread::sleep(Duration::from_micros(round * 7919 % 1500));
        workers.remove(usize::try_from(round % 3)?).kill()?;
    }
    for worker in &mut workers {
        let heard = worker.line.recv(Duration::ZERO)?;
        ensure!(heard == process::Heard::Silence, "{heard:?}");
    }
    drop(workers);
    barrier.reset()?;
    ensure!(barrier.enlisted() == 0, "{} parties", barrier.enlisted());
    let mut others = [one_wait(domain)?, one_wait(domain)?];
    let arrival = barrier.wait_timeout(PATIENCE)?;
    for other in &mut others {
        said(other, format!("round {}", arrival.generation).as_bytes())?;
    }
    Ok(())
}

// Latches.

fn forked_latch_party(domain: &Domain) -> Outcome {
    let latch = Latch::create(domain, NAME, 2)?;
    let mut party = Some(latch.party()?);
    in_child(|| {
        if let Some(party) = party.take() {
            party.count_down();
        }
        ensure!(latch.left() == 2, "the child counted down for its parent");
        // Its own it may; counted is counted, whatever becomes of it.
        latch.party()?.count_down();
        Ok(())
    })?;
    let told = latch.try_wait();
    ensure!(matches!(told, Err(LatchError::WouldBlock)) && latch.left() == 1, "{told:?}");
    if let Some(party) = party.take() {
        party.count_down();
    }
    latch.wait_timeout(PATIENCE)?;

    let other = Latch::create(domain, "other", 1)?;
    in_child(|| {
        std::mem::forget(other.party()?);
        Ok(())
    })?;
    let told = other.wait_timeout(PATIENCE);
    ensure!(matches!(told, Err(LatchError::PartyDied)), "{told:?}");
    Ok(())
}
