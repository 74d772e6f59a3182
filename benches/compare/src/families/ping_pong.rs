//! `condvar.ping_pong` and `semaphore.ping_pong`: to and fro between two processes that both sleep.
//!
//! Two ways to play. In the first, which the goals are held against, each side stays awake for some milliseconds before it
//! returns the message, so that the other has given up spinning and really sleeps. In the second it is returned at once.

use std::hint::spin_loop;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::wake::{Sleeper, asleep};
use super::{Run, Side};
use crate::message::sound;
use crate::ours;
use crate::process::{Context, Fallible, Job};
use crate::report::Goal;
use crate::rivals::pthread::{Condition, Semaphores};
use crate::rivals::sleepers::{FutexCounts, FutexTurn};
use crate::rounds::Spread;
use crate::sys::now_ns;

/// A job's batch: how it is played.
const ASLEEP: usize = 1;
const AT_ONCE: usize = 2;

/// Against a bare futex with the number of the turn; pthread's condition variable beside it.
pub(crate) fn condvar(run: &mut Run<'_>) -> Fallible<()> {
    play(run, "condvar", "pthread condition variable")
}

/// Against a bare futex per direction, counted up and down; POSIX semaphores beside it.
pub(crate) fn semaphore(run: &mut Run<'_>) -> Fallible<()> {
    play(run, "semaphore", "POSIX semaphores")
}

fn play(run: &mut Run<'_>, what: &str, pthread: &str) -> Fallible<()> {
    let side = |name: &str, how| Side::pair(Job::new(what, name, 8).batch(how).count(16));
    let us = |how| ours::sleepers::READY.then(|| side("ours", how));
    run.row("us", us(ASLEEP), "bare futex", side("futex", ASLEEP), Goal::RatioAtMost(1.15))?;
    run.extra("us", us(ASLEEP), pthread, side("pthread", ASLEEP))?;
    run.extra("us", us(AT_ONCE), "bare futex, returned at once", side("futex", AT_ONCE))?;
    run.extra("us", us(AT_ONCE), &format!("{pthread}, returned at once"), side("pthread", AT_ONCE))
}

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    let condvar = context.job.what == "condvar";
    match context.job.subject.as_str() {
        "ours" => ours::sleepers::work(context),
        "futex" if condvar => volley::<FutexTurn>(context),
        "futex" => volley::<FutexCounts>(context),
        "pthread" if condvar => volley::<Condition>(context),
        "pthread" => volley::<Semaphores>(context),
        subject => Err(format!("nobody is called {subject}").into()),
    }
}

/// Words of the arena, apart from whatever is measured: when the last message was sent, and what role 1 found.
const SENT: usize = 1024;
const FOUND: usize = 1040;

/// Message 1 from role 0, message 2 from role 1, and so on. The value is the median of one way, in microseconds, from the moment
/// before the send to the moment after the other's return: the mean of both directions.
pub(crate) fn volley<S: Sleeper>(context: &Context) -> Fallible<Value> {
    let mut sleeper = context.shared(S::new)?;
    let (sent, found) = (&context.free()[SENT], &context.free()[FOUND..]);
    let (mut wrong, mut times) = (0, Vec::new());
    let role = context.role as u64;
    context.meet();
    let start = now_ns();
    for number in 1..=2 * context.job.count {
        if number % 2 == role {
            wrong |= sleeper.recv() ^ number;
            let now = now_ns();
            times.push(now.saturating_sub(sent.load(Ordering::Relaxed)) as f64 / 1e3);
            continue;
        }
        if context.job.batch == ASLEEP {
            let until = now_ns() + asleep(number);
            while now_ns() < until {
                spin_loop();
            }
        }
        sent.store(now_ns(), Ordering::Relaxed);
        sleeper.send(number);
    }
    let elapsed = now_ns() - start;
    let median = Spread::of(times.iter().copied()).map_or(f64::NAN, |spread| spread.median);
    times.sort_by(f64::total_cmp);
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN);
    if context.role == 1 {
        found[0].store(median.to_bits(), Ordering::Relaxed);
        found[1].store(p99.to_bits(), Ordering::Relaxed);
    }
    sound(wrong)?;
    context.meet();
    if context.role == 1 {
        return Ok(Value::Null);
    }
    let other = [0, 1].map(|place: usize| f64::from_bits(found[place].load(Ordering::Relaxed)));
    Ok(json!({"value": f64::midpoint(median, other[0]), "p99": p99.max(other[1]), "elapsed": elapsed}))
}
