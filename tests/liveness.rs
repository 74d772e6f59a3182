//! Who is alive is asked of the kernel: nothing that happens to a process short of its end makes it dead, and its end does at once.
//!
//! Each case runs in processes of its own, forked from this program, which has one thread (hence no libtest). What the environment does
//! not let us do is skipped with a line that says so.
//!
//! # Safety
//!
//! The unsafe code here is `close_range` in a process that owns nothing but what is tested, `unshare` and `execv`.
#![allow(unsafe_code)]

#[path = "common/cases.rs"]
mod cases;
#[path = "common/process.rs"]
mod process;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cases::{Case, PATIENCE, WHILE, run_all, said};
use process::{Child, End, Line, Outcome, exit_now, fork_bare, process_id, reap};
use sharedware::ring::spsc::Ring;
use sharedware::ring::{AttachError, PeerState, PopError, PushError, bytes};
use sharedware::slot::{Slot, WriteError};
use sharedware::{Domain, Reason};

const CASES: &[(&str, Case)] = &[
    ("a stopped process keeps what it has", stopped),
    ("a killed process is dead before it is reaped", zombie),
    ("a forked child does not keep its parent alive", fork_outlives),
    ("a forked child cannot use what its parent owns", fork_inherits),
    ("a forked child becomes a peer itself", fork_registers),
    ("a process that closes all its descriptors lives", close_all),
    ("a daemon lives, its starter does not", daemon),
    ("a process that executes another program is dead", exec),
    ("pid namespaces make no difference", namespaces),
    ("a reused pid is another process", reused),
    ("4,096 peers live at once, and no more", crowd),
    ("the registry goes with the last peer", registry),
];

fn main() -> ExitCode {
    // What an exec'ed process does: lives until told otherwise.
    if std::env::args().nth(1).as_deref() == Some("--sleep") {
        std::thread::sleep(PATIENCE);
        return ExitCode::SUCCESS;
    }
    run_all("liveness", CASES)
}

const NAME: &str = "it";

fn open(domain: &Domain) -> Outcome<Ring<u64>> {
    Ok(Ring::open(domain, NAME)?)
}

/// Takes the producer's side, says so, pushes 1, and pushes 2 when told to. Then waits to be told to end.
fn produce(domain: &Domain, line: &mut Line) -> Outcome {
    let mut producer = open(domain)?.producer()?;
    producer.push(1)?;
    line.send(b"taken")?;
    line.expect(PATIENCE)?;
    producer.push(2)?;
    line.send(b"pushed")?;
    line.expect(PATIENCE)?;
    Ok(())
}

fn producer(domain: &Domain) -> Outcome<Child> {
    let mut child = Child::fork(|line| produce(domain, line))?;
    said(&mut child, b"taken")?;
    Ok(child)
}

fn is_alive(state: &PeerState) -> bool {
    matches!(state, PeerState::Alive(_))
}

/// Looks for a while: the side stays taken and its owner alive.
fn stays_alive(ring: &Ring<u64>, state: impl Fn() -> Result<PeerState, sharedware::Error>) -> Outcome {
    let start = Instant::now();
    while start.elapsed() < WHILE {
        let found = state()?;
        ensure!(is_alive(&found), "the producer is {found:?}");
        let taken = ring.producer();
        ensure!(matches!(taken, Err(AttachError::Taken { .. })), "a living process was robbed: {taken:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn stopped(domain: &Domain) -> Outcome<Option<String>> {
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    let slot = Slot::create(domain, "slot", 0_u64)?;
    let mut consumer = ring.consumer()?;
    let mut child = Child::fork(|line| {
        let mut writer = Slot::<u64>::open(domain, "slot")?.writer()?;
        writer.write(&1)?;
        produce(domain, line)?;
        writer.write(&2)?;
        line.send(b"written")?;
        line.expect(PATIENCE)?;
        Ok(())
    })?;
    said(&mut child, b"taken")?;
    child.signal(libc::SIGSTOP);
    ensure!(child.wait_stopped()?, "it does not stop");
    stays_alive(&ring, || consumer.peer())?;
    ensure!(consumer.pop()? == 1, "not what was pushed");
    let told = consumer.pop_timeout(WHILE);
    ensure!(matches!(told, Err(PopError::TimedOut)), "waiting for a stopped producer: {told:?}");
    for told in [slot.try_write(&7).map(drop), slot.write_timeout(&7, WHILE).map(drop), slot.writer().map(drop)] {
        ensure!(matches!(told, Err(WriteError::Owned(Some(_)))), "writing what a stopped writer owns: {told:?}");
    }
    child.signal(libc::SIGCONT);
    child.line.send(b"go on")?;
    said(&mut child, b"pushed")?;
    ensure!(consumer.pop()? == 2, "it did not go on where it was stopped");
    child.line.send(b"go on")?;
    said(&mut child, b"written")?;
    ensure!(slot.read()? == 2, "it did not go on where it was stopped");
    child.kill()?;
    slot.write(&3)?;
    Ok(None)
}

fn zombie(domain: &Domain) -> Outcome<Option<String>> {
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    let mut consumer = ring.consumer()?;
    let child = producer(domain)?;
    ensure!(is_alive(&consumer.peer()?), "the producer is {:?}", consumer.peer()?);
    child.signal(libc::SIGKILL);
    ensure!(child.has_ended(PATIENCE)?, "SIGKILL does not end it");
    let state = consumer.peer()?;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.pid))?;
    ensure!(stat.contains(") Z "), "it is no zombie: {stat}");
    ensure!(state == PeerState::Dead, "the zombie is {state:?}");
    let mut successor = ring.producer()?;
    ensure!(consumer.pop()? == 1, "what was pushed is gone");
    successor.push(5)?;
    ensure!(consumer.pop()? == 5, "what the successor pushed is not there");
    Ok(None)
}

/// The parent is killed while its child, who inherited everything, lives.
fn fork_outlives(domain: &Domain) -> Outcome<Option<String>> {
    process::adopt_orphans();
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    let consumer = ring.consumer()?;
    let mut parent = Child::fork(|line| {
        let _producer = open(domain)?.producer()?;
        let mut theirs = line.share()?;
        let Some(child) = fork_bare()? else {
            theirs.send(b"child")?;
            theirs.expect(PATIENCE)?;
            exit_now(0)
        };
        line.send(&child.to_ne_bytes())?;
        std::thread::sleep(PATIENCE);
        Ok(())
    })?;
    let mut grandchild = 0;
    for _ in 0..2 {
        let heard = parent.line.expect(PATIENCE)?;
        if let Ok(pid) = heard.as_slice().try_into() {
            grandchild = i32::from_ne_bytes(pid);
        }
    }
    ensure!(is_alive(&consumer.peer()?), "the producer is {:?}", consumer.peer()?);
    parent.kill()?;
    let state = consumer.peer()?;
    ensure!(state == PeerState::Dead, "the dead parent is {state:?}");
    drop(ring.producer()?);
    parent.line.send(b"end")?;
    ensure!(reap(grandchild)? == End::Exited(0), "the child failed");
    Ok(None)
}

fn fork_inherits(domain: &Domain) -> Outcome<Option<String>> {
    let typed = Ring::<u64>::create(domain, NAME, 4)?;
    let raw = bytes::Ring::create(domain, "bytes", 256)?;
    let slot = Slot::create(domain, "slot", 0_u64)?;
    let (mut producer, mut consumer) = (typed.producer()?, typed.consumer()?);
    let (mut sender, mut receiver) = (raw.producer()?, raw.consumer()?);
    let mut writer = slot.writer()?;
    // Also when there is no room, and something to be had at once.
    for full in [false, true] {
        if full {
            while producer.try_push(1).is_ok() {}
            sender.send(b"record")?;
        }
        let Some(child) = fork_bare()? else {
            let told = [
                ("try_push", producer.try_push(9)),
                ("push", producer.push(9)),
                ("push_timeout", producer.push_timeout(9, WHILE)),
                ("push_slice", producer.push_slice(&[9]).map(drop)),
                ("claim", producer.claim().map(drop)),
                ("wait_for_room_timeout", producer.wait_for_room_timeout(WHILE)),
                ("try_send", sender.try_send(b"x")),
                ("send", sender.send(b"x")),
                ("finish", sender.finish()),
            ];
            let pushed = told.iter().filter(|(_, told)| !matches!(told, Err(PushError::Forked)));
            let mut wrong: Vec<String> = pushed.map(|(what, told)| format!("{what}: {told:?}")).collect();
            let told = [
                ("try_pop", consumer.try_pop().map(drop)),
                ("pop", consumer.pop().map(drop)),
                ("pop_timeout", consumer.pop_timeout(WHILE).map(drop)),
                ("pop_slice", consumer.pop_slice(&mut [0]).map(drop)),
                ("claim", consumer.claim().map(drop)),
                ("wait_for_value_timeout", consumer.wait_for_value_timeout(WHILE)),
                ("try_recv", receiver.try_recv().map(drop)),
                ("recv", receiver.recv().map(drop)),
            ];
            let popped = told.iter().filter(|(_, told)| !matches!(told, Err(PopError::Forked)));
            wrong.extend(popped.map(|(what, told)| format!("{what}: {told:?}")));
            if !matches!(writer.write(&9), Err(WriteError::Forked)) {
                wrong.push("write".into());
            }
            drop((producer, consumer, sender, receiver, writer));
            for (what, taken) in [("producer", typed.producer().map(drop)), ("consumer", typed.consumer().map(drop))] {
                if !matches!(taken, Err(AttachError::Taken { .. })) {
                    wrong.push(format!("{what} after dropping what is the parent's: {taken:?}"));
                }
            }
            if !wrong.is_empty() {
                println!("liveness: in the child (full: {full}): {}", wrong.join("; "));
            }
            exit_now(i32::from(!wrong.is_empty()))
        };
        ensure!(reap(child)? == End::Exited(0), "a forked child uses what its parent owns, see above");
    }
    // The parent goes on.
    for _ in 0..2 {
        ensure!(consumer.pop()? == 1, "not what the parent pushed");
    }
    producer.try_push(2)?;
    receiver.recv()?.release();
    ensure!(writer.write(&1)? == 1, "somebody else has written");
    // A claim is no way around it.
    let mut claim = producer.claim()?;
    *claim.get_mut(0).ok_or("no place")? = 77;
    let Some(child) = fork_bare()? else {
        claim.commit();
        exit_now(0)
    };
    reap(child)?;
    let mut last = 0;
    while let Ok(found) = consumer.try_pop() {
        last = found;
    }
    ensure!(last == 2, "a forked child has committed its parent's claim");
    Ok(None)
}

/// Handles that own nothing work in a forked child, as the child.
fn fork_registers(domain: &Domain) -> Outcome<Option<String>> {
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    let slot = Slot::create(domain, "slot", 0_u64)?;
    let mut consumer = ring.consumer()?;
    let mut child = Child::fork(|line| {
        slot.write(&5)?;
        let mut producer = ring.producer()?;
        producer.push(6)?;
        let mut writer = slot.writer()?;
        writer.write(&7)?;
        line.send(b"done")?;
        line.expect(PATIENCE)?;
        Ok(())
    })?;
    said(&mut child, b"done")?;
    let pids = |domain: &Domain| -> Outcome<Vec<u32>> { Ok(domain.peers()?.iter().map(|peer| peer.pid).collect()) };
    let mut expected = vec![process_id().unsigned_abs(), child.pid.unsigned_abs()];
    let mut found = pids(domain)?;
    expected.sort_unstable();
    found.sort_unstable();
    ensure!(found == expected, "the peers are {found:?}, not {expected:?}");
    ensure!(consumer.pop()? == 6 && slot.read()? == 7, "what the child did is not there");
    let state = consumer.peer()?;
    ensure!(matches!(&state, PeerState::Alive(Some(peer)) if peer.pid == child.pid.unsigned_abs()), "{state:?}");
    ensure!(matches!(slot.write(&8), Err(WriteError::Owned(_))), "the child's slot could be written");
    child.kill()?;
    ensure!(consumer.peer()? == PeerState::Dead, "the child is {:?}", consumer.peer()?);
    slot.write(&8)?;
    drop(ring.producer()?);
    ensure!(pids(domain)? == [process_id().unsigned_abs()], "the peers are {:?}", domain.peers()?);
    Ok(None)
}

fn close_everything() -> Outcome {
    // SAFETY: nothing in this process uses a descriptor that it does not open anew.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    ensure!(closed == 0, "close_range: {}", std::io::Error::last_os_error());
    Ok(())
}

fn close_all(domain: &Domain) -> Outcome<Option<String>> {
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    let mut consumer = ring.consumer()?;
    let Some(child) = fork_bare()? else {
        let closed = || -> Outcome {
            let mut producer = open(domain)?.producer()?;
            let own = sharedware::Segment::create(domain, "own", 64, &sharedware::Options::new())?;
            close_everything()?;
            producer.push(1)?;
            std::thread::sleep(3 * WHILE);
            own.write(0, b"still")?;
            producer.push(2)?;
            std::thread::sleep(PATIENCE);
            Ok(())
        };
        exit_now(i32::from(closed().is_err()))
    };
    ensure!(consumer.pop_timeout(PATIENCE)? == 1, "not what was pushed");
    stays_alive(&ring, || consumer.peer())?;
    domain.clean()?;
    ensure!(domain.stat("own")?.in_use, "its segment is not in use");
    ensure!(consumer.pop_timeout(PATIENCE)? == 2, "not what was pushed");
    process::signal_to(child, libc::SIGKILL);
    reap(child)?;
    ensure!(consumer.peer()? == PeerState::Dead, "the producer is {:?}", consumer.peer()?);
    ensure!(domain.clean()?.removed().eq(["own"]), "its segment is not removed");
    Ok(None)
}

/// The old way: fork, let the parent go, a session of one's own, no descriptors. What the parent owned dies with it; the daemon becomes a peer.
fn daemon(domain: &Domain) -> Outcome<Option<String>> {
    process::adopt_orphans();
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    let slot = Slot::create(domain, "slot", 0_u64)?;
    let consumer = ring.consumer()?;
    let Some(starter) = fork_bare()? else {
        let start = || -> Outcome {
            let ring = open(domain)?;
            let slot = Slot::<u64>::open(domain, "slot")?;
            let _producer = ring.producer()?;
            if fork_bare()?.is_some() {
                exit_now(0);
            }
            // SAFETY: no arguments.
            unsafe { libc::setsid() };
            close_everything()?;
            while slot.read()? != 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let mut producer = ring.producer()?;
            producer.push(1)?;
            slot.write(&u64::from(process_id().unsigned_abs()))?;
            std::thread::sleep(PATIENCE);
            Ok(())
        };
        exit_now(i32::from(start().is_err()))
    };
    ensure!(reap(starter)? == End::Exited(0), "the starter failed");
    ensure!(consumer.peer()? == PeerState::Dead, "the starter is {:?}", consumer.peer()?);
    slot.write(&1)?;
    let written = slot.wait_for_change(slot.read_versioned()?.1, PATIENCE)?;
    ensure!(written.is_some(), "the daemon does nothing");
    let pid = i32::try_from(slot.read()?)?;
    ensure!(is_alive(&consumer.peer()?), "the daemon is {:?}", consumer.peer()?);
    process::signal_to(pid, libc::SIGKILL);
    reap(pid)?;
    ensure!(consumer.peer()? == PeerState::Dead, "the daemon is {:?}", consumer.peer()?);
    Ok(None)
}

fn exec(domain: &Domain) -> Outcome<Option<String>> {
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    let consumer = ring.consumer()?;
    let mut child = Child::fork(|line| {
        let producer = open(domain)?.producer()?;
        line.send(b"taken")?;
        line.expect(PATIENCE)?;
        let arguments = [c"/proc/self/exe".as_ptr(), c"--sleep".as_ptr(), std::ptr::null()];
        // SAFETY: NUL-terminated strings, and a list that ends with a null pointer.
        unsafe { libc::execv(c"/proc/self/exe".as_ptr(), arguments.as_ptr()) };
        drop(producer);
        Err("execv failed".into())
    })?;
    said(&mut child, b"taken")?;
    ensure!(is_alive(&consumer.peer()?), "the producer is {:?}", consumer.peer()?);
    child.line.send(b"go on")?;
    // Its end of the line is closed by the exec.
    ensure!(child.line.recv(PATIENCE)? == process::Heard::Closed, "it does not execute anything");
    // The kernel closes its line a moment before it lets go of its memory.
    let start = Instant::now();
    while consumer.peer()? != PeerState::Dead {
        ensure!(start.elapsed() < WHILE, "what it was is {:?}", consumer.peer()?);
    }
    ensure!(!child.has_ended(Duration::ZERO)?, "it has ended");
    drop(ring.producer()?);
    Ok(None)
}

/// A child in a pid namespace of its own, in which its pid is 1.
fn in_namespace(run: impl FnOnce(&mut Line) -> Outcome) -> Outcome<Option<Child>> {
    // SAFETY: an integer.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        return Ok(None);
    }
    Ok(Some(Child::fork(|line| {
        ensure!(process_id() == 1, "its pid is {}", process_id());
        run(line)
    })?))
}

fn namespaces(domain: &Domain) -> Outcome<Option<String>> {
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    let other = Ring::<u64>::create(domain, "other", 4)?;
    let consumer = ring.consumer()?;
    // Both ways: somebody inside asks for somebody outside.
    let mut outside = Child::fork(|line| {
        let _producer = Ring::<u64>::open(domain, "other")?.producer()?;
        line.send(b"taken")?;
        line.expect(PATIENCE)?;
        Ok(())
    })?;
    said(&mut outside, b"taken")?;
    drop(other);
    let inside = |line: &mut Line| {
        let _producer = open(domain)?.producer()?;
        let consumer = Ring::<u64>::open(domain, "other")?.consumer()?;
        let state = consumer.peer()?;
        ensure!(is_alive(&state), "from inside, the producer is {state:?}");
        line.send(b"taken")?;
        line.expect(PATIENCE)?;
        let state = consumer.peer()?;
        ensure!(state == PeerState::Dead, "from inside, the dead producer is {state:?}");
        line.send(b"right")?;
        line.expect(PATIENCE)?;
        Ok(())
    };
    let Some(mut inside) = in_namespace(inside)? else {
        return Ok(Some("SKIPPED: unshare(CLONE_NEWPID) needs root".into()));
    };
    said(&mut inside, b"taken")?;
    let state = consumer.peer()?;
    ensure!(matches!(&state, PeerState::Alive(Some(peer)) if peer.pid == 1), "from outside, the producer is {state:?}");
    outside.kill()?;
    inside.line.send(b"look")?;
    said(&mut inside, b"right")?;
    inside.kill()?;
    ensure!(consumer.peer()? == PeerState::Dead, "from outside, the dead producer is {:?}", consumer.peer()?);
    Ok(None)
}

/// The kernel gives the dead producer's pid to a new process, which becomes a peer as well.
fn reused(domain: &Domain) -> Outcome<Option<String>> {
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    let slot = Slot::create(domain, "slot", 0_u64)?;
    let consumer = ring.consumer()?;
    let mut first = Child::fork(|line| {
        let _writer = Slot::<u64>::open(domain, "slot")?.writer()?;
        produce(domain, line)
    })?;
    said(&mut first, b"taken")?;
    let pid = first.pid;
    first.kill()?;
    for _ in 0..200 {
        // The next pid is one more than this, unless somebody else is faster.
        if std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
            return Ok(Some("SKIPPED: writing ns_last_pid needs root".into()));
        }
        let mut second = Child::fork(|line| {
            let _peer = open(domain)?;
            line.send(b"there")?;
            line.expect(PATIENCE)?;
            Ok(())
        })?;
        if second.pid != pid {
            continue;
        }
        said(&mut second, b"there")?;
        let peers = domain.peers()?;
        ensure!(peers.iter().any(|peer| peer.pid == pid.unsigned_abs()), "it is no peer: {peers:?}");
        let state = consumer.peer()?;
        ensure!(state == PeerState::Dead, "the dead producer is {state:?}");
        drop(ring.producer()?);
        slot.write(&1)?;
        return Ok(None);
    }
    Ok(Some("SKIPPED: the pid was never given again".into()))
}

const MOST: usize = 4096;

/// As many peers as there are slots; how long registering takes when few and when many live, and when many have been killed.
fn crowd(domain: &Domain) -> Outcome<Option<String>> {
    let ring = Ring::<u64>::create(domain, NAME, 4)?;
    // No descriptors for each: their sheer number, inherited by all, would be what we measure.
    let mut crowd = Crowd { pids: Vec::new(), times: process::shared_words(MOST + 64)? };
    let mut times = Vec::new();
    for _ in 1..MOST {
        match crowd.join(domain)? {
            Some(time) => times.push(time),
            None => return Ok(Some(format!("SKIPPED: no more than {} processes are possible here", crowd.pids.len()))),
        }
    }
    let found = domain.peers()?.len();
    ensure!(found == MOST, "{found} peers live");
    let mut late = Child::fork(|_| match Ring::<u64>::open(domain, NAME) {
        Ok(_) => Err("one too many was let in".into()),
        Err(error) if matches!(error.reason(), Reason::TooManyPeers(4096)) => Ok(()),
        Err(error) => Err(error.into()),
    })?;
    late.join(PATIENCE)?;
    // Who is killed does not tidy up. Among many living, the next must still find one of the few free slots soon.
    crowd.kill(8)?;
    let mut after = Vec::new();
    for _ in 0..8 {
        after.extend(crowd.join(domain)?);
    }
    crowd.kill(MOST)?;
    let one = domain.peers()?.len();
    ensure!(one == 1, "{one} peers live after all have been killed");
    drop(ring);
    let quarter = times.len() / 4;
    let (first, last, after) = (median(&times[..quarter]), median(&times[times.len() - quarter..]), median(&after));
    // Measured, and judged only where the library is optimised: while there are some hundred peers. Beyond, the kernel's list of locks is
    // what takes the time.
    ensure!(cfg!(debug_assertions) || first < 1_000_000, "registering takes {} us", first / 1000);
    Ok(Some(format!(
        "opening a ring as a new peer took {} us (median of the first {quarter}), {} us (of the last {quarter}), {} us among {} where only \
         killed ones' slots are free{}",
        first / 1000,
        last / 1000,
        after / 1000,
        MOST - 8,
        if cfg!(debug_assertions) { " (not optimised)" } else { "" }
    )))
}

/// Processes that are peers and do nothing.
#[allow(clippy::disallowed_types, reason = "how long they took, outside of what is tested")]
struct Crowd {
    pids: Vec<i32>,
    times: &'static [std::sync::atomic::AtomicU64],
}

impl Crowd {
    /// One more; how long becoming a peer took it, in nanoseconds. `None` if the system has no room for it.
    fn join(&mut self, domain: &Domain) -> Outcome<Option<u64>> {
        use std::sync::atomic::Ordering::SeqCst;
        let time = &self.times[self.pids.len()];
        time.store(0, SeqCst);
        let parent = process_id();
        match fork_bare() {
            Err(_) => Ok(None),
            Ok(None) => {
                process::die_with_parent(parent);
                let start = process::now();
                let peer = Ring::<u64>::open(domain, NAME);
                time.store(if peer.is_ok() { process::now() - start } else { u64::MAX }, SeqCst);
                loop {
                    std::thread::sleep(PATIENCE);
                }
            }
            Ok(Some(pid)) => {
                self.pids.push(pid);
                let start = Instant::now();
                while time.load(SeqCst) == 0 {
                    ensure!(start.elapsed() < PATIENCE, "a peer hangs");
                    std::thread::sleep(Duration::from_micros(20));
                }
                ensure!(time.load(SeqCst) != u64::MAX, "a peer was not let in");
                Ok(Some(time.load(SeqCst)))
            }
        }
    }

    /// Kills the last so many.
    fn kill(&mut self, count: usize) -> Outcome {
        let killed = self.pids.split_off(self.pids.len().saturating_sub(count));
        for &pid in &killed {
            process::signal_to(pid, libc::SIGKILL);
        }
        for pid in killed {
            reap(pid)?;
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.kill(MOST);
    }
}

fn median(times: &[u64]) -> u64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

fn registry(domain: &Domain) -> Outcome<Option<String>> {
    let path = domain.path_of("x")?.with_file_name("sharedware.liveness.@peers");
    let stays = sharedware::Options::new().lifetime(sharedware::Lifetime::UntilRemoved);
    ensure!(domain.peers()?.is_empty(), "there are peers before anybody came");
    let ring = Ring::<u64>::create_with(domain, NAME, 4, &stays)?;
    ensure!(path.exists(), "there is no registry");
    let mut other = producer(domain)?;
    drop(ring);
    ensure!(path.exists() && domain.peers()?.len() == 1, "the registry went although somebody needs it");
    other.line.send(b"go on")?;
    said(&mut other, b"pushed")?;
    other.line.send(b"end")?;
    other.join(PATIENCE)?;
    ensure!(!path.exists(), "the registry outlives the last peer");
    // Whoever comes next does not mind that the last one was killed.
    let mut killed = producer(domain)?;
    killed.kill()?;
    ensure!(path.exists() && domain.peers()?.is_empty(), "the killed peer lives");
    let ring = open(domain)?;
    drop(ring.producer()?);
    ensure!(domain.peers()?.len() == 1, "the peers are {:?}", domain.peers()?);
    drop(ring);
    ensure!(!path.exists(), "the registry outlives the last peer");
    domain.remove(NAME)?;
    Ok(None)
}
