//! An array of slots.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::cell::{self, Cell};
use super::error::{ReadError, WriteError};
use super::turn::{Turn, Wait};
use super::writer::Writer;
use crate::Shared;
use crate::base::access::{Access, ReadOnly, ReadWrite};
use crate::base::copy;
use crate::peer::Member;
use crate::segment::create::{self, Blueprint};
use crate::segment::header::GEOMETRY_WORDS;
use crate::segment::open::Expected;
use crate::segment::region::Words;
use crate::segment::schema::Schema;
use crate::segment::{Domain, Error, Kind, Options, Reason, Segment};
use crate::sync::bell::Deadline;
use crate::sys::barrier::Light;

pub(super) const VERSION: u32 = 1;

/// An array of values under one name, each read and written on its own; see [the module](super).
///
/// Cheap to clone: clones share the mapping. `Slots<T, ReadOnly>` is really mapped for reading only.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, slot::Slots};
///
/// let domain = Domain::new("doc-slots")?;
/// let prices = Slots::create(&domain, "prices", 3, [0_u64; 2])?;
/// prices.write(1, &[7, 8])?;
/// assert_eq!(prices.read(1)?, [7, 8]);
/// assert_eq!(prices.read(2)?, [0, 0]);
/// assert!(prices.read(3).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Slots<T: Shared, A: Access = ReadWrite> {
    shared: Arc<Common<A>>,
    words: Words<A>,
    pub(super) length: usize,
    light: Light,
    element: PhantomData<fn() -> T>,
}

#[derive(Debug)]
struct Common<A: Access> {
    segment: Segment<A>,
    /// `None` for who only reads: readers need not exist for anyone.
    member: Option<Member>,
}

impl<T: Shared> Slots<T> {
    /// Creates `length` slots, each holding `initial`, with default [`Options`].
    ///
    /// # Errors
    ///
    /// The name is taken or cannot be one, the size cannot be, memory is full, or the system refuses; nothing is left behind.
    pub fn create(domain: &Domain, name: &str, length: usize, initial: T) -> Result<Self, Error> {
        Self::create_with(domain, name, length, initial, &Options::new())
    }

    /// As [`create`](Self::create), with options.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub fn create_with(
        domain: &Domain,
        name: &str,
        length: usize,
        initial: T,
        options: &Options,
    ) -> Result<Self, Error> {
        let name = domain.check(name)?;
        let fail = |reason| Error::new(&domain.path(&name), reason);
        let slot_bytes = cell::slot_words(size_of::<T>()) as u64 * 8;
        let body = slot_bytes.checked_mul(length as u64).filter(|_| length > 0).ok_or_else(|| {
            let expected = format!("from 1 to {}", isize::MAX as u64 / slot_bytes);
            fail(Reason::Size { what: "a number of slots", expected, found: length as u64 })
        })?;
        let member = Member::join(domain)?;
        let mut geometry = [0; GEOMETRY_WORDS];
        geometry[0] = length as u64;
        geometry[1] = size_of::<T>() as u64;
        geometry[2] = cell::COPIES;
        let blueprint = Blueprint {
            kind: Kind::SLOTS,
            kind_version: VERSION,
            geometry,
            schema: Some(T::schema()),
            body,
            committed: body,
        };
        let init = |words: &Words| {
            for index in 0..length {
                if let Some(cell) = Cell::at(words, index, size_of::<T>()) {
                    cell.initialise(bytemuck::bytes_of(&initial));
                }
            }
        };
        let (segment, ()) = create::create(domain, &name, blueprint, options, false, init, |_, _| Ok(()))?;
        Self::over(segment, Some(member))
    }

    /// Opens the slots of this name for reading and writing.
    ///
    /// # Errors
    ///
    /// There are none, or what is there is something else, of another type, or not ours.
    pub fn open(domain: &Domain, name: &str) -> Result<Self, Error> {
        Self::open_with(domain, name, &Options::new())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_with(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        let segment = attach(domain, name, options, &T::schema())?;
        Self::over(segment, Some(Member::join(domain)?))
    }

    /// Opens the slots of this name, or creates them if there are none. Of those found the length may be another.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(domain: &Domain, name: &str, length: usize, initial: T) -> Result<Self, Error> {
        Self::open_or_create_with(domain, name, length, initial, &Options::new())
    }

    /// As [`open_or_create`](Self::open_or_create), with options.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create_with(
        domain: &Domain,
        name: &str,
        length: usize,
        initial: T,
        options: &Options,
    ) -> Result<Self, Error> {
        create::open_or_create(
            domain,
            &domain.check(name)?,
            || Self::open_with(domain, name, options),
            || Self::create_with(domain, name, length, initial, options),
        )
    }

    /// Writes slot `index`, taking turns with other writers, and returns the value's version. Readers see the old value or the new one.
    ///
    /// Acknowledged once it returns: the value stays when this process dies.
    ///
    /// # Errors
    ///
    /// No such slot, or a live [`Writer`] owns it.
    pub fn write(&self, index: usize, value: &T) -> Result<u64, WriteError> {
        self.write_waiting(index, value, Wait::Until(Deadline::NEVER))
    }

    /// As [`write`](Self::write), but fails with [`WriteError::Busy`] if another process or thread is writing.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), or busy.
    pub fn try_write(&self, index: usize, value: &T) -> Result<u64, WriteError> {
        self.write_waiting(index, value, Wait::Not)
    }

    /// As [`write`](Self::write), but fails with [`WriteError::Busy`] if it was not our turn for all of `timeout` (the other writer is stopped, say).
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), or busy.
    pub fn write_timeout(&self, index: usize, value: &T, timeout: Duration) -> Result<u64, WriteError> {
        self.write_waiting(index, value, Wait::Until(Deadline::after(timeout)))
    }

    fn write_waiting(&self, index: usize, value: &T, wait: Wait) -> Result<u64, WriteError> {
        let (cell, turn) = self.cell_and_turn(index)?;
        self.member()?.with(|peer| {
            let mine = turn.take(peer, false, wait)?;
            let version = cell.write(bytemuck::bytes_of(value), self.light);
            turn.give_back(mine, self.light);
            Ok(version)
        })?
    }

    /// Makes this process, or rather the [`Writer`] returned, the only one that writes slot `index`, until it is dropped or the process dies.
    ///
    /// # Errors
    ///
    /// No such slot, or another writer owns it or is at it.
    pub fn writer(&self, index: usize) -> Result<Writer<T>, WriteError> {
        let (_, turn) = self.cell_and_turn(index)?;
        let peer = self.member()?.peer()?;
        // A write in progress by others takes nanoseconds; an exclusive writer is reported at once.
        let mine = turn.take(&peer, true, Wait::Until(Deadline::after(Duration::from_millis(100))))?;
        Ok(Writer::new(self.clone(), index, mine, peer))
    }

    pub(super) fn cell_and_turn(&self, index: usize) -> Result<(Cell<'_, ReadWrite>, Turn<'_>), WriteError> {
        let cell = self.cell(index);
        let both = cell.and_then(|cell| Turn::of(&cell).map(|turn| (cell, turn)));
        both.ok_or(WriteError::OutOfRange { index, length: self.length })
    }

    fn member(&self) -> Result<&Member, WriteError> {
        // There for every handle that may write.
        self.shared.member.as_ref().ok_or(WriteError::Forked)
    }

    pub(super) fn light(&self) -> Light {
        self.light
    }

    /// Slots in private memory, to run the protocol without a segment.
    #[cfg(loom)]
    pub(super) fn model(initial: T) -> Self {
        let count = cell::slot_words(size_of::<T>());
        let words = Words::on_heap((0..count).map(|_| crate::base::atomic::Word::new(0)).collect());
        if let Some(cell) = Cell::at(&words, 0, size_of::<T>()) {
            cell.initialise(bytemuck::bytes_of(&initial));
        }
        let segment = Segment::model(words.clone());
        let shared = Arc::new(Common { segment, member: Some(Member::model(0)) });
        Self { shared, words, length: 1, light: Light::register(), element: PhantomData }
    }

    /// The same slot as another peer has it.
    #[cfg(loom)]
    pub(super) fn model_as(&self, slot: u64) -> Self {
        let segment = Segment::model(self.words.clone());
        let shared = Arc::new(Common { segment, member: Some(Member::model(slot)) });
        Self { shared, ..self.clone() }
    }
}

impl<T: Shared> Slots<T, ReadOnly> {
    /// Opens the slots of this name for reading; needs no write permission, and no other process can tell.
    ///
    /// # Errors
    ///
    /// As for [`open`](Slots::open).
    pub fn open_read_only(domain: &Domain, name: &str) -> Result<Self, Error> {
        Self::open_read_only_with(domain, name, &Options::new())
    }

    /// As [`open_read_only`](Self::open_read_only), with options.
    ///
    /// # Errors
    ///
    /// As for [`open`](Slots::open).
    pub fn open_read_only_with(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        Self::over(attach(domain, name, options, &T::schema())?, None)
    }
}

fn attach<A: Access>(domain: &Domain, name: &str, options: &Options, schema: &Schema) -> Result<Segment<A>, Error> {
    Segment::attach(domain, name, options, Expected { kind: Some((Kind::SLOTS, VERSION)), schema: Some(schema) })
}

/// The number of slots, checked against everything else the header says.
pub(super) fn check_geometry<A: Access>(segment: &Segment<A>, size: usize) -> Result<usize, Error> {
    let [length, element, copies, ..] = *segment.geometry();
    let wrong =
        |what, expected: u64, found| Err(segment.error(Reason::Field { what, expected: expected.to_string(), found }));
    if element != size as u64 {
        return wrong("size of a slot's value", size as u64, element);
    }
    if copies != cell::COPIES {
        return wrong("number of copies of a slot", cell::COPIES, copies);
    }
    let fit = segment.capacity() / (cell::slot_words(size) as u64 * 8);
    if length != fit || segment.committed()? != segment.capacity() {
        return wrong("number of slots", fit, length);
    }
    usize::try_from(length).or_else(|_| wrong("number of slots", fit, length))
}

impl<T: Shared, A: Access> Slots<T, A> {
    fn over(segment: Segment<A>, member: Option<Member>) -> Result<Self, Error> {
        let length = check_geometry(&segment, size_of::<T>())?;
        let words = segment.body();
        let shared = Arc::new(Common { segment, member });
        Ok(Self { shared, words, length, light: Light::register(), element: PhantomData })
    }

    #[inline(always)]
    pub(super) fn cell(&self, index: usize) -> Option<Cell<'_, A>> {
        Cell::at(&self.words, index, size_of::<T>())
    }

    /// How many slots there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "there is no empty array of slots")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// The segment they live in.
    pub fn segment(&self) -> &Segment<A> {
        &self.shared.segment
    }

    /// Reads slot `index`: a copy of the value that some write left, whole. Makes no store and no system call.
    ///
    /// # Errors
    ///
    /// No such slot, spoilt, or overrun; see [`ReadError`].
    #[inline]
    pub fn read(&self, index: usize) -> Result<T, ReadError> {
        self.read_versioned(index).map(|(value, _)| value)
    }

    /// As [`read`](Self::read), with the value's version: the number of writes before it.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    #[inline]
    pub fn read_versioned(&self, index: usize) -> Result<(T, u64), ReadError> {
        let missing = ReadError::OutOfRange { index, length: self.length };
        self.cell(index).ok_or(missing)?.read(index, copy::load)
    }

    /// How often slot `index` has been written.
    ///
    /// # Errors
    ///
    /// No such slot.
    #[inline]
    pub fn version(&self, index: usize) -> Result<u64, ReadError> {
        let missing = ReadError::OutOfRange { index, length: self.length };
        self.cell(index).map(|cell| cell.version()).ok_or(missing)
    }
}

impl<T: Shared, A: Access> Clone for Slots<T, A> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            words: self.words.clone(),
            length: self.length,
            light: self.light,
            element: PhantomData,
        }
    }
}

impl<T: Shared, A: Access> fmt::Debug for Slots<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("segment", self.segment()).field("length", &self.length).finish_non_exhaustive()
    }
}
