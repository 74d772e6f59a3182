//! The typed ring, as loom sees it.
//!
//! Values are two words, so that they can be torn. Claims lend out references, which cannot be had to loom's words; what they do to the
//! ring is done here by hand, through the same `commit` and `advance`.

use loom::thread;

use super::consumer::Consumer;
use super::producer::Producer;
use super::ring::Ring;
use crate::base::atomic::without_light_fences;
use crate::base::{copy, mortal};
use crate::peer;
use crate::ring::error::{Gone, PopError, PushError};
use crate::ring::side::WhenPeerGone;

type Value = [u64; 2];

/// The value that belongs at a position.
fn value(position: u64) -> Value {
    [position + 100, !position]
}

fn push(producer: &mut Producer<Value>) -> Result<(), PushError> {
    producer.push(value(producer.position()))
}

/// Pops and checks that it is the value of its position.
fn pop(consumer: &mut Consumer<Value>) -> Result<(), PopError> {
    let position = consumer.position();
    consumer.pop().map(|found| assert_eq!(found, value(position)))
}

/// Pops what is there.
fn drain(consumer: &mut Consumer<Value>) {
    loop {
        let position = consumer.position();
        match consumer.try_pop() {
            Ok(found) => assert_eq!(found, value(position)),
            Err(PopError::Empty) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Both block: on a ring of `capacity`, `count` values go through in order and nobody sleeps for ever.
fn all_go_through(capacity: u64, count: u64) {
    loom::model(move || {
        let ring = Ring::<Value>::model(capacity);
        let mut consumer = ring.consumer().unwrap();
        let mut producer = ring.producer().unwrap();
        let sender = thread::spawn(move || {
            for _ in 0..count {
                push(&mut producer).unwrap();
            }
            producer
        });
        for _ in 0..count {
            pop(&mut consumer).unwrap();
        }
        let producer = sender.join().unwrap();
        assert_eq!((producer.position(), consumer.position()), (count, count));
    });
}

#[test]
fn loom_values_go_through_one_cell() {
    all_go_through(1, 3);
}

#[test]
fn loom_values_go_through_two_cells() {
    all_go_through(2, 4);
}

/// Nobody sleeps: batches of any size, as they come.
#[test]
fn loom_batches_keep_the_order() {
    without_light_fences(move || {
        loom::model(|| {
            let ring = Ring::<Value>::model(2);
            let mut consumer = ring.consumer().unwrap();
            let mut producer = ring.producer().unwrap();
            let sender = thread::spawn(move || {
                for _ in 0..3 {
                    let position = producer.position();
                    match producer.push_slice(&[value(position), value(position + 1)]) {
                        Ok(_) | Err(PushError::Full) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                producer.position()
            });
            let mut popped = 0;
            let mut to = [[0; 2]; 3];
            for _ in 0..3 {
                let count = match consumer.pop_slice(&mut to) {
                    Ok(count) => count,
                    Err(PopError::Empty) => 0,
                    Err(error) => panic!("{error}"),
                };
                for found in &to[..count] {
                    assert_eq!(*found, value(popped));
                    popped += 1;
                }
            }
            let pushed = sender.join().unwrap();
            drain(&mut consumer);
            assert_eq!(consumer.position(), pushed);
        })
    });
}

/// What claims do: values written in place first, marks afterwards; values read in place, then given up together.
#[test]
fn loom_claims_exclude_the_other_side() {
    without_light_fences(move || {
        loom::model(|| {
            let ring = Ring::<Value>::model(2);
            let mut consumer = ring.consumer().unwrap();
            let mut producer = ring.producer().unwrap();
            let sender = thread::spawn(move || {
                for _ in 0..3 {
                    let Ok(claim) = producer.claim_many(2) else { continue };
                    let count = claim.len() as u64;
                    drop(claim);
                    for index in 0..count {
                        copy::store(producer.cells().value(producer.place(index)), &value(producer.position() + index));
                    }
                    producer.commit(count);
                }
            });
            for _ in 0..3 {
                let Ok(claim) = consumer.claim_many(2) else { continue };
                let count = claim.len() as u64;
                drop(claim);
                for index in 0..count {
                    let found: Value = copy::load(consumer.cells().value(consumer.place(index)));
                    assert_eq!(found, value(consumer.position() + index));
                }
                consumer.release(count);
            }
            sender.join().unwrap();
            drain(&mut consumer);
        })
    });
}

/// The producer dies anywhere while the consumer pops; a successor comes, also while the consumer pops. Nothing acknowledged is lost.
#[test]
fn loom_a_producer_dies_at_every_store() {
    without_light_fences(move || {
        mortal::at_every_store(|stores| {
            let ring = Ring::<Value>::model(2);
            let mut consumer = ring.model_as(2).consumer().unwrap();
            let producers = thread::spawn(move || {
                let mut acknowledged = 0;
                let victim = ring.model_as(1);
                let survived = peer::model::run(1, stores, || {
                    let mut producer = victim.producer().unwrap();
                    for _ in 0..2 {
                        push(&mut producer).unwrap();
                        acknowledged += 1;
                    }
                });
                let mut producer = ring.producer().unwrap();
                assert!(
                    producer.position() == acknowledged
                        || survived.is_none() && producer.position() == acknowledged + 1
                );
                match producer.try_push(value(producer.position())) {
                    Ok(()) | Err(PushError::Full) => {}
                    Err(error) => panic!("{error}"),
                }
                producer.position()
            });
            drain(&mut consumer);
            let pushed = producers.join().unwrap();
            drain(&mut consumer);
            assert_eq!(consumer.position(), pushed);
        })
    });
}

/// A batch in the making: what there is of it is a first part.
#[test]
fn loom_a_producer_dies_at_every_store_of_a_batch() {
    without_light_fences(move || {
        mortal::at_every_store(|stores| {
            let ring = Ring::<Value>::model(4);
            let mut consumer = ring.model_as(2).consumer().unwrap();
            let producers = thread::spawn(move || {
                let victim = ring.model_as(1);
                peer::model::run(1, stores, || {
                    let mut producer = victim.producer().unwrap();
                    producer.push_slice(&[value(0), value(1), value(2)]).unwrap();
                });
                let mut producer = ring.producer().unwrap();
                let position = producer.position();
                assert!(position <= 3);
                producer.try_push(value(position)).unwrap();
                position + 1
            });
            drain(&mut consumer);
            let pushed = producers.join().unwrap();
            drain(&mut consumer);
            assert_eq!(consumer.position(), pushed);
        })
    });
}

/// A consumer that waits hears of the producer's death after everything it pushed, and not before.
#[test]
fn loom_who_waits_for_a_dead_producer_is_told() {
    mortal::at_every_store(|stores| {
        let ring = Ring::<Value>::model(2);
        let mut consumer = ring.model_as(2).consumer().unwrap();
        let producer = ring.model_as(1).producer().unwrap();
        let victim = thread::spawn(move || {
            let mut acknowledged = 0;
            let survived = peer::model::run(1, stores, || {
                let mut producer = producer;
                push(&mut producer).unwrap();
                acknowledged += 1;
            });
            if survived.is_some() {
                // It has left; nobody is rung for that, but a slice ends.
                crate::sys::futex::let_time_pass();
            }
            (acknowledged, survived.is_some())
        });
        let gone = loop {
            match pop(&mut consumer) {
                Ok(()) => {}
                Err(PopError::Disconnected(gone)) => break gone,
                Err(error) => panic!("{error}"),
            }
        };
        let (acknowledged, survived) = victim.join().unwrap();
        // It may die after it has left.
        assert!(gone == Gone::Left || !survived);
        assert!(consumer.position() == acknowledged || !survived && consumer.position() == acknowledged + 1);
    });
}

/// The consumer dies anywhere while the producer pushes; its successor pops what it had not popped.
#[test]
fn loom_a_consumer_dies_at_every_store() {
    mortal::at_every_store(|stores| {
        let ring = Ring::<Value>::model(2);
        let mut producer = ring.model_as(2).producer().unwrap();
        for _ in 0..2 {
            push(&mut producer).unwrap();
        }
        let consumers = thread::spawn(move || {
            let mut acknowledged = 0;
            let victim = ring.model_as(1);
            let survived = peer::model::run(1, stores, || {
                let mut consumer = victim.consumer().unwrap();
                for _ in 0..2 {
                    pop(&mut consumer).unwrap();
                    acknowledged += 1;
                }
            });
            let mut consumer = ring.consumer().unwrap();
            assert!(
                consumer.position() == acknowledged || survived.is_none() && consumer.position() == acknowledged + 1
            );
            while consumer.position() < 3 {
                pop(&mut consumer).unwrap();
            }
        });
        // Sleeps until somebody makes room.
        producer.when_peer_gone(WhenPeerGone::Wait);
        push(&mut producer).unwrap();
        consumers.join().unwrap();
    });
}
