//! Data structures that live in shared memory: open them by name from any process. No server.

// So that `#[derive(Shared)]`, which says `::sharedware`, works inside this crate's own tests.
extern crate self as sharedware;

pub mod segment;

pub use segment::schema::Shared;
#[cfg(feature = "derive")]
pub use sharedware_derive::Shared;
