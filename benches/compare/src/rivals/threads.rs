//! Queues between threads of one process: rtrb and crossbeam.
//!
//! rtrb: `push` and `pop`, spinning; for batches a `write_chunk_uninit` filled in place by `fill_from_iter`, and a
//! `read_chunk` read in place: no copy at all. Its best capacity depends on the machine, so `families::spsc` tries several and
//! keeps the best. crossbeam: the bounded channel with `try_send` and `try_recv`, spinning, the fastest it offers.

use std::hint::spin_loop;

use crossbeam_channel::TrySendError;

use crate::message::{Queue, Rx, Tx, difference, message};

pub(crate) struct Rtrb<const N: usize>;

impl<const N: usize> Queue for Rtrb<N> {
    type Tx = rtrb::Producer<[u64; N]>;
    type Rx = rtrb::Consumer<[u64; N]>;

    fn queue(capacity: usize) -> (Self::Tx, Self::Rx) {
        rtrb::RingBuffer::new(capacity)
    }
}

impl<const N: usize> Tx for rtrb::Producer<[u64; N]> {
    #[inline(always)]
    fn send(&mut self, number: u64) {
        while self.push(message(number)).is_err() {
            spin_loop();
        }
    }

    #[inline(always)]
    fn send_batch(&mut self, first: u64, most: usize) -> usize {
        // A whole batch if it fits by the cached position, otherwise what there is.
        let chunk = match self.write_chunk_uninit(most) {
            Ok(chunk) => chunk,
            Err(rtrb::chunks::ChunkError::TooFewSlots(0)) => return 0,
            Err(rtrb::chunks::ChunkError::TooFewSlots(some)) => match self.write_chunk_uninit(some) {
                Ok(chunk) => chunk,
                Err(_) => return 0,
            },
        };
        chunk.fill_from_iter((first..).map(message::<N>))
    }
}

impl<const N: usize> Rx for rtrb::Consumer<[u64; N]> {
    #[inline(always)]
    fn recv(&mut self, number: u64) -> u64 {
        loop {
            if let Ok(words) = self.pop() {
                return difference(&words, number);
            }
            spin_loop();
        }
    }

    #[inline(always)]
    fn recv_batch(&mut self, first: u64, most: usize) -> (usize, u64) {
        let chunk = match self.read_chunk(most) {
            Ok(chunk) => chunk,
            Err(rtrb::chunks::ChunkError::TooFewSlots(0)) => return (0, 0),
            Err(rtrb::chunks::ChunkError::TooFewSlots(some)) => match self.read_chunk(some) {
                Ok(chunk) => chunk,
                Err(_) => return (0, 0),
            },
        };
        let (head, tail) = chunk.as_slices();
        let mut wrong = 0;
        let mut number = first;
        for words in head.iter().chain(tail) {
            wrong |= difference(words, number);
            number += 1;
        }
        chunk.commit_all();
        ((number - first) as usize, wrong)
    }
}

pub(crate) struct Crossbeam<const N: usize>;

impl<const N: usize> Queue for Crossbeam<N> {
    type Tx = crossbeam_channel::Sender<[u64; N]>;
    type Rx = crossbeam_channel::Receiver<[u64; N]>;

    fn queue(capacity: usize) -> (Self::Tx, Self::Rx) {
        crossbeam_channel::bounded(capacity)
    }
}

impl<const N: usize> Tx for crossbeam_channel::Sender<[u64; N]> {
    #[inline(always)]
    fn send(&mut self, number: u64) {
        while matches!(self.try_send(message(number)), Err(TrySendError::Full(_))) {
            spin_loop();
        }
    }
}

impl<const N: usize> Rx for crossbeam_channel::Receiver<[u64; N]> {
    #[inline(always)]
    fn recv(&mut self, number: u64) -> u64 {
        loop {
            if let Ok(words) = self.try_recv() {
                return difference(&words, number);
            }
            spin_loop();
        }
    }
}
