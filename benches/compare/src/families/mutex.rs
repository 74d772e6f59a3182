//! `mutex.*`: a lock nobody else wants, and one that two processes, or eight, want all the time.

use serde_json::Value;

use super::{Run, Side};
use crate::locked::{Words, between_processes, between_threads, steps, uncontended};
use crate::ours;
use crate::process::{Context, Fallible, Job};
use crate::report::{Goal, Row};
use crate::rivals::pthread::{Plain, Robust};

const BYTES: usize = size_of::<Words>();

/// Lock and unlock, against pthread's mutexes between processes (the goals) and those of threads.
pub(crate) fn alone(run: &mut Run<'_>) -> Fallible<()> {
    let side = |name: &str| Side::solo(Job::new("lock", name, BYTES));
    let us = || ours::mutex::READY.then(|| side("ours"));
    run.row("ns", us(), "pthread mutex, process-shared", side("pthread"), Goal::RatioAtMost(0.85))?;
    run.row("ns", us(), "pthread mutex, robust", side("robust"), Goal::RatioAtMost(0.5))?;
    run.extra("ns", us(), "std Mutex (one process)", side("std"))?;
    run.extra("ns", us(), "parking_lot Mutex (one process)", side("parking_lot"))
}

/// Two that do nothing else, with sections of about `NS`: sections a second, and beside them the waits and the shares.
pub(crate) fn contended<const NS: u64>(run: &mut Run<'_>) -> Fallible<()> {
    let job = |name: &str| Job::new("contend", name, BYTES).batch(steps(NS));
    let rivals = [
        ("std Mutex (threads)", Side::solo(job("std")), Goal::RatioAtLeast(1.0)),
        ("pthread mutex, process-shared", Side::pair(job("pthread")), Goal::RatioAtLeast(1.3)),
        ("pthread mutex, robust", Side::pair(job("robust")), Goal::None),
        ("parking_lot Mutex (threads)", Side::solo(job("parking_lot")), Goal::None),
    ];
    for (place, (against, side, goal)) in rivals.into_iter().enumerate() {
        let us = ours::mutex::READY.then(|| Side::pair(job("ours")));
        let paired = if goal == Goal::None { run.compare_briefly(us, side)? } else { run.compare(us, side)? };
        let share = if place == 0 { Goal::AtLeast(40.0) } else { Goal::None };
        let row = |title: &str, unit, goal, paired: &_| {
            Row::new(&format!("{}{title}", run.name), unit, against, goal, paired)
        };
        let rows = [
            row("", "M/s", goal, &paired),
            row(" (p99 wait)", "us", Goal::None, &paired.by("p99_us")),
            row(" (smaller share)", "%", share, &paired.by("share")),
        ];
        run.rows.extend(rows);
    }
    Ok(())
}

/// Four for each core where there are two.
const CROWD: usize = 8;

/// Many that do nothing else: sections a second, the longest wait that any of them had in any round, and how the one that had the
/// fewest sections fared.
pub(crate) fn crowd<const NS: u64>(run: &mut Run<'_>) -> Fallible<()> {
    let millis = if run.quick { 300 } else { 1000 };
    let job = |name: &str| Job::new("crowd", name, BYTES).batch(steps(NS)).roles(CROWD).millis(millis);
    let rivals = [
        ("pthread mutex, process-shared", Side::pair(job("pthread"))),
        ("pthread mutex, robust", Side::pair(job("robust"))),
        ("std Mutex (threads)", Side::solo(job("std"))),
        ("parking_lot Mutex (threads)", Side::solo(job("parking_lot"))),
    ];
    for (place, (against, side)) in rivals.into_iter().enumerate() {
        let us = ours::mutex::READY.then(|| Side::pair(job("ours")));
        let paired = run.compare_long(us, side)?;
        let longest = if place == 0 { Goal::AtMost(50.0) } else { Goal::None };
        let row = |title: &str, unit, goal, paired: &_| {
            Row::new(&format!("{}{title}", run.name), unit, against, goal, paired)
        };
        let rows = [
            row("", "M/s", Goal::None, &paired),
            row(" (longest wait)", "ms", longest, &paired.by("longest_ms").worst()),
            row(" (p99.9 wait)", "us", Goal::None, &paired.by("p999_us")),
            row(" (smallest of an equal share)", "%", Goal::None, &paired.by("share")),
        ];
        run.rows.extend(rows);
    }
    Ok(())
}

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    let alone = context.job.what == "lock";
    match context.job.subject.as_str() {
        "ours" => ours::mutex::work(context),
        "pthread" if alone => uncontended::<Plain>(context),
        "pthread" => between_processes::<Plain>(context),
        "robust" if alone => uncontended::<Robust>(context),
        "robust" => between_processes::<Robust>(context),
        "std" if alone => uncontended::<std::sync::Mutex<Words>>(context),
        "std" => between_threads::<std::sync::Mutex<Words>>(context),
        "parking_lot" if alone => uncontended::<parking_lot::Mutex<Words>>(context),
        "parking_lot" => between_threads::<parking_lot::Mutex<Words>>(context),
        subject => Err(format!("nobody is called {subject}").into()),
    }
}
