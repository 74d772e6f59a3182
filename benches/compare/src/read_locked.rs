//! What every readers-writer lock has to do here: let readers read a value that was written once.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::message::{difference, sound};
use crate::process::{Context, Fallible};
use crate::sys::now_ns;

/// What is guarded: message [`NUMBER`].
pub(crate) type Words = [u64; 2];
/// See [`Words`].
pub(crate) const NUMBER: u64 = 7;

/// A lock under which many may read [`Words`].
pub(crate) trait ReadLock: Sized {
    /// Role 0 makes it and writes; role 1, which is called only after `Context::created`, opens it.
    fn new(context: &Context) -> Fallible<Self>;

    /// Runs `section` while nobody may write.
    fn read<R>(&self, section: impl FnOnce(&Words) -> R) -> R;
}

/// Lock for reading and unlock while nobody else does, in one process.
pub(crate) fn alone<L: ReadLock>(context: &Context) -> Fallible<Value> {
    let (lock, count) = (L::new(context)?, context.job.count);
    let (elapsed, wrong) = repeat(&lock, count);
    sound(wrong)?;
    Ok(json!({"value": elapsed as f64 / count as f64, "elapsed": elapsed}))
}

/// Two processes that read.
pub(crate) fn between_processes<L: ReadLock>(context: &Context) -> Fallible<Value> {
    two(context, &context.shared(L::new)?)
}

/// Two threads that do; the second one is started here.
pub(crate) fn between_threads<L: ReadLock + Sync>(context: &Context) -> Fallible<Value> {
    let other = context.for_thread(1);
    let lock = L::new(context)?;
    std::thread::scope(|scope| {
        let lock = &lock;
        let thread = scope.spawn(move || {
            other.settle()?;
            two(&other, lock)
        });
        let here = two(context, lock);
        thread.join().map_err(|_| "the second thread panicked")??;
        here
    })
}

fn repeat(lock: &impl ReadLock, count: u64) -> (u64, u64) {
    let start = now_ns();
    let wrong = (0..count).fold(0, |wrong, _| wrong | lock.read(|words| difference(words, NUMBER)));
    (now_ns() - start, wrong)
}

/// Reads between two looks at whether the other has finished.
const STRIDE: u64 = 64;
/// Words of the arena, behind whatever a lock uses: what role 1 found.
const FOUND: usize = 1024;

/// Each alone first, then both at once; role 0 sums up. The value is the rate beside the other by the rate alone, of the side
/// that loses more.
fn two(context: &Context, lock: &impl ReadLock) -> Fallible<Value> {
    let count = context.job.count;
    let (mut alone, mut wrong) = (0.0, 0);
    for role in 0..2 {
        context.meet();
        if role == context.role {
            let (elapsed, bits) = repeat(lock, count);
            alone = elapsed as f64 / count as f64;
            wrong |= bits;
        }
    }
    context.meet();
    let (start, mut own) = (now_ns(), 0);
    loop {
        wrong |= repeat(lock, STRIDE).1;
        own += STRIDE;
        if own >= count || context.stop().load(Ordering::Relaxed) != 0 {
            break;
        }
    }
    context.stop().store(1, Ordering::Relaxed);
    let elapsed = now_ns() - start;
    let both = elapsed as f64 / own as f64;
    let found = &context.free()[FOUND..];
    if context.role == 1 {
        found[0].store(alone.to_bits(), Ordering::Relaxed);
        found[1].store(both.to_bits(), Ordering::Relaxed);
    }
    sound(wrong)?;
    context.meet();
    if context.role == 1 {
        return Ok(Value::Null);
    }
    let other = [0, 1].map(|place: usize| f64::from_bits(found[place].load(Ordering::Relaxed)));
    let [alone, both] = if alone / both < other[0] / other[1] { [alone, both] } else { other };
    Ok(json!({"value": alone / both, "alone_ns": alone, "both_ns": both, "elapsed": elapsed * 3}))
}
