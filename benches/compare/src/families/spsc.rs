//! `spsc.*`: the typed ring against the limit, iceoryx2, and the queues between threads.

use serde_json::Value;

use super::{Run, Side};
use crate::limit::Line;
use crate::message::{across, between_threads};
use crate::ours;
use crate::process::{Context, Fallible, Job};
use crate::report::Goal;
use crate::rivals::{files, iceoryx, ipc, mutexed, threads};

/// Cells of the rivals' rings whose capacity is not searched for.
const CAPACITY: usize = 4096;
/// Cells of ours.
const OURS: usize = 16_384;

fn ours(what: &str, bytes: usize, batch: usize) -> Option<Side> {
    ours::spsc::READY.then(|| Side::pair(Job::new(what, "ours", bytes).batch(batch).capacity(OURS)))
}

/// One way, spinning, against the line with 8 bytes (the goal) and the rivals.
pub(crate) fn one_way<const BYTES: usize>(run: &mut Run<'_>) -> Fallible<()> {
    let goal = match BYTES {
        8 => 1.15,
        56 => 1.3,
        _ => 1.6,
    };
    let us = || ours("one_way", BYTES, 1);
    let them = |name| Job::new("one_way", name, BYTES);
    let line = Job::new("one_way", "line", 8);
    run.row("ns", us(), "limit.line 8", Side::pair(line), Goal::RatioAtMost(goal))?;
    run.row("ns", us(), "iceoryx2", Side::pair(them("iceoryx2")), Goal::RatioAtMost(1.0))?;
    run.extra("ns", us(), "rtrb (threads)", Side::solo(them("rtrb")))?;
    run.extra("ns", us(), "crossbeam (threads)", Side::solo(them("crossbeam")))?;
    run.extra("ns", us(), "shared_memory + raw_sync mutex", Side::pair(them("mutexed")))?;
    run.extra("ns", us(), "ipc-channel", Side::pair(them("ipc-channel")))?;
    run.extra("ns", us(), "pipe", Side::pair(them("pipe")))?;
    run.extra("ns", us(), "Unix socket", Side::pair(them("socket")))
}

/// Messages a second, singly (`BATCH` 1) or in batches, against rtrb (the goal) and the rest.
pub(crate) fn throughput<const BYTES: usize, const BATCH: usize>(run: &mut Run<'_>) -> Fallible<()> {
    let goal = if BYTES == 8 && BATCH == 1 { 2.0 } else { 1.0 };
    let us = || ours("stream", BYTES, BATCH);
    let them = |name| Job::new("stream", name, BYTES).capacity(CAPACITY);
    let rtrb = [512, 2048, 8192, 32768].map(|cells| Side::solo(them("rtrb").batch(BATCH).capacity(cells)));
    let rtrb = run.best(rtrb)?;
    let title = format!("rtrb (threads, {} cells)", rtrb.job.capacity);
    run.row("M/s", us(), &title, rtrb, Goal::RatioAtLeast(goal))?;
    if BATCH > 1 {
        return Ok(());
    }
    let iceoryx = run.best([16, 128, 1024].map(|samples| Side::pair(them("iceoryx2").capacity(samples))))?;
    run.extra("M/s", us(), &format!("iceoryx2 (buffer of {})", iceoryx.job.capacity), iceoryx)?;
    run.extra("M/s", us(), "crossbeam (threads)", Side::solo(them("crossbeam")))?;
    run.extra("M/s", us(), "shared_memory + raw_sync mutex", Side::pair(them("mutexed")))?;
    run.extra("M/s", us(), "ipc-channel", Side::pair(them("ipc-channel")))
}

/// A worker's part, for messages of `N` words.
pub(crate) fn work<const N: usize>(context: &Context) -> Fallible<Value> {
    match context.job.subject.as_str() {
        "line" => across::<Line<N>>(context),
        "ours" => ours::spsc::work::<N>(context),
        "iceoryx2" => across::<iceoryx::Iceoryx<N>>(context),
        "mutexed" => across::<mutexed::Mutexed<N>>(context),
        "ipc-channel" => across::<ipc::IpcChannel>(context),
        "pipe" => across::<files::Pipe>(context),
        "socket" => across::<files::Socket>(context),
        "rtrb" => between_threads::<threads::Rtrb<N>>(context),
        "crossbeam" => between_threads::<threads::Crossbeam<N>>(context),
        subject => Err(format!("nobody is called {subject}").into()),
    }
}
