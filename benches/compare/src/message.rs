//! What every queue has to do here, ours and the rivals' alike: ping-pong for latency, a stream for throughput.
//!
//! Message `n` holds the words `n, n+1, n+2, ...`, written in full by the sender, read in full and compared by the receiver.

use serde_json::{Value, json};

use crate::process::{Context, Fallible};
use crate::sys::{now_ns, ticks};
use crate::times::Times;

/// The sending end of a queue whose messages have a size known to it.
pub(crate) trait Tx {
    /// Writes message `number` and sends it; spins while the queue is full.
    fn send(&mut self, number: u64);

    /// Sends up to `most` messages from `first` on by the queue's own means for batches; how many.
    fn send_batch(&mut self, first: u64, most: usize) -> usize {
        let _ = most;
        self.send(first);
        1
    }
}

/// The receiving end.
pub(crate) trait Rx {
    /// Spins for the next message, reads all of it, and returns the bits that differ from message `number`.
    fn recv(&mut self, number: u64) -> u64;

    /// Receives up to `most` messages, which are `first` and those that follow; how many, and the bits that differ.
    fn recv_batch(&mut self, first: u64, most: usize) -> (usize, u64) {
        let _ = most;
        (1, self.recv(first))
    }
}

/// A queue between two processes.
pub(crate) trait Link {
    type Tx: Tx;
    type Rx: Rx;

    /// Role 0 makes what it needs; role 1, which is called only after `Context::created`, opens it.
    fn tx(context: &Context, lane: usize) -> Fallible<Self::Tx>;
    /// See `tx`.
    fn rx(context: &Context, lane: usize) -> Fallible<Self::Rx>;
}

/// A queue between two threads of one process.
pub(crate) trait Queue {
    type Tx: Tx + Send;
    type Rx: Rx + Send;

    fn queue(capacity: usize) -> (Self::Tx, Self::Rx);
}

/// Message `number` of `N` words.
#[inline]
pub(crate) fn message<const N: usize>(number: u64) -> [u64; N] {
    std::array::from_fn(|k| number.wrapping_add(k as u64))
}

/// The bits in which `words` differ from message `number`.
#[inline]
pub(crate) fn difference<const N: usize>(words: &[u64; N], number: u64) -> u64 {
    words.iter().enumerate().fold(0, |wrong, (k, word)| wrong | (word ^ number.wrapping_add(k as u64)))
}

/// Fills a record of any length with message `number`.
#[inline]
pub(crate) fn fill(words: &mut [u64], number: u64) {
    for (k, word) in words.iter_mut().enumerate() {
        *word = number.wrapping_add(k as u64);
    }
}

/// As [`difference`], for a record of any length: every word is compared.
#[inline]
pub(crate) fn mismatch(words: &[u64], number: u64) -> u64 {
    words.iter().enumerate().fold(0, |wrong, (k, word)| wrong | (word ^ number.wrapping_add(k as u64)))
}

/// A worker's part of a job over a queue between processes.
pub(crate) fn across<L: Link>(context: &Context) -> Fallible<Value> {
    if context.role == 1 {
        context.await_created();
    }
    if context.job.what == "one_way" {
        // Both roles open lane 0 first, so that links whose opening waits for the other side agree on the order.
        let (tx, rx) = if context.role == 0 {
            (L::tx(context, 0)?, L::rx(context, 1)?)
        } else {
            let rx = L::rx(context, 0)?;
            (L::tx(context, 1)?, rx)
        };
        context.created();
        return ping_pong(context, tx, rx);
    }
    if context.role == 0 {
        let tx = L::tx(context, 0)?;
        context.created();
        stream_out(context, tx)
    } else {
        stream_in(context, L::rx(context, 0)?)
    }
}

/// The same over a queue between threads; the second thread is started here.
pub(crate) fn between_threads<Q: Queue>(context: &Context) -> Fallible<Value> {
    let other = context.for_thread(1);
    let (tx, rx) = Q::queue(context.job.capacity);
    let (back_tx, back_rx) = Q::queue(context.job.capacity);
    let one_way = context.job.what == "one_way";
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            other.settle()?;
            if one_way { ping_pong(&other, back_tx, rx) } else { stream_in(&other, rx) }
        });
        let here = if one_way { ping_pong(context, tx, back_rx) } else { stream_out(context, tx) }?;
        let there = thread.join().map_err(|_| "the second thread panicked")??;
        Ok(if here["value"].is_null() { there } else { here })
    })
}

/// Half of the messages give the mean, with no clock between them; half are timed one by one for the percentiles.
fn ping_pong(context: &Context, mut tx: impl Tx, mut rx: impl Rx) -> Fallible<Value> {
    let half = context.job.count.max(2) / 2;
    let warm = half / 8 + 1;
    let mut wrong = 0;
    context.meet();
    if context.role == 1 {
        for number in 0..warm + 2 * half {
            wrong |= rx.recv(number);
            tx.send(number);
        }
        sound(wrong)?;
        context.meet();
        return Ok(Value::Null);
    }
    let mut times = Times::start();
    for number in 0..warm {
        tx.send(number);
        wrong |= rx.recv(number);
    }
    let start = now_ns();
    for number in warm..warm + half {
        tx.send(number);
        wrong |= rx.recv(number);
    }
    let elapsed = now_ns() - start;
    let mut last = ticks();
    for number in warm + half..warm + 2 * half {
        tx.send(number);
        wrong |= rx.recv(number);
        let now = ticks();
        times.record(now - last);
        last = now;
    }
    sound(wrong)?;
    context.meet();
    let one_way = |quantile| times.quantile(quantile) / 2.0;
    let mean = elapsed as f64 / (2 * half) as f64;
    Ok(json!({"value": mean, "p50": one_way(0.5), "p99": one_way(0.99), "elapsed": 2 * elapsed}))
}

fn stream_out(context: &Context, mut tx: impl Tx) -> Fallible<Value> {
    let Context { job, .. } = context;
    context.meet();
    context.started().store(now_ns(), std::sync::atomic::Ordering::Release);
    if job.batch == 1 {
        for number in 0..job.count {
            tx.send(number);
        }
    } else {
        let mut sent = 0;
        while sent < job.count {
            let most = (job.count - sent).min(job.batch as u64) as usize;
            match tx.send_batch(sent, most) {
                0 => std::hint::spin_loop(),
                some => sent += some as u64,
            }
        }
    }
    // Until the last message has been read: some queues vanish with their sender.
    context.meet();
    Ok(Value::Null)
}

fn stream_in(context: &Context, mut rx: impl Rx) -> Fallible<Value> {
    let Context { job, .. } = context;
    let mut wrong = 0;
    context.meet();
    if job.batch == 1 {
        for number in 0..job.count {
            wrong |= rx.recv(number);
        }
    } else {
        let mut received = 0;
        while received < job.count {
            match rx.recv_batch(received, job.batch) {
                (0, _) => std::hint::spin_loop(),
                (some, bits) => {
                    wrong |= bits;
                    received += some as u64;
                }
            }
        }
    }
    let elapsed = now_ns() - context.started().load(std::sync::atomic::Ordering::Acquire);
    sound(wrong)?;
    context.meet();
    Ok(json!({"value": job.count as f64 * 1e3 / elapsed as f64, "elapsed": elapsed}))
}

/// A payload that differs is a failure, not a figure.
pub(crate) fn sound(wrong: u64) -> Fallible<()> {
    if wrong == 0 { Ok(()) } else { Err(format!("a payload arrived wrong (bits {wrong:#x})").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_is_found_wherever_it_is() {
        for place in 0..8 {
            let mut words = message::<8>(7);
            assert_eq!(difference(&words, 7), 0);
            words[place] ^= 1 << 40;
            assert_eq!(difference(&words, 7), 1 << 40);
            assert_eq!(mismatch(&words, 7), 1 << 40);
        }
        assert_ne!(difference(&message::<1>(7), 8), 0);
    }

    #[test]
    fn records_and_messages_agree() {
        let mut words = [0; 8];
        fill(&mut words, u64::MAX - 2);
        assert_eq!(words, message::<8>(u64::MAX - 2));
    }
}
