//! Data structures that live in shared memory: open them by name from any process. No server.
//!
//! A process creates a structure under a name; others open that name and read and write the same bytes in place.
//!
//! - [`ring::spsc`]: a bounded queue of values of one type, from one process to another.
//! - [`ring::bytes`]: the same for records of any length.
//! - [`slot`]: the latest value of something, for any number of readers.
//! - [`sync`]: locks whose owners may die, semaphores, events, barriers and their kin.
//! - [`collections::value`]: keys and values that programs in every language read.
//! - [`Segment`]: named memory for you to arrange.
//!
//! Names live in a [`Domain`]. What may be shared is plain old data with a schema: [`#[derive(Shared)]`](derive@Shared).
//!
//! **Progress.** Fast paths make no system call, and the `try_` calls never wait; each module states more.
//!
//! **If a process dies**, by SIGKILL at any instruction, every operation that returned success stays in effect, no structure becomes
//! unusable, and whoever waits for the dead is told within some 100 ms (150 by locks and semaphores). What it left is removed by its last user, by the next creation, or by
//! [`Domain::clean`].
//!
//! **Errors.** Nothing here panics on anything that a user, a file or another process can cause, and nothing prints.
//!
//! # Example
//!
//! ```
//! use bytemuck::{Pod, Zeroable};
//! use sharedware::{Domain, Shared, ring::spsc::Ring, slot::Slot};
//!
//! #[repr(C)]
//! #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable, Shared)]
//! struct Tick {
//!     sequence: u64,
//!     price: f64,
//! }
//!
//! let domain = Domain::new("doc-crate")?;
//! let last = Slot::create(&domain, "last", Tick { sequence: 0, price: 0.0 })?;
//! let mut producer = Ring::<Tick>::create(&domain, "ticks", 1024)?.producer()?;
//!
//! // In another process:
//! let mut consumer = Ring::<Tick>::open(&domain, "ticks")?.consumer()?;
//! producer.push(Tick { sequence: 1, price: 99.5 })?;
//! let tick = consumer.pop()?;
//! last.write(&tick)?;
//! assert_eq!(last.read()?.price, 99.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub mod collections;
pub mod heap;
pub mod peer;
pub mod ring;
pub mod segment;
pub mod slot;
pub mod sync;
mod sys;

pub use base::access::{Access, ReadOnly, ReadWrite};
#[cfg(feature = "__crash-points")]
#[doc(hidden)]
pub use base::crash as __crash;
#[cfg(feature = "__crash-points")]
#[doc(hidden)]
pub use heap::probe as __heap;
pub use segment::schema::Shared;
pub use segment::{Domain, Error, Lifetime, Options, Owner, Reason, Segment};
#[cfg(feature = "derive")]
pub use sharedware_derive::Shared;

/// The README's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
