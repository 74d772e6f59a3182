//! Slots: written in turn, written by an exclusive writer, which is taken and given back.

use sharedware::ReadOnly;
use sharedware::slot::{Slot, Writer};

use crate::ensure;
use crate::process::Outcome;
use crate::stores::{Acks, Death, Scenario, World};

const NAME: &str = "it";

type Value = [u64; 5];

fn value(version: u64) -> Value {
    std::array::from_fn(|word| version.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(word as u32 * 7) ^ version)
}

fn make(world: &World) -> Outcome<Slot<Value>> {
    Ok(Slot::create_with(&world.domain, NAME, value(0), &world.options())?)
}

/// The slot and a reader, from before the death if there were some.
type Held = (Slot<Value>, Slot<Value, ReadOnly>);

fn hold(world: &World) -> Outcome<Held> {
    let slot = make(world)?;
    Ok((slot, Slot::open_read_only(&world.domain, NAME)?))
}

/// Whoever comes may write: it reads a whole value of the right version, writes the next, and that is there.
fn check(world: &World, held: Option<Held>, acked: u64, most: u64) -> Outcome {
    let (slot, reader) = match held {
        Some(held) => held,
        None => (Slot::open(&world.domain, NAME)?, Slot::open_read_only(&world.domain, NAME)?),
    };
    let (found, version) = reader.read_versioned()?;
    ensure!((acked..=most).contains(&version), "version {version}, where {acked} was acknowledged");
    ensure!(found == value(version), "the value of version {version} is {found:x?}");
    slot.write(&value(version + 1))?;
    world.recovered();
    ensure!(reader.read_versioned()? == (value(version + 1), version + 1), "what was written is not there");
    let mut writer = slot.writer()?;
    for next in version + 2..version + 10 {
        ensure!(writer.write(&value(next))? == next, "not version {next}");
        ensure!(reader.read_versioned()? == (value(next), next), "what was written is not there");
    }
    Ok(())
}

fn write_next(world: &World) -> Outcome {
    let slot = Slot::<Value>::open(&world.domain, NAME)?;
    let next = slot.read_versioned()?.1 + 1;
    Ok(slot.write(&value(next)).map(drop)?)
}

pub(crate) struct Writing;

impl Scenario for Writing {
    type Held = Held;
    type Victim = Slot<Value>;

    fn name(&self) -> String {
        "write a slot in turn".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Held> {
        hold(world)
    }

    fn enter(&self, world: &World) -> Outcome<Slot<Value>> {
        Ok(Slot::open(&world.domain, NAME)?)
    }

    fn operate(&self, _: &World, slot: Slot<Value>, acks: &mut Acks<'_>) -> Outcome {
        for version in 1..=5 {
            slot.write(&value(version))?;
            acks.ack(version)?;
        }
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        write_next(world)
    }

    fn verify(&self, world: &World, held: Option<Held>, death: &Death) -> Outcome {
        let acked = death.last(0);
        check(world, held, acked, acked + 1 + u64::from(death.successor))
    }
}

pub(crate) struct WritingAlone;

impl Scenario for WritingAlone {
    type Held = Held;
    type Victim = (Slot<Value>, Writer<Value>);

    fn name(&self) -> String {
        "write a slot as its exclusive writer".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Held> {
        hold(world)
    }

    fn enter(&self, world: &World) -> Outcome<(Slot<Value>, Writer<Value>)> {
        let slot = Slot::<Value>::open(&world.domain, NAME)?;
        let writer = slot.writer()?;
        Ok((slot, writer))
    }

    fn operate(&self, _: &World, (slot, mut writer): (Slot<Value>, Writer<Value>), acks: &mut Acks<'_>) -> Outcome {
        for version in 1..=5 {
            ensure!(writer.write(&value(version))? == version, "not version {version}");
            acks.ack(version)?;
        }
        drop((writer, slot));
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        let slot = Slot::<Value>::open(&world.domain, NAME)?;
        let next = slot.read_versioned()?.1 + 1;
        slot.writer()?.write(&value(next))?;
        Ok(())
    }

    fn verify(&self, world: &World, held: Option<Held>, death: &Death) -> Outcome {
        let acked = death.last(0);
        check(world, held, acked, acked + 1 + u64::from(death.successor))
    }
}

/// Taking the exclusive writer and giving it back, over and over.
pub(crate) struct TakingTurns;

impl Scenario for TakingTurns {
    type Held = Held;
    type Victim = Slot<Value>;

    fn name(&self) -> String {
        "take and give back an exclusive writer".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Held> {
        hold(world)
    }

    fn enter(&self, world: &World) -> Outcome<Slot<Value>> {
        Ok(Slot::open(&world.domain, NAME)?)
    }

    fn operate(&self, _: &World, slot: Slot<Value>, acks: &mut Acks<'_>) -> Outcome {
        for _ in 0..3 {
            let writer = slot.writer()?;
            acks.ack(0)?;
            ensure!(slot.try_write(&value(9)).is_err(), "two writers at once");
            drop(writer);
            acks.ack(0)?;
        }
        Ok(())
    }

    fn verify(&self, world: &World, held: Option<Held>, _: &Death) -> Outcome {
        check(world, held, 0, 0)
    }
}
