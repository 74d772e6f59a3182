//! The book: takes the ticks out, and lets none be missing without a word.

use std::time::Duration;

use hdrhistogram::Histogram;
use sharedware::Domain;
use sharedware::ring::{PeerState, PopError, WhenPeerGone};

use super::shared::{BookReport, Orphan, Segments, now};
use crate::exit::{Exit, Outcome};

const CHUNK: usize = 256;
const PERCENTILES_EVERY: u64 = Duration::from_millis(100).as_nanos() as u64;
/// A longer gap between two chunks is a pause, not a part of a burst.
const GAP: u64 = Duration::from_micros(500).as_nanos() as u64;

pub(super) fn run(domain: &Domain, name: &str) -> Outcome {
    let segments = Segments::open(domain, name)?;
    let mut consumer = segments.ticks.consumer()?;
    // If the feed dies, another one comes.
    consumer.when_peer_gone(WhenPeerGone::Wait);
    let mut report = take_over(segments.book.read().map_err(Exit::failure)?, consumer.position());
    let mut times = Histogram::<u64>::new_with_max(10_000_000_000, 3).map_err(Exit::failure)?;
    let mut orphan = Orphan::new();
    let (mut last, mut computed) = (0, 0);
    loop {
        match consumer.claim_many(CHUNK) {
            Ok(ticks) => {
                let time = now();
                let mut fast = 0;
                for tick in ticks.iter() {
                    // Whatever is skipped is lost; whatever comes again is no loss.
                    report.lost += tick.number.saturating_sub(report.next);
                    report.again += u64::from(tick.number < report.next);
                    report.next = report.next.max(tick.number + 1);
                    if tick.timed == 0 {
                        fast += 1;
                    } else if tick.sent_ns > report.started_ns {
                        // Those before waited for us to start, not for the ring.
                        times.saturating_record(time.saturating_sub(tick.sent_ns));
                    }
                }
                if fast > 0 && time.saturating_sub(last) < GAP {
                    report.fast += fast;
                    report.fast_ns += time - last;
                }
                last = if fast > 0 { time } else { 0 };
                if time.saturating_sub(computed) > PERCENTILES_EVERY {
                    computed = time;
                    percentiles(&times, &mut report);
                }
                // First on record, then out of the ring: a book that dies in between has its successor see them again, and know that.
                segments.book.write(&report).map_err(Exit::failure)?;
                ticks.release();
            }
            Err(PopError::Empty) => {
                // Twice: the last ticks may have come between the look at the ring and the look at the feed.
                if segments.is_stopped() && consumer.peer()? == PeerState::Left && is_empty(consumer.claim_many(1)) {
                    percentiles(&times, &mut report);
                    return segments.book.write(&report).map(drop).map_err(Exit::failure);
                }
                match consumer.wait_for_value_timeout(Duration::from_millis(2)) {
                    Ok(()) | Err(PopError::TimedOut) => {}
                    Err(other) => return Err(other.into()),
                }
            }
            Err(other) => return Err(other.into()),
        }
        if orphan.is_it(now()) {
            return Ok(());
        }
    }
}

fn is_empty<T>(outcome: Result<T, PopError>) -> bool {
    matches!(outcome, Err(PopError::Empty))
}

/// Goes on with the account of the one before.
fn take_over(before: BookReport, position: u64) -> BookReport {
    BookReport {
        pid: std::process::id().into(),
        started_ns: now(),
        first: position,
        // What is out of the ring but not on record is lost.
        lost: before.lost + position.saturating_sub(before.next),
        next: before.next.max(position),
        ..before
    }
}

fn percentiles(times: &Histogram<u64>, report: &mut BookReport) {
    if times.is_empty() {
        return;
    }
    report.timed = times.len();
    report.p50_ns = times.value_at_quantile(0.5);
    report.p99_ns = times.value_at_quantile(0.99);
    report.p999_ns = times.value_at_quantile(0.999);
    report.longest_ns = times.max();
}
