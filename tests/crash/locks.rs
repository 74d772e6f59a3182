//! Locks: taken and given back, taken over from the dead, waited for in vain.

use std::sync::mpsc;
use std::time::Duration;

use sharedware::__crash as crash;
use sharedware::sync::{LockError, Mutex};

use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Acks, Death, Scenario, World};

const NAME: &str = "it";

/// A count, twice: at odds while it is being changed.
type Pair = [u64; 2];

fn make(world: &World) -> Outcome<Mutex<Pair>> {
    Ok(Mutex::create_with(&world.domain, NAME, [0, 0], &world.options())?)
}

fn increment(mutex: &Mutex<Pair>) -> Outcome<u64> {
    let mut pair = mutex.lock_or_repair(|pair| pair[0] = pair[1])?;
    ensure!(pair[0] == pair[1], "torn: {:?}", *pair);
    pair[0] += 1;
    // Here a death leaves it half changed.
    crash::point();
    pair[1] += 1;
    Ok(pair[1])
}

/// Whoever comes gets the lock, is told of a death if there is something to repair, and goes on.
fn check(world: &World, held: Option<Mutex<Pair>>, acked: u64, most: u64) -> Outcome {
    let mutex = match held {
        Some(mutex) => mutex,
        None => Mutex::open(&world.domain, NAME)?,
    };
    let found = match mutex.lock() {
        Ok(pair) => {
            ensure!(pair[0] == pair[1], "torn, and nobody is told: {:?}", *pair);
            pair[1]
        }
        Err(LockError::OwnerDied(pair)) => {
            let seen = *pair;
            drop(pair);
            let Err(LockError::OwnerDied(mut pair)) = mutex.lock() else {
                return Err("not told again".into());
            };
            ensure!(*pair == seen, "{pair:?} after {seen:?}");
            pair[0] = pair[1];
            pair.mark_consistent();
            pair[1]
        }
        Err(error) => return Err(error.drop_guard().into()),
    };
    world.recovered();
    ensure!((acked..=most).contains(&found), "{found} increments, where {acked} were acknowledged");
    for next in found + 1..found + 4 {
        ensure!(increment(&mutex)? == next, "not {next}");
    }
    ensure!(mutex.try_lock().is_ok_and(|pair| *pair == [found + 3; 2]), "said to be inconsistent again");
    Ok(())
}

pub(crate) struct Locking;

impl Scenario for Locking {
    type Held = Mutex<Pair>;
    type Victim = Mutex<Pair>;

    fn name(&self) -> String {
        "lock and unlock a mutex".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Mutex<Pair>> {
        make(world)
    }

    fn enter(&self, world: &World) -> Outcome<Mutex<Pair>> {
        Ok(Mutex::open(&world.domain, NAME)?)
    }

    fn operate(&self, _: &World, mutex: Mutex<Pair>, acks: &mut Acks<'_>) -> Outcome {
        for _ in 0..3 {
            acks.ack(increment(&mutex)?)?;
        }
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        increment(&Mutex::open(&world.domain, NAME)?).map(drop)
    }

    fn verify(&self, world: &World, held: Option<Mutex<Pair>>, death: &Death) -> Outcome {
        let acked = death.last(0);
        check(world, held, acked, acked + 1 + u64::from(death.successor))
    }
}

/// Waiting for a lock that another thread has: in vain, and then until it is given back.
pub(crate) struct Waiting;

impl Scenario for Waiting {
    type Held = Mutex<Pair>;
    type Victim = (Mutex<Pair>, mpsc::Sender<()>);

    fn name(&self) -> String {
        "wait for a mutex".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Mutex<Pair>> {
        make(world)
    }

    fn enter(&self, world: &World) -> Outcome<Self::Victim> {
        let mutex = Mutex::<Pair>::open(&world.domain, NAME)?;
        let ((go, told), (say, held)) = (mpsc::channel(), mpsc::channel());
        let other = mutex.clone();
        std::thread::spawn(move || {
            let guard = other.lock();
            say.send(()).ok();
            told.recv().ok();
            drop(guard);
        });
        held.recv()?;
        Ok((mutex, go))
    }

    fn operate(&self, _: &World, (mutex, go): Self::Victim, acks: &mut Acks<'_>) -> Outcome {
        let refused = mutex.lock_timeout(Duration::from_millis(8)).map(|_| ());
        ensure!(matches!(refused, Err(LockError::TimedOut { .. })), "two have it: {refused:?}");
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(8));
            go.send(()).ok();
        });
        acks.ack(increment(&mutex)?)
    }

    fn verify(&self, world: &World, held: Option<Mutex<Pair>>, death: &Death) -> Outcome {
        let acked = death.last(0);
        check(world, held, acked, acked + 1)
    }
}

/// Taking the lock over from who was killed holding it, again and again.
pub(crate) struct TakingOver;

impl Scenario for TakingOver {
    type Held = Mutex<Pair>;
    type Victim = Mutex<Pair>;

    fn name(&self) -> String {
        "take a mutex over from the dead".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Mutex<Pair>> {
        let mutex = make(world)?;
        let domain = world.domain.clone();
        crate::process::Child::fork(move |_| {
            let mutex = Mutex::<Pair>::open(&domain, NAME)?;
            std::mem::forget(mutex.lock().map_err(LockError::drop_guard)?);
            crate::process::kill_self();
            Ok(())
        })?
        .wait()?;
        Ok(mutex)
    }

    fn enter(&self, world: &World) -> Outcome<Mutex<Pair>> {
        Ok(Mutex::open(&world.domain, NAME)?)
    }

    fn operate(&self, _: &World, mutex: Mutex<Pair>, acks: &mut Acks<'_>) -> Outcome {
        acks.ack(increment(&mutex)?)
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        increment(&Mutex::open(&world.domain, NAME)?).map(drop)
    }

    fn verify(&self, world: &World, held: Option<Mutex<Pair>>, death: &Death) -> Outcome {
        let acked = death.last(0);
        check(world, held, acked, acked + 1 + u64::from(death.successor))
    }
}
