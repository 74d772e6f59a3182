//! A bounded queue of records of any length, from one process to another; zero-copy on both sides.
//!
//! A [`Ring`] is opened by name; its [`Producer`] and its [`Consumer`] can each be taken by one process at a time. A record is contiguous
//! in the ring: [`Producer::claim`] lends the bytes out to be written in place, [`Consumer::recv`] to be read in place. The end of a stream is
//! a message of its own ([`Producer::finish`]), so that a consumer can tell "complete" from "the producer died".
//!
//! **Progress.** `try_send`, `try_recv` and their kin are wait-free. `send` and `recv` wait for the other side: they spin, then sleep.
//!
//! **If the producer dies**, every record it committed stays; half a record is never seen; a successor goes on behind them. **If the consumer
//! dies**, its successor receives every record that was not released.
//!
//! **When not to use.** Several producers or consumers at once; values of one fixed type ([`spsc`](super::spsc) is faster); records
//! longer than half the ring.
//!
//! # Example
//!
//! ```
//! use sharedware::{Domain, ring::{PopError, bytes::Ring}};
//!
//! let domain = Domain::new("doc-bytes")?;
//! let ring = Ring::create(&domain, "lines", 1 << 16)?;
//! let mut producer = ring.producer()?;
//!
//! let mut consumer = Ring::open(&domain, "lines")?.consumer()?; // elsewhere
//! producer.send(b"hello")?;
//! let mut claim = producer.claim(100)?; // write in place
//! claim[..5].copy_from_slice(b"world");
//! claim.commit_first(5);
//! producer.finish()?;
//!
//! let record = consumer.recv()?;
//! assert_eq!(&*record, b"hello");
//! record.release();
//! consumer.recv()?.release();
//! assert!(matches!(consumer.recv(), Err(PopError::Finished)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//!
//! In-place headers and contiguous records with padding at the end of the buffer: Agrona's `OneToOneRingBuffer`. Unlike there, the producer zeroes the
//! next header before it commits a record, so that the consumer need not zero what it has read.

mod claim;
mod consumer;
mod header;
#[cfg(all(test, loom))]
mod loom_model;
mod producer;
#[allow(clippy::module_inception, reason = "the type that the module is named for")]
mod ring;
mod view;

pub use claim::{Batch, Claim, Record};
pub use consumer::Consumer;
pub use producer::Producer;
pub use ring::Ring;
pub use view::{Records, View};
