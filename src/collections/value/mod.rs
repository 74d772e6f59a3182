//! Keys and values: a tag and bytes, the same for programs in every language.
//!
//! A value is a [`Tag`], which says what kind of value it is, and a *payload* of so many bytes. [docs/values.md] says to the byte
//! what the payload of each kind is, and `docs/values.json` has examples for other implementations to test themselves against.
//!
//! | Rust | tag | payload |
//! | --- | --- | --- |
//! | `()`, `Option::None` | [`None`](Tag::None) | empty |
//! | `bool` | [`Bool`](Tag::Bool) | one byte, 0 or 1 |
//! | `u8` to `u64`, `i8` to `i64` | [`Int`](Tag::Int), or [`UInt`](Tag::UInt) beyond `i64::MAX` | 8 bytes |
//! | `f32`, `f64` | [`Float`](Tag::Float) | 8 bytes |
//! | `str`, `String`, `Box<str>` | [`Str`](Tag::Str) | UTF-8 |
//! | `[u8]`, `Vec<u8>`, `[u8; N]` | [`Bytes`](Tag::Bytes) | as they are |
//! | other [`Shared`](crate::Shared) types | [`Plain`](Tag::Plain) | fingerprint of the schema, then the data |
//! | [`NdArray`], [`NdArrayRef`] | [`Array`](Tag::Array) | type and shape, then the items |
//! | `Packed<T>` for serde's types | [`Packed`](Tag::Packed) | MessagePack |
//! | [`Value`] | all of them | |
//!
//! [`Encode`] makes a value of a Rust type, without allocating for anything but `Packed`; [`Decode`] makes a Rust type of a value.
//! A [`Key`] is a value in canonical form: keys are equal if tag and bytes are, and [`hash_key`] is their hash, for ever.
//!
//! Nothing here knows where values are stored: no call waits, and no call touches shared memory.
//!
//! **Bytes are input.** Whatever they are, [`Decode`] answers with a value or an error, and takes no more memory than their length.
//!
//! # When not to use it
//!
//! Where everybody is written in Rust and all values are of one type that is plain old data: [`slot`](crate::slot) and
//! [`ring::spsc`](crate::ring::spsc) hold such values without a tag.
//!
//! # Example
//!
//! ```
//! use sharedware::collections::value::{Encode, Key, Tag, Value, decode};
//!
//! // What a collection stores of a value:
//! let (tag, payload) = "Grüße".encode(|it| (it.tag(), it.to_vec()))?;
//! assert_eq!((tag, payload.as_slice()), (Tag::Str, "Grüße".as_bytes()));
//!
//! // By who knows the type, by who knows it wrong, and by who does not know it:
//! assert_eq!(decode::<String>(tag.code(), &payload)?, "Grüße");
//! let error = decode::<i32>(tag.code(), &payload).unwrap_err();
//! assert_eq!(error.to_string(), "expected an integer, found a string");
//! assert_eq!(decode::<Value>(tag.code(), &payload)?, Value::from("Grüße"));
//!
//! // Equal numbers are the same key, as in Python.
//! let key = |value: Value| value.key(|key| (key.tag(), key.encoded().to_vec(), key.hash()));
//! assert_eq!(key(Value::from(1.0))?, key(Value::from(true))?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//!
//! Equality of numbers as keys: the data model of Python. Hash: [rapidhash] V3. Nested values: [MessagePack].
//!
//! [docs/values.md]: https://docs.rs/crate/sharedware/latest/source/docs/values.md
//! [rapidhash]: https://github.com/Nicoshev/rapidhash
//! [MessagePack]: https://msgpack.org

mod array;
mod decode;
mod dynamic;
mod encode;
mod error;
mod hash;
mod key;
#[cfg(feature = "serde")]
mod nesting;
mod number;
mod option;
#[cfg(feature = "serde")]
mod packed;
mod plain;
mod show;
mod tag;
mod text;

pub use array::{MAX_DIMENSIONS, NdArray, NdArrayRef, ShapeError};
pub use decode::{Decode, Place, Short, decode};
pub use dynamic::{Value, ValuePlace};
pub use encode::{Encode, Encoded};
pub use error::{DecodeError, EncodeError, KeyError, Mismatch, UnknownTag};
pub use hash::{HASH_VERSION, hash_key};
pub use key::{Key, KeyBytes};
#[cfg(feature = "serde")]
pub use nesting::MAX_NESTING;
#[cfg(feature = "serde")]
pub use packed::Packed;
pub use plain::PlainPlace;
pub use tag::Tag;
