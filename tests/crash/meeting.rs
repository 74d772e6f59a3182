//! Barriers: a dead party breaks them, and after a reset they are as new.

use std::thread::JoinHandle;

use sharedware::sync::{Barrier, BarrierError, BrokenBy};

use crate::case::{Case, IN_VAIN, LONG, same};
use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Death, Enumerate, World};

pub(crate) const PARTIES: u32 = 3;

pub(crate) struct Meeting {
    pub(crate) barrier: Barrier,
    /// A thread of the survivor that waits.
    pub(crate) waiter: Option<JoinHandle<Result<(), BarrierError>>>,
}

pub(crate) fn scenarios() -> Vec<Box<dyn Enumerate>> {
    vec![
        Case::<Meeting> {
            operate: |it, acks| {
                refused(it.barrier.wait_timeout(IN_VAIN).map(drop))?;
                acks.ack(0)
            },
            ..base("arrive at a barrier")
        }
        .boxed(),
        Case::<Meeting> {
            operate: |it, acks| {
                let party = it.barrier.party()?;
                refused(party.wait_timeout(IN_VAIN).map(drop))?;
                drop(party);
                acks.ack(0)
            },
            ..base("enlist at a barrier")
        }
        .boxed(),
        Case::<Meeting> {
            operate: |it, acks| {
                for _ in 0..2 {
                    together(&it.barrier)?;
                    acks.ack(0)?;
                }
                Ok(())
            },
            ..base("go through a barrier")
        }
        .boxed(),
        Case::<Meeting> {
            make: with_waiter,
            operate: |it, acks| {
                it.barrier.abort()?;
                acks.ack(1)?;
                it.barrier.reset()?;
                acks.ack(2)
            },
            recover: Some(|it| Ok(it.barrier.reset()?)),
            ..base("abort and reset a barrier")
        }
        .boxed(),
    ]
}

fn make(world: &World) -> Outcome<Meeting> {
    Ok(Meeting { barrier: Barrier::create_with(&world.domain, "it", PARTIES, &world.options())?, waiter: None })
}

fn with_waiter(world: &World) -> Outcome<Meeting> {
    let mut it = make(world)?;
    let other = it.barrier.clone();
    it.waiter = Some(std::thread::spawn(move || other.wait_timeout(LONG).map(drop)));
    while it.barrier.waiting() == 0 {
        std::thread::yield_now();
    }
    Ok(it)
}

fn base(name: &'static str) -> Case<Meeting> {
    Case {
        name,
        make,
        open: |world| Ok(Meeting { barrier: Barrier::open(&world.domain, "it")?, waiter: None }),
        enter: same,
        operate: |_, _| Ok(()),
        recover: None,
        verify: check,
    }
}

fn refused(outcome: Result<(), BarrierError>) -> Outcome {
    ensure!(matches!(outcome, Err(BarrierError::TimedOut)), "{outcome:?} without the others");
    Ok(())
}

/// All parties, as threads of this process: each has its number, and one is the leader.
fn together(barrier: &Barrier) -> Outcome {
    let threads = [(); PARTIES as usize].map(|()| {
        let barrier = barrier.clone();
        std::thread::spawn(move || barrier.wait_timeout(LONG))
    });
    let mut found = Vec::new();
    for thread in threads {
        let arrival = thread.join().map_err(|_| "a thread panicked")??;
        found.push((arrival.index, arrival.is_leader));
    }
    found.sort_unstable();
    ensure!(found == [(0, false), (1, false), (2, true)], "came through as {found:?}");
    Ok(())
}

pub(crate) fn check(world: &World, it: Meeting, death: &Death) -> Outcome {
    let barrier = it.barrier;
    if let Some(waiter) = it.waiter {
        // Broken for it by the victim, or now by us.
        if death.acked.is_empty() {
            barrier.abort()?;
        }
        let outcome = waiter.join().map_err(|_| "a thread panicked")?;
        let broken = matches!(outcome, Err(BarrierError::Broken(BrokenBy::Abort | BrokenBy::Reset)));
        ensure!(broken, "{outcome:?} of who waits");
    }
    // Somebody who is known to all, and dead.
    let fallen = !barrier.is_broken() && (barrier.waiting() > 0 || barrier.enlisted() > 0);
    if !barrier.is_broken() {
        let outcome = barrier.wait_timeout(if fallen { LONG } else { IN_VAIN });
        match outcome {
            // Also one that had only taken a place, and was not yet counted.
            Err(BarrierError::Broken(BrokenBy::Death)) => {}
            Err(BarrierError::TimedOut) => ensure!(!fallen, "waited in vain for the dead"),
            // With those that had arrived, and died.
            Ok(_) => ensure!(fallen, "came through alone"),
            Err(error) => return Err(error.into()),
        }
    }
    barrier.reset()?;
    ensure!(barrier.enlisted() == 0, "a seat of the dead is taken after a reset");
    for _ in 0..2 {
        together(&barrier)?;
        world.recovered();
    }
    let parties: Vec<_> = (0..PARTIES).map(|_| barrier.party()).collect::<Result<_, _>>()?;
    ensure!(matches!(barrier.party(), Err(BarrierError::TooManyParties(PARTIES))), "a fourth of three");
    drop(parties);
    refused(barrier.wait_timeout(IN_VAIN).map(drop))?;
    ensure!(matches!(barrier.wait(), Err(BarrierError::Broken(BrokenBy::Timeout))), "not broken");
    Ok(())
}
