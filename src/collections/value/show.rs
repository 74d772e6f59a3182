//! A value in one line, for people.

use std::fmt::{self, Display, Formatter};

use super::array::NdArray;
use super::dynamic::Value;

/// Arrays of more items are not written out.
const MAX_ITEMS: usize = 100;

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::UInt(value) => write!(f, "{value}"),
            // Debug, because Display writes 1e300 with all its zeros.
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Str(value) => write!(f, "{value:?}"),
            Self::Bytes(value) => write!(f, "b\"{}\"", value.escape_ascii()),
            Self::Plain { fingerprint, data } => {
                write!(f, "{} of schema {fingerprint:#018x}, {} bytes", self.tag().noun(), data.len())
            }
            Self::Array(array) => write!(f, "{array}"),
            Self::Packed(bytes) | Self::Pickle(bytes) | Self::Rust(bytes) => {
                write!(f, "{}, {} bytes", self.tag().noun(), bytes.len())
            }
        }
    }
}

/// Its type, and the items unless they are many: `(2,3)<d [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]`.
impl Display for NdArray {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        let items = self.data().len() / self.dtype().size();
        write!(f, "{schema}")?;
        if !(1..=MAX_ITEMS).contains(&items) {
            return Ok(());
        }
        schema.value(self.data()).map_or(Ok(()), |value| write!(f, " {value}"))
    }
}
