//! `wake`: a blocking `pop` of the typed ring, behind `Sleeper`.

use serde_json::Value;
use sharedware::Domain;
use sharedware::ring::spsc::{Consumer, Producer, Ring};

use crate::families::wake::{Sleeper, exchange};
use crate::process::{Context, Fallible};

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    exchange::<End>(context)
}

/// Role 0's end sends, role 1's receives.
enum End {
    Sender(Producer<u64>),
    Receiver(Consumer<u64>),
}

impl Sleeper for End {
    fn new(context: &Context) -> Fallible<Self> {
        let (domain, name) = (Domain::new(context.prefix())?, context.name(0));
        Ok(if context.role == 0 {
            Self::Sender(Ring::create(&domain, &name, 64)?.producer()?)
        } else {
            Self::Receiver(Ring::open(&domain, &name)?.consumer()?)
        })
    }

    fn send(&mut self, number: u64) {
        if let Self::Sender(producer) = self {
            producer.push(number).expect("room");
        }
    }

    fn recv(&mut self) -> u64 {
        match self {
            Self::Sender(_) => 0,
            Self::Receiver(consumer) => consumer.pop().expect("a message"),
        }
    }
}
