//! What may be wrong with a value.

use super::tag::Tag;

/// A tag that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("found a value of unknown kind {0}: not a value, or by a later version")]
pub struct UnknownTag(pub u8);

/// A value, by tag and length, is none of the expected type. Found before its bytes are looked at.
///
/// # Example
///
/// ```
/// use sharedware::collections::value::{Decode, Tag};
///
/// let error = String::place(Tag::Int, 8).unwrap_err();
/// assert_eq!(error.to_string(), "expected a string, found an integer");
/// let error = <[u8; 4]>::place(Tag::Bytes, 5).unwrap_err();
/// assert_eq!(error.to_string(), "expected 4 bytes (bytes), found 5 bytes");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// It is of another type.
    #[error("expected {expected}, found {}", found.noun())]
    Type {
        /// What was asked for, in words.
        expected: &'static str,
        /// What is there.
        found: Tag,
    },
    /// It has more or fewer bytes than the expected type.
    #[error("expected {expected} bytes ({}), found {found} bytes", tag.noun())]
    Length {
        /// The tag, which fits.
        tag: Tag,
        /// How many bytes the payload of the expected type has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Its tag is none.
    #[error(transparent)]
    UnknownTag(#[from] UnknownTag),
    /// The system does not give us memory for a copy of it.
    #[error("no memory for a copy of a value of {length} bytes")]
    Memory {
        /// How many bytes were asked for.
        length: usize,
    },
}

/// A value cannot be read as the expected type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is of another type or size.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The number is not one of the expected type.
    #[error("{value} does not fit {into}: {range}")]
    Range {
        /// The number.
        value: String,
        /// The expected type.
        into: &'static str,
        /// What the expected type can hold, in words.
        range: String,
    },
    /// Plain old data, but of another type of the same size.
    #[error("expected plain old data of schema {expected:#018x}, found schema {found:#018x}")]
    Schema {
        /// The fingerprint of the expected type.
        expected: u64,
        /// The fingerprint that is there.
        found: u64,
    },
    /// The bytes of a string are not UTF-8.
    #[error("a string is not UTF-8 from byte {position} on")]
    Text {
        /// Up to where it is.
        position: usize,
    },
    /// The bytes are none that any program should have written for this tag.
    #[error("malformed value ({}): {what}", tag.noun())]
    Malformed {
        /// The tag.
        tag: Tag,
        /// What is wrong with it.
        what: &'static str,
    },
    /// MessagePack that is not the expected type.
    #[error("nested data does not fit: {reason}")]
    Packed {
        /// What serde says.
        reason: String,
    },
}

impl From<UnknownTag> for DecodeError {
    fn from(error: UnknownTag) -> Self {
        Self::Mismatch(error.into())
    }
}

/// A value cannot be written: only `Packed` ever fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Serde cannot make MessagePack of it.
    #[error("cannot be written as nested data: {reason}")]
    Packed {
        /// What serde says.
        reason: String,
    },
}

/// A value cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It cannot be written at all.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Equal values of this kind may have different bytes.
    #[error("{} cannot be a key", tag.noun())]
    NotAKey {
        /// The kind.
        tag: Tag,
    },
}
