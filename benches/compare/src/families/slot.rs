//! `slot.read.64` and `slot.read.64.hammered`: a value of 64 bytes read in one process, written in another.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{Run, Side};
use crate::message::{difference, message, sound};
use crate::ours;
use crate::process::{Context, Fallible, Job};
use crate::report::{Goal, Row};
use crate::rivals::iceoryx::Blackboard;
use crate::rivals::seqlock::{Cell, CellReader, CellWriter, Seqlock};
use crate::sys::{now_ns, ticks};
use crate::times::Times;

fn side(what: &str, name: &str) -> Side {
    Side::pair(Job::new(what, name, 64))
}

/// Nobody writes: the cost of the read alone, against a bare seqlock.
pub(crate) fn read(run: &mut Run<'_>) -> Fallible<()> {
    let us = || ours::slot::READY.then(|| side("read", "ours"));
    run.row("ns", us(), "bare seqlock", side("read", "seqlock"), Goal::RatioAtMost(1.2))?;
    run.extra("ns", us(), "iceoryx2 blackboard", side("read", "iceoryx2"))
}

/// A writer in the other process writes without pause.
pub(crate) fn hammered(run: &mut Run<'_>) -> Fallible<()> {
    for (against, name) in [("bare seqlock", "seqlock"), ("iceoryx2 blackboard", "iceoryx2")] {
        let us = ours::slot::READY.then(|| side("hammer", "ours"));
        let paired = run.compare(us, side("hammer", name))?;
        let row = |title: &str, unit, goal, key: Option<&str>| {
            let paired = key.map_or_else(|| paired.clone(), |key| paired.by(key));
            Row::new(&format!("{}{title}", run.name), unit, against, goal, &paired)
        };
        let first = name == "seqlock";
        let goal = |goal| if first { goal } else { Goal::None };
        let rows = [
            row("", "ns", goal(Goal::AtMost(120.0)), None),
            row(" (p99.9)", "ns", goal(Goal::AtMost(500.0)), Some("p99_9")),
            row(" (writer)", "M/s", goal(Goal::AtLeast(50.0)), Some("writes")),
        ];
        run.rows.extend(rows);
    }
    Ok(())
}

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    match context.job.subject.as_str() {
        "ours" => ours::slot::work(context),
        "seqlock" => cell::<Seqlock>(context),
        "iceoryx2" => cell::<Blackboard>(context),
        subject => Err(format!("nobody is called {subject}").into()),
    }
}

/// Role 1 makes the value and writes it; role 0 reads it.
pub(crate) fn cell<C: Cell>(context: &Context) -> Fallible<Value> {
    let hammer = context.job.what == "hammer";
    if context.role == 1 {
        let mut writer = C::writer(context)?;
        writer.write(&message(7));
        context.created();
        context.meet();
        let written = if hammer { write_on(context, &mut writer) } else { Value::Null };
        context.meet();
        return Ok(written);
    }
    context.await_created();
    let mut reader = C::reader(context)?;
    context.meet();
    let outcome = if hammer { read_under_fire(context, &mut reader) } else { read_in_peace(context, &mut reader) };
    context.stop().store(1, Ordering::Relaxed);
    context.meet();
    outcome
}

fn read_in_peace(context: &Context, reader: &mut impl CellReader) -> Fallible<Value> {
    let count = context.job.count;
    let mut wrong = 0;
    let start = now_ns();
    for _ in 0..count {
        wrong |= difference(&reader.read(), 7);
    }
    let elapsed = now_ns() - start;
    sound(wrong)?;
    Ok(json!({"value": elapsed as f64 / count as f64, "elapsed": elapsed}))
}

/// Values are `n, n+1, ..., n+7`; a mixture of two of them is a failure, and so is one older than the last one.
fn read_under_fire(context: &Context, reader: &mut impl CellReader) -> Fallible<Value> {
    let half = context.job.count.max(2) / 2;
    let (mut wrong, mut last) = (0, 0);
    let mut check = |value: [u64; 8]| {
        wrong |= difference(&value, value[0]) | u64::from(value[0] < last);
        last = value[0];
    };
    let mut times = Times::start();
    let start = now_ns();
    for _ in 0..half {
        check(reader.read());
    }
    let elapsed = now_ns() - start;
    for _ in 0..half {
        let before = ticks();
        let value = reader.read();
        times.record(ticks() - before);
        check(value);
    }
    sound(wrong)?;
    let ns = |quantile| times.quantile(quantile);
    let mean = elapsed as f64 / half as f64;
    Ok(json!({"value": mean, "p50": ns(0.5), "p99": ns(0.99), "p99_9": ns(0.999), "elapsed": 2 * elapsed}))
}

fn write_on(context: &Context, writer: &mut impl CellWriter) -> Value {
    let start = now_ns();
    let mut number = 7;
    while context.stop().load(Ordering::Relaxed) == 0 {
        for _ in 0..64 {
            number += 1;
            writer.write(&message(number));
        }
    }
    json!({"writes": (number - 7) as f64 * 1e3 / (now_ns() - start) as f64})
}
