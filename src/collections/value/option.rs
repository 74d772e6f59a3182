//! Nothing, perhaps something, and yes or no.

use super::decode::{Decode, Place, Short, expect_length};
use super::encode::{Encode, Encoded};
use super::error::{DecodeError, EncodeError, Mismatch};
use super::tag::Tag;

impl Encode for () {
    #[inline(always)]
    fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
        Ok(act(Encoded::new(Tag::None, &[])))
    }
}

impl Decode for () {
    type Place = ();

    #[inline(always)]
    fn place(tag: Tag, length: usize) -> Result<(), Mismatch> {
        match tag {
            Tag::None => expect_length(tag, 0, length),
            found => Err(Mismatch::Type { expected: "nothing", found }),
        }
    }

    #[inline(always)]
    fn decode(_: Tag, (): ()) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl Place for () {
    #[inline(always)]
    fn parts(&mut self) -> (&mut [[u8; 8]], &mut [u8]) {
        (&mut [], &mut [])
    }
}

impl<T: Encode> Encode for Option<T> {
    #[inline(always)]
    fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
        match self {
            Some(value) => value.encode(act),
            None => ().encode(act),
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    type Place = Option<T::Place>;

    #[inline(always)]
    fn place(tag: Tag, length: usize) -> Result<Option<T::Place>, Mismatch> {
        match tag {
            Tag::None => <()>::place(tag, length).map(|()| None),
            _ => T::place(tag, length).map(Some),
        }
    }

    #[inline(always)]
    fn decode(tag: Tag, place: Option<T::Place>) -> Result<Self, DecodeError> {
        place.map(|place| T::decode(tag, place)).transpose()
    }
}

impl<P: Place> Place for Option<P> {
    #[inline(always)]
    fn parts(&mut self) -> (&mut [[u8; 8]], &mut [u8]) {
        match self {
            Some(place) => place.parts(),
            None => (&mut [], &mut []),
        }
    }
}

impl Encode for bool {
    #[inline(always)]
    fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
        Ok(act(Encoded::new(Tag::Bool, &[u8::from(*self)])))
    }
}

impl Decode for bool {
    type Place = Short;

    #[inline(always)]
    fn place(tag: Tag, length: usize) -> Result<Short, Mismatch> {
        let expected = match tag {
            Tag::Bool => 1,
            // What it is as a key.
            Tag::Int => 8,
            found => return Err(Mismatch::Type { expected: "a boolean", found }),
        };
        expect_length(tag, expected, length)?;
        Ok(Short::new(expected))
    }

    #[inline(always)]
    fn decode(tag: Tag, place: Short) -> Result<Self, DecodeError> {
        match (u64::from_le_bytes(place.bytes()), tag) {
            (0, _) => Ok(false),
            (1, _) => Ok(true),
            (number, Tag::Int) => Err(DecodeError::Range {
                value: number.cast_signed().to_string(),
                into: "bool",
                range: "0 and 1".to_owned(),
            }),
            _ => Err(DecodeError::Malformed { tag, what: "its byte is neither 0 nor 1" }),
        }
    }
}
