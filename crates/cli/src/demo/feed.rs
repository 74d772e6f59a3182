//! The feed: half of each second one tick every microsecond, the other half as fast as it goes.

use std::hint::spin_loop;
use std::time::Duration;

use bytemuck::Zeroable;
use sharedware::Domain;
use sharedware::ring::spsc::Producer;
use sharedware::ring::{PushError, WhenPeerGone};
use sharedware::slot::Writer;

use super::shared::{FeedReport, Orphan, Quote, SYMBOLS, Segments, Tick, now};
use crate::exit::{Exit, Outcome};

const SECOND: u64 = 1_000_000_000;
const HALF: u64 = SECOND / 2;
const SETTLING: u64 = SECOND / 50;
const PAUSE: u64 = 1_000;
const CHUNK: usize = 64;

pub(super) fn run(domain: &Domain, name: &str) -> Outcome {
    let segments = Segments::open(domain, name)?;
    let mut producer = segments.ticks.producer()?;
    // If the book dies, another one comes.
    producer.when_peer_gone(WhenPeerGone::Wait);
    let quotes = (0..SYMBOLS).map(|index| segments.quotes.writer(index).map_err(Exit::failure));
    let mut report = FeedReport {
        pid: std::process::id().into(),
        started_ns: now(),
        // Where the one before was cut off.
        first: producer.position(),
        next: producer.position(),
    };
    let mut feed = Feed { producer, quotes: quotes.collect::<Result<_, _>>()?, price: 100.0, due: 0 };
    let mut orphan = Orphan::new();
    while !segments.is_stopped() && !orphan.is_it(now()) {
        // A hundred rounds or so between two looks at the world.
        let until = now() + 100_000;
        while now() < until {
            match until % SECOND {
                // At first the ring may still hold what was sent at full speed.
                0..SETTLING => feed.one(0)?,
                SETTLING..HALF => feed.one(1)?,
                _ => feed.many()?,
            }
        }
        report.next = feed.producer.position();
        segments.feed.write(&report).map_err(Exit::failure)?;
    }
    Ok(())
}

struct Feed {
    producer: Producer<Tick>,
    quotes: Vec<Writer<Quote>>,
    price: f64,
    /// When to send the next tick at leisure.
    due: u64,
}

impl Feed {
    fn one(&mut self, timed: u32) -> Outcome {
        let mut time = now();
        if time > self.due + 100 * PAUSE {
            self.due = time;
        }
        while time < self.due {
            spin_loop();
            time = now();
        }
        self.due += PAUSE;
        let number = self.producer.position();
        let tick = self.tick(number, time, timed);
        match self.producer.try_push(tick) {
            Ok(()) => self.quote(&tick),
            Err(PushError::Full) => self.wait(),
            Err(other) => Err(other.into()),
        }
    }

    fn many(&mut self) -> Outcome {
        let (first, time) = (self.producer.position(), now());
        let mut ticks = [Tick::zeroed(); CHUNK];
        for (tick, number) in ticks.iter_mut().zip(first..) {
            *tick = self.tick(number, time, 0);
        }
        match self.producer.push_slice(&ticks) {
            Ok(count) => self.quote(&ticks[count - 1]),
            Err(PushError::Full) => self.wait(),
            Err(other) => Err(other.into()),
        }
    }

    /// The price walks at random, but by the number alone.
    fn tick(&mut self, number: u64, sent_ns: u64, timed: u32) -> Tick {
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        self.price += (random as f64 - 7.5) / 1000.0;
        Tick { number, sent_ns, price: self.price, symbol: (number % SYMBOLS as u64) as u32, timed }
    }

    fn quote(&mut self, tick: &Tick) -> Outcome {
        let quote = Quote { price: tick.price, number: tick.number, check: !tick.number };
        match self.quotes.get_mut(tick.symbol as usize) {
            Some(slot) => slot.write(&quote).map(|_| ()).map_err(Exit::failure),
            None => Ok(()),
        }
    }

    /// Waits for room, but not so long as to miss that we are to end.
    fn wait(&mut self) -> Outcome {
        match self.producer.wait_for_room_timeout(Duration::from_millis(5)) {
            Ok(()) | Err(PushError::TimedOut) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }
}
