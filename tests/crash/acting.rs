//! Barriers with an action: who runs it dies before, in and after it, and nobody goes on before it has been run.

use std::thread::JoinHandle;

use sharedware::__crash as crash;
use sharedware::slot::Slot;
use sharedware::sync::{ActionError, Barrier, BarrierError, BrokenBy};

use crate::case::{Case, IN_VAIN, LONG, same};
use crate::ensure;
use crate::meeting::{self, Meeting, PARTIES};
use crate::process::Outcome;
use crate::stores::Enumerate;

/// How far the action got.
const BEGUN: u64 = 1;
const DONE: u64 = 2;

struct Acting {
    barrier: Barrier,
    stage: Slot<u64>,
    /// Threads of the survivor that wait: all parties but one.
    waiters: Vec<JoinHandle<Result<(), BarrierError>>>,
}

pub(crate) fn scenarios() -> Vec<Box<dyn Enumerate>> {
    vec![
        acting().boxed(),
        Case::<Acting> {
            name: "fail an action at a barrier",
            operate: |it, acks| {
                let outcome = it.barrier.wait_with(|| it.act().and(Err("failed".into())));
                ensure!(matches!(outcome, Err(ActionError::Action(_))), "{outcome:?} of an action that fails");
                ensure!(it.barrier.is_broken(), "not broken by an action that failed");
                acks.ack(0)
            },
            verify: |world, mut it, death| {
                let came = it.come()?;
                match came {
                    Came::Through => ensure!(death.successor, "let go after an action that fails"),
                    Came::Broken(why) => {
                        ensure!(matches!(why, BrokenBy::Action | BrokenBy::Death), "broken by {why:?}");
                    }
                    Came::Nobody => {}
                }
                meeting::check(world, it.meeting(), death)
            },
            ..acting()
        }
        .boxed(),
    ]
}

fn acting() -> Case<Acting> {
    Case {
        name: "run an action at a barrier",
        make: |world| {
            let mut it = Acting {
                barrier: Barrier::create_with(&world.domain, "it", PARTIES, &world.options())?,
                stage: Slot::create_with(&world.domain, "stage", 0, &world.options())?,
                waiters: Vec::new(),
            };
            for come in 1..PARTIES {
                let other = it.barrier.clone();
                it.waiters.push(std::thread::spawn(move || other.wait_timeout(LONG).map(drop)));
                while it.barrier.waiting() < come {
                    std::thread::yield_now();
                }
            }
            Ok(it)
        },
        open: |world| {
            let (barrier, stage) = (Barrier::open(&world.domain, "it")?, Slot::open(&world.domain, "stage")?);
            Ok(Acting { barrier, stage, waiters: Vec::new() })
        },
        enter: same,
        operate: |it, acks| {
            let arrival = it.barrier.wait_with(|| it.act())?;
            ensure!(arrival.is_leader, "who came last is {arrival:?}");
            acks.ack(1)
        },
        // In place of the victim, if that had not come; otherwise it is told of its death, or the round is over.
        recover: Some(|it| match it.barrier.wait_with_timeout(IN_VAIN, || it.act()) {
            Ok(_) => Ok(()),
            Err(ActionError::Barrier(
                BarrierError::Broken(BrokenBy::Death | BrokenBy::Action) | BarrierError::TimedOut,
            )) => Ok(()),
            Err(error) => Err(error.into()),
        }),
        verify: |world, mut it, death| {
            let came = it.come()?;
            let stage = it.stage.read()?;
            match came {
                Came::Through => ensure!(stage == DONE, "let go after {stage} of the action"),
                Came::Broken(why) => {
                    ensure!(why == BrokenBy::Death, "broken by {why:?}");
                    ensure!(death.acked.is_empty(), "acknowledged, and broken for the others");
                }
                Came::Nobody => {}
            }
            meeting::check(world, it.meeting(), death)
        },
    }
}

/// What the waiters' round came to.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Through,
    Broken(BrokenBy),
    /// Nobody waited, or the survivor came in the victim's place.
    Nobody,
}

impl Acting {
    fn act(&self) -> Outcome {
        self.stage.write(&BEGUN)?;
        crash::point();
        self.stage.write(&DONE)?;
        Ok(())
    }

    /// What became of those that waited: the same of all of them.
    fn come(&mut self) -> Outcome<Came> {
        if self.waiters.is_empty() {
            return Ok(Came::Nobody);
        }
        let mut outcomes = Vec::new();
        // The victim had not come, or is only known by the place that it had taken.
        let comes = self.barrier.waiting() + 1 == PARTIES;
        if comes {
            outcomes.push(self.barrier.wait_timeout(LONG).map(drop));
        }
        for waiter in self.waiters.drain(..) {
            outcomes.push(waiter.join().map_err(|_| "a thread panicked")?);
        }
        let all = format!("{outcomes:?}");
        let mut came: Vec<_> = outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Ok(()) => Ok(if comes { Came::Nobody } else { Came::Through }),
                Err(BarrierError::Broken(why)) => Ok(Came::Broken(why)),
                Err(error) => Err(error),
            })
            .collect::<Result<_, _>>()?;
        came.dedup();
        match (came.pop(), came.pop()) {
            (Some(all), None) => Ok(all),
            _ => Err(format!("not the same for all: {all}").into()),
        }
    }

    fn meeting(self) -> Meeting {
        Meeting { barrier: self.barrier, waiter: None }
    }
}
