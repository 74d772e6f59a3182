//! Nested plain data: what serde knows, as MessagePack.

use std::fmt::Display;

use rmp_serde::Serializer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::decode::{Decode, room};
use super::encode::{Encode, Encoded};
use super::error::{DecodeError, EncodeError, Mismatch};
use super::nesting::check;
use super::tag::Tag;

/// A value of a type that serde knows, stored as MessagePack, so that programs in other languages can read it. Behind the feature
/// `serde`.
///
/// Structs are maps from the names of their fields, and are read by these names: fields may be added later. `Vec<u8>` is a list of
/// numbers unless the type says otherwise (`serde_bytes`). Writing allocates.
///
/// Data is nested at most [`MAX_NESTING`](super::MAX_NESTING) levels deep: bytes that are deeper are refused, and not written. A value that is so
/// deep that serde runs out of stack with it ends the process.
///
/// # Example
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use sharedware::collections::value::{Encode, Packed, Tag, decode};
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct Job { name: String, tries: u32 }
///
/// let job = Packed(Job { name: "backup".into(), tries: 3 });
/// let payload = job.encode(|it| it.to_vec())?;
/// assert_eq!(payload, b"\x82\xa4name\xa6backup\xa5tries\x03");
/// assert_eq!(decode::<Packed<Job>>(Tag::Packed.code(), &payload)?, job);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packed<T>(pub T);

impl<T: Serialize> Encode for Packed<T> {
    fn encode<R>(&self, act: impl FnOnce(Encoded<'_>) -> R) -> Result<R, EncodeError> {
        let mut bytes = Vec::new();
        let mut serializer = Serializer::new(&mut bytes).with_struct_map();
        let failed = |reason: &dyn Display| EncodeError::Packed { reason: reason.to_string() };
        self.0.serialize(&mut serializer).map_err(|error| failed(&error))?;
        // Nothing is written that cannot be read.
        check(&bytes).map_err(|reason| failed(&reason))?;
        Ok(act(Encoded::new(Tag::Packed, &bytes)))
    }
}

impl<T: DeserializeOwned> Decode for Packed<T> {
    type Place = Vec<u8>;

    fn place(tag: Tag, length: usize) -> Result<Vec<u8>, Mismatch> {
        match tag {
            Tag::Packed => room(length),
            found => Err(Mismatch::Type { expected: "nested data", found }),
        }
    }

    fn decode(_: Tag, place: Vec<u8>) -> Result<Self, DecodeError> {
        let failed = |reason: &dyn Display| DecodeError::Packed { reason: reason.to_string() };
        check(&place).map_err(|reason| failed(&reason))?;
        rmp_serde::from_slice(&place).map(Self).map_err(|error| failed(&error))
    }
}
