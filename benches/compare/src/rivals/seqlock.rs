//! The bare seqlock: one sequence, one copy, read and written word by word. And what every such value has to do here.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::process::{Context, Fallible};

/// A value of 64 bytes that one process writes and another reads.
pub(crate) trait Cell {
    type Writer: CellWriter;
    type Reader: CellReader;

    /// Role 1 makes it and writes.
    fn writer(context: &Context) -> Fallible<Self::Writer>;
    /// Role 0 opens it, read-only where there is such a thing, and reads.
    fn reader(context: &Context) -> Fallible<Self::Reader>;
}

pub(crate) trait CellWriter {
    fn write(&mut self, value: &[u64; 8]);
}

pub(crate) trait CellReader {
    /// A value that was written as a whole.
    fn read(&mut self) -> [u64; 8];
}

pub(crate) struct Seqlock {
    sequence: &'static AtomicU64,
    words: &'static [AtomicU64; 8],
}

impl Seqlock {
    fn new(context: &Context) -> Fallible<Self> {
        let (sequence, rest) = context.free().split_first().ok_or("an arena")?;
        Ok(Self { sequence, words: rest[..8].try_into()? })
    }
}

impl Cell for Seqlock {
    type Writer = Self;
    type Reader = Self;

    fn writer(context: &Context) -> Fallible<Self> {
        Self::new(context)
    }

    fn reader(context: &Context) -> Fallible<Self> {
        Self::new(context)
    }
}

impl CellWriter for Seqlock {
    #[inline(always)]
    fn write(&mut self, value: &[u64; 8]) {
        let even = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(even + 1, Ordering::Relaxed);
        // The odd sequence before any word; pairs with the reader's fence.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(value) {
            word.store(*value, Ordering::Relaxed);
        }
        self.sequence.store(even + 2, Ordering::Release);
    }
}

impl CellReader for Seqlock {
    #[inline(always)]
    fn read(&mut self) -> [u64; 8] {
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let value = std::array::from_fn(|k| self.words[k].load(Ordering::Relaxed));
                // Every word before the second look; pairs with the writer's fence.
                fence(Ordering::Acquire);
                if self.sequence.load(Ordering::Relaxed) == before {
                    return value;
                }
            }
            spin_loop();
        }
    }
}
