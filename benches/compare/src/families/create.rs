//! `create.open`: create, open, close and remove a segment of 64 KiB, a word written and read.

use serde_json::{Value, json};

use super::{Run, Side};
use crate::ours;
use crate::process::{Context, Fallible, Job};
use crate::report::Goal;
use crate::rivals::{iceoryx, mutexed};
use crate::sys::{self, now_ns};

const BYTES: usize = 65536;

/// The goal is held against the bare sequence *without* a second open, the stricter reading; the one with it stands beside it.
pub(crate) fn open(run: &mut Run<'_>) -> Fallible<()> {
    let side = |name: &str| Side::solo(Job::new("create", name, BYTES));
    let us = || ours::create::READY.then(|| side("ours"));
    run.row("us", us(), "shm_open+ftruncate+mmap+close+munmap+shm_unlink", side("bare"), Goal::RatioAtMost(2.0))?;
    run.extra("us", us(), "the same with shm_open+mmap+munmap of an opener", side("bare-open"))?;
    run.extra("us", us(), "shared_memory", side("shared_memory"))?;
    run.extra("us", us(), "iceoryx2 service, publisher, subscriber", side("iceoryx2"))
}

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    let name = |number: u64| format!("{}-{number}", context.name(0));
    match context.job.subject.as_str() {
        "ours" => ours::create::work(context),
        "bare" => repeat(context, |n| Ok(sys::bare_shared_memory(&format!("/{}", name(n)), BYTES, false)?)),
        "bare-open" => repeat(context, |n| Ok(sys::bare_shared_memory(&format!("/{}", name(n)), BYTES, true)?)),
        "shared_memory" => repeat(context, |n| mutexed::create_and_open(&format!("/{}", name(n)), BYTES)),
        "iceoryx2" => {
            let node = iceoryx::node(context.prefix())?;
            repeat(context, |n| iceoryx::create_and_open(&node, &name(n)))
        }
        subject => Err(format!("nobody is called {subject}").into()),
    }
}

/// Runs the sequence again and again; each run answers with the word that was written, 42.
pub(crate) fn repeat(context: &Context, mut sequence: impl FnMut(u64) -> Fallible<u64>) -> Fallible<Value> {
    let start = now_ns();
    for number in 0..context.job.count {
        let word = sequence(number)?;
        if word != 42 {
            return Err(format!("read {word} where 42 was written").into());
        }
    }
    let elapsed = now_ns() - start;
    Ok(json!({"value": elapsed as f64 / 1e3 / context.job.count as f64, "elapsed": elapsed}))
}
