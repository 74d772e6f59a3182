//! The reader-writer lock: reading, writing, and each waiting for the other.

use std::sync::mpsc;

use sharedware::__crash as crash;
use sharedware::sync::{LockError, RwLock};

use crate::case::{Case, IN_VAIN, LONG, counted, same};
use crate::ensure;
use crate::process::{Child, Outcome, kill_self};
use crate::stores::{Death, Enumerate, World};

/// A count, twice: at odds while it is being changed.
type Pair = [u64; 2];
type Lock = RwLock<Pair>;

pub(crate) fn scenarios() -> Vec<Box<dyn Enumerate>> {
    vec![
        base("read").boxed(),
        Case {
            operate: |lock, acks| (0..3).try_for_each(|turn| acks.ack(increment(&lock, turn == 2)?)),
            recover: Some(|lock| increment(&lock, false).map(drop)),
            verify: check,
            ..base("write behind a reader-writer lock")
        }
        .boxed(),
        Case {
            make: make_orphaned,
            operate: |lock, acks| acks.ack(increment(&lock, false)?),
            recover: Some(|lock| increment(&lock, false).map(drop)),
            verify: check,
            ..base("write after a dead writer")
        }
        .boxed(),
        Case {
            make: make_orphaned,
            operate: |lock, _| read(&lock),
            recover: Some(|lock| read(&lock)),
            verify: |world, lock, death| {
                let told = matches!(lock.read_timeout(LONG), Err(LockError::OwnerDied(_)));
                ensure!(told, "a reader that took over took what is told with it");
                check(world, lock, death)
            },
            ..base("read after a dead writer")
        }
        .boxed(),
        writing_in_vain().boxed(),
        writing_after_reading().boxed(),
        reading_after_writing().boxed(),
    ]
}

fn base(name: &'static str) -> Case<Lock> {
    Case {
        name: if name == "read" { "read behind a reader-writer lock" } else { name },
        make,
        open,
        enter: same,
        operate: |lock, acks| {
            (0..2).try_for_each(|_| {
                let first = lock.read().map_err(LockError::drop_guard)?;
                let again = lock.read().map_err(LockError::drop_guard)?;
                drop(first);
                ensure!(again[0] == again[1], "torn");
                drop(again);
                acks.ack(0)
            })
        },
        recover: None,
        verify: untouched,
    }
}

fn make(world: &World) -> Outcome<Lock> {
    Ok(RwLock::create_with(&world.domain, "it", [0, 0], &world.options())?)
}

fn open(world: &World) -> Outcome<Lock> {
    Ok(RwLock::open(&world.domain, "it")?)
}

/// Somebody was killed while it wrote.
fn make_orphaned(world: &World) -> Outcome<Lock> {
    let lock = make(world)?;
    let domain = world.domain.clone();
    Child::fork(move |_| {
        let lock = Lock::open(&domain, "it")?;
        std::mem::forget(lock.write().map_err(LockError::drop_guard)?);
        kill_self();
        Ok(())
    })?
    .wait()?;
    Ok(lock)
}

fn increment(lock: &Lock, downgrade: bool) -> Outcome<u64> {
    let mut pair = lock.write_or_repair(|pair| pair[0] = pair[1])?;
    ensure!(pair[0] == pair[1], "torn: {:?}", *pair);
    pair[0] += 1;
    // Here a death leaves it half changed.
    crash::point();
    pair[1] += 1;
    Ok(if downgrade { pair.downgrade()[1] } else { pair[1] })
}

/// Whole, or we are told.
fn read(lock: &Lock) -> Outcome {
    match lock.read_timeout(LONG) {
        Ok(pair) => ensure!(pair[0] == pair[1], "torn, and nobody is told: {:?}", *pair),
        Err(LockError::OwnerDied(_)) => {}
        Err(error) => return Err(error.drop_guard().into()),
    }
    Ok(())
}

/// Nobody has written: nobody is told of anything, and writers get in.
fn untouched(world: &World, lock: Lock, _: &Death) -> Outcome {
    match lock.write_timeout(LONG) {
        Ok(pair) => ensure!(*pair == [0, 0], "changed by a reader: {:?}", *pair),
        Err(error) => return Err(format!("nothing was changed: {}", error.drop_guard()).into()),
    }
    world.recovered();
    ensure!(matches!(lock.try_read(), Ok(pair) if *pair == [0, 0]), "no reader gets in");
    ensure!(lock.readers() == 0 && !lock.has_writer(), "somebody is still in");
    Ok(())
}

/// Readers and writers are told of a death that left something half changed, and go on.
fn check(world: &World, lock: Lock, death: &Death) -> Outcome {
    let told = match lock.read_timeout(LONG) {
        Ok(pair) => {
            ensure!(pair[0] == pair[1], "torn, and no reader is told: {:?}", *pair);
            false
        }
        Err(LockError::OwnerDied(_)) => true,
        Err(error) => return Err(error.drop_guard().into()),
    };
    let found = match lock.write_timeout(LONG) {
        Ok(pair) => {
            ensure!(!told, "a reader was told, and a writer is not");
            pair[1]
        }
        Err(LockError::OwnerDied(mut pair)) => {
            ensure!(told, "a writer is told, and no reader was");
            pair[0] = pair[1];
            pair.mark_consistent();
            pair[1]
        }
        Err(error) => return Err(error.drop_guard().into()),
    };
    world.recovered();
    counted("increments", found, death)?;
    for next in found + 1..found + 4 {
        ensure!(increment(&lock, next % 2 == 0)? == next, "not {next}");
    }
    ensure!(lock.try_read().is_ok_and(|pair| *pair == [found + 3; 2]), "said to be inconsistent again");
    ensure!(lock.readers() == 0 && !lock.has_writer(), "somebody is still in");
    Ok(())
}

/// The lock, and the way to tell a thread which is in to leave.
type Waiting = (Lock, mpsc::Sender<()>);

/// A thread that is in until it is told to leave.
fn with_other(lock: Lock, writes: bool) -> Outcome<Waiting> {
    let ((go, told), (say, held)) = (mpsc::channel(), mpsc::channel());
    let other = lock.clone();
    std::thread::spawn(move || {
        let reading = (!writes).then(|| other.read());
        let writing = writes.then(|| other.write());
        say.send(()).ok();
        told.recv().ok();
        std::thread::sleep(IN_VAIN);
        drop((reading, writing));
    });
    held.recv()?;
    Ok((lock, go))
}

fn refused(what: &str, outcome: Result<(), LockError<()>>) -> Outcome {
    ensure!(matches!(outcome, Err(LockError::TimedOut { .. })), "{what}: {outcome:?}");
    Ok(())
}

/// A writer that only ever waits has changed nothing, wherever it dies.
fn writing_in_vain() -> Case<Lock, Waiting> {
    Case {
        name: "wait in vain to write",
        make,
        open,
        enter: |lock| with_other(lock, false),
        operate: |(lock, _go), acks| {
            refused("a reader is in", lock.write_timeout(IN_VAIN).map(drop).map_err(LockError::drop_guard))?;
            let busy = lock.try_write().is_err_and(|error| error.is_busy());
            ensure!(busy, "a reader is in, and a writer gets in");
            acks.ack(0)
        },
        recover: None,
        verify: untouched,
    }
}

fn writing_after_reading() -> Case<Lock, Waiting> {
    Case {
        name: "write when a reader has left",
        make,
        open,
        enter: |lock| with_other(lock, false),
        operate: |(lock, go), acks| {
            go.send(())?;
            acks.ack(increment(&lock, false)?)
        },
        recover: None,
        verify: check,
    }
}

fn reading_after_writing() -> Case<Lock, Waiting> {
    Case {
        name: "read when a writer has left",
        make,
        open,
        enter: |lock| with_other(lock, true),
        operate: |(lock, go), acks| {
            refused("a writer is in", lock.read_timeout(IN_VAIN).map(drop).map_err(LockError::drop_guard))?;
            go.send(())?;
            let pair = lock.read().map_err(LockError::drop_guard)?;
            ensure!(*pair == [0, 0], "changed");
            acks.ack(0)
        },
        recover: None,
        verify: check,
    }
}
