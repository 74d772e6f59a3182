//! Bytes read by their schema, for printing.

use std::fmt::{self, Display, Formatter};

use super::model::{Kind, Scalar, Schema};

/// The most values that [`Schema::value`] makes of one element; an array of bytes counts as one.
pub const MAX_VALUES: usize = 1 << 20;

/// A value read by its schema, as the command line tool prints it.
///
/// `Display` writes one line: `{seq: 7, price: 1.5, sym: "ACME", levels: [1, 2, 3]}`. An array of `u8` is written as
/// text if it is printable ASCII with nothing but zeros after it, and as numbers otherwise.
///
/// # Example
///
/// ```
/// use sharedware::segment::schema::{Schema, Value};
///
/// let value = Schema::parse("T{<H:port:(6)<B:host:}")?.value(b"\x50\x00web\0\0\0")?;
/// assert_eq!(value.to_string(), "{port: 80, host: \"web\"}");
/// assert_eq!(value.get("port"), Some(&Value::UInt(80)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `i8` to `i64`.
    Int(i64),
    /// `u8` to `u64`.
    UInt(u64),
    /// `f32`, apart from `f64` because 0.1 prints differently.
    F32(f32),
    /// `f64`.
    F64(f64),
    /// An array of `u8`: the innermost dimension.
    Bytes(Vec<u8>),
    /// Any other array; the elements of one of several dimensions are arrays.
    Array(Vec<Value>),
    /// A struct: names and values in order.
    Struct(Vec<(String, Value)>),
}

/// Bytes that cannot be read by a schema.
///
/// # Example
///
/// ```
/// use sharedware::segment::schema::{Schema, ValueError};
///
/// let vast = Schema::parse("(1000000000000)T{}")?;
/// assert_eq!(vast.value(&[]), Err(ValueError::TooMany));
/// assert_eq!(vast.value(&[1]), Err(ValueError::Length { expected: 0, found: 1 }));
/// # Ok::<(), sharedware::segment::schema::SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// There are more or fewer bytes than one element has.
    #[error("an element has {expected} bytes, not {found}")]
    Length {
        /// [`Schema::size`].
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// The element holds more than [`MAX_VALUES`] values; one way to get there is a vast array of nothing.
    #[error("an element of more than {MAX_VALUES} values is not read as a whole")]
    TooMany,
}

impl Value {
    /// The field of this name; `None` where there is none, or for anything but a struct.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Struct(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

impl Schema {
    /// Reads one element. Padding is skipped.
    ///
    /// # Errors
    ///
    /// [`ValueError::Length`] unless there are exactly [`size`](Schema::size) bytes, [`ValueError::TooMany`] beyond
    /// [`MAX_VALUES`].
    ///
    /// # Example
    ///
    /// ```
    /// use sharedware::segment::schema::Value;
    /// use sharedware::Shared;
    ///
    /// let value = <[i16; 2]>::schema().value(&[1, 0, 0xff, 0xff])?;
    /// assert_eq!(value, Value::Array(vec![Value::Int(1), Value::Int(-1)]));
    /// # Ok::<(), sharedware::segment::schema::ValueError>(())
    /// ```
    pub fn value(&self, bytes: &[u8]) -> Result<Value, ValueError> {
        read(self, bytes, &mut Budget(MAX_VALUES))
    }
}

/// How many more values may be made.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, values: usize) -> Result<(), ValueError> {
        self.0 = self.0.checked_sub(values).ok_or(ValueError::TooMany)?;
        Ok(())
    }
}

fn read(schema: &Schema, bytes: &[u8], budget: &mut Budget) -> Result<Value, ValueError> {
    if bytes.len() != schema.size() {
        return Err(ValueError::Length { expected: schema.size(), found: bytes.len() });
    }
    budget.spend(1)?;
    match schema.kind() {
        Kind::Scalar(scalar) => read_scalar(*scalar, bytes),
        Kind::Array { shape, element } => read_array(shape, element, bytes, budget),
        Kind::Struct(fields) => {
            let mut values = Vec::with_capacity(fields.len());
            for field in fields {
                let bytes = bytes.get(field.offset()..field.end()).unwrap_or_default();
                values.push((field.name().to_owned(), read(field.schema(), bytes, budget)?));
            }
            Ok(Value::Struct(values))
        }
    }
}

fn read_array(shape: &[usize], element: &Schema, bytes: &[u8], budget: &mut Budget) -> Result<Value, ValueError> {
    let Some((&len, inner)) = shape.split_first() else { return read(element, bytes, budget) };
    if inner.is_empty() && *element.kind() == Kind::Scalar(Scalar::U8) {
        return Ok(Value::Bytes(bytes.to_vec()));
    }
    // Before any of them is made: there may be 2^60, of no bytes each. Those that are arrays or scalars pay again.
    if len > budget.0 {
        return Err(ValueError::TooMany);
    }
    let stride = bytes.len().checked_div(len).unwrap_or(0);
    // Room for all of them at once, in each of 31 dimensions, could be a gigabyte before the first is paid for.
    let mut values = Vec::with_capacity(len.min(1024));
    for i in 0..len {
        let bytes = bytes.get(i * stride..(i + 1) * stride).unwrap_or_default();
        if !inner.is_empty() {
            budget.spend(1)?;
        }
        values.push(read_array(inner, element, bytes, budget)?);
    }
    Ok(Value::Array(values))
}

fn read_scalar(scalar: Scalar, bytes: &[u8]) -> Result<Value, ValueError> {
    fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ValueError> {
        bytes.try_into().map_err(|_| ValueError::Length { expected: N, found: bytes.len() })
    }
    Ok(match scalar {
        Scalar::I8 => Value::Int(i8::from_le_bytes(fixed(bytes)?).into()),
        Scalar::U8 => Value::UInt(u8::from_le_bytes(fixed(bytes)?).into()),
        Scalar::I16 => Value::Int(i16::from_le_bytes(fixed(bytes)?).into()),
        Scalar::U16 => Value::UInt(u16::from_le_bytes(fixed(bytes)?).into()),
        Scalar::I32 => Value::Int(i32::from_le_bytes(fixed(bytes)?).into()),
        Scalar::U32 => Value::UInt(u32::from_le_bytes(fixed(bytes)?).into()),
        Scalar::I64 => Value::Int(i64::from_le_bytes(fixed(bytes)?)),
        Scalar::U64 => Value::UInt(u64::from_le_bytes(fixed(bytes)?)),
        Scalar::F32 => Value::F32(f32::from_le_bytes(fixed(bytes)?)),
        Scalar::F64 => Value::F64(f64::from_le_bytes(fixed(bytes)?)),
    })
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::UInt(value) => write!(f, "{value}"),
            // Debug, because Display writes 1e300 with all its zeros.
            Self::F32(value) => write!(f, "{value:?}"),
            Self::F64(value) => write!(f, "{value:?}"),
            Self::Bytes(bytes) => match printable(bytes) {
                Some(text) => write!(f, "{text:?}"),
                None => list(f, bytes),
            },
            Self::Array(values) => list(f, values),
            Self::Struct(fields) => {
                f.write_str("{")?;
                for (i, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    f.write_str("[")?;
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    f.write_str("]")
}

/// The text, if there is some, all of it printable ASCII, and then nothing but zeros.
fn printable(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().rposition(|byte| *byte != 0)?.checked_add(1)?;
    let text = bytes.get(..end)?;
    text.iter().all(|byte| matches!(byte, b' '..=b'~')).then(|| std::str::from_utf8(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_printable_ascii_before_zeros_is_text() {
        assert_eq!(printable(b"ACME\0\0\0\0"), Some("ACME"));
        assert_eq!(printable(b"a b"), Some("a b"));
        assert_eq!(printable(b"\0\0"), None);
        assert_eq!(printable(b""), None);
        assert_eq!(printable(b"a\0b"), None);
        assert_eq!(printable(b"\x1b[2J"), None);
    }
}
