//! Durations of single messages, taken in ticks and told in nanoseconds.

use hdrhistogram::Histogram;

use crate::sys::{now_ns, ticks};

/// A histogram of three digits. It measures the length of a tick itself, from its start to the question.
pub(crate) struct Times {
    ticks: Histogram<u64>,
    since: (u64, u64),
}

impl Times {
    pub(crate) fn start() -> Self {
        // A tick is at most a nanosecond or so, and nothing here takes a minute. Within fixed bounds recording never allocates.
        let ticks_of_a_minute = 1 << 38;
        let histogram = Histogram::new_with_bounds(1, ticks_of_a_minute, 3).expect("bounds in order");
        Self { ticks: histogram, since: (now_ns(), ticks()) }
    }

    #[inline]
    pub(crate) fn record(&mut self, ticks: u64) {
        self.ticks.saturating_record(ticks.max(1));
    }

    /// The duration that this part of all stays below, in nanoseconds. Ask a few milliseconds after the start.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        self.in_ns(self.ticks.value_at_quantile(part))
    }

    /// So many ticks in nanoseconds. Likewise.
    pub(crate) fn in_ns(&self, count: u64) -> f64 {
        let (ns, start) = self.since;
        count as f64 * (now_ns() - ns) as f64 / (ticks() - start).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An early version clipped everything at 2,047 ticks, which made a slow rival's tail look like ours.
    #[test]
    fn long_durations_are_not_clipped() {
        let mut times = Times::start();
        std::thread::sleep(std::time::Duration::from_millis(5));
        let taken = ticks() - times.since.1;
        times.record(taken);
        times.record(1);
        assert!((4e6..1e9).contains(&times.quantile(1.0)), "{} ns", times.quantile(1.0));
        assert!(times.quantile(0.5) < 1e3);
    }
}
