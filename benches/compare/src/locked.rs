//! What every lock has to do here, ours and the rivals' alike: guard three words that its holder changes.
//!
//! Word 0 counts the holdings, word 1 follows from it, word 2 is what the last holder worked out. A holder looks whether the
//! first two agree, which they do only at the end of a section, and at the end the count must be what all have acknowledged.

use std::hint::black_box;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::crowd::crowd;
use crate::message::sound;
use crate::process::{Context, Fallible};
use crate::sys::{now_ns, ticks};
use crate::times::Times;

/// What is guarded; zeros at the start.
pub(crate) type Words = [u64; 3];

/// A lock over [`Words`].
pub(crate) trait Lock: Sized {
    /// Role 0 makes it; the others, which are called only after `Context::created`, open it.
    fn new(context: &Context) -> Fallible<Self>;

    /// Runs `section` while nobody else may run one.
    fn with<R>(&self, section: impl FnOnce(&mut Words) -> R) -> R;
}

/// Lock and unlock while nobody else wants to, in one process.
pub(crate) fn uncontended<L: Lock>(context: &Context) -> Fallible<Value> {
    let (lock, count) = (L::new(context)?, context.job.count);
    let start = now_ns();
    for _ in 0..count {
        lock.with(|words| words[0] += 1);
    }
    let elapsed = now_ns() - start;
    sound(lock.with(|words| words[0]) ^ count)?;
    Ok(json!({"value": elapsed as f64 / count as f64, "elapsed": elapsed}))
}

/// Processes that want it all the time.
pub(crate) fn between_processes<L: Lock>(context: &Context) -> Fallible<Value> {
    want(context, &context.shared(L::new)?)
}

/// Threads that do; all but the first are started here.
pub(crate) fn between_threads<L: Lock + Sync>(context: &Context) -> Fallible<Value> {
    let lock = L::new(context)?;
    std::thread::scope(|scope| {
        let lock = &lock;
        let start = |role| {
            let other = context.for_thread(role);
            scope.spawn(move || {
                other.settle()?;
                want(&other, lock)
            })
        };
        let threads: Vec<_> = (1..context.job.roles).map(start).collect();
        let mut answers = vec![want(context, lock)?];
        for thread in threads {
            answers.push(thread.join().map_err(|_| "a thread panicked")??);
        }
        // One of them sums up.
        Ok(answers.into_iter().find(|answer| !answer.is_null()).unwrap_or_default())
    })
}

fn want(context: &Context, lock: &impl Lock) -> Fallible<Value> {
    if context.job.what == "crowd" { crowd(context, lock) } else { contend(context, lock) }
}

/// One acquisition in so many is timed, so that timing does not take the time.
pub(crate) const SAMPLED: u64 = 64;
/// Words of the arena, behind whatever a lock uses, for what each role found.
pub(crate) const LEFT: usize = 1024;

/// Again and again without a pause until one of the two has done the job's count; role 0 sums up. Millions of sections a
/// second; the p99 of the wait for the lock and the longest wait (of the side that waited longer); the smaller side's share.
fn contend(context: &Context, lock: &impl Lock) -> Fallible<Value> {
    let mut holder = Holder::new(context.job.batch);
    let mut own = 0;
    context.meet();
    let mut times = Times::start();
    let start = now_ns();
    while context.stop().load(Ordering::Relaxed) == 0 {
        if own % SAMPLED == 0 {
            let before = ticks();
            let entered = lock.with(|words| {
                let now = ticks();
                holder.section(words);
                now
            });
            times.record(entered.saturating_sub(before));
        } else {
            lock.with(|words| holder.section(words));
        }
        own += 1;
        if own == context.job.count {
            context.stop().store(1, Ordering::Relaxed);
        }
    }
    let end = now_ns();
    let p99 = times.quantile(0.99) / 1e3;
    sound(holder.wrong)?;
    let left = context.free()[LEFT..].iter();
    if context.role == 1 {
        for (word, value) in left.zip([own, holder.missed, p99.to_bits(), start, end]) {
            word.store(value, Ordering::Relaxed);
        }
        context.meet();
        return Ok(Value::Null);
    }
    context.meet();
    let [theirs, missed, their_p99, their_start, their_end] = take(left.map(|word| word.load(Ordering::Relaxed)));
    let total = own + theirs;
    // On a busy machine one of the two may come late.
    let elapsed = end.max(their_end) - start.min(their_start);
    lock.with(|words| tally(words, total, holder.steps))?;
    Ok(json!({
        "value": total as f64 * 1e3 / elapsed as f64,
        "p99_us": p99.max(f64::from_bits(their_p99)),
        "longest_us": missed.max(holder.missed) as f64 * elapsed as f64 / 1e3 / total as f64,
        "share": 100.0 * own.min(theirs) as f64 / total as f64,
        "elapsed": elapsed,
    }))
}

/// Whether the words are what so many sections leave.
pub(crate) fn tally(words: &Words, total: u64, steps: usize) -> Fallible<()> {
    if *words == [total, mirror(total), worked_out(total.wrapping_sub(1), steps)] {
        return Ok(());
    }
    Err(format!("{total} sections were acknowledged, and the guarded words are {words:x?}").into())
}

pub(crate) fn take<const N: usize>(mut values: impl Iterator<Item = u64>) -> [u64; N] {
    std::array::from_fn(|_| values.next().unwrap_or_default())
}

/// One of those who hold the lock in turn.
#[derive(Default)]
pub(crate) struct Holder {
    steps: usize,
    /// The bits that another holder at the same time, or a torn section, left wrong.
    pub(crate) wrong: u64,
    /// The count as it was left.
    last: u64,
    /// The most sections of others between two of this one's: with their mean length, the longest wait, without a look
    /// at the clock.
    missed: u64,
}

impl Holder {
    pub(crate) fn new(steps: usize) -> Self {
        Self { steps, ..Self::default() }
    }

    #[inline(always)]
    pub(crate) fn section(&mut self, words: &mut Words) {
        let number = words[0];
        self.wrong |= words[1] ^ mirror(number);
        self.missed = self.missed.max(number.wrapping_sub(self.last));
        words[2] = worked_out(number, self.steps);
        self.last = number.wrapping_add(1);
        words[0] = self.last;
        words[1] = mirror(self.last);
    }
}

fn mirror(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A chain of which each step needs the one before.
#[inline(always)]
fn worked_out(number: u64, steps: usize) -> u64 {
    (0..steps).fold(number, |it, _| (it ^ (it >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9))
}

/// How many steps take about `ns` here.
pub(crate) fn steps(ns: u64) -> usize {
    const TRIED: usize = 200_000;
    let time = |number| {
        let start = now_ns();
        // Both ways, or it is worked out before the clock is read.
        black_box(worked_out(black_box(number), TRIED));
        now_ns() - start
    };
    let quickest = (0..9).map(time).min().unwrap_or(1).max(1);
    (ns as f64 * TRIED as f64 / quickest as f64).round().max(1.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_one_after_the_other_are_sound() {
        let mut words = Words::default();
        let mut holders = [3, 3].map(Holder::new);
        for turn in [0, 0, 1, 0, 0, 0, 1, 0] {
            holders[turn].section(&mut words);
        }
        assert!(tally(&words, 8, 3).is_ok());
        assert!(tally(&words, 9, 3).is_err() && tally(&words, 7, 3).is_err() && tally(&words, 8, 2).is_err());
        assert_eq!(holders.map(|it| (it.wrong, it.missed)), [(0, 1), (0, 3)]);
    }

    #[test]
    fn more_steps_for_a_longer_section() {
        assert!((1..10_000).contains(&steps(20)) && steps(100_000) > 10 * steps(20));
    }

    #[test]
    fn a_section_in_the_midst_of_another_is_found() {
        let (mut words, mut holder) = (Words::default(), Holder::default());
        holder.section(&mut words);
        words[0] += 1;
        holder.section(&mut words);
        assert_ne!(holder.wrong, 0);
    }
}
