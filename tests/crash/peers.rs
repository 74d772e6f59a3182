//! Peers: registering, as the first in a domain or not, and leaving.

use sharedware::ring::spsc::Ring;

use crate::ensure;
use crate::process::{Outcome, process_id};
use crate::stores::{Acks, Death, Scenario, Witness, World};

const NAME: &str = "it";

/// Opening a ring makes a process a peer; dropping it ends that. Nobody else lives in the domain when the survivor comes after, so there the
/// victim makes the registry and takes it away.
pub(crate) struct Registering;

impl Scenario for Registering {
    type Held = Ring<u64>;
    type Victim = ();

    fn name(&self) -> String {
        "register as a peer, leave".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Ring<u64>> {
        Ok(Ring::create_with(&world.domain, NAME, 4, &world.options())?)
    }

    fn enter(&self, _: &World) -> Outcome {
        Ok(())
    }

    fn operate(&self, world: &World, (): (), acks: &mut Acks<'_>) -> Outcome {
        let ring = Ring::<u64>::open(&world.domain, NAME)?;
        let others = usize::from(world.witness == Witness::Before);
        acks.ack(1)?;
        ensure!(world.domain.peers()?.len() == 1 + others, "peers: {:?}", world.domain.peers()?);
        drop(ring);
        acks.ack(2)?;
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        Ring::<u64>::open(&world.domain, NAME)?.producer()?;
        Ok(())
    }

    fn verify(&self, world: &World, held: Option<Ring<u64>>, _: &Death) -> Outcome {
        let peers = world.domain.peers()?;
        ensure!(peers.len() == usize::from(held.is_some()), "live peers: {peers:?}");
        let ring = match held {
            Some(held) => held,
            None => Ring::open(&world.domain, NAME)?,
        };
        let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
        producer.push(7)?;
        ensure!(consumer.pop()? == 7, "not what was pushed");
        world.recovered();
        let peers = world.domain.peers()?;
        let me = process_id().unsigned_abs();
        ensure!(peers.len() == 1 && peers.iter().all(|peer| peer.pid == me), "live peers: {peers:?}");
        drop((ring, producer, consumer));
        let registry = world.domain.path_of("x")?.with_file_name(format!("sharedware.{}.@peers", world.domain.name()));
        ensure!(!registry.exists(), "the registry outlives the last peer");
        Ok(())
    }
}
