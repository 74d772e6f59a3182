//! From a Rust type to a value.

use super::error::EncodeError;
use super::tag::Tag;

/// A value ready to be stored: a tag, and the payload in two parts, which are stored one behind the other.
///
/// The head consists of whole words, so that both parts can be copied into shared memory word by word. Only plain old data and
/// arrays have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'a> {
    tag: Tag,
    head: &'a [[u8; 8]],
    body: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// A value whose payload is `body`.
    #[must_use]
    #[inline(always)]
    pub const fn new(tag: Tag, body: &'a [u8]) -> Self {
        Self { tag, head: &[], body }
    }

    /// A value whose payload is `head` and, right behind it, `body`.
    #[must_use]
    #[inline(always)]
    pub const fn with_head(tag: Tag, head: &'a [[u8; 8]], body: &'a [u8]) -> Self {
        Self { tag, head, body }
    }

    /// What kind of value it is.
    #[must_use]
    #[inline(always)]
    pub const fn tag(&self) -> Tag {
        self.tag
    }

    /// The first part of the payload; mostly empty.
    #[must_use]
    #[inline(always)]
    pub const fn head(&self) -> &'a [[u8; 8]] {
        self.head
    }

    /// The rest of the payload.
    #[must_use]
    #[inline(always)]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// How many bytes the payload has.
    #[must_use]
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.head.as_flattened().len() + self.body.len()
    }

    /// Whether the payload has no bytes.
    #[must_use]
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        [self.head.as_flattened(), self.body].concat()
    }
}

/// Types whose values can be stored as tagged bytes; see [the module](super) for which they are.
///
/// A type that is [`Shared`](crate::Shared) is stored as what its schema says: a number, or a `repr(transparent)` struct around one, as
/// an integer or float, `[u8; N]` as bytes, every other array and struct as plain old data. The fingerprint that goes in front
/// of that is a constant: the compiler computes it from what `#[derive(Shared)]` tells it, so that neither an allocation nor a
/// look-up is made here.
///
/// An `Option` of an `Option` has one level too many: both ways to be empty are the same value.
///
/// # Example
///
/// Another type becomes a value by the way of one that is:
///
/// ```
/// use std::net::Ipv4Addr;
/// use sharedware::collections::value::{Encode, EncodeError, Encoded, Tag};
///
/// struct Address(Ipv4Addr);
///
/// impl Encode for Address {
///     fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
///         self.0.octets().encode(act)
///     }
/// }
///
/// let stored = Address(Ipv4Addr::LOCALHOST).encode(|it| (it.tag(), it.to_vec()))?;
/// assert_eq!(stored, (Tag::Bytes, vec![127, 0, 0, 1]));
/// # Ok::<(), EncodeError>(())
/// ```
pub trait Encode {
    /// Calls `act` with the value, and returns what it returns.
    ///
    /// # Errors
    ///
    /// [`EncodeError`], without having called `act`.
    fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError>;
}
