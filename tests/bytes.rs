//! The byte ring from outside: one process, two threads, two processes.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use sharedware::ring::bytes::{Consumer, Producer, Ring, View};
use sharedware::ring::{AttachError, Gone, PeerState, PopError, PushError, WhenPeerGone};
use sharedware::{Options, Reason};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, SOON, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

fn both(ring: &Ring) -> (Producer, Consumer) {
    (ring.producer().unwrap(), ring.consumer().unwrap())
}

fn record(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| (number * 31 + index) as u8).collect()
}

#[test]
fn records_of_every_length_go_through_at_every_position() {
    let place = Place::new();
    let ring = Ring::create(&place.domain(), "ring", 100).unwrap();
    assert_eq!((ring.capacity(), ring.longest()), (128, 48));
    let (mut producer, mut consumer) = both(&ring);
    assert_eq!(producer.longest(), 48);
    for number in 0..2000 {
        let record = record(number, number * 7 % 49);
        producer.try_send(&record).unwrap_or_else(|error| panic!("{number}: {error}"));
        let found = consumer.try_recv().unwrap();
        assert_eq!(*found, *record);
        found.release();
    }
    assert_eq!(producer.position(), consumer.position());
    for length in [49, 1000, usize::MAX / 2] {
        let refused = producer.try_claim(length).unwrap_err();
        assert!(matches!(refused, PushError::TooLong { longest: 48, .. }), "{refused}");
        assert!(refused.to_string().contains(&format!("at most 48 bytes, found {length}")), "{refused}");
        assert!(matches!(producer.claim(length), Err(PushError::TooLong { .. })));
    }
}

#[test]
fn capacities_that_cannot_be_are_refused() {
    let place = Place::new();
    assert_eq!(Ring::create(&place.domain(), "least", 1).unwrap().capacity(), 64);
    for asked in [0, u64::MAX, (1 << 46) + 1] {
        let refused = Ring::create(&place.domain(), "ring", asked).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Size { .. }), "{refused}");
    }
    let _ring = Ring::create(&place.domain(), "ring", 64).unwrap();
    assert!(Ring::create(&place.domain(), "ring", 64).unwrap_err().is_already_exists());
    assert_eq!(Ring::open_or_create(&place.domain(), "ring", 4096).unwrap().capacity(), 64);
}

#[test]
fn claims_and_records_that_are_dropped_change_nothing() {
    let place = Place::new();
    let ring = Ring::create(&place.domain(), "ring", 256).unwrap();
    let (mut producer, mut consumer) = both(&ring);
    producer.try_claim(5).unwrap().copy_from_slice(b"never");
    assert!(matches!(consumer.try_recv(), Err(PopError::Empty)));
    let mut claim = producer.claim(50).unwrap();
    claim[..5].copy_from_slice(b"hello");
    claim.commit_first(5);
    producer.claim(3).unwrap().commit_first(usize::MAX);
    producer.claim(3).unwrap().commit_first(0);
    assert_eq!(&*consumer.recv().unwrap(), b"hello");
    let again = consumer.recv().unwrap();
    assert_eq!(&*again, b"hello", "not released");
    again.release();
    for length in [3, 0] {
        let found = consumer.recv().unwrap();
        assert_eq!(found.len(), length);
        found.release();
    }
}

#[test]
fn the_end_of_a_stream_is_for_ever() {
    let place = Place::new();
    let ring = Ring::create(&place.domain(), "ring", 64).unwrap();
    let (mut producer, mut consumer) = both(&ring);
    while producer.try_send(b"12345678").is_ok() {}
    producer.finish().unwrap();
    producer.finish().unwrap();
    assert!(matches!(producer.send(b""), Err(PushError::Finished)));
    let view = View::open(&place.domain(), "ring", &Options::new()).unwrap();
    let seen = view.records(100);
    assert!(seen.finished && seen.records.iter().all(|record| record == b"12345678") && seen.records.len() == 3);
    drop(producer);
    assert!(matches!(ring.producer().unwrap().try_send(b""), Err(PushError::Finished)));
    for _ in 0..3 {
        consumer.recv().unwrap().release();
    }
    assert!(matches!(consumer.try_recv(), Err(PopError::Finished)));
    drop(consumer);
    let refused = ring.consumer().unwrap().recv().map(|_| ()).unwrap_err();
    assert_eq!(refused.to_string(), "the stream is complete");
}

#[test]
fn waiting_ends_in_time_and_not_before() {
    let place = Place::new();
    let ring = Ring::create(&place.domain(), "ring", 64).unwrap();
    let (mut producer, mut consumer) = both(&ring);
    for timeout in [Duration::ZERO, MOMENT] {
        let outcome = takes_at_least(timeout, || consumer.recv_timeout(timeout).map(|_| ()));
        assert!(matches!(outcome, Err(PopError::TimedOut)));
    }
    while producer.send_timeout(b"x", Duration::ZERO).is_ok() {}
    for timeout in [Duration::ZERO, MOMENT] {
        let outcome = takes_at_least(timeout, || producer.send_timeout(b"x", timeout));
        assert!(matches!(outcome, Err(PushError::TimedOut)));
    }
    consumer.recv_timeout(Duration::MAX).unwrap().release();
    producer.send_timeout(b"x", Duration::MAX).unwrap();
}

#[test]
fn sides_are_taken_once_and_given_back() {
    let place = Place::new();
    let ring = Ring::create(&place.domain(), "ring", 64).unwrap();
    let (mut producer, consumer) = both(&ring);
    assert!(matches!(ring.producer(), Err(AttachError::Taken { side: "producer", .. })));
    assert!(matches!(ring.consumer(), Err(AttachError::Taken { side: "consumer", .. })));
    drop(consumer);
    assert_eq!(producer.peer().unwrap(), PeerState::Left);
    while producer.try_send(b"x").is_ok() {}
    assert!(matches!(producer.send(b"x"), Err(PushError::Disconnected(Gone::Left))));
    producer.when_peer_gone(WhenPeerGone::Wait);
    assert!(matches!(producer.send_timeout(b"x", MOMENT), Err(PushError::TimedOut)));
    let mut consumer = ring.consumer().unwrap();
    drop(producer);
    while let Ok(record) = consumer.recv() {
        record.release();
    }
    assert!(matches!(consumer.recv().map(|_| ()), Err(PopError::Disconnected(Gone::Left))));
}

#[test]
fn two_threads_that_block_exchange_everything() {
    const COUNT: usize = 20_000;
    for capacity in [64, 1024] {
        let place = Place::new();
        let ring = Ring::create(&place.domain(), "ring", capacity).unwrap();
        let longest = ring.longest();
        let (mut producer, mut consumer) = both(&ring);
        thread::scope(|scope| {
            scope.spawn(move || {
                (0..COUNT).for_each(|number| producer.send(&record(number, number % (longest + 1))).unwrap());
                producer.finish().unwrap();
            });
            scope.spawn(move || {
                for number in 0..COUNT {
                    let found = consumer.recv().unwrap();
                    assert_eq!(*found, *record(number, number % (longest + 1)));
                    found.release();
                }
                assert!(matches!(consumer.recv().map(|_| ()), Err(PopError::Finished)));
            });
        });
    }
}

#[test]
fn a_producer_that_is_killed_is_known_and_replaced() {
    if let Some((_, place)) = place::role() {
        let mut producer = Ring::open(&place.domain(), "ring").unwrap().producer().unwrap();
        producer.send(b"one").unwrap();
        producer.send(b"two").unwrap();
        producer.claim(20).unwrap().fill(7);
        place::die();
    }
    let place = Place::new();
    let ring = Ring::create(&place.domain(), "ring", 256).unwrap();
    let mut consumer = ring.consumer().unwrap();
    place.other_process("a_producer_that_is_killed_is_known_and_replaced", "producer").end();
    assert_eq!(consumer.peer().unwrap(), PeerState::Dead);
    let mut producer = ring.producer().unwrap();
    producer.send(b"three").unwrap();
    for expected in ["one", "two", "three"] {
        let found = consumer.recv_timeout(SOON).unwrap();
        assert_eq!(&*found, expected.as_bytes());
        found.release();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    Claim(usize, usize),
    Recv,
    Peek,
    NewProducer,
    NewConsumer,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // In 64ths of the longest record, so that all ring sizes see zero, longest and longest + 1.
    let length = prop_oneof![4 => 0_usize..=64, 1 => Just(64), 1 => Just(65)];
    let step = prop_oneof![
        4 => length.clone().prop_map(Step::Send),
        2 => (length.clone(), length).prop_map(|(claim, commit)| Step::Claim(claim, commit)),
        4 => Just(Step::Recv),
        1 => Just(Step::Peek),
        1 => Just(Step::NewProducer),
        1 => Just(Step::NewConsumer),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_steps_give_what_a_queue_gives(capacity in 1_u64..2000, steps in steps()) {
        let place = Place::new();
        let ring = Ring::create(&place.domain(), "ring", capacity).unwrap();
        let longest = ring.longest();
        let scaled = |part: usize| if part > 64 { longest + 1 } else { longest * part / 64 };
        let (mut producer, mut consumer) = both(&ring);
        let mut model = VecDeque::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Send(length) => {
                    let record = record(number, scaled(length));
                    match producer.try_send(&record) {
                        Ok(()) => model.push_back(record),
                        Err(PushError::TooLong { .. }) => prop_assert_eq!(length, 65),
                        Err(PushError::Full) => prop_assert!(!model.is_empty(), "an empty ring takes the longest"),
                        Err(error) => panic!("{error}"),
                    }
                }
                Step::Claim(length, commit) => match producer.try_claim(scaled(length)) {
                    Ok(mut claim) => {
                        let mut record = record(number, claim.len());
                        claim.copy_from_slice(&record);
                        claim.commit_first(scaled(commit));
                        record.truncate(scaled(commit));
                        model.push_back(record);
                    }
                    Err(PushError::TooLong { .. }) => prop_assert_eq!(length, 65),
                    Err(PushError::Full) => prop_assert!(!model.is_empty()),
                    Err(error) => panic!("{error}"),
                },
                Step::Recv => match consumer.try_recv() {
                    Ok(found) => {
                        prop_assert_eq!(Some(found.to_vec()), model.pop_front());
                        found.release();
                    }
                    Err(PopError::Empty) => prop_assert!(model.is_empty()),
                    Err(error) => panic!("{error}"),
                },
                Step::Peek => {
                    prop_assert_eq!(consumer.try_recv().ok().map(|found| found.to_vec()), model.front().cloned());
                    let view = View::open(&place.domain(), "ring", &Options::new()).unwrap();
                    prop_assert_eq!(&view.records(usize::MAX).records, model.make_contiguous());
                }
                Step::NewProducer => {
                    drop(producer);
                    producer = ring.producer().unwrap();
                }
                Step::NewConsumer => {
                    drop(consumer);
                    consumer = ring.consumer().unwrap();
                }
            }
        }
        for expected in model {
            let found = consumer.recv().unwrap();
            prop_assert_eq!(found.to_vec(), expected);
            found.release();
        }
    }
}
