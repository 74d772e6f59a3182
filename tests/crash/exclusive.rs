//! The raw mutex, which anybody unlocks, and the reentrant mutex, which is taken twice.

use std::sync::mpsc;

use sharedware::__crash as crash;
use sharedware::slot::Slot;
use sharedware::sync::{LockError, RawMutex, ReentrantMutex, UnlockError};

use crate::case::{Case, IN_VAIN, LONG, counted, elsewhere, same};
use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Acks, Death, Enumerate, World};

/// A count, twice: at odds while it is being changed.
type Pair = [u64; 2];

pub(crate) fn scenarios() -> Vec<Box<dyn Enumerate>> {
    let raw: Case<Raw> = Case {
        name: "lock and unlock a raw mutex",
        make: make_raw,
        open: open_raw,
        enter: same,
        operate: |raw, acks| (0..2).try_for_each(|_| acks.ack(raw.increment()?)),
        recover: Some(|raw| raw.increment().map(drop)),
        verify: |world, raw, death| raw.check(world, death),
    };
    vec![
        raw.boxed(),
        unlocking().boxed(),
        waiting_raw().boxed(),
        Case { name: "take a raw mutex over from the dead", make: make_orphaned, ..lock_once() }.boxed(),
        Case {
            name: "lock a reentrant mutex twice",
            operate: |mutex, acks| (0..2).try_for_each(|_| acks.ack(increment(&mutex)?)),
            ..reentrant_once()
        }
        .boxed(),
        waiting_reentrant().boxed(),
        Case { name: "take a reentrant mutex over from the dead", make: make_orphaned_reentrant, ..reentrant_once() }
            .boxed(),
    ]
}

struct Raw {
    mutex: RawMutex,
    pair: Slot<Pair>,
}

fn make_raw(world: &World) -> Outcome<Raw> {
    let pair = Slot::create_with(&world.domain, "pair", [0, 0], &world.options())?;
    Ok(Raw { mutex: RawMutex::create_with(&world.domain, "it", &world.options())?, pair })
}

fn open_raw(world: &World) -> Outcome<Raw> {
    Ok(Raw { mutex: RawMutex::open(&world.domain, "it")?, pair: Slot::open(&world.domain, "pair")? })
}

/// Somebody had it and was killed.
fn make_orphaned(world: &World) -> Outcome<Raw> {
    let raw = make_raw(world)?;
    let domain = world.domain.clone();
    crate::process::Child::fork(move |_| {
        RawMutex::open(&domain, "it")?.lock()?;
        crate::process::kill_self();
        Ok(())
    })?
    .wait()?;
    Ok(raw)
}

impl Raw {
    /// Locks it, and repairs what it guards.
    fn lock(&self) -> Outcome<u64> {
        match self.mutex.lock_timeout(LONG) {
            Ok(()) => {}
            Err(LockError::OwnerDied(())) => {
                let pair = self.pair.read()?;
                self.pair.write(&[pair[1]; 2])?;
                self.mutex.mark_consistent();
            }
            Err(error) => return Err(error.into()),
        }
        let pair = self.pair.read()?;
        ensure!(pair[0] == pair[1], "torn: {pair:?}");
        Ok(pair[1])
    }

    fn increment(&self) -> Outcome<u64> {
        let next = self.lock()? + 1;
        self.pair.write(&[next, next - 1])?;
        self.pair.write(&[next, next])?;
        self.mutex.unlock()?;
        Ok(next)
    }

    fn check(&self, world: &World, death: &Death) -> Outcome {
        let told = match self.mutex.lock_timeout(LONG) {
            Ok(()) => false,
            Err(LockError::OwnerDied(())) => true,
            Err(error) => return Err(error.into()),
        };
        let pair = self.pair.read()?;
        if told {
            // Until it is said to be whole, everybody is told.
            self.mutex.unlock()?;
            let again = self.mutex.lock();
            ensure!(matches!(again, Err(LockError::OwnerDied(()))), "not told again, but {again:?}");
        } else {
            ensure!(pair[0] == pair[1], "torn, and nobody is told: {pair:?}");
        }
        self.pair.write(&[pair[1]; 2])?;
        self.mutex.mark_consistent();
        let other = elsewhere(|| self.mutex.try_lock())?;
        ensure!(other.is_err_and(|error| error.is_busy()), "two have it");
        elsewhere(|| self.mutex.unlock())??;
        world.recovered();
        counted("increments", pair[1], death)?;
        for next in pair[1] + 1..pair[1] + 4 {
            ensure!(self.increment()? == next, "not {next}");
        }
        self.mutex.try_lock()?;
        self.mutex.unlock()?;
        ensure!(matches!(self.mutex.unlock(), Err(UnlockError::NotLocked)), "unlocked twice");
        Ok(())
    }
}

fn lock_once() -> Case<Raw> {
    Case {
        name: "lock a raw mutex once",
        make: make_raw,
        open: open_raw,
        enter: same,
        operate: |raw, acks| acks.ack(raw.increment()?),
        recover: Some(|raw| raw.increment().map(drop)),
        verify: |world, raw, death| raw.check(world, death),
    }
}

/// Unlocking what somebody else has locked, who is alive if the survivor is there before, and dead otherwise.
fn unlocking() -> Case<Raw> {
    Case {
        name: "unlock a raw mutex of another",
        make: |world| {
            let raw = make_raw(world)?;
            raw.mutex.lock()?;
            Ok(raw)
        },
        open: open_raw,
        enter: same,
        operate: |raw, acks| {
            raw.mutex.unlock()?;
            acks.ack(0)?;
            ensure!(matches!(raw.mutex.unlock(), Err(UnlockError::NotLocked)), "unlocked twice");
            Ok(())
        },
        recover: Some(|raw| match raw.mutex.unlock() {
            Ok(()) | Err(UnlockError::NotLocked) => Ok(()),
            Err(error) => Err(error.into()),
        }),
        verify: |world, raw, death| {
            let outcome = raw.mutex.try_lock();
            match &outcome {
                // Still ours.
                Err(error) if error.is_busy() => {
                    ensure!(death.acked.is_empty(), "acknowledged, and not unlocked");
                    raw.mutex.unlock()?;
                }
                Ok(()) | Err(LockError::OwnerDied(())) => raw.mutex.unlock()?,
                Err(_) => return Ok(outcome?),
            }
            raw.check(world, &Death::default())
        },
    }
}

/// Waiting for another thread, in vain, and then until that has been unlocked by a third.
fn waiting_raw() -> Case<Raw, (Raw, mpsc::Sender<()>)> {
    Case {
        name: "wait for a raw mutex",
        make: make_raw,
        open: open_raw,
        enter: |raw| {
            raw.mutex.lock()?;
            let ((go, told), other) = (mpsc::channel(), raw.mutex.clone());
            std::thread::spawn(move || {
                told.recv().ok();
                std::thread::sleep(IN_VAIN);
                other.unlock()
            });
            Ok((raw, go))
        },
        operate: |(raw, go), acks| {
            let refused = raw.mutex.lock_timeout(IN_VAIN);
            ensure!(matches!(refused, Err(LockError::TimedOut { .. })), "two have it: {refused:?}");
            go.send(())?;
            acks.ack(raw.increment()?)
        },
        recover: Some(|raw| raw.increment().map(drop)),
        verify: |world, raw, death| raw.check(world, death),
    }
}

type Reentrant = ReentrantMutex<Pair>;

fn make_reentrant(world: &World) -> Outcome<Reentrant> {
    Ok(ReentrantMutex::create_with(&world.domain, "it", [0, 0], &world.options())?)
}

/// Somebody had it twice, and was killed.
fn make_orphaned_reentrant(world: &World) -> Outcome<Reentrant> {
    let mutex = make_reentrant(world)?;
    let domain = world.domain.clone();
    crate::process::Child::fork(move |_| {
        let mutex = Reentrant::open(&domain, "it")?;
        for _ in 0..2 {
            std::mem::forget(mutex.lock().map_err(LockError::drop_guard)?);
        }
        crate::process::kill_self();
        Ok(())
    })?
    .wait()?;
    Ok(mutex)
}

fn reentrant_once() -> Case<Reentrant> {
    Case {
        name: "lock a reentrant mutex once",
        make: make_reentrant,
        open: open_reentrant,
        enter: same,
        operate: |mutex, acks| acks.ack(increment(&mutex)?),
        recover: Some(|mutex| increment(&mutex).map(drop)),
        verify: check_reentrant,
    }
}

fn open_reentrant(world: &World) -> Outcome<Reentrant> {
    Ok(ReentrantMutex::open(&world.domain, "it")?)
}

fn increment(mutex: &Reentrant) -> Outcome<u64> {
    let outer = match mutex.lock_timeout(LONG) {
        Err(LockError::OwnerDied(guard)) => {
            guard.update(|pair| pair[0] = pair[1]);
            guard.mark_consistent();
            guard
        }
        outcome => outcome.map_err(LockError::drop_guard)?,
    };
    let next = outer.get()[0] + 1;
    ensure!(outer.get() == [next - 1; 2], "torn: {:?}", outer.get());
    outer.set([next, next - 1]);
    crash::point();
    {
        let inner = mutex.lock().map_err(LockError::drop_guard)?;
        inner.set([next, next]);
    }
    Ok(outer.get()[1])
}

fn check_reentrant(world: &World, mutex: Reentrant, death: &Death) -> Outcome {
    let found = {
        let guard = match mutex.lock_timeout(LONG) {
            Ok(guard) => {
                ensure!(guard.get()[0] == guard.get()[1], "torn, and nobody is told: {:?}", guard.get());
                guard
            }
            Err(LockError::OwnerDied(guard)) => {
                guard.update(|pair| pair[0] = pair[1]);
                guard.mark_consistent();
                guard
            }
            Err(error) => return Err(error.drop_guard().into()),
        };
        guard.get()[1]
    };
    world.recovered();
    counted("increments", found, death)?;
    // That was the only guard, however many the dead had.
    ensure!(!mutex.is_locked(), "guards of the dead count");
    for next in found + 1..found + 4 {
        ensure!(elsewhere(|| increment(&mutex).ok())? == Some(next), "not {next}");
    }
    Ok(())
}

fn waiting_reentrant() -> Case<Reentrant, (Reentrant, mpsc::Sender<()>)> {
    Case {
        name: "wait for a reentrant mutex",
        make: make_reentrant,
        open: open_reentrant,
        enter: |mutex| {
            let ((go, told), (say, held)) = (mpsc::channel(), mpsc::channel());
            let other = mutex.clone();
            std::thread::spawn(move || {
                let (outer, inner) = (other.lock(), other.lock());
                say.send(()).ok();
                told.recv().ok();
                std::thread::sleep(IN_VAIN);
                drop((outer, inner));
            });
            held.recv()?;
            Ok((mutex, go))
        },
        operate: |(mutex, go), acks: &mut Acks<'_>| {
            let refused = mutex.lock_timeout(IN_VAIN).map(drop);
            ensure!(matches!(refused, Err(LockError::TimedOut { .. })), "two have it");
            go.send(())?;
            acks.ack(increment(&mutex)?)
        },
        recover: Some(|mutex| increment(&mutex).map(drop)),
        verify: check_reentrant,
    }
}
