//! Data structures that live in shared memory: open them by name from any process. No server.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::print_stdout,
        clippy::print_stderr,
        clippy::dbg_macro,
        clippy::exit
    )
)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!(
    "sharedware runs on Linux on 64-bit little-endian processors only (a portable backend is planned behind `sys`)"
);

// So that `#[derive(Shared)]`, which says `::sharedware`, works inside this crate's own tests.
extern crate self as sharedware;

mod base;
pub mod peer;
pub mod ring;
pub mod segment;
pub mod slot;
mod sync;
mod sys;

pub use base::access::{Access, ReadOnly, ReadWrite};
#[cfg(feature = "__crash-points")]
#[doc(hidden)]
pub use base::crash as __crash;
pub use segment::schema::Shared;
pub use segment::{Domain, Error, Lifetime, Options, Owner, Reason, Segment};
#[cfg(feature = "derive")]
pub use sharedware_derive::Shared;
