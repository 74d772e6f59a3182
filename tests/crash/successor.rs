//! A peer that moves into a dead peer's slot of the registry is not taken for it, wherever it is stopped.
//!
//! The random run found this: "the ring's producer side is taken by pid N", of a dead N. Somebody else who was just becoming a peer had
//! locked N's slot of the registry and not yet raised its incarnation, and so N seemed to live.

use std::path::Path;
use std::time::Duration;

use sharedware::__crash as crash;
use sharedware::Domain;
use sharedware::ring::PeerState;
use sharedware::ring::spsc::Ring;

use crate::ensure;
use crate::process::{Child, Outcome, exit_now, process_id, signal_to};

const PATIENCE: Duration = Duration::from_secs(20);
const SLOTS: usize = 4096;

/// Stops this process.
fn stop() {
    signal_to(process_id(), libc::SIGSTOP);
}

/// The successor stopped after every crash point of its registration; how many there are.
pub(crate) fn run(directory: &Path) -> Outcome<u64> {
    let mut keeper = Child::fork(|line| {
        let domain = Domain::new("successor")?.in_directory(directory);
        let ring = Ring::<u64>::create(&domain, "it", 4)?;
        let consumer = ring.consumer()?;
        // Every slot looks taken: its last owner was killed. So whoever comes takes the first that is not locked.
        for _ in 1..SLOTS {
            let mut child = Child::fork(|_| {
                let _peer = Ring::<u64>::open(&domain, "it")?;
                exit_now(0)
            })?;
            child.join(PATIENCE)?;
        }
        let mut points = 0;
        for point in 1.. {
            let mut victim = Child::fork(|line| {
                let _producer = Ring::<u64>::open(&domain, "it")?.producer()?;
                line.send(b"taken")?;
                line.expect(PATIENCE)?;
                Ok(())
            })?;
            victim.line.expect(PATIENCE)?;
            ensure!(matches!(consumer.peer()?, PeerState::Alive(_)), "the producer is {:?}", consumer.peer()?);
            victim.kill()?;
            let mut successor = Child::fork(|_| {
                crash::arm(point, stop);
                let _peer = Ring::<u64>::open(&domain, "it")?;
                exit_now(0)
            })?;
            let stopped = successor.wait_stopped()?;
            let state = consumer.peer()?;
            ensure!(state == PeerState::Dead, "successor stopped after point {point}: the dead producer is {state:?}");
            drop(ring.producer().map_err(|error| format!("successor stopped after point {point}: {error}"))?);
            if !stopped {
                break;
            }
            points = point;
        }
        line.send(&points.to_ne_bytes())?;
        Ok(())
    })?;
    let said = keeper.line.expect(PATIENCE)?;
    let Ok(points) = said.as_slice().try_into() else {
        return Err(String::from_utf8_lossy(&said).into_owned().into());
    };
    keeper.join(PATIENCE)?;
    Ok(u64::from_ne_bytes(points))
}
