//! The ring as a whole, before a side is taken.

use super::consumer::Consumer;
use super::header::longest;
use super::producer::Producer;
use crate::base::access::Access;
use crate::peer::Member;
use crate::ring::control::{CONTROL_WORDS, Control};
use crate::ring::error::AttachError;
use crate::ring::side::{PeerState, Role, Side};
use crate::segment::buffer::Buffer;
use crate::segment::create::{self, Blueprint};
use crate::segment::header::GEOMETRY_WORDS;
use crate::segment::open::Expected;
use crate::segment::region::Words;
use crate::segment::{Domain, Error, Kind, Options, Reason, Segment};

pub(super) const VERSION: u32 = 1;
/// The smallest and the largest buffer.
const LEAST: u64 = 64;
const MOST: u64 = 1 << 46;
const SHORT: AttachError = AttachError::Corrupt("it is shorter than its header says");

/// A byte ring by name; see [the module](super). Dropping it takes nothing from sides that were taken through it.
#[derive(Debug)]
pub struct Ring {
    segment: Segment,
    member: Member,
    capacity: u64,
}

impl Ring {
    /// Creates a ring with a buffer of at least `capacity` bytes (rounded up to a power of two), with default [`Options`]. The longest
    /// record is half of it, less 16 bytes.
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
        let rounded = capacity.max(LEAST).checked_next_power_of_two();
        let rounded = rounded.filter(|&rounded| capacity > 0 && rounded <= MOST).ok_or_else(|| {
            let expected = format!("from 1 to {MOST} bytes");
            Error::new(&domain.path(&name), Reason::Size { what: "a ring capacity", expected, found: capacity })
        })?;
        let member = Member::join(domain)?;
        let mut geometry = [0; GEOMETRY_WORDS];
        geometry[0] = rounded;
        let body = CONTROL_WORDS as u64 * 8 + rounded;
        let blueprint =
            Blueprint { kind: Kind::BYTES, kind_version: VERSION, geometry, schema: None, body, committed: body };
        // All zero is an empty ring.
        let (segment, ()) = create::create(domain, &name, blueprint, options, false, |_: &Words| (), |_, _| Ok(()))?;
        Self::over(segment, member)
    }

    /// Opens the ring of this name.
    ///
    /// # Errors
    ///
    /// There is none, or what is there is something else, or not ours.
    pub fn open(domain: &Domain, name: &str) -> Result<Self, Error> {
        Self::open_with(domain, name, &Options::new())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_with(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        let expected = Expected { kind: Some((Kind::BYTES, VERSION)), schema: None };
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
        let capacity = check_geometry(&segment)?;
        Ok(Self { segment, member, capacity })
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// How many bytes its buffer has.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The longest record that it takes, in bytes.
    pub fn longest(&self) -> usize {
        longest(self.capacity) as usize
    }

    /// Takes the producer's side, going on where the last producer's committed records end.
    ///
    /// # Errors
    ///
    /// A living process has it, the ring is spoilt, or the system refuses.
    pub fn producer(&self) -> Result<Producer, AttachError> {
        let (side, control, buffer) = self.take(Role::Producer)?;
        Producer::new(buffer, control, side)
    }

    /// Takes the consumer's side, going on where the last consumer stopped.
    ///
    /// # Errors
    ///
    /// A living process has it, the ring is spoilt, or the system refuses.
    pub fn consumer(&self) -> Result<Consumer, AttachError> {
        let (side, control, buffer) = self.take(Role::Consumer)?;
        Consumer::new(buffer, control, side)
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
        let sides = self.segment.body().array(0).ok_or(SHORT)?;
        Ok(Side::state(&sides, role, &*self.member.peer()?)?)
    }

    fn take(&self, role: Role) -> Result<(Side, Control, Buffer), AttachError> {
        let body = self.segment.body();
        let parts = body.array(0).zip(body.array(0)).zip(buffer_of(&body, self.capacity));
        let ((side, control), buffer) = parts.ok_or(SHORT)?;
        Ok((Side::take(side, role, self.member.peer()?)?, Control(control), buffer))
    }

    /// A ring in private memory, to run the protocol without a segment.
    #[cfg(loom)]
    pub(super) fn model(capacity: u64) -> Self {
        let count = CONTROL_WORDS as u64 + capacity / 8;
        let words = Words::on_heap((0..count).map(|_| crate::base::atomic::Word::new(0)).collect());
        Self { segment: Segment::model(words), member: Member::model(0), capacity }
    }

    /// The same ring as another peer has it.
    #[cfg(loom)]
    pub(super) fn model_as(&self, slot: u64) -> Self {
        Self { segment: Segment::model(self.segment.body()), member: Member::model(slot), capacity: self.capacity }
    }
}

/// The capacity of the buffer, checked against everything else the header says.
pub(super) fn check_geometry<A: Access>(segment: &Segment<A>) -> Result<u64, Error> {
    let [capacity, ..] = *segment.geometry();
    let fits = capacity.is_power_of_two() && (LEAST..=MOST).contains(&capacity);
    if !fits || segment.capacity() != CONTROL_WORDS as u64 * 8 + capacity || segment.committed()? != segment.capacity()
    {
        let expected = segment.capacity().saturating_sub(CONTROL_WORDS as u64 * 8).to_string();
        return Err(segment.error(Reason::Field { what: "ring capacity", expected, found: capacity }));
    }
    Ok(capacity)
}

pub(super) fn buffer_of<A: Access>(body: &Words<A>, capacity: u64) -> Option<Buffer<A>> {
    Buffer::new(&body.slice(CONTROL_WORDS, body.len().checked_sub(CONTROL_WORDS)?)?, capacity)
}
