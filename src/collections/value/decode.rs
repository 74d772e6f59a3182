//! From a value to a Rust type.

use super::error::{DecodeError, Mismatch};
use super::tag::Tag;

/// Types that can be made of tagged bytes, in two steps, since the bytes come out of memory that others may be changing: first a
/// [`Place`] is made to which the reader copies them; then, when the reader knows that what it has copied is a value, the type is
/// made of it. [`decode`] does both where the bytes are one's own.
///
/// Numbers are checked for their range. An `f32` takes any `f64` in its range and rounds to the nearest; both take integers that they hold exactly,
/// and `bool` takes the integers 0 and 1: that is what they become as a [`Key`](super::Key). Nothing else is converted.
///
/// # Example
///
/// ```
/// use sharedware::collections::value::{Decode, Place, Tag};
///
/// let memory = 300i64.to_le_bytes(); // shared, imagine
/// let mut place = u8::place(Tag::Int, 8)?;
/// place.fill(&memory);
/// // It is still there, so what we have is no mixture.
/// let error = u8::decode(Tag::Int, place).unwrap_err();
/// assert_eq!(error.to_string(), "300 does not fit u8: 0 to 255");
/// # Ok::<(), sharedware::collections::value::Mismatch>(())
/// ```
pub trait Decode: Sized {
    /// Where the bytes are copied to.
    type Place: Place;

    /// A place for the payload of a value with this tag and of this many bytes.
    ///
    /// Both come from memory that others write. Types of variable size allocate as many bytes, so bound the length before.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] if that cannot be a value of this type.
    fn place(tag: Tag, length: usize) -> Result<Self::Place, Mismatch>;

    /// The value whose payload is in `place`, which was made for the same tag.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it is none of this type.
    fn decode(tag: Tag, place: Self::Place) -> Result<Self, DecodeError>;
}

/// Room in private memory for the payload of one value.
pub trait Place {
    /// The room, in two parts that lie one behind the other in the payload. The first one consists of whole words, so that both can be copied word
    /// by word. Together they have the length that the place was made for.
    fn parts(&mut self) -> (&mut [[u8; 8]], &mut [u8]);

    /// Copies a payload from private memory; as much as there is, and as there is room for.
    fn fill(&mut self, payload: &[u8]) {
        let (head, body) = self.parts();
        let head = head.as_flattened_mut();
        let (first, rest) = payload.split_at_checked(head.len()).unwrap_or((payload, &[]));
        copy(head, first);
        copy(body, rest);
    }
}

/// The value with the tag of this code and this payload, in private memory.
///
/// # Errors
///
/// [`DecodeError`] if it is not a value of type `T`.
///
/// # Example
///
/// ```
/// use sharedware::collections::value::{Tag, decode};
///
/// assert_eq!(decode::<Option<String>>(Tag::Str.code(), b"text")?, Some("text".to_owned()));
/// assert_eq!(decode::<Option<String>>(Tag::None.code(), b"")?, None);
/// # Ok::<(), sharedware::collections::value::DecodeError>(())
/// ```
pub fn decode<T: Decode>(code: u8, payload: &[u8]) -> Result<T, DecodeError> {
    let tag = Tag::try_from(code)?;
    let mut place = T::place(tag, payload.len())?;
    place.fill(payload);
    T::decode(tag, place)
}

/// A place for up to eight bytes.
#[derive(Debug, Clone, Copy)]
pub struct Short {
    bytes: [u8; 8],
    length: usize,
}

impl Short {
    #[inline(always)]
    pub(super) const fn new(length: usize) -> Self {
        Self { bytes: [0; 8], length }
    }

    #[inline(always)]
    pub(super) const fn bytes(self) -> [u8; 8] {
        self.bytes
    }
}

impl Place for Short {
    #[inline(always)]
    fn parts(&mut self) -> (&mut [[u8; 8]], &mut [u8]) {
        (&mut [], self.bytes.get_mut(..self.length).unwrap_or_default())
    }
}

impl Place for Vec<u8> {
    #[inline]
    fn parts(&mut self) -> (&mut [[u8; 8]], &mut [u8]) {
        (&mut [], self)
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    let length = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
        to.copy_from_slice(from);
    }
}

/// So many zeros, if there is memory.
pub(super) fn room(length: usize) -> Result<Vec<u8>, Mismatch> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| Mismatch::Memory { length })?;
    bytes.resize(length, 0);
    Ok(bytes)
}

/// That a payload has the length that its type has.
#[inline(always)]
pub(super) fn expect_length(tag: Tag, expected: usize, found: usize) -> Result<(), Mismatch> {
    if expected == found { Ok(()) } else { Err(Mismatch::Length { tag, expected, found }) }
}
