//! Bare futexes that do what an event, a condition variable and a semaphore do, and no more.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::families::wake::Sleeper;
use crate::process::{Context, Fallible};
use crate::sys;

/// One word that is set and cleared, and a message beside it.
pub(crate) struct FutexEvent {
    set: &'static AtomicU64,
    message: &'static AtomicU64,
}

impl Sleeper for FutexEvent {
    fn new(context: &Context) -> Fallible<Self> {
        Ok(Self { set: &context.free()[0], message: &context.free()[16] })
    }

    fn send(&mut self, number: u64) {
        let set = sys::futex_of(self.set);
        self.message.store(number, Ordering::Relaxed);
        set.store(1, Ordering::Release);
        sys::futex_wake(set);
    }

    fn recv(&mut self) -> u64 {
        let set = sys::futex_of(self.set);
        while set.load(Ordering::Acquire) == 0 {
            sys::futex_wait(set, 0);
        }
        set.store(0, Ordering::Relaxed);
        self.message.load(Ordering::Relaxed)
    }
}

/// One word with the number of the last message: odd ones are for role 1, even ones for role 0.
pub(crate) struct FutexTurn {
    turn: &'static AtomicU64,
    parity: u32,
    last: u32,
}

impl Sleeper for FutexTurn {
    fn new(context: &Context) -> Fallible<Self> {
        Ok(Self { turn: &context.free()[0], parity: context.role as u32, last: 0 })
    }

    fn send(&mut self, number: u64) {
        let turn = sys::futex_of(self.turn);
        turn.store(number as u32, Ordering::Release);
        sys::futex_wake(turn);
    }

    fn recv(&mut self) -> u64 {
        let turn = sys::futex_of(self.turn);
        loop {
            let number = turn.load(Ordering::Acquire);
            if number > self.last && number % 2 == self.parity {
                self.last = number;
                return u64::from(number);
            }
            sys::futex_wait(turn, number);
        }
    }
}

/// Two counts, one a direction, and the message beside them.
pub(crate) struct FutexCounts {
    words: &'static [AtomicU64],
    role: usize,
}

impl Sleeper for FutexCounts {
    fn new(context: &Context) -> Fallible<Self> {
        Ok(Self { words: context.free(), role: context.role })
    }

    fn send(&mut self, number: u64) {
        let count = sys::futex_of(&self.words[16 * (1 - self.role)]);
        self.words[32].store(number, Ordering::Relaxed);
        count.fetch_add(1, Ordering::Release);
        sys::futex_wake(count);
    }

    fn recv(&mut self) -> u64 {
        let count = sys::futex_of(&self.words[16 * self.role]);
        loop {
            match count.load(Ordering::Relaxed) {
                0 => sys::futex_wait(count, 0),
                some => {
                    if count.compare_exchange(some, some - 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                        return self.words[32].load(Ordering::Relaxed);
                    }
                }
            }
        }
    }
}
