//! Strings and bytes of any length.

use super::decode::{Decode, room};
use super::encode::{Encode, Encoded};
use super::error::{DecodeError, EncodeError, Mismatch};
use super::tag::Tag;

macro_rules! encodes {
    ($($type:ty => $tag:ident, $bytes:ident);* $(;)?) => { $(
        impl Encode for $type {
            #[inline(always)]
            fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
                Ok(act(Encoded::new(Tag::$tag, self.$bytes())))
            }
        }
    )* };
}

encodes! {
    str => Str, as_bytes;
    &str => Str, as_bytes;
    String => Str, as_bytes;
    Box<str> => Str, as_bytes;
    [u8] => Bytes, as_ref;
    &[u8] => Bytes, as_ref;
    Vec<u8> => Bytes, as_slice;
}

impl Decode for Vec<u8> {
    type Place = Vec<u8>;

    #[inline]
    fn place(tag: Tag, length: usize) -> Result<Vec<u8>, Mismatch> {
        match tag {
            Tag::Bytes => room(length),
            found => Err(Mismatch::Type { expected: "bytes", found }),
        }
    }

    #[inline]
    fn decode(_: Tag, place: Vec<u8>) -> Result<Self, DecodeError> {
        Ok(place)
    }
}

impl Decode for String {
    type Place = Vec<u8>;

    #[inline]
    fn place(tag: Tag, length: usize) -> Result<Vec<u8>, Mismatch> {
        match tag {
            Tag::Str => room(length),
            found => Err(Mismatch::Type { expected: "a string", found }),
        }
    }

    #[inline]
    fn decode(_: Tag, place: Vec<u8>) -> Result<Self, DecodeError> {
        Self::from_utf8(place).map_err(|error| DecodeError::Text { position: error.utf8_error().valid_up_to() })
    }
}

impl Decode for Box<str> {
    type Place = Vec<u8>;

    #[inline]
    fn place(tag: Tag, length: usize) -> Result<Vec<u8>, Mismatch> {
        String::place(tag, length)
    }

    #[inline]
    fn decode(tag: Tag, place: Vec<u8>) -> Result<Self, DecodeError> {
        String::decode(tag, place).map(String::into_boxed_str)
    }
}
