//! `wake.one_way` and `event.wake`: from the moment before the send to the moment after the return of a receiver that slept.

use std::hint::spin_loop;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{Run, Side};
use crate::message::sound;
use crate::ours;
use crate::process::{Context, Fallible, Job};
use crate::report::Goal;
use crate::rivals::mutexed::RawSyncEvent;
use crate::rivals::sleepers::FutexEvent;
use crate::rounds::Spread;
use crate::sys::{self, now_ns};

/// A receiver that sleeps, and who wakes it with a number. Role 0 makes it; role 1, which is called only after
/// `Context::created`, opens it.
pub(crate) trait Sleeper: Sized {
    fn new(context: &Context) -> Fallible<Self>;
    fn send(&mut self, number: u64);
    fn recv(&mut self) -> u64;
}

/// How long the sender waits until the receiver surely sleeps: longer than anyone spins, and 2 to 6 ms by a number's hash, so
/// that it falls neither in step nor out of step with the slices in which anyone sleeps.
pub(crate) fn asleep(number: u64) -> u64 {
    2_000_000 + (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 42) % 4_000_000
}

/// Against a bare futex.
pub(crate) fn one_way(run: &mut Run<'_>) -> Fallible<()> {
    let side = |name: &str| Side::pair(Job::new("wake", name, 8));
    let us = || ours::wake::READY.then(|| side("ours"));
    run.row("us", us(), "bare futex", side("futex"), Goal::RatioAtMost(1.1))
}

/// An event: a message beside it, set by the one and cleared by the other. Against a bare futex that does the same.
pub(crate) fn event(run: &mut Run<'_>) -> Fallible<()> {
    let side = |name: &str| Side::pair(Job::new("event", name, 8).count(16));
    let us = || ours::sleepers::READY.then(|| side("ours"));
    run.row("us", us(), "bare futex", side("futex"), Goal::RatioAtMost(1.15))?;
    run.extra("us", us(), "raw_sync event", side("raw_sync"))
}

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    let event = context.job.what == "event";
    match context.job.subject.as_str() {
        "ours" if event => ours::sleepers::work(context),
        "futex" if event => exchange::<FutexEvent>(context),
        "raw_sync" if event => exchange::<RawSyncEvent>(context),
        "ours" => ours::wake::work(context),
        "futex" => exchange::<Futex>(context),
        subject => Err(format!("nobody is called {subject}").into()),
    }
}

/// Words of the arena by which the two keep in step, apart from whatever is measured.
const READY: usize = 1024;
const WOKEN: usize = 1040;

pub(crate) fn exchange<S: Sleeper>(context: &Context) -> Fallible<Value> {
    let mut sleeper = context.shared(S::new)?;
    let (ready, woken) = (&context.free()[READY], &context.free()[WOKEN]);
    let (mut wrong, mut times) = (0, Vec::new());
    context.meet();
    let start = now_ns();
    for number in 1..=context.job.count {
        if context.role == 1 {
            ready.store(number, Ordering::Release);
            wrong |= sleeper.recv() ^ number;
            woken.store(now_ns(), Ordering::Release);
            continue;
        }
        while ready.load(Ordering::Acquire) != number {
            spin_loop();
        }
        // Awake meanwhile: a core that went idle would be slow to send.
        let until = now_ns() + asleep(number);
        while now_ns() < until {
            spin_loop();
        }
        woken.store(0, Ordering::Relaxed);
        let before = now_ns();
        sleeper.send(number);
        let after = loop {
            match woken.load(Ordering::Acquire) {
                0 => spin_loop(),
                stamp => break stamp,
            }
        };
        times.push(after.saturating_sub(before) as f64 / 1e3);
    }
    let elapsed = now_ns() - start;
    context.meet();
    sound(wrong)?;
    let Some(spread) = Spread::of(times.iter().copied()) else { return Ok(Value::Null) };
    times.sort_by(f64::total_cmp);
    Ok(json!({"value": spread.median, "p99": times[times.len() * 99 / 100], "elapsed": elapsed}))
}

/// One word: the number of the last message, slept on.
struct Futex(&'static std::sync::atomic::AtomicU64, u32);

impl Sleeper for Futex {
    fn new(context: &Context) -> Fallible<Self> {
        Ok(Self(&context.free()[0], 0))
    }

    fn send(&mut self, number: u64) {
        let word = sys::futex_of(self.0);
        word.store(number as u32, Ordering::Release);
        sys::futex_wake(word);
    }

    fn recv(&mut self) -> u64 {
        let word = sys::futex_of(self.0);
        loop {
            let now = word.load(Ordering::Acquire);
            if now != self.1 {
                self.1 = now;
                return u64::from(now);
            }
            sys::futex_wait(word, now);
        }
    }
}
