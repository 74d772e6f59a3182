//! `event`, `condvar`, `semaphore`: each behind `Sleeper`.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sharedware::Domain;
use sharedware::sync::{Condvar, Event, Mutex, Semaphore};

use crate::blocked::by_sleeper;
use crate::families::ping_pong::volley;
use crate::families::wake::{Sleeper, exchange};
use crate::process::{Context, Fallible};

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    match context.job.what.as_str() {
        "blocked" => match context.job.subject.as_str() {
            "event" => by_sleeper::<Flag>(context),
            "condvar" => by_sleeper::<Turn>(context),
            _ => by_sleeper::<Counts>(context),
        },
        "event" => exchange::<Flag>(context),
        "condvar" => volley::<Turn>(context),
        "semaphore" => volley::<Counts>(context),
        what => Err(format!("no such job of ours: {what}").into()),
    }
}

/// An event, and the message beside it, which the event orders.
struct Flag {
    event: Event,
    message: &'static AtomicU64,
}

impl Sleeper for Flag {
    fn new(context: &Context) -> Fallible<Self> {
        let (domain, name) = (Domain::new(context.prefix())?, context.name(0));
        let event = if context.role == 0 { Event::create(&domain, &name)? } else { Event::open(&domain, &name)? };
        Ok(Self { event, message: &context.free()[0] })
    }

    fn send(&mut self, number: u64) {
        self.message.store(number, Ordering::Relaxed);
        self.event.set();
    }

    fn recv(&mut self) -> u64 {
        self.event.wait().expect("the event");
        self.event.clear();
        self.message.load(Ordering::Relaxed)
    }
}

/// The number of the last message under a mutex: odd ones are for role 1, even ones for role 0.
struct Turn {
    mutex: Mutex<u64>,
    turned: Condvar,
    parity: u64,
    last: u64,
}

impl Sleeper for Turn {
    fn new(context: &Context) -> Fallible<Self> {
        let (domain, [mutex, turned]) = (Domain::new(context.prefix())?, [0, 1].map(|lane| context.name(lane)));
        let (mutex, turned) = if context.role == 0 {
            (Mutex::create(&domain, &mutex, 0)?, Condvar::create(&domain, &turned)?)
        } else {
            (Mutex::open(&domain, &mutex)?, Condvar::open(&domain, &turned)?)
        };
        Ok(Self { mutex, turned, parity: context.role as u64, last: 0 })
    }

    fn send(&mut self, number: u64) {
        *self.mutex.lock().expect("nobody dies") = number;
        self.turned.notify_one();
    }

    fn recv(&mut self) -> u64 {
        let (parity, last) = (self.parity, self.last);
        let guard = self.mutex.lock().expect("nobody dies");
        let others = |number: &mut u64| *number <= last || *number % 2 != parity;
        self.last = *self.turned.wait_while(guard, others).expect("nobody dies");
        self.last
    }
}

/// Two semaphores, one a direction, and the message beside them, which they order.
struct Counts {
    own: Semaphore,
    other: Semaphore,
    message: &'static AtomicU64,
}

impl Sleeper for Counts {
    fn new(context: &Context) -> Fallible<Self> {
        let domain = Domain::new(context.prefix())?;
        let made = |role| -> Fallible<Semaphore> {
            let name = context.name(role);
            Ok(if context.role == 0 { Semaphore::create(&domain, &name, 0)? } else { Semaphore::open(&domain, &name)? })
        };
        Ok(Self { own: made(context.role)?, other: made(1 - context.role)?, message: &context.free()[0] })
    }

    fn send(&mut self, number: u64) {
        self.message.store(number, Ordering::Relaxed);
        self.other.release().expect("room");
    }

    fn recv(&mut self) -> u64 {
        self.own.acquire().expect("a permit");
        self.message.load(Ordering::Relaxed)
    }
}
