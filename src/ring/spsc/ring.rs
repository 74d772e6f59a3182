//! The ring as a whole, before a side is taken.

use std::marker::PhantomData;

use super::consumer::Consumer;
use super::producer::Producer;
use crate::Shared;
use crate::peer::Member;
use crate::ring::control::{CONTROL_WORDS, Control};
use crate::ring::error::AttachError;
use crate::ring::side::{PeerState, Role, Side};
use crate::segment::cells::{Cells, LARGEST_ALIGNMENT, MOST_VALUES};
use crate::segment::create::{self, Blueprint};
use crate::segment::header::GEOMETRY_WORDS;
use crate::segment::open::Expected;
use crate::segment::region::Words;
use crate::segment::{Domain, Error, Kind, Options, Reason, Segment};

pub(super) const VERSION: u32 = 1;

/// A typed ring by name; see [the module](super). Dropping it takes nothing from sides that were taken through it.
#[derive(Debug)]
pub struct Ring<T: Shared> {
    segment: Segment,
    member: Member,
    capacity: u64,
    element: PhantomData<fn() -> T>,
}

impl<T: Shared> Ring<T> {
    /// Creates a ring for `capacity` values, with default [`Options`].
    ///
    /// # Errors
    ///
    /// The name is taken or cannot be one, the capacity cannot be, memory is full, or the system refuses; nothing is left behind.
    pub fn create(domain: &Domain, name: &str, capacity: u64) -> Result<Self, Error> {
        Self::create_with(domain, name, capacity, &Options::new())
    }

    /// As [`create`](Self::create), with options.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub fn create_with(domain: &Domain, name: &str, capacity: u64, options: &Options) -> Result<Self, Error> {
        let name = domain.check(name)?;
        let fail = |reason| Error::new(&domain.path(&name), reason);
        if align_of::<T>() > LARGEST_ALIGNMENT {
            let text = format!("aligned to {} bytes, at most {LARGEST_ALIGNMENT} are possible", align_of::<T>());
            return Err(fail(Reason::Element(text)));
        }
        let body = body_bytes::<T>(capacity).ok_or_else(|| {
            let expected = format!("from 1 to {MOST_VALUES} values that fit in memory");
            fail(Reason::Size { what: "a ring capacity", expected, found: capacity })
        })?;
        let member = Member::join(domain)?;
        let mut geometry = [0; GEOMETRY_WORDS];
        geometry[0] = capacity;
        geometry[1] = size_of::<T>() as u64;
        geometry[2] = align_of::<T>() as u64;
        let blueprint = Blueprint {
            kind: Kind::SPSC,
            kind_version: VERSION,
            geometry,
            schema: Some(T::schema()),
            body,
            committed: body,
        };
        // All zero is an empty ring: positions 0, and no mark is 0.
        let (segment, ()) = create::create(domain, &name, blueprint, options, false, |_: &Words| (), |_, _| Ok(()))?;
        Self::over(segment, member)
    }

    /// Opens the ring of this name.
    ///
    /// # Errors
    ///
    /// There is none, or what is there is something else, of another type, or not ours.
    pub fn open(domain: &Domain, name: &str) -> Result<Self, Error> {
        Self::open_with(domain, name, &Options::new())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_with(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        let expected = Expected { kind: Some((Kind::SPSC, VERSION)), schema: Some(&T::schema()) };
        let segment = Segment::attach(domain, name, options, expected)?;
        Self::over(segment, Member::join(domain)?)
    }

    /// Opens the ring of this name, or creates it if there is none. Of one found the capacity may be another.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(domain: &Domain, name: &str, capacity: u64) -> Result<Self, Error> {
        Self::open_or_create_with(domain, name, capacity, &Options::new())
    }

    /// As [`open_or_create`](Self::open_or_create), with options.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create_with(domain: &Domain, name: &str, capacity: u64, options: &Options) -> Result<Self, Error> {
        create::open_or_create(
            domain,
            &domain.check(name)?,
            || Self::open_with(domain, name, options),
            || Self::create_with(domain, name, capacity, options),
        )
    }

    fn over(segment: Segment, member: Member) -> Result<Self, Error> {
        let [capacity, size, align, ..] = *segment.geometry();
        let wrong = |what, expected: u64, found| {
            Err(segment.error(Reason::Field { what, expected: expected.to_string(), found }))
        };
        if size != size_of::<T>() as u64 {
            return wrong("size of the ring's values", size_of::<T>() as u64, size);
        }
        if align != align_of::<T>() as u64 {
            return wrong("alignment of the ring's values", align_of::<T>() as u64, align);
        }
        if body_bytes::<T>(capacity) != Some(segment.capacity()) || segment.committed()? != segment.capacity() {
            let expected = format!("one that fits {} bytes", segment.capacity());
            return Err(segment.error(Reason::Field { what: "ring capacity", expected, found: capacity }));
        }
        Ok(Self { segment, member, capacity, element: PhantomData })
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// How many values it holds at most.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Takes the producer's side, going on where the last producer's committed values end.
    ///
    /// # Errors
    ///
    /// A living process has it, the ring is spoilt, or the system refuses.
    pub fn producer(&self) -> Result<Producer<T>, AttachError> {
        let (side, control, cells) = self.take(Role::Producer)?;
        Producer::new(cells, control, side)
    }

    /// Takes the consumer's side, going on where the last consumer stopped.
    ///
    /// # Errors
    ///
    /// A living process has it, the ring is spoilt, or the system refuses.
    pub fn consumer(&self) -> Result<Consumer<T>, AttachError> {
        let (side, control, cells) = self.take(Role::Consumer)?;
        Consumer::new(cells, control, side)
    }

    /// The state of the producer's side, without taking one. Asks the kernel.
    ///
    /// # Errors
    ///
    /// It cannot be found out, or the ring is spoilt.
    pub fn producer_state(&self) -> Result<PeerState, AttachError> {
        self.state(Role::Producer)
    }

    /// The state of the consumer's side, without taking one. Asks the kernel.
    ///
    /// # Errors
    ///
    /// It cannot be found out, or the ring is spoilt.
    pub fn consumer_state(&self) -> Result<PeerState, AttachError> {
        self.state(Role::Consumer)
    }

    fn state(&self, role: Role) -> Result<PeerState, AttachError> {
        let sides = self.segment.body().array(0).ok_or(AttachError::Corrupt("it is shorter than its header says"))?;
        Ok(Side::state(&sides, role, &*self.member.peer()?)?)
    }

    fn take(&self, role: Role) -> Result<(Side, Control, Cells<T>), AttachError> {
        let body = self.segment.body();
        let short = AttachError::Corrupt("it is shorter than its header says");
        let parts = body.array(0).zip(body.array(0)).zip(cells_of(&body, self.capacity));
        let ((side, control), cells) = parts.ok_or(short)?;
        Ok((Side::take(side, role, self.member.peer()?)?, Control(control), cells))
    }

    /// A ring in private memory, to run the protocol without a segment.
    #[cfg(loom)]
    pub(super) fn model(capacity: u64) -> Self {
        let count = body_bytes::<T>(capacity).unwrap_or(0) / 8;
        let words = Words::on_heap((0..count).map(|_| crate::base::atomic::Word::new(0)).collect());
        Self { segment: Segment::model(words), member: Member::model(0), capacity, element: PhantomData }
    }

    /// The same ring as another peer has it.
    #[cfg(loom)]
    pub(super) fn model_as(&self, slot: u64) -> Self {
        let segment = Segment::model(self.segment.body());
        Self { segment, member: Member::model(slot), capacity: self.capacity, element: PhantomData }
    }
}

fn body_bytes<T: Shared>(capacity: u64) -> Option<u64> {
    let cells = Cells::<T>::LAYOUT.total_words(capacity)? as u64;
    cells.checked_add(CONTROL_WORDS as u64)?.checked_mul(8)
}

fn cells_of<T: Shared>(body: &Words, capacity: u64) -> Option<Cells<T>> {
    Cells::new(&body.slice(CONTROL_WORDS, body.len().checked_sub(CONTROL_WORDS)?)?, capacity)
}
