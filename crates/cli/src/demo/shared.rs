//! What the processes of the demo share, and by which names.

use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use sharedware::ring::spsc::Ring;
use sharedware::slot::{Slot, Slots};
use sharedware::{Domain, Shared};

use crate::exit::{Exit, Outcome};

/// How many ticks the ring holds.
const TICKS: u64 = 1 << 16;
/// How many quotes there are.
pub(super) const SYMBOLS: usize = 4;

/// What goes through the ring.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable, Shared)]
pub(super) struct Tick {
    /// Counts from 0 through all feeds, dead ones included.
    pub(super) number: u64,
    pub(super) sent_ns: u64,
    pub(super) price: f64,
    pub(super) symbol: u32,
    /// 1: sent into an empty ring, so the time it takes is the ring's; 0: not so.
    pub(super) timed: u32,
}

/// The latest of a symbol.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable, Shared)]
pub(super) struct Quote {
    pub(super) price: f64,
    pub(super) number: u64,
    /// All bits of `number` turned, to notice a value put together from two.
    pub(super) check: u64,
}

/// What the feed says.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, Pod, Zeroable, Shared)]
pub(super) struct FeedReport {
    pub(super) pid: u64,
    pub(super) started_ns: u64,
    /// The first number of this process.
    pub(super) first: u64,
    /// The next number.
    pub(super) next: u64,
}

/// What the book says.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, Pod, Zeroable, Shared)]
pub(super) struct BookReport {
    pub(super) pid: u64,
    pub(super) started_ns: u64,
    pub(super) first: u64,
    /// The next number it expects: all below were checked.
    pub(super) next: u64,
    /// Numbers that never came, and such that came again after a book died that had not said that it had them.
    pub(super) lost: u64,
    pub(super) again: u64,
    /// Ticks that came as fast as it goes, and the time that took.
    pub(super) fast: u64,
    pub(super) fast_ns: u64,
    /// One way, of those that are timed.
    pub(super) timed: u64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p999_ns: u64,
    pub(super) longest_ns: u64,
}

/// What the watch says.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, Pod, Zeroable, Shared)]
pub(super) struct WatchReport {
    pub(super) pid: u64,
    pub(super) started_ns: u64,
    pub(super) reads: u64,
    /// Time spent reading, pauses not counted.
    pub(super) read_ns: u64,
    /// Values put together from two: never, if we keep our word.
    pub(super) torn: u64,
}

/// All of it, by name.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) ticks: Ring<Tick>,
    pub(super) quotes: Slots<Quote>,
    pub(super) feed: Slot<FeedReport>,
    pub(super) book: Slot<BookReport>,
    pub(super) watch: Slot<WatchReport>,
    /// 1: end.
    control: Slot<u64>,
}

impl Segments {
    pub(super) fn create(domain: &Domain, name: &str) -> Outcome<Self> {
        let named = |part: &str| format!("{name}.{part}");
        let ticks = Ring::create(domain, &named("ticks"), TICKS).map_err(|error| {
            if error.is_already_exists() {
                Exit::failure(format_args!(
                    "another demo is running under the name `{name}`: give this one another with --name"
                ))
            } else {
                error.into()
            }
        })?;
        let quote = Quote { price: 100.0, number: 0, check: !0 };
        Ok(Self {
            ticks,
            quotes: Slots::create(domain, &named("quotes"), SYMBOLS, quote)?,
            feed: Slot::create(domain, &named("feed"), FeedReport::default())?,
            book: Slot::create(domain, &named("book"), BookReport::default())?,
            watch: Slot::create(domain, &named("watch"), WatchReport::default())?,
            control: Slot::create(domain, &named("control"), 0)?,
        })
    }

    pub(super) fn open(domain: &Domain, name: &str) -> Outcome<Self> {
        let named = |part: &str| format!("{name}.{part}");
        Ok(Self {
            ticks: Ring::open(domain, &named("ticks"))?,
            quotes: Slots::open(domain, &named("quotes"))?,
            feed: Slot::open(domain, &named("feed"))?,
            book: Slot::open(domain, &named("book"))?,
            watch: Slot::open(domain, &named("watch"))?,
            control: Slot::open(domain, &named("control"))?,
        })
    }

    /// Asks the processes to end.
    pub(super) fn stop(&self) -> Outcome {
        self.control.write(&1).map(drop).map_err(Exit::failure)
    }

    /// Whether to end.
    pub(super) fn is_stopped(&self) -> bool {
        // Spoilt: no reason to go on.
        self.control.read() != Ok(0)
    }
}

/// Nanoseconds on a clock that all processes share.
#[inline]
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Asked now and then by the processes: whether the demo itself is gone, that is, the other end of our standard input.
#[derive(Debug)]
pub(super) struct Orphan {
    asked: u64,
}

impl Orphan {
    const INTERVAL: u64 = Duration::from_millis(5).as_nanos() as u64;

    pub(super) fn new() -> Self {
        Self { asked: 0 }
    }

    pub(super) fn is_it(&mut self, now: u64) -> bool {
        if now.wrapping_sub(self.asked) < Self::INTERVAL {
            return false;
        }
        self.asked = now;
        let at_once = Timespec::default();
        // Nothing is ever written to it: readable is its end.
        poll(&mut [PollFd::new(&rustix::stdio::stdin(), PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
    }
}
