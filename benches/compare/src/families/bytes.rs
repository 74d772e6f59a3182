//! `bytes.throughput.*`: records through the byte ring; the producer writes every byte and the consumer reads every byte.

use serde_json::Value;

use super::{Run, Side};
use crate::message::across;
use crate::ours;
use crate::process::{Context, Fallible, Job};
use crate::report::Goal;
use crate::rivals::{files, iceoryx, ipc};

/// Against iceoryx2's slices, a pipe, a Unix socket and ipc-channel: M/s for small records, GB/s for large ones.
pub(crate) fn throughput<const BYTES: usize>(run: &mut Run<'_>) -> Fallible<()> {
    let large = BYTES >= 4096;
    let unit = if large { "GB/s" } else { "M/s" };
    let side = |name: &str| Side {
        scale: if large { BYTES as f64 / 1e3 } else { 1.0 },
        ..Side::pair(Job::new("records", name, BYTES))
    };
    let us = || ours::bytes::READY.then(|| side("ours"));
    let goal = if large { Goal::RatioAtLeast(2.0) } else { Goal::AtLeast(15.0) };
    // Its buffer is counted in samples.
    let settings =
        [4, 16, 64, 512].map(|samples| Side { job: side("iceoryx2").job.capacity(samples), ..side("iceoryx2") });
    let iceoryx = run.best(settings.into_iter().take(if large { 3 } else { 4 }))?;
    run.row(unit, us(), &format!("iceoryx2 slices (buffer of {})", iceoryx.job.capacity), iceoryx, goal)?;
    run.extra(unit, us(), "pipe", side("pipe"))?;
    run.extra(unit, us(), "Unix socket", side("socket"))?;
    run.extra(unit, us(), "ipc-channel", side("ipc-channel"))
}

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    match context.job.subject.as_str() {
        "ours" => ours::bytes::work(context),
        "iceoryx2" => across::<iceoryx::Slices>(context),
        "ipc-channel" => across::<ipc::IpcChannel>(context),
        "pipe" => across::<files::Pipe>(context),
        "socket" => across::<files::Socket>(context),
        subject => Err(format!("nobody is called {subject}").into()),
    }
}
