//! A bounded queue of values of one type, from one process to another.
//!
//! A [`Ring`] is opened by name; its [`Producer`] and its [`Consumer`] can each be taken by one process at a time. A value and the mark that says it is
//! there share a cache line, so that one transfer between cores delivers both; nobody makes a system call while nobody sleeps; there is no
//! atomic read-modify-write and no fence in either fast path.
//!
//! **Progress.** `try_push`, `try_pop` and their kin are wait-free. `push` and `pop` wait for the other side: they spin, then sleep.
//!
//! **If the producer dies**, everything it pushed stays and can be popped; a successor goes on behind it. **If the consumer dies**, its
//! successor pops what it had not popped. A batch whose producer dies in the middle is there up to some element. A pop whose consumer dies
//! before it returns may have happened or not: [`Consumer::position`] tells the successor.
//!
//! **When not to use.** Several producers or consumers at once; records of differing length ([`bytes`](super::bytes)); only the latest value matters
//! ([`slot`](crate::slot)).
//!
//! # Example
//!
//! ```
//! use sharedware::{Domain, ring::spsc::Ring};
//!
//! let domain = Domain::new("doc-spsc")?;
//! let ring = Ring::<u64>::create(&domain, "numbers", 1024)?;
//! let mut producer = ring.producer()?;
//!
//! let mut consumer = Ring::<u64>::open(&domain, "numbers")?.consumer()?; // elsewhere
//! producer.push(7)?;
//! assert_eq!(consumer.pop()?, 7);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//!
//! Lamport's single-producer queue; the in-cell marks of FastForward (Giacomoni, Moseley, Vachharajani, 2008) and Vyukov's bounded queue; cached
//! positions and their seldom publication from MCRingBuffer (Lee, Bu, Chandranmenon, 2010).

mod claim;
mod consumer;
mod hot;
#[cfg(all(test, loom))]
mod loom_model;
mod producer;
#[allow(clippy::module_inception, reason = "the type that the module is named for")]
mod ring;
mod view;

pub use claim::{PopClaim, PushClaim};
pub use consumer::Consumer;
pub use producer::Producer;
pub use ring::Ring;
pub use view::View;
