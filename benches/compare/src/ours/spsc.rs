//! `spsc`: the typed ring, behind `Link`: singly with `try_push` and `try_pop`, spinning; batches claimed, written and read in place.

use std::hint::spin_loop;

use serde_json::Value;
use sharedware::Domain;
use sharedware::ring::spsc::{Consumer, Producer, Ring};
use sharedware::ring::{PopError, PushError};

use crate::message::{Link, Rx, Tx, across, difference, message};
use crate::process::{Context, Fallible};

/// Whether the library has it.
pub(crate) const READY: bool = true;

/// A worker's part.
pub(crate) fn work<const N: usize>(context: &Context) -> Fallible<Value> {
    across::<Ours<N>>(context)
}

struct Ours<const N: usize>;

fn ring<const N: usize>(context: &Context, lane: usize) -> Fallible<Ring<[u64; N]>> {
    let (domain, name) = (Domain::new(context.prefix())?, context.name(lane));
    let capacity = context.job.capacity as u64;
    Ok(if context.role == 0 { Ring::create(&domain, &name, capacity)? } else { Ring::open(&domain, &name)? })
}

impl<const N: usize> Link for Ours<N> {
    type Tx = Producer<[u64; N]>;
    type Rx = Consumer<[u64; N]>;

    fn tx(context: &Context, lane: usize) -> Fallible<Self::Tx> {
        Ok(ring(context, lane)?.producer()?)
    }

    fn rx(context: &Context, lane: usize) -> Fallible<Self::Rx> {
        Ok(ring(context, lane)?.consumer()?)
    }
}

impl<const N: usize> Tx for Producer<[u64; N]> {
    #[inline(always)]
    fn send(&mut self, number: u64) {
        loop {
            match self.try_push(message(number)) {
                Ok(()) => return,
                Err(PushError::Full) => spin_loop(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[inline(always)]
    fn send_batch(&mut self, first: u64, most: usize) -> usize {
        match self.claim_many(most) {
            Ok(mut claim) => {
                let count = claim.len();
                let mut number = first;
                for run in claim.runs_mut() {
                    for words in run {
                        *words = message(number);
                        number += 1;
                    }
                }
                claim.commit();
                count
            }
            Err(PushError::Full) => 0,
            Err(error) => panic!("{error}"),
        }
    }
}

impl<const N: usize> Rx for Consumer<[u64; N]> {
    #[inline(always)]
    fn recv(&mut self, number: u64) -> u64 {
        loop {
            match self.try_pop() {
                Ok(words) => return difference(&words, number),
                Err(PopError::Empty) => spin_loop(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[inline(always)]
    fn recv_batch(&mut self, first: u64, most: usize) -> (usize, u64) {
        match self.claim_many(most) {
            Ok(claim) => {
                let count = claim.len();
                let (mut wrong, mut number) = (0, first);
                for run in claim.runs() {
                    for words in run {
                        wrong |= difference(words, number);
                        number += 1;
                    }
                }
                claim.release();
                (count, wrong)
            }
            Err(PopError::Empty) => (0, 0),
            Err(error) => panic!("{error}"),
        }
    }
}
