//! Arrays of numbers, of any number of dimensions.
//!
//! The payload is a header, padded to whole words, and the items in row-major ("C") order:
//!
//! | offset | size | what |
//! | --- | --- | --- |
//! | 0 | 1 | `n`, the number of dimensions, up to [`MAX_DIMENSIONS`] |
//! | 1 | 1 | `t`, the length of the type's text |
//! | 2 | `t` | the type of an item as a scalar of PEP 3118: `<d` |
//! | 2 + `t` | to a multiple of 8 | 0 |
//! | then | 8 `n` | how many in each dimension, `u64`, outermost first |
//! | then | | the items |

use super::decode::{Decode, room};
use super::encode::{Encode, Encoded};
use super::error::{DecodeError, EncodeError, Mismatch};
use super::tag::Tag;
use crate::segment::schema::{Kind, Scalar, Schema, Shared};

/// The most dimensions that an array has.
pub const MAX_DIMENSIONS: usize = 32;

/// The size of the whole is at most what Rust and NumPy can handle, also where a dimension is 0 and there are no items.
const MAX_BYTES: usize = isize::MAX.cast_unsigned();

/// The bytes before the shape: the type has two characters.
const FIXED: usize = 8;

/// A shape that no array has, or that the items do not fill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// There are more than [`MAX_DIMENSIONS`].
    #[error("an array has at most {MAX_DIMENSIONS} dimensions, not {found}")]
    Dimensions {
        /// How many there are.
        found: usize,
    },
    /// It would have more than `isize::MAX` bytes, or would have but for an empty dimension.
    #[error("an array of this shape is larger than any memory")]
    Size,
    /// There are more or fewer items.
    #[error("an array of this shape has {expected} bytes, not {found}")]
    Length {
        /// How many bytes the shape amounts to.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// The items are no numbers.
    #[error("the items of an array are numbers, not `{found}`")]
    Type {
        /// The schema of what they are.
        found: String,
    },
}

/// How many bytes of items there are.
fn bytes_of(dtype: Scalar, shape: &[usize]) -> Result<usize, ShapeError> {
    if shape.len() > MAX_DIMENSIONS {
        return Err(ShapeError::Dimensions { found: shape.len() });
    }
    let but_for_empty = shape.iter().try_fold(dtype.size(), |bytes, len| bytes.checked_mul((*len).max(1)));
    let bytes = but_for_empty.filter(|bytes| *bytes <= MAX_BYTES).ok_or(ShapeError::Size)?;
    Ok(if shape.contains(&0) { 0 } else { bytes })
}

/// An array of numbers whose items are somewhere else, to be stored without a copy in between.
///
/// # Example
///
/// ```
/// use sharedware::collections::value::{Encode, NdArrayRef, Tag, Value};
///
/// let matrix = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
/// let array = NdArrayRef::of(&[2, 3], matrix.as_flattened())?;
/// assert_eq!(array.encode(|it| (it.tag(), it.len()))?, (Tag::Array, 8 + 2 * 8 + 6 * 8));
/// assert_eq!(Value::of(&array)?.to_string(), "(2,3)<d [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
//
// Invariant: `shape` has at most `MAX_DIMENSIONS`, and `data` as many bytes as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NdArrayRef<'a> {
    dtype: Scalar,
    shape: &'a [usize],
    data: &'a [u8],
}

impl<'a> NdArrayRef<'a> {
    /// An array of these items, in row-major order.
    ///
    /// # Errors
    ///
    /// [`ShapeError`].
    pub fn new(dtype: Scalar, shape: &'a [usize], data: &'a [u8]) -> Result<Self, ShapeError> {
        let expected = bytes_of(dtype, shape)?;
        if expected != data.len() {
            return Err(ShapeError::Length { expected, found: data.len() });
        }
        Ok(Self { dtype, shape, data })
    }

    /// An array of these numbers, in row-major order.
    ///
    /// # Errors
    ///
    /// [`ShapeError`], also if `T` is no number.
    pub fn of<T: Shared>(shape: &'a [usize], items: &'a [T]) -> Result<Self, ShapeError> {
        let schema = T::schema();
        match schema.kind() {
            Kind::Scalar(scalar) => Self::new(*scalar, shape, bytemuck::cast_slice(items)),
            _ => Err(ShapeError::Type { found: schema.to_string() }),
        }
    }

    /// The type of the items.
    #[must_use]
    pub const fn dtype(&self) -> Scalar {
        self.dtype
    }

    /// How many items in each dimension, outermost first.
    #[must_use]
    pub const fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The bytes of the items, in row-major order.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// What is in front of the items, and how many words of it there are.
    fn head(&self) -> ([[u8; 8]; 1 + MAX_DIMENSIONS], usize) {
        let mut head = [[0; 8]; 1 + MAX_DIMENSIONS];
        // The casts: at most 32, and one of ten letters.
        let first = [self.shape.len() as u8, 2, b'<', self.dtype.code() as u8, 0, 0, 0, 0];
        let words = [first].into_iter().chain(self.shape.iter().map(|len| (*len as u64).to_le_bytes()));
        for (to, word) in head.iter_mut().zip(words) {
            *to = word;
        }
        (head, 1 + self.shape.len())
    }
}

impl Encode for NdArrayRef<'_> {
    fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
        let (head, words) = self.head();
        Ok(act(Encoded::with_head(Tag::Array, head.get(..words).unwrap_or_default(), self.data)))
    }
}

/// An array of numbers; in Python a NumPy array.
///
/// # Example
///
/// ```
/// use sharedware::collections::value::{NdArray, NdArrayRef};
/// use sharedware::segment::schema::Scalar;
///
/// let array = NdArray::from(NdArrayRef::of(&[3], &[7_u16, 8, 9])?);
/// assert_eq!((array.dtype(), array.shape()), (Scalar::U16, [3].as_slice()));
/// assert_eq!(array.items::<u16>(), Some(vec![7, 8, 9]));
/// assert_eq!(array.items::<f32>(), None);
/// # Ok::<(), sharedware::collections::value::ShapeError>(())
/// ```
//
// Invariant: `payload` from `data_at` on is the data of an `NdArrayRef` with this `dtype` and `shape`, and before that is its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NdArray {
    dtype: Scalar,
    shape: Vec<usize>,
    data_at: usize,
    payload: Vec<u8>,
}

impl NdArray {
    /// The type of the items.
    #[must_use]
    pub const fn dtype(&self) -> Scalar {
        self.dtype
    }

    /// How many items in each dimension, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes of the items, in row-major order.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.payload.get(self.data_at..).unwrap_or_default()
    }

    /// The items in row-major order; `None` if they are not of type `T`.
    #[must_use]
    pub fn items<T: Shared>(&self) -> Option<Vec<T>> {
        let same = *T::schema().kind() == Kind::Scalar(self.dtype);
        same.then(|| self.data().chunks_exact(self.dtype.size()).map(bytemuck::pod_read_unaligned).collect())
    }

    /// The same without its bytes.
    #[must_use]
    pub fn view(&self) -> NdArrayRef<'_> {
        NdArrayRef { dtype: self.dtype, shape: &self.shape, data: self.data() }
    }

    /// The schema of the whole.
    pub(super) fn schema(&self) -> Schema {
        Schema::array_of(&self.shape, self.dtype)
    }
}

impl From<NdArrayRef<'_>> for NdArray {
    fn from(array: NdArrayRef<'_>) -> Self {
        let (head, words) = array.head();
        let payload = [head.get(..words).unwrap_or_default().as_flattened(), array.data].concat();
        Self { dtype: array.dtype, shape: array.shape.to_vec(), data_at: words * 8, payload }
    }
}

impl Encode for NdArray {
    fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
        Ok(act(Encoded::new(Tag::Array, &self.payload)))
    }
}

impl Decode for NdArray {
    type Place = Vec<u8>;

    fn place(tag: Tag, length: usize) -> Result<Vec<u8>, Mismatch> {
        match tag {
            Tag::Array => room(length),
            found => Err(Mismatch::Type { expected: "an array", found }),
        }
    }

    fn decode(tag: Tag, payload: Vec<u8>) -> Result<Self, DecodeError> {
        read(payload).map_err(|what| DecodeError::Malformed { tag, what })
    }
}

fn read(payload: Vec<u8>) -> Result<NdArray, &'static str> {
    let Some(([dimensions, text @ ..], rest)) = payload.split_first_chunk::<FIXED>() else {
        return Err("its header is cut off");
    };
    let [2, b'<', code, 0, 0, 0, 0] = text else { return Err("the type of its items is unknown") };
    let Some(dtype) = Scalar::from_code(char::from(*code)) else { return Err("the type of its items is unknown") };
    let dimensions = usize::from(*dimensions);
    if dimensions > MAX_DIMENSIONS {
        return Err("it has too many dimensions");
    }
    let Some((shape, data)) = rest.split_at_checked(8 * dimensions) else { return Err("its header is cut off") };
    let lengths = shape.as_chunks().0.iter().map(|bytes| usize::try_from(u64::from_le_bytes(*bytes)));
    let shape = lengths.collect::<Result<Vec<_>, _>>().map_err(|_| "its shape is larger than any memory")?;
    match bytes_of(dtype, &shape) {
        Ok(bytes) if bytes == data.len() => {}
        Ok(_) => return Err("its items are more or fewer than its shape says"),
        Err(_) => return Err("its shape is larger than any memory"),
    }
    Ok(NdArray { dtype, shape, data_at: FIXED + 8 * dimensions, payload })
}
