//! Types that are [`Shared`]: numbers, bytes, and plain old data with the fingerprint of its schema.

use super::decode::{Decode, Place, expect_length};
use super::encode::{Encode, Encoded};
use super::error::{DecodeError, EncodeError, Mismatch};
use super::number::Number;
use super::tag::Tag;
use crate::segment::schema::{Layout, Scalar, Shared, fingerprint};

/// How values of a type are stored; a constant of the type.
enum Form {
    Number(Scalar),
    Bytes,
    Plain,
}

const fn form<T: Shared>() -> Form {
    match T::__LAYOUT.unwrapped() {
        Layout::Scalar(scalar) => Form::Number(*scalar),
        Layout::Array { element, .. } if matches!(element.unwrapped(), Layout::Scalar(Scalar::U8)) => Form::Bytes,
        _ => Form::Plain,
    }
}

impl<T: Shared> Encode for T {
    #[inline(always)]
    fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
        let bytes = bytemuck::bytes_of(self);
        Ok(match const { form::<T>() } {
            Form::Number(scalar) => Number::of(scalar, bytes).encode(act),
            Form::Bytes => act(Encoded::new(Tag::Bytes, bytes)),
            Form::Plain => act(Encoded::with_head(Tag::Plain, &[fingerprint::<T>().to_le_bytes()], bytes)),
        })
    }
}

/// A place for a value of a [`Shared`] type.
#[derive(Debug, Clone, Copy)]
pub struct PlainPlace<T> {
    /// A number, or the fingerprint of plain old data.
    word: [[u8; 8]; 1],
    value: T,
}

impl<T: Shared> Place for PlainPlace<T> {
    #[inline(always)]
    fn parts(&mut self) -> (&mut [[u8; 8]], &mut [u8]) {
        match const { form::<T>() } {
            Form::Number(_) => (&mut [], self.word.as_flattened_mut()),
            Form::Bytes => (&mut [], bytemuck::bytes_of_mut(&mut self.value)),
            Form::Plain => (&mut self.word, bytemuck::bytes_of_mut(&mut self.value)),
        }
    }
}

impl<T: Shared> Decode for T {
    type Place = PlainPlace<T>;

    #[inline(always)]
    fn place(tag: Tag, length: usize) -> Result<PlainPlace<T>, Mismatch> {
        let (expected, fits, bytes) = match const { form::<T>() } {
            Form::Number(Scalar::F32 | Scalar::F64) => ("a float", matches!(tag, Tag::Float | Tag::Int | Tag::UInt), 8),
            Form::Number(_) => ("an integer", matches!(tag, Tag::Int | Tag::UInt), 8),
            Form::Bytes => ("bytes", tag == Tag::Bytes, size_of::<T>()),
            Form::Plain => ("plain old data", tag == Tag::Plain, 8 + size_of::<T>()),
        };
        if !fits {
            return Err(Mismatch::Type { expected, found: tag });
        }
        expect_length(tag, bytes, length)?;
        Ok(PlainPlace { word: [[0; 8]], value: T::zeroed() })
    }

    #[inline(always)]
    fn decode(tag: Tag, mut place: PlainPlace<T>) -> Result<T, DecodeError> {
        let [word] = place.word;
        match const { form::<T>() } {
            Form::Number(scalar) => match Number::decode(tag, word)? {
                Some(number) => number.put(scalar, bytemuck::bytes_of_mut(&mut place.value))?,
                None => return Err(Mismatch::Type { expected: "a number", found: tag }.into()),
            },
            Form::Bytes => {}
            Form::Plain => {
                let (expected, found) = (fingerprint::<T>(), u64::from_le_bytes(word));
                if expected != found {
                    return Err(DecodeError::Schema { expected, found });
                }
            }
        }
        Ok(place.value)
    }
}
