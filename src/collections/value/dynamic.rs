//! A value of any type, for programs that do not know which.

use super::array::{NdArray, NdArrayRef};
use super::decode::{Decode, Place, Short, decode, expect_length, room};
use super::encode::{Encode, Encoded};
use super::error::{DecodeError, EncodeError, Mismatch};
use super::number::Number;
use super::tag::Tag;

/// A value of any type.
///
/// `Display` writes one line, without any character that could move a cursor; `Debug` writes the variant too.
///
/// # Example
///
/// ```
/// use sharedware::collections::value::Value;
///
/// assert_eq!(Value::from(-5).to_string(), "-5");
/// assert_eq!(Value::from("a\nb").to_string(), r#""a\nb""#);
/// assert_eq!(Value::of(&[1.5_f32, 2.5])?.to_string(), "plain old data of schema 0x3d6458985de2d0dc, 8 bytes");
/// assert_eq!(Value::from("text").to::<String>()?, "text");
/// assert!(Value::from("text").to::<i64>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing.
    None,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond `i64::MAX`. What is smaller is stored, and read back, as an `Int`; `From` makes the right one.
    UInt(u64),
    /// A float.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Plain old data.
    Plain {
        /// [`Schema::fingerprint`](crate::segment::schema::Schema::fingerprint) of its type.
        fingerprint: u64,
        /// As it is in memory.
        data: Vec<u8>,
    },
    /// An array of numbers.
    Array(NdArray),
    /// Nested data in MessagePack, unread and unchecked.
    Packed(Vec<u8>),
    /// A pickled Python object.
    Pickle(Vec<u8>),
    /// Private to Rust programs.
    Rust(Vec<u8>),
}

impl Value {
    /// What a value of another type is.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    pub fn of<T: Encode + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        value.encode(|it| {
            let payload = it.to_vec();
            // Only a foreign `Encode` writes what is no value.
            decode(it.tag().code(), &payload).unwrap_or(Self::Bytes(payload))
        })
    }

    /// The value as another type.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it is not one of that type.
    pub fn to<T: Decode>(&self) -> Result<T, DecodeError> {
        let read = self.encode(|it| {
            let mut place = T::place(it.tag(), it.len())?;
            place.fill(&it.to_vec());
            T::decode(it.tag(), place)
        });
        read.unwrap_or_else(|EncodeError::Packed { reason }| Err(DecodeError::Packed { reason }))
    }

    /// What kind of value it is, once stored.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        match self {
            Self::None => Tag::None,
            Self::Bool(_) => Tag::Bool,
            Self::Int(_) => Tag::Int,
            Self::UInt(value) => Number::unsigned(*value).tag(),
            Self::Float(_) => Tag::Float,
            Self::Str(_) => Tag::Str,
            Self::Bytes(_) => Tag::Bytes,
            Self::Plain { .. } => Tag::Plain,
            Self::Array(_) => Tag::Array,
            Self::Packed(_) => Tag::Packed,
            Self::Pickle(_) => Tag::Pickle,
            Self::Rust(_) => Tag::Rust,
        }
    }
}

impl Encode for Value {
    fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
        match self {
            Self::None => ().encode(act),
            Self::Bool(value) => value.encode(act),
            Self::Int(value) => value.encode(act),
            Self::UInt(value) => value.encode(act),
            Self::Float(value) => value.encode(act),
            Self::Str(value) => value.encode(act),
            Self::Bytes(value) => value.encode(act),
            Self::Plain { fingerprint, data } => {
                Ok(act(Encoded::with_head(Tag::Plain, &[fingerprint.to_le_bytes()], data)))
            }
            Self::Array(value) => value.encode(act),
            Self::Packed(value) | Self::Pickle(value) | Self::Rust(value) => Ok(act(Encoded::new(self.tag(), value))),
        }
    }
}

/// A place for a value of any type.
#[derive(Debug, Clone)]
pub struct ValuePlace {
    kind: Room,
}

#[derive(Debug, Clone)]
enum Room {
    Short(Short),
    Bytes(Vec<u8>),
    Plain([[u8; 8]; 1], Vec<u8>),
}

impl Place for ValuePlace {
    fn parts(&mut self) -> (&mut [[u8; 8]], &mut [u8]) {
        match &mut self.kind {
            Room::Short(short) => short.parts(),
            Room::Bytes(bytes) => (&mut [], bytes),
            Room::Plain(fingerprint, data) => (fingerprint, data),
        }
    }
}

impl Decode for Value {
    type Place = ValuePlace;

    fn place(tag: Tag, length: usize) -> Result<ValuePlace, Mismatch> {
        let short = |expected| expect_length(tag, expected, length).map(|()| Room::Short(Short::new(expected)));
        let kind = match tag {
            Tag::None => short(0)?,
            Tag::Bool => short(1)?,
            Tag::Int | Tag::UInt | Tag::Float => short(8)?,
            Tag::Plain => match length.checked_sub(8) {
                Some(data) => Room::Plain([[0; 8]], room(data)?),
                None => return Err(Mismatch::Length { tag, expected: 8, found: length }),
            },
            Tag::Str | Tag::Bytes | Tag::Array | Tag::Packed | Tag::Pickle | Tag::Rust => Room::Bytes(room(length)?),
        };
        Ok(ValuePlace { kind })
    }

    fn decode(tag: Tag, place: ValuePlace) -> Result<Self, DecodeError> {
        let malformed = || DecodeError::Malformed { tag, what: "its place was made for another tag" };
        Ok(match (tag, place.kind) {
            (Tag::None, Room::Short(_)) => Self::None,
            (Tag::Bool, Room::Short(short)) => Self::Bool(bool::decode(tag, short)?),
            (_, Room::Short(short)) => match Number::decode(tag, short.bytes())?.ok_or_else(malformed)? {
                Number::Int(value) => Self::Int(value),
                Number::UInt(value) => Self::UInt(value),
                Number::Float(value) => Self::Float(value),
            },
            (Tag::Plain, Room::Plain([fingerprint], data)) => {
                Self::Plain { fingerprint: u64::from_le_bytes(fingerprint), data }
            }
            (Tag::Str, Room::Bytes(bytes)) => Self::Str(String::decode(tag, bytes)?),
            (Tag::Bytes, Room::Bytes(bytes)) => Self::Bytes(bytes),
            (Tag::Array, Room::Bytes(bytes)) => Self::Array(NdArray::decode(tag, bytes)?),
            (Tag::Packed, Room::Bytes(bytes)) => Self::Packed(bytes),
            (Tag::Pickle, Room::Bytes(bytes)) => Self::Pickle(bytes),
            (Tag::Rust, Room::Bytes(bytes)) => Self::Rust(bytes),
            _ => return Err(malformed()),
        })
    }
}

macro_rules! from {
    ($($type:ty: $value:ident => $make:expr);* $(;)?) => { $(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $make
            }
        }
    )* };
}

from! {
    (): _value => Self::None;
    bool: value => Self::Bool(value);
    i8: value => Self::Int(value.into());
    i16: value => Self::Int(value.into());
    i32: value => Self::Int(value.into());
    i64: value => Self::Int(value);
    u8: value => Self::Int(value.into());
    u16: value => Self::Int(value.into());
    u32: value => Self::Int(value.into());
    u64: value => i64::try_from(value).map_or(Self::UInt(value), Self::Int);
    f32: value => Self::Float(value.into());
    f64: value => Self::Float(value);
    &str: value => Self::Str(value.to_owned());
    String: value => Self::Str(value);
    Box<str>: value => Self::Str(value.into());
    &[u8]: value => Self::Bytes(value.to_owned());
    Vec<u8>: value => Self::Bytes(value);
    NdArray: value => Self::Array(value);
    NdArrayRef<'_>: value => Self::Array(value.into());
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(value: [u8; N]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}
