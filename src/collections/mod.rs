//! Collections of values that programs in several languages understand.
//!
//! - [`value`]: what a key and a value is in bytes.

#![forbid(unsafe_code)]

pub mod value;
