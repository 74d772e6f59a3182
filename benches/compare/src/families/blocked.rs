//! `mutex.blocked`: the time of a core that a waiter takes, for each thing that one waits for for long.

use serde_json::Value;

use super::{Run, Side};
use crate::blocked::by_lock;
use crate::ours;
use crate::process::{Context, Fallible, Job};
use crate::report::{Goal, Row};
use crate::rivals::pthread::Plain;

/// Ours, each with the method that waits.
const SUBJECTS: [(&str, &str); 5] = [
    ("mutex", "Mutex::lock"),
    ("event", "Event::wait"),
    ("condvar", "Condvar::wait"),
    ("semaphore", "Semaphore::acquire"),
    ("rwlock", "RwLock::read"),
];

/// Against a plain mutex, whose waiter the kernel alone keeps asleep.
pub(crate) fn all(run: &mut Run<'_>) -> Fallible<()> {
    let millis = if run.quick { 500 } else { 2000 };
    let side = |name: &str| Side::pair(Job::new("blocked", name, 8).millis(millis));
    for (name, title) in SUBJECTS {
        let paired = run.compare_long(Some(side(name)), side("pthread"))?;
        let title = format!("{} ({title})", run.name);
        let row = Row::new(&title, "% of a core", "pthread mutex, process-shared", Goal::AtMost(0.1), &paired);
        run.rows.push(row);
    }
    Ok(())
}

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    match context.job.subject.as_str() {
        "mutex" => ours::mutex::work(context),
        "rwlock" => ours::rwlock::work(context),
        "event" | "condvar" | "semaphore" => ours::sleepers::work(context),
        "pthread" => by_lock::<Plain>(context),
        subject => Err(format!("nobody is called {subject}").into()),
    }
}
