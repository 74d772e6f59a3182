//! What the random run knows: memory of its own, outside of what is being tested, where each worker notes at once what has succeeded.
#![allow(clippy::disallowed_types, reason = "the oracle's memory is not the library's")]

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use crate::process::{kill_self, now, process_id, shared_words};

/// Numbers that workers note; each has one writer at a time, unless raised.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Note {
    /// Values pushed to the typed ring, and popped from it.
    Pushed,
    Popped,
    /// Records sent through the byte ring, and received.
    Sent,
    Received,
    /// The highest version of the slot that is written in turn, and of the other.
    Turn,
    Alone,
    /// Values written in turn, by writer; the last writer's are written by several at once.
    Writer(u64),
    /// What has become of a churner's own segment: see `Own` in `workers`.
    Own(u64),
    /// Increments of a counter behind a lock, by who made them.
    Counted {
        counter: u64,
        by: u64,
    },
    /// Where the byte ring's producer was after so many records: the last few.
    SentPosition(u64),
}

impl Note {
    fn place(self) -> usize {
        match self {
            Self::Pushed => 0,
            Self::Popped => 8,
            Self::Sent => 16,
            Self::Received => 24,
            Self::Turn => 32,
            Self::Alone => 40,
            Self::Writer(who) => 48 + who as usize % 8,
            Self::Own(who) => 56 + who as usize % 8,
            Self::SentPosition(count) => 64 + count as usize % 16,
            Self::Counted { counter, by } => 80 + 8 * (counter as usize % 6) + by as usize % 8,
        }
    }
}

const NOTES: usize = 128;
/// Words of each worker: a line, so that they do not wait for each other.
const WORKER: usize = 8;
const ACKED: usize = 0;
const DIED: usize = 1;
const SIDE_KILLED: usize = 2;
/// Words of each structure: when somebody who used it was killed, and in which life.
const STRUCTURE: usize = 8;
const STRUCTURES: usize = 16;
const WORKERS: usize = 32;
const MOST_SAMPLES: usize = 1 << 18;

/// Times from a kill to an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// By anyone else who uses the structure.
    Others,
    /// By the successor of who was killed.
    Successor,
}

#[derive(Clone, Copy)]
pub(crate) struct Oracle {
    words: &'static [AtomicU64],
}

impl Oracle {
    pub(crate) fn new() -> std::io::Result<Self> {
        let count = NOTES + WORKERS * WORKER + STRUCTURES * STRUCTURE + 2 * (8 + MOST_SAMPLES);
        Ok(Self { words: shared_words(count)? })
    }

    fn worker(self, index: usize, field: usize) -> &'static AtomicU64 {
        &self.words[NOTES + index * WORKER + field]
    }

    fn structure(self, structure: usize, field: usize) -> &'static AtomicU64 {
        &self.words[NOTES + WORKERS * WORKER + structure * STRUCTURE + field]
    }

    fn samples(self, recovery: Recovery) -> (&'static AtomicU64, &'static [AtomicU64]) {
        let start = NOTES + WORKERS * WORKER + STRUCTURES * STRUCTURE + recovery as usize * (8 + MOST_SAMPLES);
        (&self.words[start], &self.words[start + 8..start + 8 + MOST_SAMPLES])
    }

    pub(crate) fn note(self, what: Note, value: u64) {
        self.words[what.place()].store(value, SeqCst);
    }

    pub(crate) fn raise(self, what: Note, value: u64) {
        self.words[what.place()].fetch_max(value, SeqCst);
    }

    pub(crate) fn next(self, what: Note) -> u64 {
        self.words[what.place()].fetch_add(1, SeqCst) + 1
    }

    pub(crate) fn known(self, what: Note) -> u64 {
        self.words[what.place()].load(SeqCst)
    }

    /// Operations acknowledged by a worker, in all its lives.
    pub(crate) fn acked(self, index: usize) -> u64 {
        self.worker(index, ACKED).load(SeqCst)
    }

    /// A worker was killed, at this time, in this life of its.
    pub(crate) fn killed(self, index: usize, structure: usize, life: u64, at: u64) {
        self.worker(index, SIDE_KILLED).store(at, SeqCst);
        if self.structure(structure, 0).load(SeqCst) == 0 {
            self.structure(structure, 1).store(life, SeqCst);
            self.structure(structure, 0).store(at, SeqCst);
        }
    }

    /// When a worker killed itself; 0 if it did not. Forgets it.
    pub(crate) fn died(self, index: usize) -> u64 {
        self.worker(index, DIED).swap(0, SeqCst)
    }

    /// All times of one sort, in nanoseconds, sorted.
    pub(crate) fn recoveries(self, recovery: Recovery) -> Vec<u64> {
        let (count, samples) = self.samples(recovery);
        let count = (count.load(SeqCst) as usize).min(MOST_SAMPLES);
        let mut times: Vec<u64> = samples.iter().take(count).map(|sample| sample.load(SeqCst)).collect();
        times.sort_unstable();
        times
    }

    fn sample(self, recovery: Recovery, since: u64) {
        let (count, samples) = self.samples(recovery);
        if let Some(sample) = samples.get(count.fetch_add(1, SeqCst) as usize) {
            sample.store(now().saturating_sub(since), SeqCst);
        }
    }
}

/// A worker's way to say that something has succeeded.
#[derive(Clone, Copy)]
pub(crate) struct Me {
    pub(crate) oracle: Oracle,
    pub(crate) index: usize,
    pub(crate) structure: usize,
    /// No two lives of all workers are the same.
    pub(crate) life: u64,
}

impl Me {
    /// So many operations have succeeded.
    pub(crate) fn acked(self, count: u64) {
        self.oracle.worker(self.index, ACKED).fetch_add(count, SeqCst);
        let killed = self.oracle.structure(self.structure, 0);
        let at = killed.load(SeqCst);
        if at != 0
            && self.oracle.structure(self.structure, 1).load(SeqCst) != self.life
            && killed.compare_exchange(at, 0, SeqCst, SeqCst).is_ok()
        {
            self.oracle.sample(Recovery::Others, at);
        }
        let side = self.oracle.worker(self.index, SIDE_KILLED);
        if side.load(SeqCst) != 0 {
            self.oracle.sample(Recovery::Successor, side.swap(0, SeqCst));
        }
    }
}

static DYING: OnceLock<(Me, i32)> = OnceLock::new();

/// Prepares for [`die`].
pub(crate) fn about_to_die(me: Me) {
    let _ = DYING.set((me, process_id()));
}

/// Notes the time of death, and dies. (Children of a worker just die.)
pub(crate) fn die() {
    if let Some((me, pid)) = DYING.get()
        && *pid == process_id()
    {
        me.oracle.worker(me.index, DIED).store(now(), SeqCst);
    }
    kill_self();
}
