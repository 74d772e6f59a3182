//! Segments: created, opened, grown, removed, swept, let go of.

use std::any::Any;

use sharedware::ring::spsc::Ring;
use sharedware::segment::Fate;
use sharedware::slot::Slot;
use sharedware::{Error, Options, Segment};

use crate::ensure;
use crate::process::{Child, Outcome, exit_now, without_tmpfile};
use crate::stores::{Acks, Death, Scenario, Witness, World};

const NAME: &str = "it";
const SIZE: u64 = 4096;
const CONTENT: &[u8] = b"what is in the segment, more than a word of it";

/// Creating, by any structure.
pub(crate) struct Creating {
    pub(crate) what: &'static str,
    /// As on a file system without `O_TMPFILE`: by way of a temporary.
    pub(crate) fallback: bool,
    pub(crate) create: fn(&World) -> Result<Box<dyn Any>, Error>,
    /// Opens it and finds it whole.
    pub(crate) open: fn(&World) -> Result<Box<dyn Any>, Error>,
}

pub(crate) fn creating(fallback: bool) -> Creating {
    Creating {
        what: "a segment",
        fallback,
        create: |world| Ok(Box::new(Segment::create(&world.domain, NAME, SIZE, &world.options())?)),
        open: |world| Ok(Box::new(Segment::open(&world.domain, NAME, &Options::new())?)),
    }
}

pub(crate) fn creating_slot() -> Creating {
    Creating {
        what: "a slot",
        fallback: false,
        create: |world| Ok(Box::new(Slot::create_with(&world.domain, NAME, [7_u64; 4], &world.options())?)),
        open: |world| {
            let slot = Slot::<[u64; 4]>::open(&world.domain, NAME)?;
            assert_eq!(slot.read_versioned(), Ok(([7; 4], 0)));
            Ok(Box::new(slot))
        },
    }
}

pub(crate) fn creating_ring() -> Creating {
    Creating {
        what: "a typed ring",
        fallback: true,
        create: |world| Ok(Box::new(Ring::<u64>::create_with(&world.domain, NAME, 8, &world.options())?)),
        open: |world| {
            let ring = Ring::<u64>::open(&world.domain, NAME)?;
            assert_eq!(ring.capacity(), 8);
            Ok(Box::new(ring))
        },
    }
}

impl Scenario for Creating {
    type Held = ();
    type Victim = ();

    fn name(&self) -> String {
        format!("create {}{}", self.what, if self.fallback { " (without O_TMPFILE)" } else { "" })
    }

    fn prepare(&self, _: &World) -> Outcome {
        Ok(())
    }

    fn enter(&self, _: &World) -> Outcome {
        Ok(if self.fallback {
            without_tmpfile()?
        })
    }

    fn operate(&self, world: &World, (): (), acks: &mut Acks<'_>) -> Outcome {
        let made = (self.create)(world)?;
        acks.ack(1)?;
        drop(made);
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        match (self.create)(world) {
            Err(error) if !error.is_already_exists() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn verify(&self, world: &World, _: Option<()>, death: &Death) -> Outcome {
        let found = match (self.open)(world) {
            Ok(found) => Some(found),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        match world.witness {
            Witness::Before => ensure!(found.is_none(), "it outlives its last user"),
            Witness::After => ensure!(found.is_some() || death.acked.is_empty(), "it was created, and is not there"),
        }
        let mine = match found {
            Some(found) => found,
            None => (self.create)(world)?,
        };
        world.recovered();
        let other = (self.open)(world)?;
        ensure!((self.create)(world).is_err_and(|error| error.is_already_exists()), "created twice");
        drop((mine, other));
        let there = world.domain.path_of(NAME)?.exists();
        ensure!(there == (world.witness == Witness::After), "there after its last user has gone: {there}");
        Ok(())
    }
}

fn make(world: &World) -> Outcome<Segment> {
    let segment = Segment::create_growing(&world.domain, NAME, SIZE, 1 << 20, &world.options())?;
    segment.write(0, CONTENT)?;
    Ok(segment)
}

fn open(world: &World) -> Result<Segment, Error> {
    Segment::open(&world.domain, NAME, &Options::new())
}

fn content_is_there(segment: &Segment) -> Outcome {
    let mut found = [0; CONTENT.len()];
    segment.read(0, &mut found)?;
    ensure!(found == CONTENT, "its content is {found:?}");
    Ok(())
}

/// Makes segments that nobody uses although they live while used: their creator ended without letting go.
fn abandon(world: &World, names: &[&str]) -> Outcome {
    Child::fork(|_| {
        let make = |name: &&str| Segment::create(&world.domain, name, SIZE, &Options::new());
        let _kept = names.iter().map(make).collect::<Result<Vec<_>, _>>()?;
        exit_now(0)
    })?
    .join(std::time::Duration::from_secs(10))
}

pub(crate) struct Opening;

impl Scenario for Opening {
    type Held = Segment;
    type Victim = ();

    fn name(&self) -> String {
        "open a segment".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Segment> {
        make(world)
    }

    fn enter(&self, _: &World) -> Outcome {
        Ok(())
    }

    fn operate(&self, world: &World, (): (), acks: &mut Acks<'_>) -> Outcome {
        content_is_there(&open(world)?)?;
        acks.ack(1)
    }

    fn verify(&self, world: &World, held: Option<Segment>, _: &Death) -> Outcome {
        let again = open(world)?;
        world.recovered();
        content_is_there(&again)?;
        content_is_there(held.as_ref().unwrap_or(&again))
    }
}

/// Opening what a crash left of a segment that lived while used: there is none, and the name is free.
pub(crate) struct OpeningLeftover;

impl Scenario for OpeningLeftover {
    type Held = ();
    type Victim = ();

    fn name(&self) -> String {
        "open what a crash left".into()
    }

    fn prepare(&self, world: &World) -> Outcome {
        abandon(world, &[NAME])
    }

    fn enter(&self, _: &World) -> Outcome {
        Ok(())
    }

    fn operate(&self, world: &World, (): (), acks: &mut Acks<'_>) -> Outcome {
        ensure!(open(world).is_err_and(|error| error.is_not_found()), "it could be opened");
        acks.ack(1)
    }

    fn verify(&self, world: &World, _: Option<()>, death: &Death) -> Outcome {
        let there = world.domain.path_of(NAME)?.exists();
        ensure!(!there || death.acked.is_empty(), "its name is still there");
        let fresh = Segment::open_or_create(&world.domain, NAME, SIZE, &world.options())?;
        world.recovered();
        let mut found = [1; 8];
        fresh.read(0, &mut found)?;
        ensure!(found == [0; 8], "not a new one");
        Ok(())
    }
}

pub(crate) struct Growing;

impl Scenario for Growing {
    type Held = Segment;
    type Victim = Segment;

    fn name(&self) -> String {
        "grow a segment, twice".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Segment> {
        make(world)
    }

    fn enter(&self, world: &World) -> Outcome<Segment> {
        Ok(open(world)?)
    }

    fn operate(&self, _: &World, segment: Segment, acks: &mut Acks<'_>) -> Outcome {
        for length in [40_000, 90_000] {
            segment.grow(length)?;
            acks.ack(length)?;
        }
        Ok(())
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        Ok(open(world)?.grow(100_000)?)
    }

    fn verify(&self, world: &World, held: Option<Segment>, death: &Death) -> Outcome {
        let segment = match held {
            Some(held) => held,
            None => open(world)?,
        };
        let committed = segment.committed()?;
        let most = if death.successor { 110_000 } else { 100_000 };
        ensure!((death.last(SIZE)..=most).contains(&committed), "{committed} bytes are committed");
        segment.grow(200_000)?;
        world.recovered();
        segment.write(199_992, &[1; 8])?;
        content_is_there(&segment)
    }
}

pub(crate) struct Removing;

impl Scenario for Removing {
    type Held = Segment;
    type Victim = ();

    fn name(&self) -> String {
        "remove a segment".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Segment> {
        make(world)
    }

    fn enter(&self, _: &World) -> Outcome {
        Ok(())
    }

    fn operate(&self, world: &World, (): (), acks: &mut Acks<'_>) -> Outcome {
        world.domain.remove(NAME)?;
        acks.ack(1)
    }

    fn verify(&self, world: &World, held: Option<Segment>, death: &Death) -> Outcome {
        match open(world) {
            Ok(found) => {
                ensure!(death.acked.is_empty(), "it was removed, and is there");
                content_is_there(&found)?;
                world.domain.remove(NAME)?;
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        let fresh = make(world)?;
        world.recovered();
        if let Some(held) = held {
            content_is_there(&held)?;
            ensure!(held.identity() != fresh.identity(), "the new one is the old one");
            drop(held);
            content_is_there(&open(world)?)?;
        }
        Ok(())
    }
}

/// A sweep over what crashes left, what is in use, and what stays.
pub(crate) struct Cleaning;

const ABANDONED: [&str; 3] = ["left-1", "left-2", "left-3"];

impl Scenario for Cleaning {
    type Held = Segment;
    type Victim = ();

    fn name(&self) -> String {
        "clean a domain".into()
    }

    fn prepare(&self, world: &World) -> Outcome<Segment> {
        let stays = Options::new().lifetime(sharedware::Lifetime::UntilRemoved);
        Segment::create(&world.domain, "stays", SIZE, &stays)?.write(0, CONTENT)?;
        let held = make(world)?;
        abandon(world, &ABANDONED)?;
        let temporary =
            world.domain.path_of("x")?.with_file_name(format!("sharedware.{}.@tmp-{:032x}", world.domain.name(), 7));
        std::fs::write(temporary, CONTENT)?;
        Ok(held)
    }

    fn enter(&self, _: &World) -> Outcome {
        Ok(())
    }

    fn operate(&self, world: &World, (): (), acks: &mut Acks<'_>) -> Outcome {
        world.domain.clean()?;
        acks.ack(1)
    }

    fn recovers(&self) -> bool {
        true
    }

    fn recover(&self, world: &World) -> Outcome {
        world.domain.clean()?;
        Ok(())
    }

    fn verify(&self, world: &World, held: Option<Segment>, death: &Death) -> Outcome {
        let report = world.domain.clean()?;
        world.recovered();
        ensure!(death.acked.is_empty() || report.removed().count() == 0, "the sweep was not finished: {report:?}");
        let fate = |name: &str| report.objects.iter().find(|object| object.name == name).map(|object| &object.fate);
        ensure!(fate("stays") == Some(&Fate::Persistent), "what stays: {:?}", fate("stays"));
        let ours = if held.is_some() { Fate::InUse } else { Fate::Persistent };
        ensure!(fate(NAME) == Some(&ours), "what is used: {:?}", fate(NAME));
        for name in ABANDONED {
            ensure!(!world.domain.path_of(name)?.exists(), "{name} is there");
        }
        content_is_there(&Segment::open(&world.domain, "stays", &Options::new())?)?;
        content_is_there(&open(world)?)
    }
}

/// The last user lets go of a segment that lives while used.
pub(crate) struct LettingGo;

impl Scenario for LettingGo {
    type Held = ();
    type Victim = Segment;

    fn name(&self) -> String {
        "drop the last handle".into()
    }

    fn prepare(&self, _: &World) -> Outcome {
        Ok(())
    }

    fn enter(&self, world: &World) -> Outcome<Segment> {
        Ok(Segment::create(&world.domain, NAME, SIZE, &Options::new())?)
    }

    fn operate(&self, _: &World, segment: Segment, acks: &mut Acks<'_>) -> Outcome {
        drop(segment);
        acks.ack(1)
    }

    fn verify(&self, world: &World, _: Option<()>, death: &Death) -> Outcome {
        ensure!(death.acked.is_empty() || !world.domain.path_of(NAME)?.exists(), "its name is still there");
        ensure!(open(world).is_err_and(|error| error.is_not_found()), "it could be opened");
        drop(make(world)?);
        world.recovered();
        Ok(())
    }
}
