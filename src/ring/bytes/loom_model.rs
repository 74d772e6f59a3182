//! The byte ring, as loom sees it: 64 bytes, in which a 9-byte record takes 24, so that every third one skips the end of the buffer.
//!
//! Records are copied in by words; claims lend out bytes, which cannot be had of loom's words, but commit by the same function.

use loom::thread;

use super::consumer::Consumer;
use super::producer::Producer;
use super::ring::Ring;
use crate::base::atomic::without_light_fences;
use crate::base::mortal;
use crate::peer;
use crate::ring::error::{Gone, PopError, PushError};

const CAPACITY: u64 = 64;

/// Record `number`: 9 bytes, in two words.
fn record(number: u64) -> [u8; 9] {
    [number as u8 + 1; 9]
}

fn check(bytes: &[u8], number: u64) {
    assert_eq!(bytes, record(number), "record {number}");
}

/// Receives what is there; returns the number of the next record and whether the stream has ended.
fn drain(consumer: &mut Consumer, mut number: u64) -> (u64, bool) {
    loop {
        match consumer.try_recv() {
            Ok(found) => {
                check(&found.copied(), number);
                found.release();
                number += 1;
            }
            Err(PopError::Empty) => return (number, false),
            Err(PopError::Finished) => return (number, true),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Both block: `count` records and the end go through.
fn all_go_through(count: u64) {
    loom::model(move || {
        let ring = Ring::model(CAPACITY);
        let mut consumer = ring.consumer().unwrap();
        let mut producer = ring.producer().unwrap();
        let sender = thread::spawn(move || {
            for number in 0..count {
                producer.send(&record(number)).unwrap();
            }
            producer.finish().unwrap();
            std::mem::forget(producer);
        });
        let mut number = 0;
        loop {
            match consumer.recv() {
                Ok(found) => {
                    check(&found.copied(), number);
                    found.release();
                    number += 1;
                }
                Err(PopError::Finished) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(number, count);
        sender.join().unwrap();
    });
}

#[test]
fn loom_records_go_through_and_skip_the_end_of_the_buffer() {
    all_go_through(3);
}

#[test]
fn loom_records_go_through_twice_round() {
    without_light_fences(move || {
        loom::model(|| {
            let ring = Ring::model(CAPACITY);
            let mut consumer = ring.consumer().unwrap();
            let mut producer = ring.producer().unwrap();
            let sender = thread::spawn(move || {
                let mut number = 0;
                for _ in 0..6 {
                    match producer.try_send(&record(number)) {
                        Ok(()) => number += 1,
                        Err(PushError::Full) => thread::yield_now(),
                        Err(error) => panic!("{error}"),
                    }
                }
                number
            });
            let (number, _) = drain(&mut consumer, 0);
            let (number, _) = drain(&mut consumer, number);
            let sent = sender.join().unwrap();
            assert_eq!(drain(&mut consumer, number).0, sent);
        })
    });
}

fn send_some(producer: &mut Producer, acknowledged: &mut u64, count: u64) {
    for _ in 0..count {
        producer.send(&record(*acknowledged)).unwrap();
        *acknowledged += 1;
    }
}

/// The producer dies anywhere while the consumer receives, `before` records having gone through; a successor goes on behind what was
/// committed, and finishes.
fn a_producer_dies(before: u64, count: u64) {
    without_light_fences(move || {
        mortal::at_every_store(move |stores| {
            let ring = Ring::model(CAPACITY);
            let mut consumer = ring.model_as(2).consumer().unwrap();
            {
                let mut first = ring.producer().unwrap();
                send_some(&mut first, &mut 0, before);
            }
            assert_eq!(drain(&mut consumer, 0), (before, false));
            let producers = thread::spawn(move || {
                let mut acknowledged = before;
                let mut finished = false;
                let victim = ring.model_as(1);
                let survived = peer::model::run(1, stores, || {
                    let mut producer = victim.producer().unwrap();
                    send_some(&mut producer, &mut acknowledged, count);
                    producer.finish().unwrap();
                    finished = true;
                });
                let mut producer = ring.producer().unwrap();
                match producer.try_send(&[]) {
                    Err(PushError::Finished) => finished = true,
                    Ok(()) | Err(PushError::Full) => assert!(!finished, "an end that was acknowledged was lost"),
                    Err(error) => panic!("{error}"),
                }
                producer.finish().unwrap();
                (acknowledged, survived.is_some())
            });
            let (number, _) = drain_until_empty_record(&mut consumer, before);
            let (acknowledged, survived) = producers.join().unwrap();
            let (number, finished) = drain_until_empty_record(&mut consumer, number);
            assert!(finished);
            assert!(number == acknowledged || !survived && number == acknowledged + 1);
        })
    });
}

/// As [`drain`]; the successor's own record is empty.
fn drain_until_empty_record(consumer: &mut Consumer, mut number: u64) -> (u64, bool) {
    loop {
        match consumer.try_recv() {
            Ok(found) if found.copied().is_empty() => found.release(),
            Ok(found) => {
                check(&found.copied(), number);
                found.release();
                number += 1;
            }
            Err(PopError::Empty) => return (number, false),
            Err(PopError::Finished) => return (number, true),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn loom_a_producer_dies_at_every_store() {
    a_producer_dies(0, 2);
}

#[test]
fn loom_a_producer_dies_at_every_store_while_skipping() {
    a_producer_dies(2, 1);
}

/// The consumer dies anywhere while the producer sends; its successor receives every record that was not released.
#[test]
fn loom_a_consumer_dies_at_every_store() {
    without_light_fences(move || {
        mortal::at_every_store(|stores| {
            let ring = Ring::model(CAPACITY);
            let mut producer = ring.model_as(2).producer().unwrap();
            send_some(&mut producer, &mut 0, 2);
            let consumers = thread::spawn(move || {
                let mut acknowledged = 0;
                let victim = ring.model_as(1);
                peer::model::run(1, stores, || {
                    let mut consumer = victim.consumer().unwrap();
                    for number in 0..2 {
                        let found = consumer.recv().unwrap();
                        check(&found.copied(), number);
                        found.release();
                        acknowledged += 1;
                    }
                });
                let mut consumer = ring.consumer().unwrap();
                // Released by a dead consumer, or not yet.
                let number = consumer.position() / 24;
                assert!(number == acknowledged || number == acknowledged + 1);
                (number, consumer)
            });
            let sent = producer.try_send(&record(2)).is_ok();
            let (number, mut consumer) = consumers.join().unwrap();
            assert_eq!(drain(&mut consumer, number).0, 2 + u64::from(sent));
            send_some(&mut producer, &mut (2 + u64::from(sent)), 1);
            assert_eq!(drain(&mut consumer, 2 + u64::from(sent)).0, 3 + u64::from(sent));
        })
    });
}

/// "Complete", "left" and "died" are three answers.
#[test]
fn loom_who_waits_for_a_dead_producer_is_told() {
    mortal::at_every_store(|stores| {
        let ring = Ring::model(CAPACITY);
        let mut consumer = ring.model_as(2).consumer().unwrap();
        let producer = ring.model_as(1).producer().unwrap();
        let victim = thread::spawn(move || {
            let mut finished = false;
            let survived = peer::model::run(1, stores, || {
                let mut producer = producer;
                producer.send(&record(0)).unwrap();
                producer.finish().unwrap();
                finished = true;
            });
            assert!(finished || survived.is_none());
            finished
        });
        let mut number = 0;
        let complete = loop {
            match consumer.recv() {
                Ok(found) => {
                    check(&found.copied(), number);
                    found.release();
                    number += 1;
                }
                Err(PopError::Finished) => break true,
                Err(PopError::Disconnected(gone)) => {
                    assert_eq!(gone, Gone::Died);
                    break false;
                }
                Err(error) => panic!("{error}"),
            }
        };
        let finished = victim.join().unwrap();
        assert!(complete || !finished, "an end that was acknowledged was lost");
        assert!(!complete || number == 1);
    });
}
