//! The machine's limit: one cache line that carries a mark and, beside it, the payload.
//!
//! Each direction has a line of its own, as each direction of any queue has. (Bouncing one and the same line both ways is
//! quicker, since the reader already owns what it answers on; a queue cannot do that, so it is not the yardstick.) 64 bytes and
//! the mark are two lines.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::message::{Link, Rx, Tx, message};
use crate::process::{Context, Fallible, Job, Lab};
use crate::sys::now_ns;

/// The bare line, as a queue of one message.
pub(crate) struct Line<const N: usize>;

pub(crate) struct LineEnd<const N: usize> {
    mark: &'static AtomicU64,
    words: &'static [AtomicU64],
}

impl<const N: usize> LineEnd<N> {
    fn new(context: &Context, lane: usize) -> Self {
        // 512 bytes apart, out of reach of the prefetcher of adjacent lines.
        let area = &context.free()[lane * 64..];
        Self { mark: &area[0], words: &area[1..=N] }
    }
}

impl<const N: usize> Link for Line<N> {
    type Tx = LineEnd<N>;
    type Rx = LineEnd<N>;

    fn tx(context: &Context, lane: usize) -> Fallible<Self::Tx> {
        Ok(LineEnd::new(context, lane))
    }

    fn rx(context: &Context, lane: usize) -> Fallible<Self::Rx> {
        Ok(LineEnd::new(context, lane))
    }
}

impl<const N: usize> Tx for LineEnd<N> {
    #[inline]
    fn send(&mut self, number: u64) {
        for (word, value) in self.words.iter().zip(message::<N>(number)) {
            word.store(value, Ordering::Relaxed);
        }
        // Pairs with the acquire in `recv`.
        self.mark.store(number + 1, Ordering::Release);
    }
}

impl<const N: usize> Rx for LineEnd<N> {
    #[inline]
    fn recv(&mut self, number: u64) -> u64 {
        while self.mark.load(Ordering::Acquire) != number + 1 {
            spin_loop();
        }
        let words = self.words.iter().zip(message::<N>(number));
        words.fold(0, |wrong, (word, value)| wrong | (word.load(Ordering::Relaxed) ^ value))
    }
}

const SLICES: usize = 7;
const SLICE: u64 = 6000;

/// One way across the line with 8 bytes, now: the median of a few slices of about a millisecond.
pub(crate) fn probe(lab: &mut Lab) -> Fallible<f64> {
    let answers = lab.processes(&Job::new("probe", "line", 8))?;
    answers[0]["value"].as_f64().ok_or_else(|| "the limit's probe said nothing".into())
}

/// A worker's part of it.
pub(crate) fn probe_worker(context: &Context) -> Fallible<Value> {
    let (mut there, mut back) = (LineEnd::<1>::new(context, 0), LineEnd::<1>::new(context, 1));
    let mut slices = Vec::new();
    context.meet();
    for slice in 0..SLICES as u64 {
        let start = now_ns();
        for number in slice * SLICE..(slice + 1) * SLICE {
            if context.role == 0 {
                there.send(number);
                back.recv(number);
            } else {
                there.recv(number);
                back.send(number);
            }
        }
        slices.push((now_ns() - start) as f64 / (2 * SLICE) as f64);
    }
    slices.sort_by(f64::total_cmp);
    Ok(json!({"value": slices[SLICES / 2]}))
}
