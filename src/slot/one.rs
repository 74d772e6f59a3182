//! A single slot: an array of one.

use std::fmt;
use std::time::Duration;

use super::error::{ReadError, WriteError};
use super::slots::Slots;
use super::writer::Writer;
use crate::Shared;
use crate::base::access::{Access, ReadOnly, ReadWrite};
use crate::segment::{Domain, Error, Options, Reason, Segment};

/// One value under one name; see [the module](super). In the layout it is [`Slots`] of length 1, and opens as such.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sharedware::{Domain, slot::Slot};
///
/// let domain = Domain::new("doc-one-slot")?;
/// let slot = Slot::create(&domain, "limits", [10_i32, 20])?;
/// let mut writer = slot.writer()?; // no one else writes now
/// let version = writer.write(&[11, 21])?;
/// assert_eq!(slot.read_versioned()?, ([11, 21], version));
/// assert_eq!(slot.wait_for_change(version, Duration::from_millis(1))?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Slot<T: Shared, A: Access = ReadWrite> {
    slots: Slots<T, A>,
}

impl<T: Shared> Slot<T> {
    /// Creates a slot that holds `initial`, with default [`Options`].
    ///
    /// # Errors
    ///
    /// As for [`Slots::create`].
    pub fn create(domain: &Domain, name: &str, initial: T) -> Result<Self, Error> {
        Self::create_with(domain, name, initial, &Options::new())
    }

    /// As [`create`](Self::create), with options.
    ///
    /// # Errors
    ///
    /// As for [`Slots::create`].
    pub fn create_with(domain: &Domain, name: &str, initial: T, options: &Options) -> Result<Self, Error> {
        Slots::create_with(domain, name, 1, initial, options).map(|slots| Self { slots })
    }

    /// Opens the slot of this name for reading and writing.
    ///
    /// # Errors
    ///
    /// As for [`Slots::open`], or there are several slots of this name.
    pub fn open(domain: &Domain, name: &str) -> Result<Self, Error> {
        Self::open_with(domain, name, &Options::new())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    ///
    /// As for [`Slots::open`].
    pub fn open_with(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        Self::one_of(Slots::open_with(domain, name, options)?)
    }

    /// Opens the slot of this name, or creates it holding `initial` if there is none.
    ///
    /// # Errors
    ///
    /// As for [`Slots::open_or_create`].
    pub fn open_or_create(domain: &Domain, name: &str, initial: T) -> Result<Self, Error> {
        Self::open_or_create_with(domain, name, initial, &Options::new())
    }

    /// As [`open_or_create`](Self::open_or_create), with options.
    ///
    /// # Errors
    ///
    /// As for [`Slots::open_or_create`].
    pub fn open_or_create_with(domain: &Domain, name: &str, initial: T, options: &Options) -> Result<Self, Error> {
        Self::one_of(Slots::open_or_create_with(domain, name, 1, initial, options)?)
    }

    /// Writes, taking turns with other writers; see [`Slots::write`].
    ///
    /// # Errors
    ///
    /// A live [`Writer`] owns the slot.
    pub fn write(&self, value: &T) -> Result<u64, WriteError> {
        self.slots.write(0, value)
    }

    /// Writes if no one else is writing; see [`Slots::try_write`].
    ///
    /// # Errors
    ///
    /// Busy, or a live [`Writer`] owns the slot.
    pub fn try_write(&self, value: &T) -> Result<u64, WriteError> {
        self.slots.try_write(0, value)
    }

    /// Writes if it becomes our turn within `timeout`; see [`Slots::write_timeout`].
    ///
    /// # Errors
    ///
    /// Busy all the time, or a live [`Writer`] owns the slot.
    pub fn write_timeout(&self, value: &T, timeout: Duration) -> Result<u64, WriteError> {
        self.slots.write_timeout(0, value, timeout)
    }

    /// Becomes the only one who writes; see [`Slots::writer`].
    ///
    /// # Errors
    ///
    /// Another writer owns the slot or is at it.
    pub fn writer(&self) -> Result<Writer<T>, WriteError> {
        self.slots.writer(0)
    }

    /// Waits for a version other than `since`; see [`Slots::wait_for_change`].
    ///
    /// # Errors
    ///
    /// None for a slot that is there.
    pub fn wait_for_change(&self, since: u64, timeout: Duration) -> Result<Option<u64>, ReadError> {
        self.slots.wait_for_change(0, since, timeout)
    }
}

impl<T: Shared> Slot<T, ReadOnly> {
    /// Opens the slot of this name for reading.
    ///
    /// # Errors
    ///
    /// As for [`Slots::open`].
    pub fn open_read_only(domain: &Domain, name: &str) -> Result<Self, Error> {
        Self::open_read_only_with(domain, name, &Options::new())
    }

    /// As [`open_read_only`](Self::open_read_only), with options.
    ///
    /// # Errors
    ///
    /// As for [`Slots::open`].
    pub fn open_read_only_with(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        Self::one_of(Slots::open_read_only_with(domain, name, options)?)
    }

    /// Waits for a version other than `since`; see [`Slots::wait_for_change`].
    ///
    /// # Errors
    ///
    /// None for a slot that is there.
    pub fn wait_for_change(&self, since: u64, timeout: Duration) -> Result<Option<u64>, ReadError> {
        self.slots.wait_for_change(0, since, timeout)
    }
}

impl<T: Shared, A: Access> Slot<T, A> {
    fn one_of(slots: Slots<T, A>) -> Result<Self, Error> {
        if slots.len() == 1 {
            return Ok(Self { slots });
        }
        let expected = "1 (open them as Slots)".to_owned();
        Err(slots.segment().error(Reason::Size { what: "a number of slots", expected, found: slots.len() as u64 }))
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment<A> {
        self.slots.segment()
    }

    /// Reads: a copy of the value that some write left, whole.
    ///
    /// # Errors
    ///
    /// Spoilt or overrun; see [`ReadError`].
    #[inline]
    pub fn read(&self) -> Result<T, ReadError> {
        self.slots.read(0)
    }

    /// As [`read`](Self::read), with the value's version: the number of writes before it.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    #[inline]
    pub fn read_versioned(&self) -> Result<(T, u64), ReadError> {
        self.slots.read_versioned(0)
    }

    /// How often it has been written.
    ///
    /// # Errors
    ///
    /// None for a slot that is there.
    #[inline]
    pub fn version(&self) -> Result<u64, ReadError> {
        self.slots.version(0)
    }
}

impl<T: Shared, A: Access> Clone for Slot<T, A> {
    fn clone(&self) -> Self {
        Self { slots: self.slots.clone() }
    }
}

impl<T: Shared, A: Access> fmt::Debug for Slot<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(self.segment()).finish()
    }
}
