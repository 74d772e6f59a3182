//! Slots: the latest value of something, written in place, read by any number of processes without a single store.
//!
//! A [`Slot`] holds one value, [`Slots`] an array of them, each with a version that counts its writes. Reading is a copy, checked
//! afterwards (a seqlock over eight copies, so that a writer rarely gets in a reader's way); a read-only mapping is enough.
//!
//! **Progress.** A read is lock-free: it starts over only if seven writes happened meanwhile. A write through an exclusive
//! [`Writer`] is wait-free; one through [`Slot::write`] takes turns with other writers.
//!
//! **If a process dies** in the middle of a write, readers go on reading the previous value, and the next writer starts over. A reader
//! that dies leaves nothing.
//!
//! **When not to use.** A slot holds the latest value only: use a [`ring`](crate::ring) to see every one. Values of many kilobytes that are
//! written without pause make readers start over.
//!
//! # Example
//!
//! ```
//! use sharedware::{Domain, slot::Slot};
//!
//! let domain = Domain::new("doc-slot")?;
//! let temperature = Slot::create(&domain, "temperature", 20.5_f64)?;
//!
//! let reader = Slot::<f64, _>::open_read_only(&domain, "temperature")?; // elsewhere
//! assert_eq!(reader.read()?, 20.5);
//! temperature.write(&21.0)?;
//! assert_eq!(reader.read()?, 21.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//!
//! Seqlocks: Hemminger and Lameter in the Linux kernel; their memory ordering: Boehm, "Can Seqlocks Get Along With Programming Language
//! Memory Models?", 2012. Several copies: the "latch" variant of Linux's `seqcount_latch_t`, with a sequence for each copy.

mod cell;
mod error;
#[cfg(all(test, loom))]
mod loom_model;
mod one;
mod slots;
mod turn;
mod view;
mod wait;
mod writer;

pub use error::{ReadError, WriteError};
pub use one::Slot;
pub use slots::Slots;
pub use view::View;
pub use writer::Writer;
