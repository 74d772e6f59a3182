//! The typed ring: pushes and pops of every sort, sides taken and left.

use sharedware::ring::spsc::{Consumer, Producer, Ring};
use sharedware::ring::{PeerState, PopError, PushError};

use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Acks, Death, Scenario, World};

const NAME: &str = "it";
const CAPACITY: u64 = 4;
/// Where the operations begin: not at 0, so that they go round the end of the ring.
const START: u64 = 6;

type Value = [u64; 2];

fn value(position: u64) -> Value {
    [position, !position.wrapping_mul(0x9e37_79b9_7f4a_7c15)]
}

fn make(world: &World) -> Outcome<Ring<Value>> {
    let ring = Ring::create_with(&world.domain, NAME, CAPACITY, &world.options())?;
    let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
    for position in 0..START {
        producer.try_push(value(position))?;
        ensure!(consumer.try_pop()? == value(position), "not what was pushed");
    }
    Ok(ring)
}

fn open(world: &World) -> Outcome<Ring<Value>> {
    Ok(Ring::open(&world.domain, NAME)?)
}

/// Pops all there is; it must go on from the consumer's position.
fn drain(consumer: &mut Consumer<Value>) -> Outcome<u64> {
    loop {
        let position = consumer.position();
        match consumer.try_pop() {
            Ok(found) => ensure!(found == value(position), "at {position} there is {found:x?}"),
            Err(PopError::Empty) => return Ok(position),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Goes on, several times round.
fn go_on(world: &World, producer: &mut Producer<Value>, consumer: &mut Consumer<Value>) -> Outcome {
    let start = producer.position();
    for position in start..start + 3 * CAPACITY {
        producer.push(value(position))?;
        ensure!(consumer.pop()? == value(position), "not what was pushed at {position}");
        world.recovered();
    }
    ensure!(matches!(consumer.try_pop(), Err(PopError::Empty)), "more than was pushed");
    Ok(())
}

fn is_gone(state: &PeerState) -> bool {
    matches!(state, PeerState::Dead | PeerState::Left)
}

/// Pushes of some sort, `batch` at a time at most.
pub(crate) struct Pushing {
    pub(crate) how: &'static str,
    pub(crate) batch: u64,
    pub(crate) push: fn(&mut Producer<Value>, &mut Acks<'_>) -> Outcome,
}

pub(crate) fn pushing() -> [Pushing; 3] {
    [
        Pushing {
            how: "push",
            batch: 1,
            push: |producer, acks| {
                for position in START..START + CAPACITY {
                    producer.push(value(position))?;
                    acks.ack(position + 1)?;
                }
                Ok(())
            },
        },
        Pushing {
            how: "push_slice",
            batch: 3,
            push: |producer, acks| {
                let pushed = producer.push_slice(&[value(START), value(START + 1), value(START + 2)])?;
                ensure!(pushed == 3, "pushed {pushed} of 3");
                acks.ack(START + 3)
            },
        },
        Pushing {
            how: "claim_many and commit",
            batch: 3,
            push: |producer, acks| {
                let mut claim = producer.claim_many(3)?;
                for (position, place) in (START..).zip(claim.iter_mut()) {
                    *place = value(position);
                }
                claim.commit();
                acks.ack(START + 3)?;
                // A claim that is not committed is nothing.
                *producer.claim()?.get_mut(0).ok_or("no place in the claim")? = [1, 2];
                Ok(())
            },
        },
    ]
}

impl Scenario for Pushing {
    type Held = (Ring<Value>, Consumer<Value>);
    type Victim = (Ring<Value>, Producer<Value>);

    fn name(&self) -> String {
        format!("typed ring: {}, leave", self.how)
    }

    fn prepare(&self, world: &World) -> Outcome<Self::Held> {
        let ring = make(world)?;
        let consumer = ring.consumer()?;
        Ok((ring, consumer))
    }

    fn enter(&self, world: &World) -> Outcome<Self::Victim> {
        let ring = open(world)?;
        let producer = ring.producer()?;
        Ok((ring, producer))
    }

    fn operate(&self, _: &World, (ring, mut producer): Self::Victim, acks: &mut Acks<'_>) -> Outcome {
        (self.push)(&mut producer, acks)?;
        drop((producer, ring));
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        let mut producer = open(world)?.producer()?;
        match producer.try_push(value(producer.position())) {
            Ok(()) | Err(PushError::Full) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn verify(&self, world: &World, held: Option<Self::Held>, death: &Death) -> Outcome {
        let (ring, mut consumer) = match held {
            Some(held) => held,
            None => {
                let ring = open(world)?;
                let consumer = ring.consumer()?;
                (ring, consumer)
            }
        };
        ensure!(consumer.position() == START, "the consumer is at {}", consumer.position());
        let end = drain(&mut consumer)?;
        let acked = death.last(START);
        let most = acked + self.batch + u64::from(death.successor);
        ensure!((acked..=most).contains(&end), "{end} values are there, {acked} were acknowledged");
        ensure!(is_gone(&consumer.peer()?), "the producer is {:?}", consumer.peer()?);
        ensure!(matches!(consumer.pop(), Err(PopError::Disconnected(_))), "nobody says that the producer is gone");
        let mut producer = ring.producer()?;
        ensure!(producer.position() == end, "the successor is at {}, not {end}", producer.position());
        go_on(world, &mut producer, &mut consumer)
    }
}

/// Pops of some sort from a full ring.
pub(crate) struct Popping {
    pub(crate) how: &'static str,
    pub(crate) batch: u64,
    pub(crate) pop: fn(&mut Consumer<Value>, &mut Acks<'_>) -> Outcome,
}

pub(crate) fn popping() -> [Popping; 3] {
    [
        Popping {
            how: "pop",
            batch: 1,
            pop: |consumer, acks| {
                for position in START..START + CAPACITY {
                    ensure!(consumer.pop()? == value(position), "not what was pushed");
                    acks.ack(position + 1)?;
                }
                ensure!(matches!(consumer.try_pop(), Err(PopError::Empty)), "more than was pushed");
                Ok(())
            },
        },
        Popping {
            how: "pop_slice",
            batch: 3,
            pop: |consumer, acks| {
                let mut found = [value(0); 3];
                let popped = consumer.pop_slice(&mut found)?;
                ensure!(popped == 3 && found == [START, START + 1, START + 2].map(value), "{found:x?}");
                acks.ack(START + 3)
            },
        },
        Popping {
            how: "claim_many and release",
            batch: 3,
            pop: |consumer, acks| {
                let claim = consumer.claim_many(3)?;
                ensure!(claim.iter().copied().eq((START..START + 3).map(value)), "not what was pushed");
                claim.release();
                acks.ack(START + 3)?;
                // A claim that is not released is nothing.
                ensure!(consumer.claim()?.get(0) == Some(&value(START + 3)), "not what was pushed");
                Ok(())
            },
        },
    ]
}

impl Scenario for Popping {
    type Held = (Ring<Value>, Producer<Value>);
    type Victim = (Ring<Value>, Consumer<Value>);

    fn name(&self) -> String {
        format!("typed ring: {}, leave", self.how)
    }

    fn prepare(&self, world: &World) -> Outcome<Self::Held> {
        let ring = make(world)?;
        let mut producer = ring.producer()?;
        for position in START..START + CAPACITY {
            producer.try_push(value(position))?;
        }
        Ok((ring, producer))
    }

    fn enter(&self, world: &World) -> Outcome<Self::Victim> {
        let ring = open(world)?;
        let consumer = ring.consumer()?;
        Ok((ring, consumer))
    }

    fn operate(&self, _: &World, (ring, mut consumer): Self::Victim, acks: &mut Acks<'_>) -> Outcome {
        (self.pop)(&mut consumer, acks)?;
        drop((consumer, ring));
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        let mut consumer = open(world)?.consumer()?;
        let position = consumer.position();
        match consumer.try_pop() {
            Ok(found) => ensure!(found == value(position), "at {position} there is {found:x?}"),
            Err(PopError::Empty) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn verify(&self, world: &World, held: Option<Self::Held>, death: &Death) -> Outcome {
        let (ring, mut producer) = match held {
            Some(held) => held,
            None => {
                let ring = open(world)?;
                let producer = ring.producer()?;
                (ring, producer)
            }
        };
        let end = START + CAPACITY;
        ensure!(producer.position() == end, "the producer is at {}", producer.position());
        ensure!(is_gone(&producer.peer()?), "the consumer is {:?}", producer.peer()?);
        // Exactly as much room as was popped; then the producer is told that the consumer is gone.
        let mut position = end;
        let popped = loop {
            match producer.try_push(value(position)) {
                Ok(()) => position += 1,
                Err(PushError::Full) => break position - CAPACITY,
                Err(error) => return Err(error.into()),
            }
        };
        let acked = death.last(START);
        let most = acked + self.batch + u64::from(death.successor);
        ensure!((acked..=most).contains(&popped), "{popped} values were popped, {acked} acknowledged");
        let told = producer.push(value(position));
        ensure!(matches!(told, Err(PushError::Disconnected(_))), "nobody says that the consumer is gone: {told:?}");
        let mut consumer = ring.consumer()?;
        ensure!(consumer.position() == popped, "the successor is at {}, not {popped}", consumer.position());
        ensure!(drain(&mut consumer)? == position, "not all that was pushed");
        go_on(world, &mut producer, &mut consumer)
    }
}

/// Taking a side, and leaving it.
pub(crate) struct Attaching {
    pub(crate) producer: bool,
}

impl Scenario for Attaching {
    type Held = Ring<Value>;
    type Victim = ();

    fn name(&self) -> String {
        format!("typed ring: attach a {}, leave", if self.producer { "producer" } else { "consumer" })
    }

    fn prepare(&self, world: &World) -> Outcome<Ring<Value>> {
        let ring = make(world)?;
        ring.producer()?.try_push(value(START))?;
        Ok(ring)
    }

    fn enter(&self, _: &World) -> Outcome {
        Ok(())
    }

    fn operate(&self, world: &World, (): (), acks: &mut Acks<'_>) -> Outcome {
        let ring = open(world)?;
        if self.producer {
            let producer = ring.producer()?;
            ensure!(producer.position() == START + 1, "the producer is at {}", producer.position());
            acks.ack(1)?;
        } else {
            let consumer = ring.consumer()?;
            ensure!(consumer.position() == START, "the consumer is at {}", consumer.position());
            acks.ack(1)?;
        }
        Ok(())
    }

    fn verify(&self, world: &World, held: Option<Ring<Value>>, _: &Death) -> Outcome {
        let ring = match held {
            Some(held) => held,
            None => open(world)?,
        };
        let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
        ensure!(producer.position() == START + 1, "the producer is at {}", producer.position());
        ensure!(drain(&mut consumer)? == START + 1, "not what was pushed");
        go_on(world, &mut producer, &mut consumer)
    }
}
