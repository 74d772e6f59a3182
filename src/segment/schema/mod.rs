//! What the bytes of an element mean: names, types and offsets of its fields.
//!
//! The header of a segment holds the schema of its element type as text. It is what opening checks (a ring of `Tick`s
//! does not open as a ring of `Order`s), what the command line tool prints values by, and what Python makes a
//! structured dtype of. In Rust it comes from [`#[derive(Shared)]`](macro@crate::Shared).
//!
//! # Notation
//!
//! The text is the [PEP 3118] notation, as far as NumPy reads it and as far as one layout needs only one text:
//!
//! ```text
//! item    = [ "(" number { "," number } ")" ] ( scalar | struct )
//! scalar  = "<" ( "b" | "B" | "h" | "H" | "i" | "I" | "q" | "Q" | "f" | "d" )
//! struct  = "T{" { [ padding ] item ":" name ":" } [ padding ] "}"
//! padding = [ number ] "x"
//! ```
//!
//! | code | `b` | `B` | `h` | `H` | `i` | `I` | `q` | `Q` | `f` | `d` |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | type | `i8` | `u8` | `i16` | `u16` | `i32` | `u32` | `i64` | `u64` | `f32` | `f64` |
//!
//! So `(2,3)<d` is `[[f64; 3]; 2]`, and `T{<Q:seq:(8)<B:sym:<f:price:4x}` is a struct of a `u64`, eight bytes and an
//! `f32`, then four bytes of padding. Every scalar says that it is little-endian; a number has no leading zeros;
//! padding of one byte is `x`, and padding never follows padding. Anything else is refused, so the text of a schema is
//! canonical: two layouts are equal exactly when their texts are, and [`Schema::fingerprint`] is a hash of the text.
//!
//! # Untrusted text
//!
//! The text comes from memory that others may write. [`Schema::parse`] takes time linear in its length and answers with
//! a [`SchemaError`] where it exceeds [`MAX_TEXT`], [`MAX_NAME`] or [`MAX_DEPTH`], where a size exceeds `isize::MAX`,
//! or where a name holds characters that could deceive whoever prints it. [`Schema::value`] bounds its work by
//! [`MAX_VALUES`].
//!
//! # Example
//!
//! ```
//! use sharedware::segment::schema::Schema;
//!
//! let schema = Schema::parse("T{<Q:seq:<d:price:}")?;
//! assert_eq!(schema.size(), 16);
//!
//! let mut bytes = 7u64.to_le_bytes().to_vec();
//! bytes.extend(1.5f64.to_le_bytes());
//! assert_eq!(schema.value(&bytes)?.to_string(), "{seq: 7, price: 1.5}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [PEP 3118]: https://peps.python.org/pep-3118/

mod diff;
mod layout;
mod model;
mod parse;
mod shared;
mod text;
mod value;

#[doc(hidden)]
#[path = "derive.rs"]
pub mod __derive;

pub use diff::Difference;
pub(crate) use layout::Layout;
pub use model::{Field, Kind, Scalar, Schema};
pub use parse::{MAX_DEPTH, MAX_NAME, MAX_TEXT, SchemaError};
pub use shared::Shared;
pub(crate) use shared::fingerprint;
pub use value::{MAX_VALUES, Value, ValueError};
