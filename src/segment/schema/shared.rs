//! Which Rust types may live in shared memory.

use std::marker::PhantomData;

use super::layout::Layout;
use super::model::{Scalar, Schema};

/// Types whose values may live in shared memory: plain old data that can say what it looks like.
///
/// Implemented for `u8` to `u64`, `i8` to `i64`, `f32`, `f64`, for arrays `[T; N]` of any of these, and by
/// [`#[derive(Shared)]`](macro@crate::Shared) for structs of them.
///
/// # What is not `Shared`, and what to use instead
///
/// | type | why | instead |
/// | --- | --- | --- |
/// | `usize`, `isize` | their width is the machine's, not the data's | `u64`, `i64` |
/// | `bool`, `char`, enums | others may write bit patterns that are no value of theirs | `u8`, `u32`, converted |
/// | `u128`, `i128` | neither PEP 3118 nor NumPy has them | `[u64; 2]` |
/// | references, pointers, `String`, `Vec` | an address means nothing in another process | an index, `[u8; N]` |
/// | atomics, cells | sharing is the business of the structure around the value | the plain type |
///
/// # Implementing it by hand
///
/// The derive is right by construction. An implementation by hand that describes other bytes than the type has is safe,
/// as any bytes are a valid value of plain old data, but it defeats the check on opening, and misleads whoever reads by
/// the schema.
///
/// # Example
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use sharedware::Shared;
///
/// # #[cfg(feature = "derive")] {
/// #[derive(Clone, Copy, Pod, Zeroable, Shared)]
/// #[repr(C)]
/// struct Tick {
///     seq: u64,
///     price: f64,
///     symbol: [u8; 8],
/// }
///
/// assert_eq!(Tick::schema().to_string(), "T{<Q:seq:<d:price:(8)<B:symbol:}");
/// # }
/// ```
///
/// ```compile_fail
/// fn share<T: sharedware::Shared>(_: T) {}
/// share(5usize); // how wide is it over there?
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot live in shared memory: it is not `Shared`",
    label = "not `Shared`",
    note = "a struct of your own: `#[repr(C)]` and `#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable, sharedware::Shared)]`",
    note = "in place of `usize`, `isize`: `u64`, `i64`; of `bool`, `char`, an enum: `u8`, `u32`; of `u128`: `[u64; 2]`; of `String`: `[u8; N]`",
    note = "references and pointers mean nothing in another process: store an index"
)]
pub trait Shared: bytemuck::Pod {
    /// The layout of a value.
    ///
    /// Builds it anew on each call: meant for creating and opening, not for a hot path. A type nested deeper than
    /// [`MAX_DEPTH`](super::MAX_DEPTH) or longer in text than [`MAX_TEXT`](super::MAX_TEXT) has a schema, but one that
    /// [`Schema::parse`] will not read back.
    fn schema() -> Schema;

    /// The same for the compiler, set by the derive; not an API.
    #[doc(hidden)]
    const __LAYOUT: Layout = Layout::Unknown;
}

/// The [fingerprint](Schema::fingerprint) of a type's schema.
///
/// Every write and read of plain old data needs it, so it must cost nothing, while [`Shared::schema`] allocates. A `static` that
/// remembers it cannot be had once a type for arrays and generic structs, and a table by type would have to be searched at every
/// call. So the compiler computes it, from the constant that the derive adds. Of types that implement `Shared` by hand, or whose text is
/// longer than 4096 bytes, it is computed at each call.
#[inline(always)]
pub(crate) fn fingerprint<T: Shared>() -> u64 {
    match const { T::__LAYOUT.fingerprint() } {
        Some(fingerprint) => fingerprint,
        None => slow_fingerprint::<T>(),
    }
}

#[cold]
fn slow_fingerprint<T: Shared>() -> u64 {
    T::schema().fingerprint()
}

macro_rules! scalars {
    ($($type:ty => $scalar:ident),* $(,)?) => { $(
        impl Shared for $type {
            fn schema() -> Schema {
                Schema::scalar(Scalar::$scalar)
            }
            const __LAYOUT: Layout = Layout::Scalar(Scalar::$scalar);
        }
    )* };
}

scalars! {
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    f32 => F32, f64 => F64,
}

/// `(N)` and the schema of `T`; dimensions of nested arrays are joined: `[[T; 3]; 2]` is `(2,3)`.
impl<T: Shared, const N: usize> Shared for [T; N] {
    fn schema() -> Schema {
        Schema::array(N, T::schema())
    }

    const __LAYOUT: Layout = Layout::Array { len: N, element: &T::__LAYOUT };
}

/// Nothing, `T{}`: so that a struct may carry a marker. The derive leaves such fields out.
impl<T: ?Sized + 'static> Shared for PhantomData<T> {
    fn schema() -> Schema {
        Schema::structure(0, Vec::new())
    }

    const __LAYOUT: Layout = Layout::Struct { size: 0, fields: &[] };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees<T: Shared>(text: &str) {
        let schema = T::schema();
        assert_eq!(schema.to_string(), text);
        assert_eq!((schema.size(), schema.align()), (size_of::<T>(), align_of::<T>()), "{text}");
        assert_eq!(T::__LAYOUT.fingerprint(), Some(schema.fingerprint()), "{text}");
        assert_eq!(Schema::parse(text), Ok(schema));
    }

    #[test]
    fn scalars_and_arrays_agree_with_the_compiler() {
        agrees::<u8>("<B");
        agrees::<u16>("<H");
        agrees::<u32>("<I");
        agrees::<u64>("<Q");
        agrees::<i8>("<b");
        agrees::<i16>("<h");
        agrees::<i32>("<i");
        agrees::<i64>("<q");
        agrees::<f32>("<f");
        agrees::<f64>("<d");
        agrees::<[f64; 4]>("(4)<d");
        agrees::<[[u16; 3]; 2]>("(2,3)<H");
        agrees::<[u32; 0]>("(0)<I");
        agrees::<[[[u8; 1234567890]; 0]; 10]>("(10,0,1234567890)<B");
        agrees::<PhantomData<u8>>("T{}");
    }
}
