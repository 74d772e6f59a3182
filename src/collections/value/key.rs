//! Keys: values in the one form that all equal ones share.

use super::dynamic::Value;
use super::encode::{Encode, Encoded};
use super::error::KeyError;
use super::hash;
use super::number::Number;
use super::tag::Tag;
use crate::segment::schema::Shared;

/// Types that can be keys. Two keys are the same if tag and bytes of their canonical form are.
///
/// - Numbers that are equal are the same key, as in Python: `1`, `1.0` and `true` are the integer 1, `-0.0` is the integer 0.
///   A float is an integer as a key if it is whole and an integer of 64 bits can hold it. All NaNs are one key.
/// - A string and the same bytes are different keys.
/// - All else is compared byte by byte: plain old data with its fingerprint, so that types of different layout are never equal;
///   nested data ([`Packed`](Tag::Packed), such as Python's tuples) in its MessagePack, which must therefore be made in one way: the
///   shortest form of each number and length, as the libraries make it. Numbers within are *not* the same for being equal.
/// - Arrays, pickled objects and what is private to Rust cannot be keys.
///
/// # Example
///
/// ```
/// use sharedware::collections::value::{Key, Tag, Value};
///
/// assert_eq!(2.0.key(|key| (key.tag(), key.encoded().to_vec()))?, (Tag::Int, 2i64.to_le_bytes().to_vec()));
/// assert_eq!(2.0.key(|key| key.hash())?, 2u8.key(|key| key.hash())?);
///
/// let error = Value::Pickle(vec![]).key(|_| ()).unwrap_err();
/// assert_eq!(error.to_string(), "a pickled Python object cannot be a key");
/// # Ok::<(), sharedware::collections::value::KeyError>(())
/// ```
pub trait Key: Encode {
    /// Calls `act` with the canonical form, and returns what it returns.
    ///
    /// # Errors
    ///
    /// [`KeyError`], without having called `act`.
    #[inline(always)]
    fn key<R>(&self, act: impl FnOnce(KeyBytes<'_>) -> R) -> Result<R, KeyError> {
        self.encode(|value| canonical(value, act))?
    }
}

/// A key in its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyBytes<'a> {
    encoded: Encoded<'a>,
}

impl<'a> KeyBytes<'a> {
    /// What kind of value it is.
    #[must_use]
    #[inline(always)]
    pub const fn tag(&self) -> Tag {
        self.encoded.tag()
    }

    /// The value to store.
    #[must_use]
    #[inline(always)]
    pub const fn encoded(&self) -> Encoded<'a> {
        self.encoded
    }

    /// [`hash_key`](super::hash_key) of its tag and bytes.
    #[must_use]
    #[inline(always)]
    pub fn hash(&self) -> u64 {
        hash::hash(self.encoded)
    }
}

#[inline(always)]
fn canonical<R>(value: Encoded<'_>, act: impl FnOnce(KeyBytes<'_>) -> R) -> Result<R, KeyError> {
    let number = match value.tag() {
        Tag::Float => match value.body().first_chunk() {
            Some(bytes) => Number::Float(f64::from_le_bytes(*bytes)).canonical(),
            None => return Ok(act(KeyBytes { encoded: value })),
        },
        Tag::Bool => Number::Int(value.body().first().copied().unwrap_or(0).into()),
        tag @ (Tag::Array | Tag::Pickle | Tag::Rust) => return Err(KeyError::NotAKey { tag }),
        Tag::None | Tag::Int | Tag::UInt | Tag::Str | Tag::Bytes | Tag::Plain | Tag::Packed => {
            return Ok(act(KeyBytes { encoded: value }));
        }
    };
    Ok(number.encode(|encoded| act(KeyBytes { encoded })))
}

impl<T: Shared> Key for T {}
impl<T: Key> Key for Option<T> {}
impl Key for () {}
impl Key for bool {}
impl Key for str {}
impl Key for &str {}
impl Key for String {}
impl Key for Box<str> {}
impl Key for [u8] {}
impl Key for &[u8] {}
impl Key for Vec<u8> {}
impl Key for Value {}
#[cfg(feature = "serde")]
impl<T: serde::Serialize> Key for super::packed::Packed<T> {}
