//! The benchmarks, one file per family: which comparisons each makes, and what its workers do.

pub(crate) mod blocked;
pub(crate) mod bytes;
pub(crate) mod create;
pub(crate) mod limit;
pub(crate) mod mutex;
pub(crate) mod ping_pong;
pub(crate) mod pipe;
pub(crate) mod rwlock;
pub(crate) mod slot;
pub(crate) mod spsc;
pub(crate) mod wake;

use std::cell::RefCell;

use serde_json::Value;

use crate::limit::probe;
use crate::process::{Context, Fallible, Job, Lab};
use crate::report::{Goal, Row};
use crate::rounds::{Paired, Plan, Sample, Spread, paired};

/// A benchmark by its name.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Run<'_>) -> Fallible<()>,
}

/// Every benchmark, in the order in which they run.
pub(crate) const BENCHES: &[Bench] = &[
    Bench { name: "limit.line", about: "a bare cache line between two processes", run: limit::line },
    Bench { name: "spsc.one_way.8", about: "typed ring, one way, spinning, 8 bytes", run: spsc::one_way::<8> },
    Bench { name: "spsc.one_way.56", about: "typed ring, one way, spinning, 56 bytes", run: spsc::one_way::<56> },
    Bench { name: "spsc.one_way.64", about: "typed ring, one way, spinning, 64 bytes", run: spsc::one_way::<64> },
    Bench { name: "spsc.throughput.8", about: "typed ring, 8 bytes, singly", run: spsc::throughput::<8, 1> },
    Bench {
        name: "spsc.throughput.8.batch",
        about: "typed ring, 8 bytes, in batches",
        run: spsc::throughput::<8, 256>,
    },
    Bench { name: "spsc.throughput.64", about: "typed ring, 64 bytes, singly", run: spsc::throughput::<64, 1> },
    Bench {
        name: "spsc.throughput.64.batch",
        about: "typed ring, 64 bytes, in batches",
        run: spsc::throughput::<64, 256>,
    },
    Bench { name: "bytes.throughput.64", about: "byte ring, records of 64 bytes", run: bytes::throughput::<64> },
    Bench { name: "bytes.throughput.64k", about: "byte ring, records of 64 KiB", run: bytes::throughput::<65536> },
    Bench { name: "slot.read.64", about: "read of a slot that nobody writes", run: slot::read },
    Bench { name: "slot.read.64.hammered", about: "read of a slot written without pause", run: slot::hammered },
    Bench { name: "wake.one_way", about: "message to a receiver that sleeps", run: wake::one_way },
    Bench { name: "mutex.uncontended", about: "lock and unlock that nobody else wants", run: mutex::alone },
    Bench {
        name: "mutex.contended.20ns",
        about: "a lock that two want all the time, for 20 ns",
        run: mutex::contended::<20>,
    },
    Bench {
        name: "mutex.contended.1us",
        about: "a lock that two want all the time, for 1 us",
        run: mutex::contended::<1000>,
    },
    Bench {
        name: "mutex.crowd.20ns",
        about: "a lock that eight want all the time, for 20 ns",
        run: mutex::crowd::<20>,
    },
    Bench {
        name: "mutex.crowd.1us",
        about: "a lock that eight want all the time, for 1 us",
        run: mutex::crowd::<1000>,
    },
    Bench {
        name: "mutex.crowd.100us",
        about: "a lock that eight want all the time, for 100 us",
        run: mutex::crowd::<100_000>,
    },
    Bench {
        name: "mutex.crowd.1ms",
        about: "a lock that eight want all the time, for 1 ms",
        run: mutex::crowd::<1_000_000>,
    },
    Bench { name: "mutex.blocked", about: "what it costs to wait for long, in all of sync", run: blocked::all },
    Bench { name: "rwlock.read", about: "lock for reading and unlock, alone", run: rwlock::read },
    Bench { name: "rwlock.read.2", about: "what each of two readers keeps of its rate", run: rwlock::two_readers },
    Bench { name: "event.wake", about: "an event set for a process that sleeps", run: wake::event },
    Bench {
        name: "condvar.ping_pong",
        about: "a turn under a lock, handed to and fro between sleepers",
        run: ping_pong::condvar,
    },
    Bench {
        name: "semaphore.ping_pong",
        about: "two semaphores, released to and fro between sleepers",
        run: ping_pong::semaphore,
    },
    Bench { name: "pipe.1g", about: "a file through `sharedware send` and `recv`", run: pipe::file },
    Bench { name: "create.open", about: "create, open, close and remove 64 KiB", run: create::open },
];

/// What a benchmark runs with, and where its rows go.
pub(crate) struct Run<'a> {
    pub(crate) name: &'static str,
    pub(crate) lab: &'a mut Lab,
    pub(crate) plan: Plan,
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Row>,
}

impl Run<'_> {
    /// Compares and adds a row.
    pub(crate) fn row(
        &mut self,
        unit: &'static str,
        ours: Option<Side>,
        against: &str,
        theirs: Side,
        goal: Goal,
    ) -> Fallible<()> {
        let paired = self.compare(ours, theirs)?;
        self.rows.push(Row::new(self.name, unit, against, goal, &paired));
        Ok(())
    }

    /// The same with fewer rounds and no goal: a rival for the record.
    pub(crate) fn extra(
        &mut self,
        unit: &'static str,
        ours: Option<Side>,
        against: &str,
        theirs: Side,
    ) -> Fallible<()> {
        let paired = self.compare_briefly(ours, theirs)?;
        self.rows.push(Row::new(self.name, unit, against, Goal::None, &paired));
        Ok(())
    }

    /// As [`Run::compare`], with a third of the rounds.
    pub(crate) fn compare_briefly(&mut self, ours: Option<Side>, theirs: Side) -> Fallible<Paired> {
        let plan = self.plan;
        self.plan.rounds = plan.rounds.div_ceil(3);
        let outcome = self.compare(ours, theirs);
        self.plan = plan;
        outcome
    }

    /// The quickest of a rival's settings here and now, by the median of three short runs each: it is measured at its best.
    pub(crate) fn best(&mut self, settings: impl IntoIterator<Item = Side>) -> Fallible<Side> {
        let mut best: Option<(f64, Side)> = None;
        let millis = self.plan.millis / 3;
        for mut side in settings {
            for _ in 0..2 {
                side.measure(self.lab, millis)?;
            }
            let rates: Fallible<Vec<f64>> = (0..3).map(|_| Ok(side.measure(self.lab, millis)?.value)).collect();
            let rate = Spread::of(rates?).map_or(0.0, |spread| spread.median);
            if best.as_ref().is_none_or(|(most, _)| rate > *most) {
                best = Some((rate, side));
            }
        }
        best.map(|(_, side)| side).ok_or_else(|| "nothing to choose from".into())
    }

    /// Warms both sides up, which also settles how many operations fill a round, and then measures them in turn.
    pub(crate) fn compare(&mut self, mut ours: Option<Side>, mut theirs: Side) -> Fallible<Paired> {
        let millis = self.plan.millis;
        for side in ours.iter_mut().chain([&mut theirs]) {
            for _ in 0..3 {
                side.measure(self.lab, millis)?;
            }
        }
        self.compare_cold(ours, theirs)
    }

    /// As [`Run::compare_briefly`], for jobs that last so long that there is nothing to warm up, and no time to repeat a round.
    pub(crate) fn compare_long(&mut self, ours: Option<Side>, theirs: Side) -> Fallible<Paired> {
        let plan = self.plan;
        self.plan = Plan { rounds: plan.rounds.div_ceil(3), repeats: 0, ..plan };
        let outcome = self.compare_cold(ours, theirs);
        self.plan = plan;
        outcome
    }

    fn compare_cold(&mut self, mut ours: Option<Side>, mut theirs: Side) -> Fallible<Paired> {
        let (plan, millis) = (self.plan, self.plan.millis);
        let lab = RefCell::new(&mut *self.lab);
        let mut us = ours.as_mut().map(|side| || side.measure(&mut lab.borrow_mut(), millis));
        let us = us.as_mut().map(|measure| measure as &mut dyn FnMut() -> Fallible<Sample>);
        paired(plan, || probe(&mut lab.borrow_mut()), us, &mut || theirs.measure(&mut lab.borrow_mut(), millis))
    }
}

/// One side of a comparison: its job, and how its processes are laid out.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) job: Job,
    /// One process (which may start threads) instead of one for each role.
    pub(crate) solo: bool,
    /// Figures are multiplied by this: from what workers measure to the unit of the row.
    pub(crate) scale: f64,
}

impl Side {
    pub(crate) fn pair(job: Job) -> Self {
        Self { job, solo: false, scale: 1.0 }
    }

    pub(crate) fn solo(job: Job) -> Self {
        Self { job, solo: true, scale: 1.0 }
    }

    /// Runs the job once and sets its count so that the next run takes about `millis`.
    pub(crate) fn measure(&mut self, lab: &mut Lab, millis: u64) -> Fallible<Sample> {
        let answers = if self.solo { vec![lab.solo(&self.job)?] } else { lab.processes(&self.job)? };
        let mut sample = Sample::default();
        let mut elapsed = None;
        for (key, value) in answers.iter().filter_map(Value::as_object).flatten() {
            match (key.as_str(), value.as_f64()) {
                ("value", Some(value)) => sample.value = value * self.scale,
                ("elapsed", Some(value)) => elapsed = Some(value),
                (_, Some(value)) => drop(sample.extra.insert(key.clone(), value)),
                (_, None) => {}
            }
        }
        if let Some(elapsed) = elapsed {
            let factor = (millis as f64 * 1e6 / elapsed.max(1.0)).clamp(0.1, 30.0);
            self.job.count = ((self.job.count as f64 * factor) as u64).max(16);
        }
        Ok(sample)
    }
}

/// A worker's job.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    match context.job.what.as_str() {
        "probe" => crate::limit::probe_worker(context),
        "one_way" | "stream" => match context.job.bytes {
            8 => spsc::work::<1>(context),
            56 => spsc::work::<7>(context),
            64 => spsc::work::<8>(context),
            bytes => Err(format!("no message of {bytes} bytes").into()),
        },
        "records" => bytes::work(context),
        "read" | "hammer" => slot::work(context),
        "lock" | "contend" | "crowd" => mutex::work(context),
        "blocked" => blocked::work(context),
        "read_lock" | "two_readers" => rwlock::work(context),
        "wake" | "event" => wake::work(context),
        "condvar" | "semaphore" => ping_pong::work(context),
        "create" => create::work(context),
        what => Err(format!("no such job: {what}").into()),
    }
}

/// The names in `wanted`, each a benchmark or the first parts of some; all of them if there are none.
pub(crate) fn select(wanted: &[String]) -> Result<Vec<&'static Bench>, String> {
    let matches = |name: &str, bench: &Bench| {
        bench.name == name
            || bench.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') || name.ends_with('.'))
    };
    if let Some(unknown) = wanted.iter().find(|name| !BENCHES.iter().any(|bench| matches(name, bench))) {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(format!("no benchmark is called {unknown:?}; there are: {}", names.join(", ")));
    }
    Ok(BENCHES.iter().filter(|bench| wanted.is_empty() || wanted.iter().any(|name| matches(name, bench))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str]) -> Vec<&'static str> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.into()).collect();
        select(&wanted).unwrap().iter().map(|bench| bench.name).collect()
    }

    #[test]
    fn names_and_prefixes_select() {
        assert_eq!(names(&[]).len(), BENCHES.len());
        assert_eq!(names(&["limit.line"]), ["limit.line"]);
        assert_eq!(names(&["spsc.one_way"]), ["spsc.one_way.8", "spsc.one_way.56", "spsc.one_way.64"]);
        assert_eq!(names(&["slot"]), ["slot.read.64", "slot.read.64.hammered"]);
        assert_eq!(names(&["spsc.throughput.8"]), ["spsc.throughput.8", "spsc.throughput.8.batch"]);
    }

    #[test]
    fn an_unknown_name_lists_the_known() {
        let error = select(&["spcs".into()]).err().unwrap();
        assert!(error.contains("\"spcs\"") && error.contains("slot.read.64.hammered"));
    }
}
