//! What kind of value some bytes are.

use std::fmt::{self, Display, Formatter};

use super::error::UnknownTag;

/// What kind of value some bytes are. The codes are for ever: none changes its meaning, none is used again.
///
/// 0 is no code, so memory that was never written is no value.
///
/// # Example
///
/// ```
/// use sharedware::collections::value::Tag;
///
/// assert_eq!(Tag::Str.code(), 6);
/// assert_eq!(Tag::try_from(6), Ok(Tag::Str));
/// let error = Tag::try_from(200).unwrap_err();
/// assert_eq!(error.to_string(), "found a value of unknown kind 200: not a value, or by a later version");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Tag {
    /// Nothing: `()`, `None`.
    None = 1,
    /// True or false.
    Bool = 2,
    /// An integer from `i64::MIN` to `i64::MAX`.
    Int = 3,
    /// An integer from 2^63 to `u64::MAX`; a smaller one is an `Int`.
    UInt = 4,
    /// A number of type `f64`.
    Float = 5,
    /// Text in UTF-8.
    Str = 6,
    /// Bytes.
    Bytes = 7,
    /// Plain old data, with the fingerprint of its schema.
    Plain = 8,
    /// An array of numbers, of any number of dimensions.
    Array = 9,
    /// Nested plain data in MessagePack.
    Packed = 10,
    /// Python's pickle: for Python alone.
    Pickle = 11,
    /// Reserved for types that only Rust programs read.
    Rust = 12,
}

impl Tag {
    /// All of them, by code.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::Bool,
        Self::Int,
        Self::UInt,
        Self::Float,
        Self::Str,
        Self::Bytes,
        Self::Plain,
        Self::Array,
        Self::Packed,
        Self::Pickle,
        Self::Rust,
    ];

    /// The number that stands for it in memory.
    #[must_use]
    #[inline]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Its name, as in `docs/values.json`; `Display` writes it too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::UInt => "uint",
            Self::Float => "float",
            Self::Str => "str",
            Self::Bytes => "bytes",
            Self::Plain => "plain",
            Self::Array => "array",
            Self::Packed => "packed",
            Self::Pickle => "pickle",
            Self::Rust => "rust",
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::UInt => "an integer beyond i64",
            Self::Float => "a float",
            Self::Str => "a string",
            Self::Bytes => "bytes",
            Self::Plain => "plain old data",
            Self::Array => "an array",
            Self::Packed => "nested data",
            Self::Pickle => "a pickled Python object",
            Self::Rust => "data private to Rust",
        }
    }
}

impl TryFrom<u8> for Tag {
    type Error = UnknownTag;

    #[inline]
    fn try_from(code: u8) -> Result<Self, UnknownTag> {
        Ok(match code {
            1 => Self::None,
            2 => Self::Bool,
            3 => Self::Int,
            4 => Self::UInt,
            5 => Self::Float,
            6 => Self::Str,
            7 => Self::Bytes,
            8 => Self::Plain,
            9 => Self::Array,
            10 => Self::Packed,
            11 => Self::Pickle,
            12 => Self::Rust,
            _ => return Err(UnknownTag(code)),
        })
    }
}

impl From<Tag> for u8 {
    fn from(tag: Tag) -> Self {
        tag.code()
    }
}

impl Display for Tag {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_tags_are_one_to_one() {
        let tags: Vec<Tag> = (0..=u8::MAX).filter_map(|code| Tag::try_from(code).ok()).collect();
        assert_eq!(tags, Tag::ALL);
        assert!(Tag::ALL.into_iter().all(|tag| Tag::try_from(tag.code()) == Ok(tag)));
    }
}
