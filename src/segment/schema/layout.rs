//! A layout in constants, for what must cost nothing at run time: the fingerprint of a type's schema.

use xxhash_rust::const_xxh3::xxh3_64;

use super::model::Scalar;

/// The longest text whose fingerprint the compiler computes. It gives up on constants that take it long.
const MAX_CONST_TEXT: usize = 4096;

/// What `#[derive(Shared)]` tells the compiler of a type. Not an API.
///
/// Says the same as [`Shared::schema`](super::Shared::schema), which needs an allocator.
#[derive(Debug, Clone, Copy)]
pub enum Layout {
    /// Only [`Shared::schema`](super::Shared::schema) knows: implemented by hand.
    Unknown,
    /// A number.
    Scalar(Scalar),
    /// So many of one type.
    Array {
        /// How many.
        len: usize,
        /// Of what; may itself be an array.
        element: &'static Layout,
    },
    /// Name, offset and type of the fields, in order of their offsets, as `repr(C)` has them.
    Struct {
        /// Bytes, padding included.
        size: usize,
        /// The fields.
        fields: &'static [(&'static str, usize, Layout)],
    },
    /// What `repr(transparent)` wraps is the one field that is not empty.
    Transparent {
        /// The fields.
        fields: &'static [(&'static str, usize, Layout)],
    },
}

impl Layout {
    /// The same without wrappers.
    pub(crate) const fn unwrapped(&self) -> &Self {
        let &Self::Transparent { mut fields } = self else { return self };
        while let Some(((_, _, field), rest)) = fields.split_first() {
            if !matches!(field.size(), Some(0)) {
                return field.unwrapped();
            }
            fields = rest;
        }
        &Self::Unknown
    }

    /// Bytes.
    const fn size(&self) -> Option<usize> {
        match self.unwrapped() {
            Self::Scalar(scalar) => Some(scalar.size()),
            Self::Array { len, element } => match element.size() {
                Some(size) => size.checked_mul(*len),
                None => None,
            },
            Self::Struct { size, .. } => Some(*size),
            Self::Unknown | Self::Transparent { .. } => None,
        }
    }

    /// [`Schema::fingerprint`](super::Schema::fingerprint); `None` if somewhere something is unknown, or the text is long.
    pub(crate) const fn fingerprint(&self) -> Option<u64> {
        let mut text = [0; MAX_CONST_TEXT];
        let Some(rest) = self.write(Some(&mut text)) else { return None };
        let length = MAX_CONST_TEXT - rest.len();
        match text.split_at_checked(length) {
            Some((text, _)) => Some(xxh3_64(text)),
            None => None,
        }
    }

    /// Writes the text of the schema to where there is room; what is left of that, if it was enough.
    const fn write<'a>(&self, mut to: Option<&'a mut [u8]>) -> Option<&'a mut [u8]> {
        match self.unwrapped() {
            Self::Scalar(scalar) => put(put(to, b'<'), scalar.code() as u8),
            Self::Array { len, element } => {
                to = number(put(to, b'('), *len);
                let mut inner = element.unwrapped();
                while let Self::Array { len, element } = inner {
                    to = number(put(to, b','), *len);
                    inner = element.unwrapped();
                }
                inner.write(put(to, b')'))
            }
            Self::Struct { size, fields } => {
                to = put(put(to, b'T'), b'{');
                let mut end = 0;
                let mut fields = *fields;
                while let Some(((name, offset, field), rest)) = fields.split_first() {
                    fields = rest;
                    let Some(bytes) = field.size() else { return None };
                    if matches!(field.unwrapped(), Self::Struct { fields: [], .. }) {
                        continue;
                    }
                    to = field.write(padding(to, offset.saturating_sub(end)));
                    to = put(all(put(to, b':'), name.as_bytes()), b':');
                    end = offset.saturating_add(bytes);
                }
                put(padding(to, size.saturating_sub(end)), b'}')
            }
            Self::Unknown | Self::Transparent { .. } => None,
        }
    }
}

const fn put(to: Option<&mut [u8]>, byte: u8) -> Option<&mut [u8]> {
    let Some(to) = to else { return None };
    match to.split_first_mut() {
        Some((first, rest)) => {
            *first = byte;
            Some(rest)
        }
        None => None,
    }
}

const fn all<'a>(mut to: Option<&'a mut [u8]>, mut bytes: &[u8]) -> Option<&'a mut [u8]> {
    while let Some((byte, rest)) = bytes.split_first() {
        to = put(to, *byte);
        bytes = rest;
    }
    to
}

const fn number(to: Option<&mut [u8]>, number: usize) -> Option<&mut [u8]> {
    let to = if number < 10 { to } else { self::number(to, number / 10) };
    put(to, b'0' + (number % 10) as u8)
}

const fn padding(to: Option<&mut [u8]>, bytes: usize) -> Option<&mut [u8]> {
    match bytes {
        0 => to,
        1 => put(to, b'x'),
        _ => put(number(to, bytes), b'x'),
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::super::{Schema, fingerprint};
    use super::*;
    use crate::Shared;

    /// Both ways to a fingerprint, for everything that the derive makes.
    #[cfg(feature = "derive")]
    #[test]
    fn the_compiler_computes_the_same_fingerprint() {
        use bytemuck::{Pod, Zeroable};

        #[repr(C, packed)]
        #[derive(Clone, Copy, Pod, Zeroable, Shared)]
        struct Point<T> {
            x: T,
            y: T,
            marker: PhantomData<u8>,
        }

        #[repr(transparent)]
        #[derive(Clone, Copy, Pod, Zeroable, Shared)]
        struct Newtype<T>([T; 2]);

        #[repr(transparent)]
        #[derive(Clone, Copy, Pod, Zeroable, Shared)]
        struct Marked(PhantomData<u8>, u64, PhantomData<u16>);

        #[repr(C)]
        #[derive(Clone, Copy, Pod, Zeroable, Shared)]
        struct All {
            none: [u32; 0],
            größe: u32,
            at: [[Point<Newtype<f32>>; 1]; 1],
            r#type: [Newtype<[u16; 1]>; 3],
        }

        #[repr(C, packed)]
        #[derive(Clone, Copy, Pod, Zeroable, Shared)]
        struct Packed {
            a: u8,
            b: [u64; 3],
        }

        fn same<T: Shared>(text: &str) {
            assert_eq!(T::schema().to_string(), text);
            assert_eq!(T::__LAYOUT.fingerprint(), Some(T::schema().fingerprint()), "{text}");
            assert_eq!(fingerprint::<T>(), T::schema().fingerprint(), "{text}");
        }
        same::<Point<u64>>("T{<Q:x:<Q:y:}");
        same::<Newtype<u64>>("(2)<Q");
        same::<Marked>("<Q");
        same::<[Newtype<u64>; 3]>("(3,2)<Q");
        same::<All>("T{(0)<I:none:<I:größe:(1,1)T{(2)<f:x:(2)<f:y:}:at:(3,2,1)<H:type:}");
        same::<Packed>("T{<B:a:(3)<Q:b:}");
    }

    #[test]
    fn what_the_compiler_does_not_know_is_computed_when_asked_for() {
        #[repr(transparent)]
        #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        struct ByHand(u64);

        impl Shared for ByHand {
            fn schema() -> Schema {
                u64::schema()
            }
        }

        assert_eq!(ByHand::__LAYOUT.fingerprint(), None);
        assert_eq!(fingerprint::<[ByHand; 2]>(), fingerprint::<[u64; 2]>());
    }

    #[test]
    fn a_long_text_is_left_to_run_time() {
        const NAME: &str = "a_name_of_sixteen";
        const FIELDS: [(&str, usize, Layout); 200] = [(NAME, 0, Layout::Scalar(Scalar::U8)); 200];
        let layout = |fields| Layout::Struct { size: 1, fields };
        assert!(layout(FIELDS.split_at(100).0).fingerprint().is_some());
        assert_eq!(layout(&FIELDS).fingerprint(), None);
    }
}
