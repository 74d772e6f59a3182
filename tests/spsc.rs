//! The typed ring from outside: one process, two threads, two processes.

#![cfg(feature = "derive")]

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use proptest::prelude::*;
use sharedware::ring::spsc::{Consumer, Producer, Ring, View};
use sharedware::ring::{AttachError, Gone, PeerState, PopError, PushError, WhenPeerGone};
use sharedware::{Lifetime, Options, Reason, Shared};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, SOON, takes_at_least};

const MOMENT: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C, align(16))]
struct Pair {
    words: [u64; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C, align(64))]
struct Line {
    words: [u64; 8],
}

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C, align(128))]
struct TwoLines {
    words: [u64; 16],
}

fn both<T: Shared>(ring: &Ring<T>) -> (Producer<T>, Consumer<T>) {
    (ring.producer().unwrap(), ring.consumer().unwrap())
}

// Ordinary use.

#[test]
fn values_come_out_in_order_and_the_ring_goes_round() {
    let place = Place::new();
    let ring = Ring::<u64>::create(&place.domain(), "ring", 4).unwrap();
    let mut producer = ring.producer().unwrap();
    let mut consumer = Ring::<u64>::open(&place.domain(), "ring").unwrap().consumer().unwrap();
    for round in 0..10 {
        for value in 0..4 {
            producer.try_push(round * 4 + value).unwrap();
        }
        assert!(matches!(producer.try_push(99), Err(PushError::Full)));
        for value in 0..4 {
            assert_eq!(consumer.try_pop().unwrap(), round * 4 + value);
        }
        assert!(matches!(consumer.try_pop(), Err(PopError::Empty)));
    }
    assert_eq!((producer.position(), consumer.position()), (40, 40));
}

#[test]
fn capacities_are_as_asked_and_those_that_cannot_be_are_refused() {
    let place = Place::new();
    for capacity in [1, 2, 3, 1000] {
        let ring = Ring::<u16>::create(&place.domain(), &format!("r{capacity}"), capacity).unwrap();
        assert_eq!(ring.capacity(), capacity);
        let (mut producer, _consumer) = both(&ring);
        assert_eq!(producer.push_slice(&vec![7; 2000]).unwrap() as u64, capacity);
    }
    for asked in [0, u64::MAX, 1 << 33] {
        let refused = Ring::<u16>::create(&place.domain(), "refused", asked).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Size { .. }), "{refused}");
        assert!(refused.to_string().contains(&format!("found {asked}")), "{refused}");
    }
    let kept = Ring::<u16>::create(&place.domain(), "kept", 3).unwrap();
    let again = Ring::<u16>::open_or_create(&place.domain(), "kept", 4096).unwrap();
    assert_eq!(again.capacity(), kept.capacity(), "what is there is what counts");
}

/// From a byte to two lines, and every alignment, by copy and in place.
#[test]
fn values_of_every_size_and_alignment() {
    fn goes_through<T: Shared + PartialEq + std::fmt::Debug>(place: &Place, name: &str) {
        let values: Vec<T> = (0_u8..11)
            .map(|number| {
                let mut value = T::zeroed();
                for (index, byte) in bytemuck::bytes_of_mut(&mut value).iter_mut().enumerate() {
                    *byte = number.wrapping_mul(31) ^ index as u8;
                }
                value
            })
            .collect();
        let ring = Ring::<T>::create(&place.domain(), name, 4).unwrap();
        let (mut producer, mut consumer) = both(&ring);
        for value in &values {
            producer.push(*value).unwrap();
            assert_eq!(consumer.pop().unwrap(), *value, "{name}");
        }
        let mut left = &values[..];
        while !left.is_empty() {
            // May be fewer than there is room for.
            let mut claim = producer.claim_many(left.len().min(3)).unwrap();
            let (some, rest) = left.split_at(claim.len());
            left = rest;
            for (place, value) in claim.iter_mut().zip(some) {
                assert!(std::ptr::from_ref(place).is_aligned());
                *place = *value;
            }
            claim.commit();
            let view = View::open(&place.domain(), name, &Options::new()).unwrap();
            assert_eq!(view.read(consumer.position()).unwrap(), bytemuck::bytes_of(&some[0]), "{name}");
            let claim = consumer.claim_many(9).unwrap();
            assert!(claim.iter().eq(some), "{name}");
            assert_eq!((claim.get(0), claim.get(some.len())), (some.first(), None));
            claim.release();
        }
    }
    let place = Place::new();
    goes_through::<u8>(&place, "1");
    goes_through::<[u8; 7]>(&place, "7");
    goes_through::<[u64; 3]>(&place, "24");
    goes_through::<[u8; 56]>(&place, "56");
    goes_through::<[u8; 57]>(&place, "57");
    goes_through::<[u64; 8]>(&place, "64");
    goes_through::<[u64; 15]>(&place, "120");
    goes_through::<Pair>(&place, "aligned-16");
    goes_through::<Line>(&place, "aligned-64");
    goes_through::<[u32; 0]>(&place, "nothing");
}

#[test]
fn an_alignment_beyond_a_line_is_refused() {
    let place = Place::new();
    let refused = Ring::<TwoLines>::create(&place.domain(), "ring", 4).unwrap_err();
    assert!(matches!(refused.reason(), Reason::Element(_)), "{refused}");
    assert!(refused.to_string().ends_with("aligned to 128 bytes, at most 64 are possible"), "{refused}");
    assert!(place.files().is_empty());
}

#[test]
fn another_type_is_refused() {
    let place = Place::new();
    let _ring = Ring::<u64>::create(&place.domain(), "ring", 4).unwrap();
    let refused = Ring::<i64>::open(&place.domain(), "ring").unwrap_err();
    assert!(matches!(refused.reason(), Reason::Schema(_)), "{refused}");
    assert!(Ring::<u64>::create(&place.domain(), "ring", 4).unwrap_err().is_already_exists());
    assert!(Ring::<u64>::open(&place.domain(), "none").unwrap_err().is_not_found());
}

// Batches and claims.

#[test]
fn a_batch_is_cut_to_what_there_is_room_for() {
    let place = Place::new();
    let ring = Ring::<u32>::create(&place.domain(), "ring", 4).unwrap();
    let (mut producer, mut consumer) = both(&ring);
    let mut to = [0; 3];
    assert!(matches!(consumer.pop_slice(&mut to), Err(PopError::Empty)));
    assert_eq!(consumer.pop_slice(&mut []).unwrap(), 0);
    assert_eq!(producer.push_slice(&[1, 2, 3, 4, 5, 6]).unwrap(), 4);
    assert!(matches!(producer.push_slice(&[7]), Err(PushError::Full)));
    assert_eq!(producer.push_slice(&[]).unwrap(), 0);
    assert_eq!((consumer.pop_slice(&mut to).unwrap(), to), (3, [1, 2, 3]));
    assert_eq!((consumer.pop_slice(&mut to).unwrap(), to), (1, [4, 2, 3]));
}

#[test]
fn a_claim_that_is_dropped_has_done_nothing() {
    let place = Place::new();
    let ring = Ring::<u32>::create(&place.domain(), "ring", 4).unwrap();
    let (mut producer, mut consumer) = both(&ring);
    let mut claim = producer.claim_many(4).unwrap();
    claim.iter_mut().for_each(|place| *place = 9);
    assert!(claim.get_mut(4).is_none());
    let _ = claim;
    assert!(matches!(consumer.claim(), Err(PopError::Empty)));
    let mut claim = producer.claim_many(100).unwrap();
    assert_eq!(claim.len(), 4);
    *claim.get_mut(0).unwrap() = 1;
    *claim.get_mut(1).unwrap() = 2;
    claim.commit_first(2);
    assert_eq!(consumer.claim_many(2).unwrap().len(), 2);
    let claim = consumer.claim_many(100).unwrap();
    assert_eq!(claim.iter().copied().collect::<Vec<_>>(), [1, 2]);
    claim.release_first(1);
    assert_eq!(consumer.pop().unwrap(), 2);
    let claim = producer.claim().unwrap();
    claim.commit_first(usize::MAX);
    assert_eq!(producer.position(), 3, "all, if there are fewer");
    producer.claim().unwrap().commit_first(0);
    assert_eq!(producer.position(), 3);
}

// Sides.

#[test]
fn a_side_is_taken_once_and_given_back() {
    let place = Place::new();
    let ring = Ring::<u8>::create(&place.domain(), "ring", 2).unwrap();
    let mut producer = ring.producer().unwrap();
    assert_eq!(producer.peer().unwrap(), PeerState::Never);
    let refused = Ring::<u8>::open(&place.domain(), "ring").unwrap().producer().unwrap_err();
    assert!(matches!(refused, AttachError::Taken { side: "producer", by: Some(_) }), "{refused}");
    assert!(refused.to_string().contains(&format!("pid {}", std::process::id())), "{refused}");

    let consumer = ring.consumer().unwrap();
    let PeerState::Alive(Some(who)) = producer.peer().unwrap() else { panic!("it lives") };
    assert_eq!(who.pid, std::process::id());
    assert!(ring.consumer().unwrap_err().to_string().contains("consumer side is taken"));
    drop(consumer);
    assert_eq!(producer.peer().unwrap(), PeerState::Left);
    producer.push(1).unwrap();
    producer.push(2).unwrap();
    assert!(matches!(producer.push(3), Err(PushError::Disconnected(Gone::Left))));

    let mut consumer = ring.consumer().unwrap();
    drop(producer);
    assert_eq!((consumer.pop().unwrap(), consumer.pop().unwrap()), (1, 2), "what was pushed stays");
    let gone = consumer.pop().unwrap_err();
    assert_eq!(gone.to_string(), "the ring is empty and its producer has left");
    assert!(matches!(gone, PopError::Disconnected(Gone::Left)));
    assert_eq!(ring.producer().unwrap().position(), 2);
}

#[test]
fn sides_outlive_the_ring_they_were_taken_from() {
    let place = Place::new();
    let (mut producer, mut consumer) = both(&Ring::<u8>::create(&place.domain(), "ring", 2).unwrap());
    producer.push(1).unwrap();
    assert_eq!(consumer.pop().unwrap(), 1);
}

// Waiting.

#[test]
fn waiting_ends_in_time_and_not_before() {
    let place = Place::new();
    let ring = Ring::<u8>::create(&place.domain(), "ring", 1).unwrap();
    let (mut producer, mut consumer) = both(&ring);
    for timeout in [Duration::ZERO, MOMENT] {
        let refused = takes_at_least(timeout, || consumer.pop_timeout(timeout)).unwrap_err();
        assert!(matches!(refused, PopError::TimedOut), "{refused}");
        assert!(matches!(consumer.wait_for_value_timeout(timeout), Err(PopError::TimedOut)));
    }
    producer.push_timeout(1, Duration::ZERO).unwrap();
    for timeout in [Duration::ZERO, MOMENT] {
        let refused = takes_at_least(timeout, || producer.push_timeout(2, timeout)).unwrap_err();
        assert!(matches!(refused, PushError::TimedOut), "{refused}");
    }
    consumer.wait_for_value_timeout(Duration::MAX).unwrap();
    assert_eq!(consumer.pop_timeout(Duration::MAX).unwrap(), 1);
    producer.push_timeout(2, Duration::MAX).unwrap();
}

/// Nobody to wait for yet is no reason to fail.
#[test]
fn a_side_that_never_came_is_waited_for() {
    let place = Place::new();
    let ring = Ring::<u8>::create(&place.domain(), "ring", 1).unwrap();
    let mut consumer = ring.consumer().unwrap();
    assert!(matches!(consumer.pop_timeout(MOMENT), Err(PopError::TimedOut)));
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(MOMENT);
            ring.producer().unwrap().push(5).unwrap();
        });
        assert_eq!(consumer.pop().unwrap(), 5);
    });
}

#[test]
fn who_waits_for_a_successor_is_not_told_of_the_end() {
    let place = Place::new();
    let ring = Ring::<u8>::create(&place.domain(), "ring", 1).unwrap();
    let (producer, mut consumer) = both(&ring);
    consumer.when_peer_gone(WhenPeerGone::Wait);
    drop(producer);
    assert!(matches!(consumer.pop_timeout(MOMENT), Err(PopError::TimedOut)));
    consumer.when_peer_gone(WhenPeerGone::Fail);
    assert!(matches!(consumer.pop_timeout(SOON), Err(PopError::Disconnected(Gone::Left))));
    assert!(matches!(consumer.try_pop(), Err(PopError::Empty)), "only who waits is told");
}

#[test]
fn two_threads_that_block_exchange_everything() {
    const COUNT: u64 = 50_000;
    for capacity in [1, 8] {
        let place = Place::new();
        let ring = Ring::<[u64; 9]>::create(&place.domain(), "ring", capacity).unwrap();
        let (mut producer, mut consumer) = both(&ring);
        thread::scope(|scope| {
            scope.spawn(move || (0..COUNT / 10 * capacity).for_each(|n| producer.push([n; 9]).unwrap()));
            scope.spawn(move || {
                for number in 0..COUNT / 10 * capacity {
                    assert_eq!(consumer.pop().unwrap(), [number; 9]);
                }
            });
        });
    }
}

// Two processes.

#[test]
fn a_producer_that_is_killed_is_known_and_replaced() {
    if let Some((_, place)) = place::role() {
        let mut producer = Ring::<u64>::open(&place.domain(), "ring").unwrap().producer().unwrap();
        producer.push_slice(&[1, 2, 3]).unwrap();
        place::sleep_until_killed();
    }
    let place = Place::new();
    let ring = Ring::<u64>::create(&place.domain(), "ring", 4).unwrap();
    let mut consumer = ring.consumer().unwrap();
    let other = place.other_process("a_producer_that_is_killed_is_known_and_replaced", "producer");
    assert_eq!(consumer.pop_timeout(SOON).unwrap(), 1);
    let PeerState::Alive(Some(who)) = consumer.peer().unwrap() else { panic!("it lives") };
    assert_eq!(who.pid, other.pid());
    assert!(matches!(ring.producer(), Err(AttachError::Taken { .. })));
    other.kill();
    assert_eq!(consumer.peer().unwrap(), PeerState::Dead);
    assert_eq!((consumer.pop().unwrap(), consumer.pop().unwrap()), (2, 3));
    let gone = consumer.pop().unwrap_err();
    assert_eq!(gone.to_string(), "the ring is empty and its producer has died");
    let mut producer = ring.producer().unwrap();
    assert_eq!(producer.position(), 3);
    producer.push(4).unwrap();
    assert_eq!(consumer.pop().unwrap(), 4);
}

#[test]
fn a_consumer_that_is_killed_is_known_and_replaced() {
    if let Some((_, place)) = place::role() {
        let mut consumer = Ring::<u64>::open(&place.domain(), "ring").unwrap().consumer().unwrap();
        assert_eq!(consumer.pop().unwrap(), 1);
        let _claimed = consumer.claim_many(9);
        place::sleep_until_killed();
    }
    let place = Place::new();
    let ring = Ring::<u64>::create(&place.domain(), "ring", 2).unwrap();
    let mut producer = ring.producer().unwrap();
    producer.push_slice(&[1, 2]).unwrap();
    let other = place.other_process("a_consumer_that_is_killed_is_known_and_replaced", "consumer");
    producer.push_timeout(3, SOON).unwrap();
    other.kill();
    assert!(matches!(producer.push_timeout(4, SOON), Err(PushError::Disconnected(Gone::Died))));
    producer.when_peer_gone(WhenPeerGone::Wait);
    assert!(matches!(producer.push_timeout(4, MOMENT), Err(PushError::TimedOut)));
    let mut consumer = ring.consumer().unwrap();
    assert_eq!((consumer.pop().unwrap(), consumer.pop().unwrap()), (2, 3));
}

#[test]
fn values_outlive_both_processes() {
    if let Some((_, place)) = place::role() {
        let options = Options::new().lifetime(Lifetime::UntilRemoved);
        let ring = Ring::<u64>::create_with(&place.domain(), "ring", 4, &options).unwrap();
        let (mut producer, mut consumer) = both(&ring);
        producer.push_slice(&[1, 2, 3]).unwrap();
        assert_eq!(consumer.pop().unwrap(), 1);
        place::die();
    }
    let place = Place::new();
    place.other_process("values_outlive_both_processes", "both").end();
    let ring = Ring::<u64>::open(&place.domain(), "ring").unwrap();
    let mut consumer = ring.consumer().unwrap();
    assert_eq!(consumer.peer().unwrap(), PeerState::Dead);
    assert_eq!((consumer.pop().unwrap(), consumer.pop().unwrap()), (2, 3));
}

// Against a model.

#[derive(Debug, Clone)]
enum Step {
    Push,
    PushSlice(usize),
    ClaimAndCommit(usize, usize),
    Pop,
    PopSlice(usize),
    ClaimAndRelease(usize, usize),
    NewProducer,
    NewConsumer,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let few = 0_usize..12;
    let step = prop_oneof![
        3 => Just(Step::Push),
        1 => few.clone().prop_map(Step::PushSlice),
        1 => (few.clone(), few.clone()).prop_map(|(claim, commit)| Step::ClaimAndCommit(claim, commit)),
        3 => Just(Step::Pop),
        1 => few.clone().prop_map(Step::PopSlice),
        1 => (few.clone(), few).prop_map(|(claim, release)| Step::ClaimAndRelease(claim, release)),
        1 => Just(Step::NewProducer),
        1 => Just(Step::NewConsumer),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_steps_give_what_a_queue_gives(capacity in 1_u64..9, steps in steps()) {
        let place = Place::new();
        let ring = Ring::<[u64; 2]>::create(&place.domain(), "ring", capacity).unwrap();
        let capacity = ring.capacity() as usize;
        let (mut producer, mut consumer) = both(&ring);
        let (mut model, mut pushed, mut popped) = (VecDeque::new(), 0_u64, 0_u64);
        for step in steps {
            let room = capacity - model.len();
            let next = |count: usize| (pushed..).take(count).map(|number| [number, !number]).collect::<Vec<_>>();
            match step {
                Step::Push => {
                    prop_assert_eq!(producer.try_push([pushed, !pushed]).is_ok(), room > 0);
                    let values = next(room.min(1));
                    pushed += values.len() as u64;
                    model.extend(values);
                }
                Step::PushSlice(count) => {
                    let done = producer.push_slice(&next(count));
                    let values = next(count.min(room));
                    prop_assert_eq!(done.ok(), (count == 0 || room > 0).then_some(values.len()));
                    pushed += values.len() as u64;
                    model.extend(values);
                }
                Step::ClaimAndCommit(count, commit) => match producer.claim_many(count) {
                    Err(PushError::Full) => prop_assert_eq!(room, 0),
                    Err(error) => panic!("{error}"),
                    Ok(mut claim) => {
                        prop_assert!((1..=count.clamp(1, room)).contains(&claim.len()));
                        let values = next(commit.min(claim.len()));
                        claim.iter_mut().zip(&values).for_each(|(place, value)| *place = *value);
                        claim.commit_first(commit);
                        pushed += values.len() as u64;
                        model.extend(values);
                    }
                },
                Step::Pop => {
                    let expected = model.pop_front();
                    popped += u64::from(expected.is_some());
                    prop_assert_eq!(consumer.try_pop().ok(), expected);
                }
                Step::PopSlice(count) => {
                    let mut to = vec![[0; 2]; count];
                    let done = consumer.pop_slice(&mut to);
                    let expected: Vec<_> = model.drain(..count.min(model.len())).collect();
                    prop_assert_eq!(done.ok(), (count == 0 || !expected.is_empty()).then_some(expected.len()));
                    prop_assert_eq!(&to[..expected.len()], &expected[..]);
                    popped += expected.len() as u64;
                }
                Step::ClaimAndRelease(count, release) => match consumer.claim_many(count) {
                    Err(PopError::Empty) => prop_assert!(model.is_empty()),
                    Err(error) => panic!("{error}"),
                    Ok(claim) => {
                        prop_assert_eq!(claim.len(), count.clamp(1, model.len()));
                        prop_assert!(claim.iter().eq(model.iter().take(claim.len())));
                        let released = release.min(claim.len());
                        claim.release_first(release);
                        model.drain(..released);
                        popped += released as u64;
                    }
                },
                Step::NewProducer => {
                    drop(producer);
                    producer = ring.producer().unwrap();
                }
                Step::NewConsumer => {
                    drop(consumer);
                    consumer = Ring::open(&place.domain(), "ring").unwrap().consumer().unwrap();
                }
            }
            prop_assert_eq!((producer.position(), consumer.position()), (pushed, popped));
        }
    }
}
