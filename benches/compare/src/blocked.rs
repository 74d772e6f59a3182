//! What a wait of some seconds costs: one has what another waits for, sleeps all the time, and gives it away at the end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::families::wake::Sleeper;
use crate::locked::Lock;
use crate::message::sound;
use crate::process::{Context, Fallible};
use crate::sys::{cpu_ns, now_ns};

/// A lock: role 0 holds it, role 1 waits for it.
pub(crate) fn by_lock<L: Lock>(context: &Context) -> Fallible<Value> {
    let lock = context.shared(L::new)?;
    if context.role == 0 {
        return lock.with(|_| keep(context));
    }
    wait(context, || lock.with(|_| Ok(())))
}

/// A message: role 0 sends it late, role 1 waits for it.
pub(crate) fn by_sleeper<S: Sleeper>(context: &Context) -> Fallible<Value> {
    let mut sleeper = context.shared(S::new)?;
    if context.role == 0 {
        let kept = keep(context);
        sleeper.send(1);
        return kept;
    }
    wait(context, || sound(sleeper.recv() ^ 1))
}

/// Between the moment at which the other may begin to wait and the one at which it need wait no longer.
pub(crate) fn keep(context: &Context) -> Fallible<Value> {
    context.meet();
    std::thread::sleep(Duration::from_millis(context.job.millis));
    // Before it is given away: who has it must find this.
    context.stop().store(1, Ordering::Relaxed);
    Ok(Value::Null)
}

/// Waits by `blocked`. The value is the time of a core that it took, in percent of the time that passed.
pub(crate) fn wait(context: &Context, blocked: impl FnOnce() -> Fallible<()>) -> Fallible<Value> {
    context.meet();
    let (start, before) = (now_ns(), cpu_ns());
    blocked()?;
    let (elapsed, taken) = (now_ns() - start, cpu_ns() - before);
    if context.stop().load(Ordering::Relaxed) == 0 {
        return Err("it was had while another had it".into());
    }
    Ok(json!({"value": 100.0 * taken as f64 / elapsed as f64, "cpu_us": taken as f64 / 1e3}))
}
