//! `rwlock.*`: reading under a lock that nobody wants to write under.

use serde_json::Value;

use super::{Run, Side};
use crate::ours;
use crate::process::{Context, Fallible, Job};
use crate::read_locked::{Words, alone, between_processes, between_threads};
use crate::report::Goal;
use crate::rivals::pthread::ReadWrite;

const BYTES: usize = size_of::<Words>();

/// One reader: lock and unlock, against std's (the goal), parking_lot's and pthread's.
pub(crate) fn read(run: &mut Run<'_>) -> Fallible<()> {
    let side = |name: &str| Side::solo(Job::new("read_lock", name, BYTES));
    let us = || ours::rwlock::READY.then(|| side("ours"));
    run.row("ns", us(), "std RwLock (one process)", side("std"), Goal::RatioAtMost(1.3))?;
    run.extra("ns", us(), "parking_lot RwLock (one process)", side("parking_lot"))?;
    run.extra("ns", us(), "pthread rwlock, process-shared", side("pthread"))
}

/// Two readers: what each keeps of the rate that it has alone.
pub(crate) fn two_readers(run: &mut Run<'_>) -> Fallible<()> {
    let job = |name: &str| Job::new("two_readers", name, BYTES);
    let us = || ours::rwlock::READY.then(|| Side::pair(job("ours")));
    run.row("of alone", us(), "std RwLock (threads)", Side::solo(job("std")), Goal::AtLeast(0.9))?;
    run.extra("of alone", us(), "parking_lot RwLock (threads)", Side::solo(job("parking_lot")))?;
    run.extra("of alone", us(), "pthread rwlock, process-shared", Side::pair(job("pthread")))
}

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    let one = context.job.what == "read_lock";
    match context.job.subject.as_str() {
        "ours" => ours::rwlock::work(context),
        "std" if one => alone::<std::sync::RwLock<Words>>(context),
        "std" => between_threads::<std::sync::RwLock<Words>>(context),
        "parking_lot" if one => alone::<parking_lot::RwLock<Words>>(context),
        "parking_lot" => between_threads::<parking_lot::RwLock<Words>>(context),
        "pthread" if one => alone::<ReadWrite>(context),
        "pthread" => between_processes::<ReadWrite>(context),
        subject => Err(format!("nobody is called {subject}").into()),
    }
}
