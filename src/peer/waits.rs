//! Wait records: which thread waits where and since when, for people to see. Nothing else depends on them. The protocol is in
//! ARCHITECTURE.md, "Peers".

use super::cookie::Cookie;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::atomic::{Word, fence};
use crate::segment::Segment;
use crate::segment::region::Words;
use crate::sys::clock;
use crate::sys::fork::Stamp;

/// How many records a registry has. A power of two.
pub(crate) const RECORDS: u64 = 4096;

/// Words of a record, and what is where.
pub(super) const RECORD_WORDS: usize = 8;
/// 0: free. Otherwise the owner's cookie, with [`FILLING`] until the rest is there.
const COOKIE: usize = 0;
const SEGMENT: usize = 1;
const OFFSET: usize = 2;
const THREAD: usize = 3;
/// Also tells claims of the same record by the same process apart: no two in a row have the same.
const SINCE: usize = 4;

const FILLING: u64 = 1 << 63;

/// How many records a claim looks at.
const NEIGHBOURS: usize = 8;
/// How often to read a record that changes meanwhile, before giving it up.
const TRIES: usize = 4;
/// Times that are further ahead than that are not the clock's.
const SECOND: u64 = 1_000_000_000;

type Record<A = ReadWrite> = [Word<A>; RECORD_WORDS];

/// Where something that threads wait for is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The first 8 bytes of the segment's identity.
    pub(crate) segment: u64,
    /// In bytes, from the start of the segment's body.
    pub(crate) offset: u64,
}

impl Place {
    pub(crate) fn new<A: Access>(segment: &Segment<A>, offset: u64) -> Self {
        let identity = segment.identity();
        let segment = identity.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Self { segment, offset }
    }
}

/// The calling thread's record, from [`Peer::wait_record`](super::Peer::wait_record); free again when dropped.
#[derive(Debug)]
pub(crate) struct WaitRecord<'a> {
    records: &'a Words,
    number: usize,
    stamp: Stamp,
}

impl<'a> WaitRecord<'a> {
    /// See [`Peer::wait_record`](super::Peer::wait_record); `is_alive` is asked only if there is no free record nearby.
    pub(super) fn claim(
        records: &'a Words,
        cookie: Cookie,
        stamp: Stamp,
        thread: u32,
        place: Place,
        is_alive: impl Fn(Cookie) -> bool,
    ) -> Option<Self> {
        let number = claim(records, cookie, thread, is_alive)?;
        if let Some(record) = record(records, number) {
            fill_in(record, cookie, thread, place, clock::boot_ns());
        }
        Some(Self { records, number, stamp })
    }
}

impl Drop for WaitRecord<'_> {
    fn drop(&mut self) {
        // In a forked child it is the parent's, and not mapped.
        if !self.stamp.is_current() {
            return;
        }
        if let Some(record) = record(self.records, self.number) {
            record[COOKIE].store(0, Release);
        }
    }
}

fn record<A: Access>(records: &[Word<A>], number: usize) -> Option<&Record<A>> {
    records.as_chunks().0.get(number)
}

/// Makes a record this thread's, to be filled in; which one.
fn claim(records: &[Word], cookie: Cookie, thread: u32, is_alive: impl Fn(Cookie) -> bool) -> Option<usize> {
    let count = records.len() / RECORD_WORDS;
    let start = start(cookie, thread);
    let mut nearby = (0..NEIGHBOURS.min(count)).map(|step| start.wrapping_add(step) % count);
    nearby.clone().find(|&number| take(records, number, cookie, 0)).or_else(|| {
        // So many waits nearby are rare, unless they are those of the dead.
        let mut living = cookie;
        nearby.find(|&number| {
            let found = record(records, number).map_or(0, |record| record[COOKIE].load(Relaxed));
            // Nobody's: free by now, or spoilt.
            if let Some(owner) = Cookie::in_word(found)
                && (owner == living || is_alive(owner))
            {
                living = owner;
                return false;
            }
            take(records, number, cookie, found)
        })
    })
}

/// Where to look for a record first: far from where others do.
fn start(cookie: Cookie, thread: u32) -> usize {
    // The golden ratio's bits; the upper half of the product depends on all of the factor.
    let mixed = (cookie.bits() ^ u64::from(thread) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as usize
}

/// Takes the record if its word is still what was `found`: 0, or a dead owner's.
fn take(records: &[Word], number: usize, cookie: Cookie, found: u64) -> bool {
    let Some(record) = record(records, number) else { return false };
    // Looked at before, so that a record in use is not fetched for writing.
    record[COOKIE].load(Relaxed) == found
        && record[COOKIE].compare_exchange(found, cookie.bits() | FILLING, Acquire, Relaxed).is_ok()
}

/// Fills in a record that is ours: from the last store on, readers see it.
fn fill_in(record: &Record, cookie: Cookie, thread: u32, place: Place, now: u64) {
    // The clock may be a coarse one. A time beyond it is a spoilt one's.
    let last = record[SINCE].load(Relaxed);
    let since = if last.wrapping_sub(now) < SECOND { last.wrapping_add(1) } else { now };
    // Release: who sees this time does not see the cookie of an earlier claim any more.
    record[SINCE].store(since, Release);
    // Who sees a word stored from here on sees this time, or a later one.
    fence(Release);
    record[SEGMENT].store(place.segment, Relaxed);
    record[OFFSET].store(place.offset, Relaxed);
    record[THREAD].store(thread.into(), Relaxed);
    record[COOKIE].store(cookie.bits(), Release);
}

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) cookie: Cookie,
    pub(super) thread: u32,
    pub(super) place: Place,
    pub(super) since_ns: u64,
}

/// Reads a record as one claim has filled it in; `None` if it is free, being filled in, spoilt, or changes all the time.
pub(super) fn read<A: Access>(record: &Record<A>) -> Option<Listed> {
    for _ in 0..TRIES {
        let since_ns = record[SINCE].load(Acquire);
        let word = record[COOKIE].load(Acquire);
        // Anything beside the cookie: being filled in, or spoilt.
        let cookie = Cookie::in_word(word).filter(|cookie| cookie.bits() == word)?;
        let place = Place { segment: record[SEGMENT].load(Relaxed), offset: record[OFFSET].load(Relaxed) };
        let thread = record[THREAD].load(Relaxed);
        fence(Acquire);
        if record[SINCE].load(Relaxed) == since_ns {
            let thread = u32::try_from(thread).ok()?;
            return Some(Listed { cookie, thread, place, since_ns });
        }
    }
    None
}

#[cfg(all(test, loom))]
mod loom_model;
#[cfg(all(test, not(loom)))]
mod tests;
