//! The condition variable with a raw mutex.

use std::thread::JoinHandle;
use std::time::Instant;

use sharedware::slot::Slot;
use sharedware::sync::{Condvar, LockError, RawMutex, Wake};

use crate::case::{Case, IN_VAIN, LONG, same};
use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Enumerate, PROMISE, World};

pub(crate) fn scenarios() -> Vec<Box<dyn Enumerate>> {
    vec![waiting().boxed(), waiting_unlocked().boxed()]
}

struct Told {
    condvar: Condvar,
    mutex: RawMutex,
    /// How many waits have begun, by the survivor's own; how many things have happened.
    counts: Slot<[u64; 2]>,
}

fn make(world: &World) -> Outcome<Told> {
    let counts = Slot::create_with(&world.domain, "counts", [0, 0], &world.options())?;
    let mutex = RawMutex::create_with(&world.domain, "mutex", &world.options())?;
    Ok(Told { condvar: Condvar::create_with(&world.domain, "it", &world.options())?, mutex, counts })
}

fn open(world: &World) -> Outcome<Told> {
    let (domain, name) = (&world.domain, "mutex");
    let counts = Slot::open(domain, "counts")?;
    Ok(Told { condvar: Condvar::open(domain, "it")?, mutex: RawMutex::open(domain, name)?, counts })
}

/// Waiting, with another thread of the victim that makes it happen and notifies; and waiting in vain.
fn waiting() -> Case<Told> {
    Case {
        name: "wait on a condition variable with a raw mutex",
        make,
        open,
        enter: same,
        operate: |told, acks| {
            for turn in 1..3 {
                told.lock()?;
                let other = told.again();
                std::thread::spawn(move || {
                    if other.count(1).is_ok() {
                        other.condvar.notify_one();
                    }
                });
                while told.counts.read()?[1] < turn {
                    told.condvar.wait_raw(&told.mutex)?;
                }
                told.mutex.unlock()?;
                acks.ack(turn)?;
            }
            told.wait_in_vain()
        },
        recover: Some(|told| {
            // Dies waiting, or notified by itself.
            let waiter = told.start()?;
            told.condvar.notify_all();
            ensure!(waiter.join().is_ok_and(|told| told), "not notified");
            Ok(())
        }),
        verify: |world, told, death| {
            let happened = told.counts.read()?[1];
            ensure!(happened >= death.last(0), "{happened} things happened, {} were waited for", death.last(0));
            told.check(world)
        },
    }
}

/// Waiting with a lock that nobody has, while another thread of the victim waits with it in earnest.
fn waiting_unlocked() -> Case<Told> {
    Case {
        name: "wait on a condition variable with an unlocked raw mutex",
        operate: |told, acks| {
            let refused = told.condvar.wait_raw(&told.mutex);
            ensure!(matches!(refused, Err(LockError::NotLocked)), "{refused:?} with an unlocked one");
            ensure!(told.condvar.waiters() == 0, "who was refused waits");
            acks.ack(0)
        },
        ..waiting()
    }
}

impl Told {
    fn again(&self) -> Self {
        Self { condvar: self.condvar.clone(), mutex: self.mutex.clone(), counts: self.counts.clone() }
    }

    /// What it guards is always whole.
    fn lock(&self) -> Outcome {
        match self.mutex.lock_timeout(LONG) {
            Err(LockError::OwnerDied(())) => self.mutex.mark_consistent(),
            outcome => outcome?,
        }
        Ok(())
    }

    fn count(&self, index: usize) -> Outcome {
        self.lock()?;
        self.count_locked(index)?;
        Ok(self.mutex.unlock()?)
    }

    fn count_locked(&self, index: usize) -> Outcome {
        let mut counts = self.counts.read()?;
        counts[index] += 1;
        self.counts.write(&counts)?;
        Ok(())
    }

    /// A thread that waits by the time this returns, for one notification.
    fn start(&self) -> Outcome<JoinHandle<bool>> {
        let before = self.begun()?;
        let other = self.again();
        let thread = std::thread::spawn(move || other.wait().unwrap_or(false));
        while self.begun()? == before {
            std::thread::yield_now();
        }
        Ok(thread)
    }

    fn begun(&self) -> Outcome<u64> {
        self.lock()?;
        let begun = self.counts.read()?[0];
        self.mutex.unlock()?;
        Ok(begun)
    }

    /// Whether it was notified.
    fn wait(&self) -> Outcome<bool> {
        self.lock()?;
        self.count_locked(0)?;
        let wake = match self.condvar.wait_raw_timeout(&self.mutex, LONG) {
            Ok(wake) | Err(LockError::OwnerDied(wake)) => wake,
            Err(error) => return Err(error.drop_guard().into()),
        };
        self.mutex.unlock()?;
        Ok(wake == Wake::Notified)
    }

    fn wait_in_vain(&self) -> Outcome {
        self.lock()?;
        let wake = self.condvar.wait_raw_timeout(&self.mutex, IN_VAIN).map_err(LockError::drop_guard)?;
        self.mutex.unlock()?;
        ensure!(wake == Wake::TimedOut, "notified by nobody");
        Ok(())
    }

    /// Whatever dead ones wait or were notified: each one notification is for somebody who waits.
    fn check(&self, world: &World) -> Outcome {
        for _ in 0..2 {
            let start = Instant::now();
            let waiter = self.start()?;
            // Those that died waiting come first. What they get is passed on.
            self.condvar.notify_one();
            ensure!(waiter.join().is_ok_and(|told| told), "a notification was lost to the dead");
            ensure!(start.elapsed() < PROMISE * 4, "passed on after {:?}", start.elapsed());
            world.recovered();
        }
        let waiters = [self.start()?, self.start()?, self.start()?];
        self.condvar.notify_all();
        for waiter in waiters {
            ensure!(waiter.join().is_ok_and(|told| told), "not all were notified");
        }
        self.wait_in_vain()
    }
}
