//! Semaphores: what the dead have taken for good, and what comes back.

use sharedware::sync::{AcquireError, Semaphore, SemaphoreSetup};

use crate::case::{Case, IN_VAIN, LONG, same};
use crate::ensure;
use crate::process::Outcome;
use crate::signals::{Waiter, told};
use crate::stores::{Death, Enumerate, World};

const PERMITS: u32 = 2;

pub(crate) fn scenarios() -> Vec<Box<dyn Enumerate>> {
    vec![
        Case::<Semaphore> {
            operate: |semaphore, acks| {
                for turn in 0..2 {
                    semaphore.acquire()?;
                    acks.ack(2 * turn + 1)?;
                    semaphore.release()?;
                    acks.ack(2 * turn + 2)?;
                }
                ensure!(semaphore.release().is_err(), "released more than there may be");
                Ok(())
            },
            verify: |world, semaphore, death| {
                // Odd numbers: one is taken. The next operation may have happened as well.
                let (odd, all) = (death.last(0) % 2 == 1, death.last(0) == 4);
                let taken = PERMITS - semaphore.available();
                ensure!(taken <= 1 && !(all && taken == 1), "{taken} taken after {:?} (odd: {odd})", death.acked);
                check(world, &semaphore, PERMITS - taken)
            },
            ..base("take plain permits")
        }
        .boxed(),
        Case::<Semaphore> {
            operate: |semaphore, acks| {
                let both = [semaphore.permit()?, semaphore.permit()?];
                ensure!(matches!(semaphore.try_permit(), Err(AcquireError::WouldBlock)), "a third of two");
                drop(both);
                acks.ack(0)
            },
            // It finds none but those of the dead.
            recover: Some(|semaphore| semaphore.permit_timeout(LONG).map(drop).map_err(Into::into)),
            ..base("hold permits")
        }
        .boxed(),
        Case::<Semaphore> {
            operate: |semaphore, acks| {
                semaphore.permit()?.into_plain();
                acks.ack(1)
            },
            verify: |world, semaphore, death| {
                let taken = death.last(0) as u32;
                // What nobody died with comes back; what was kept stays taken.
                let first = semaphore.permit_timeout(LONG)?;
                let second = semaphore.permit_timeout(IN_VAIN);
                ensure!(taken == 0 || second.is_err(), "what was kept as a plain permit came back");
                let there = 1 + u32::from(second.is_ok());
                drop((first, second));
                check(world, &semaphore, there)
            },
            ..base("keep a permit as a plain one")
        }
        .boxed(),
        Case::<Semaphore> {
            operate: |semaphore, acks| {
                let (other, (say, held)) = (semaphore.clone(), std::sync::mpsc::channel());
                let (go, told) = std::sync::mpsc::channel::<()>();
                std::thread::spawn(move || {
                    let both = [other.permit(), other.permit()];
                    say.send(()).ok();
                    told.recv().ok();
                    std::thread::sleep(IN_VAIN);
                    drop(both);
                });
                held.recv()?;
                ensure!(semaphore.permit_timeout(IN_VAIN).is_err(), "a third of two");
                ensure!(semaphore.acquire_timeout(IN_VAIN).is_err(), "a third of two");
                go.send(())?;
                drop(semaphore.permit()?);
                acks.ack(0)
            },
            ..base("wait for a permit")
        }
        .boxed(),
        releasing().boxed(),
    ]
}

/// A semaphore without permits, and threads of the survivor that wait for one each, if the survivor was there before.
struct Empty {
    semaphore: Semaphore,
    waiters: [Waiter; PERMITS as usize],
}

/// As many as somebody waits for, at once: all of them, or none.
fn releasing() -> Case<Empty> {
    Case {
        name: "release several permits",
        make: |world| {
            let semaphore =
                Semaphore::create_with(&world.domain, "it", SemaphoreSetup::bounded(PERMITS), &world.options())?;
            (0..PERMITS).try_for_each(|_| semaphore.acquire())?;
            let waiters = [(); PERMITS as usize].map(|()| {
                let semaphore = semaphore.clone();
                Some(std::thread::spawn(move || semaphore.acquire_timeout(LONG).is_ok()))
            });
            Ok(Empty { semaphore, waiters })
        },
        open: |world| Ok(Empty { semaphore: Semaphore::open(&world.domain, "it")?, waiters: [None, None] }),
        enter: same,
        operate: |it, acks| {
            ensure!(it.semaphore.release_many(PERMITS + 1).is_err(), "released more than there may be");
            it.semaphore.release_many(PERMITS)?;
            acks.ack(1)
        },
        // Or there are as many as there may be.
        recover: Some(|it| {
            let _ = it.semaphore.release_many(PERMITS);
            Ok(())
        }),
        verify: |world, it, death| {
            let acked = !death.acked.is_empty();
            let waited = it.waiters.iter().any(Option::is_some);
            for waiter in it.waiters {
                told(waiter, acked, || {
                    if !acked {
                        let _ = it.semaphore.release_many(PERMITS);
                    }
                })?;
            }
            let there = it.semaphore.available();
            ensure!(there == 0 || there == PERMITS, "some of those released: {there}");
            ensure!(there == PERMITS || waited || !acked, "acknowledged, and not there");
            check(world, &it.semaphore, there)
        },
    }
}

fn base(name: &'static str) -> Case<Semaphore> {
    Case {
        name,
        make: |world| {
            let setup = SemaphoreSetup::bounded(PERMITS);
            Ok(Semaphore::create_with(&world.domain, "it", setup, &world.options())?)
        },
        open: |world| Ok(Semaphore::open(&world.domain, "it")?),
        enter: same,
        operate: |_, _| Ok(()),
        recover: None,
        verify: |world, semaphore, _: &Death| check(world, &semaphore, PERMITS),
    }
}

/// So many permits can be had, not one more; the rest are made up for by releasing them.
fn check(world: &World, semaphore: &Semaphore, there: u32) -> Outcome {
    let held: Vec<_> = (0..there).map(|_| semaphore.permit_timeout(LONG)).collect::<Result<_, _>>()?;
    world.recovered();
    ensure!(matches!(semaphore.try_permit(), Err(AcquireError::WouldBlock)), "more than {there} permits");
    ensure!(matches!(semaphore.try_acquire(), Err(AcquireError::WouldBlock)), "more than {there} permits");
    drop(held);
    ensure!(semaphore.available() == there, "{} permits of {there}", semaphore.available());
    semaphore.release_many(PERMITS - there)?;
    ensure!(semaphore.release().is_err(), "released more than there may be");
    for _ in 0..3 {
        semaphore.acquire_timeout(LONG)?;
        drop(semaphore.permit_timeout(LONG)?);
        semaphore.release()?;
    }
    ensure!(semaphore.available() == PERMITS, "{} permits at last", semaphore.available());
    Ok(())
}
