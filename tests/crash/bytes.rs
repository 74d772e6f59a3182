//! The byte ring: records sent, wrapped, received, streams finished, sides taken and left.

use sharedware::ring::bytes::{Consumer, Producer, Ring};
use sharedware::ring::{PeerState, PopError, PushError};

use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Acks, Death, Scenario, World};

const NAME: &str = "it";
const CAPACITY: u64 = 128;
/// How many records went through before the operations begin: the next one does not fit before the end of the buffer.
const START: u64 = 3;

/// The records by number, of which the first few bring the ring to 96 of its 128 bytes.
fn record(number: u64) -> Vec<u8> {
    let length = match number {
        0..START => 24,
        _ => [40, 10, 0, 33, 8, 48, 1][(number - START) as usize % 7],
    };
    (0..length).map(|at| (number * 31 + at) as u8 | 1).collect()
}

fn make(world: &World) -> Outcome<Ring> {
    let ring = Ring::create_with(&world.domain, NAME, CAPACITY, &world.options())?;
    let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
    for number in 0..START {
        producer.try_send(&record(number))?;
        receive(&mut consumer, number)?;
    }
    ensure!(producer.position() == 96, "the producer is at {}", producer.position());
    Ok(ring)
}

fn open(world: &World) -> Outcome<Ring> {
    Ok(Ring::open(&world.domain, NAME)?)
}

fn receive(consumer: &mut Consumer, number: u64) -> Outcome {
    let found = consumer.recv()?;
    ensure!(*found == *record(number), "record {number} is {:x?}", &*found);
    found.release();
    Ok(())
}

/// How a drained stream ends.
#[derive(Debug, PartialEq, Eq)]
enum Ends {
    Open,
    Finished,
}

/// Receives all there is, from record `from` on; the number of the next.
fn drain(consumer: &mut Consumer, from: u64) -> Outcome<(u64, Ends)> {
    for number in from.. {
        match consumer.try_recv() {
            Ok(found) => {
                ensure!(*found == *record(number), "record {number} is {:x?}", &*found);
                found.release();
            }
            Err(PopError::Empty) => return Ok((number, Ends::Open)),
            Err(PopError::Finished) => return Ok((number, Ends::Finished)),
            Err(error) => return Err(error.into()),
        }
    }
    Err("endless".into())
}

/// Goes on from a record, several times round.
fn go_on(world: &World, producer: &mut Producer, consumer: &mut Consumer, from: u64) -> Outcome {
    for number in from..from + 30 {
        producer.send(&record(number))?;
        receive(consumer, number)?;
        world.recovered();
    }
    producer.finish()?;
    ensure!(matches!(consumer.recv(), Err(PopError::Finished)), "the end is not there");
    Ok(())
}

fn is_gone(state: &PeerState) -> bool {
    matches!(state, PeerState::Dead | PeerState::Left)
}

/// Records sent in some way; finishing counts as one more.
pub(crate) struct Sending {
    pub(crate) how: &'static str,
    pub(crate) send: fn(&mut Producer, &mut Acks<'_>) -> Outcome,
}

pub(crate) fn sending() -> [Sending; 3] {
    [
        Sending {
            how: "send, wrapping around",
            send: |producer, acks| {
                for number in START..START + 3 {
                    producer.send(&record(number))?;
                    acks.ack(number + 1)?;
                }
                Ok(())
            },
        },
        Sending {
            how: "claim and commit_first",
            send: |producer, acks| {
                for number in START..START + 2 {
                    let record = record(number);
                    // Claims more than it commits.
                    let mut claim = producer.claim(record.len() + 5)?;
                    claim.fill(0xee);
                    claim[..record.len()].copy_from_slice(&record);
                    claim.commit_first(record.len());
                    acks.ack(number + 1)?;
                }
                // A claim that is not committed is nothing.
                producer.try_claim(5)?.fill(0xee);
                Ok(())
            },
        },
        Sending {
            how: "send and finish",
            send: |producer, acks| {
                producer.send(&record(START))?;
                acks.ack(START + 1)?;
                producer.finish()?;
                acks.ack(FINISHED)
            },
        },
    ]
}

/// Acknowledges that the stream was finished.
const FINISHED: u64 = u64::MAX;

impl Scenario for Sending {
    type Held = (Ring, Consumer);
    type Victim = (Ring, Producer);

    fn name(&self) -> String {
        format!("byte ring: {}, leave", self.how)
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
        (self.send)(&mut producer, acks)?;
        drop((producer, ring));
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    /// The successor does not know what has been sent, so it only attaches, and finishes.
    fn recover(&self, world: &World) -> Outcome {
        Ok(open(world)?.producer()?.finish()?)
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
        let (next, ends) = drain(&mut consumer, START)?;
        let finished = death.last(START) == FINISHED;
        let acked = death.acked.iter().copied().filter(|&acked| acked != FINISHED).max().unwrap_or(START);
        ensure!((acked..=acked + 1).contains(&next), "{next} records are there, {acked} were acknowledged");
        ensure!(!finished || (ends == Ends::Finished && next == acked), "the stream was finished, but {ends:?}");
        ensure!(is_gone(&consumer.peer()?), "the producer is {:?}", consumer.peer()?);
        let told = consumer.recv().map(|record| record.to_vec());
        let mut producer = ring.producer()?;
        ensure!(producer.position() == consumer.position(), "{producer:?} goes on after {consumer:?}");
        if ends == Ends::Finished {
            ensure!(finished || death.successor || self.how.contains("finish"), "nobody finished it");
            ensure!(matches!(told, Err(PopError::Finished)), "{told:?}");
            ensure!(matches!(producer.send(b"more"), Err(PushError::Finished)), "more after the end");
            world.recovered();
            return Ok(());
        }
        ensure!(matches!(told, Err(PopError::Disconnected(_))), "nobody says that the producer is gone: {told:?}");
        go_on(world, &mut producer, &mut consumer, next)
    }
}

/// Records received and released.
pub(crate) struct Receiving;

const WAITING: u64 = 3;

impl Scenario for Receiving {
    type Held = (Ring, Producer);
    type Victim = (Ring, Consumer);

    fn name(&self) -> String {
        "byte ring: recv and release, leave".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Self::Held> {
        let ring = make(world)?;
        let mut producer = ring.producer()?;
        for number in START..START + WAITING {
            producer.try_send(&record(number))?;
        }
        Ok((ring, producer))
    }

    fn enter(&self, world: &World) -> Outcome<Self::Victim> {
        let ring = open(world)?;
        let consumer = ring.consumer()?;
        Ok((ring, consumer))
    }

    fn operate(&self, _: &World, (ring, mut consumer): Self::Victim, acks: &mut Acks<'_>) -> Outcome {
        for number in START..START + WAITING {
            // Looked at and not released: it stays.
            ensure!(*consumer.try_recv()? == *record(number), "not what was sent");
            receive(&mut consumer, number)?;
            acks.ack(number + 1)?;
        }
        ensure!(matches!(consumer.try_recv(), Err(PopError::Empty)), "more than was sent");
        drop((consumer, ring));
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    /// Takes the side, looks, and releases nothing.
    fn recover(&self, world: &World) -> Outcome {
        match open(world)?.consumer()?.try_recv() {
            Ok(_) | Err(PopError::Empty) => Ok(()),
            Err(error) => Err(error.into()),
        }
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
        ensure!(is_gone(&producer.peer()?), "the consumer is {:?}", producer.peer()?);
        let mut consumer = ring.consumer()?;
        let acked = death.last(START);
        // One record may have been released without an acknowledgement.
        let mut from = acked;
        if from < START + WAITING {
            let found = consumer.try_recv().map(|found| found.to_vec());
            match found {
                Ok(found) if found == record(from) => {}
                Ok(_) => from += 1,
                Err(PopError::Empty) if from + 1 == START + WAITING => from += 1,
                other => return Err(format!("{acked} records were acknowledged, then {other:?}").into()),
            }
        }
        let (next, ends) = drain(&mut consumer, from)?;
        ensure!(next == START + WAITING && ends == Ends::Open, "{next} records, {ends:?}");
        ensure!(producer.position() == consumer.position(), "{producer:?} goes on after {consumer:?}");
        go_on(world, &mut producer, &mut consumer, next)
    }
}

/// Taking a side, and leaving it.
pub(crate) struct Attaching {
    pub(crate) producer: bool,
}

impl Scenario for Attaching {
    type Held = Ring;
    type Victim = ();

    fn name(&self) -> String {
        format!("byte ring: attach a {}, leave", if self.producer { "producer" } else { "consumer" })
    }

    fn prepare(&self, world: &World) -> Outcome<Ring> {
        let ring = make(world)?;
        ring.producer()?.try_send(&record(START))?;
        Ok(ring)
    }

    fn enter(&self, _: &World) -> Outcome {
        Ok(())
    }

    fn operate(&self, world: &World, (): (), acks: &mut Acks<'_>) -> Outcome {
        let ring = open(world)?;
        if self.producer {
            drop(ring.producer()?);
        } else {
            drop(ring.consumer()?);
        }
        acks.ack(1)
    }

    fn verify(&self, world: &World, held: Option<Ring>, _: &Death) -> Outcome {
        let ring = match held {
            Some(held) => held,
            None => open(world)?,
        };
        let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
        let drained = drain(&mut consumer, START)?;
        ensure!(drained == (START + 1, Ends::Open), "{drained:?}");
        go_on(world, &mut producer, &mut consumer, START + 1)
    }
}
