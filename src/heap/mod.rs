//! The allocator inside a segment: blocks of any size, each of which belongs to one word elsewhere in the segment, whenever a process dies.
//!
//! One segment of a large capacity, of which memory is had as it is needed, page by page. Blocks up to 32 KiB are cut from slabs of one size class each; larger ones are runs of pages. What changes, changes under
//! one lock, by way of a journal, all at once or not at all; so who comes after somebody dead finds the heap whole, and each block either free or named by
//! the word of its owner. The protocol is in ARCHITECTURE.md, "Heap".
//!
//! **If a process dies**, the next one to allocate or free finishes what it had written down, and goes on.

#![allow(dead_code, reason = "dictionaries are built on it, and come next")]

mod check;
mod class;
mod entry;
#[expect(clippy::module_inception, reason = "it is the heap of this module")]
mod heap;
mod journal;
mod layout;
mod memory;
mod pins;
#[cfg(any(test, feature = "__crash-points"))]
pub mod probe;
mod runs;
mod slabs;
mod state;
mod stats;

pub use heap::Heap;
pub use stats::Stats;

#[cfg(all(test, not(loom)))]
mod tests;
