//! `#[derive(Shared)]` for the crate `sharedware`: the schema of a plain old data type, from its own declaration.

mod attributes;
mod expand;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Lets the values of a struct live in shared memory: implements the trait `sharedware::Shared`.
///
/// The struct must be plain old data (`bytemuck::Pod`) with a layout that Rust promises:
///
/// - `#[repr(C)]`: a struct of its fields, also with `packed` and `align`. A tuple struct's fields are called `0`, `1`,
///   and so on.
/// - `#[repr(transparent)]`: the one field it consists of, so that a `Price(f64)` is an `f64` in the schema.
///
/// Every field must be `Shared`; `PhantomData` is, and leaves no trace in the schema. Names are written without `r#`.
/// Generic structs implement the trait for those parameters for which they are plain old data and their fields are
/// `Shared`.
///
/// # Attributes
///
/// `#[shared(crate = "path")]`: where the crate `sharedware` is found, if not at `::sharedware`; for macros and
/// re-exports.
///
/// # Example
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use sharedware::Shared;
///
/// #[derive(Clone, Copy, Pod, Zeroable, Shared)]
/// #[repr(transparent)]
/// struct Price(f64);
///
/// #[derive(Clone, Copy, Pod, Zeroable, Shared)]
/// #[repr(C)]
/// struct Tick {
///     seq: u64,
///     r#type: u32,
///     lots: u32,
///     bid_ask: [Price; 2],
/// }
///
/// assert_eq!(Tick::schema().to_string(), "T{<Q:seq:<I:type:<I:lots:(2)<d:bid_ask:}");
/// ```
#[proc_macro_derive(Shared, attributes(shared))]
pub fn derive_shared(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::shared(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
