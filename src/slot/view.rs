//! Slots of whatever type, as bytes: for tools that print them by their schema.

use super::cell::{self, Cell};
use super::error::ReadError;
use super::slots::{self, VERSION};
use crate::base::access::ReadOnly;
use crate::segment::open::Expected;
use crate::segment::region::Words;
use crate::segment::schema::Schema;
use crate::segment::{Domain, Error, Kind, Options, Segment};

/// Slots whose type is known only from their segment; mapped for reading.
#[derive(Debug)]
pub struct View {
    schema: Schema,
    words: Words<ReadOnly>,
    length: usize,
}

impl View {
    /// Opens the slots of this name.
    ///
    /// # Errors
    ///
    /// There are none, or what is there is something else or not ours.
    pub fn open(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        let expected = Expected { kind: Some((Kind::SLOTS, VERSION)), schema: None };
        let segment = Segment::<ReadOnly>::attach(domain, name, options, expected)?;
        let schema = segment.element()?.clone();
        let length = slots::check_geometry(&segment, schema.size())?;
        Ok(Self { schema, words: segment.body(), length })
    }

    /// The type of the values.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How many slots there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "there is no empty array of slots")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// The bytes of slot `index`'s value, and its version.
    ///
    /// # Errors
    ///
    /// As for [`Slots::read`](super::Slots::read).
    pub fn read(&self, index: usize) -> Result<(Vec<u8>, u64), ReadError> {
        let size = self.schema.size();
        let missing = ReadError::OutOfRange { index, length: self.length };
        let cell = Cell::at(&self.words, index, size).filter(|_| index < self.length).ok_or(missing)?;
        let mut bytes = vec![0; size.min(cell::slot_words(size) * 8)];
        let version = cell.read(index, &mut bytes)?;
        Ok((bytes, version))
    }
}
