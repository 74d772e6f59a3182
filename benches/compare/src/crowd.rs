//! Many that want one lock without a pause, for a time: how often they have it in all, and how long each had to wait for it.
//!
//! A wait has in it the time for which one could run but has no core. Of eight on two cores that is part of every long one, ours and
//! the rivals' alike, and most of it while the machine does something else: then no longest wait says anything of the lock.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::locked::{Holder, LEFT, Lock, SAMPLED, take, tally};
use crate::message::sound;
use crate::process::{Context, Fallible};
use crate::sys::{now_ns, ticks};
use crate::times::Times;

/// Words that a role leaves, and the words behind those of all, in which they count themselves out.
const WORDS: usize = 8;

/// Every wait is timed, since it is the longest that is asked for, and one in [`SAMPLED`] goes into the percentile. Who ends last sums
/// up: nobody waits for the others, which would take time from those who still wait for the lock.
pub(crate) fn crowd(context: &Context, lock: &impl Lock) -> Fallible<Value> {
    let mut holder = Holder::new(context.job.batch);
    let (mut sections, mut longest) = (0, 0);
    context.meet();
    let mut times = Times::start();
    let start = now_ns();
    let until = start + context.job.millis * 1_000_000;
    while context.stop().load(Ordering::Relaxed) == 0 {
        let before = ticks();
        let entered = lock.with(|words| {
            let now = ticks();
            holder.section(words);
            now
        });
        let waited = entered.saturating_sub(before);
        longest = longest.max(waited);
        if sections % SAMPLED == 0 {
            times.record(waited);
            if now_ns() >= until {
                context.stop().store(1, Ordering::Relaxed);
            }
        }
        sections += 1;
    }
    let end = now_ns();
    sound(holder.wrong)?;
    let own = Part { sections, longest: times.in_ns(longest), p999: times.quantile(0.999), start, end };
    let left = &context.free()[LEFT..];
    own.leave(|place, value| left[WORDS * context.role + place].store(value, Ordering::Relaxed));
    let roles = context.job.roles;
    if left[WORDS * roles].fetch_add(1, Ordering::AcqRel) + 1 < roles as u64 {
        return Ok(Value::Null);
    }
    let parts: Vec<Part> = left[..WORDS * roles]
        .chunks(WORDS)
        .map(|words| Part::found(words.iter().map(|word| word.load(Ordering::Relaxed))))
        .collect();
    let total = parts.iter().map(|part| part.sections).sum();
    lock.with(|words| tally(words, total, context.job.batch))?;
    Ok(sum_up(&parts))
}

/// What came of one of them; waits in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    sections: u64,
    longest: f64,
    p999: f64,
    start: u64,
    end: u64,
}

impl Part {
    fn leave(self, mut store: impl FnMut(usize, u64)) {
        let words = [self.sections, self.longest.to_bits(), self.p999.to_bits(), self.start, self.end];
        words.into_iter().enumerate().for_each(|(place, value)| store(place, value));
    }

    fn found(words: impl Iterator<Item = u64>) -> Self {
        let [sections, longest, p999, start, end] = take(words);
        Self { sections, longest: f64::from_bits(longest), p999: f64::from_bits(p999), start, end }
    }
}

/// Millions of sections a second; the longest wait of all; the p99.9 of the one for which it is longest; of an equal share, what the
/// one with the fewest sections had.
fn sum_up(parts: &[Part]) -> Value {
    let total: u64 = parts.iter().map(|part| part.sections).sum();
    let fewest = parts.iter().map(|part| part.sections).min().unwrap_or(0);
    let start = parts.iter().map(|part| part.start).min().unwrap_or(0);
    let end = parts.iter().map(|part| part.end).max().unwrap_or(0);
    let most = |wait: fn(&Part) -> f64| parts.iter().map(wait).fold(0.0, f64::max);
    json!({
        "value": total as f64 * 1e3 / (end - start) as f64,
        "longest_ms": most(|part| part.longest) / 1e6,
        "p999_us": most(|part| part.p999) / 1e3,
        "share": 100.0 * (fewest * parts.len() as u64) as f64 / total as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: Part = Part { sections: 300, longest: 2e6, p999: 9e3, start: 100, end: 1100 };

    #[test]
    fn the_worst_of_all_and_the_whole_time() {
        let late = Part { sections: 100, longest: 4e6, p999: 7e3, start: 600, end: 2100 };
        let sum = sum_up(&[PART, late]);
        assert_eq!(sum, json!({"value": 200.0, "longest_ms": 4.0, "p999_us": 9.0, "share": 50.0}));
    }

    #[test]
    fn a_part_is_found_as_it_was_left() {
        let mut words = [0; WORDS];
        PART.leave(|place, value| words[place] = value);
        assert_eq!(Part::found(words.into_iter()), PART);
    }
}
