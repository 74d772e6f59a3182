//! `bytes`: the byte ring, behind `Link`: records claimed, written in place, read in place, spinning.

use std::hint::spin_loop;

use serde_json::Value;
use sharedware::Domain;
use sharedware::ring::bytes::{Consumer, Producer, Ring};
use sharedware::ring::{PopError, PushError};

use crate::message::{Link, Rx, Tx, across};
use crate::process::{Context, Fallible};

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// Bytes in the ring: large enough for many large records, small enough for the second-level cache.
const CAPACITY: u64 = 1 << 20;

/// A worker's part.
pub(crate) fn work(context: &Context) -> Fallible<Value> {
    across::<Ours>(context)
}

struct Ours;

struct OursTx {
    producer: Producer,
    bytes: usize,
}

struct OursRx {
    consumer: Consumer,
    bytes: usize,
}

fn ring(context: &Context, lane: usize) -> Fallible<Ring> {
    let (domain, name) = (Domain::new(context.prefix())?, context.name(lane));
    Ok(if context.role == 0 { Ring::create(&domain, &name, CAPACITY)? } else { Ring::open(&domain, &name)? })
}

impl Link for Ours {
    type Tx = OursTx;
    type Rx = OursRx;

    fn tx(context: &Context, lane: usize) -> Fallible<OursTx> {
        Ok(OursTx { producer: ring(context, lane)?.producer()?, bytes: context.job.bytes })
    }

    fn rx(context: &Context, lane: usize) -> Fallible<OursRx> {
        Ok(OursRx { consumer: ring(context, lane)?.consumer()?, bytes: context.job.bytes })
    }
}

impl Tx for OursTx {
    #[inline(always)]
    fn send(&mut self, number: u64) {
        loop {
            match self.producer.try_claim(self.bytes) {
                Ok(mut claim) => {
                    for (word, value) in claim.chunks_exact_mut(8).zip(0..) {
                        word.copy_from_slice(&number.wrapping_add(value).to_ne_bytes());
                    }
                    return claim.commit();
                }
                Err(PushError::Full) => spin_loop(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Rx for OursRx {
    #[inline(always)]
    fn recv(&mut self, number: u64) -> u64 {
        loop {
            match self.consumer.try_recv() {
                Ok(record) => {
                    let missing = u64::from(record.len() != self.bytes);
                    let wrong = record.chunks_exact(8).zip(0..).fold(missing, |wrong, (word, value)| {
                        let word = word.try_into().map_or(0, u64::from_ne_bytes);
                        wrong | (word ^ number.wrapping_add(value))
                    });
                    record.release();
                    return wrong;
                }
                Err(PopError::Empty) => spin_loop(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
