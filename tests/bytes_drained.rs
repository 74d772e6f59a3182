//! A sender that is about to go can tell whether everything was received, and who sits on the other side.

use std::time::Duration;

use sharedware::Domain;
use sharedware::ring::bytes::Ring;
use sharedware::ring::{Gone, PeerState, PushError};

const MOMENT: Duration = Duration::from_millis(1);

fn domain(name: &str) -> Domain {
    Domain::new(&format!("drained-{name}-{}", std::process::id())).unwrap()
}

#[test]
fn a_ring_is_drained_when_every_record_is_released_and_not_before() {
    let ring = Ring::create(&domain("released"), "ring", 4096).unwrap();
    let mut producer = ring.producer().unwrap();
    assert!(producer.is_drained().unwrap());
    producer.send(b"one").unwrap();
    producer.finish().unwrap();
    assert!(producer.is_finished());
    assert!(matches!(producer.wait_until_drained_timeout(MOMENT), Err(PushError::TimedOut)));

    let mut consumer = ring.consumer().unwrap();
    assert_eq!(&*consumer.recv().unwrap(), b"one"); // read, but not released
    assert!(!producer.is_drained().unwrap());
    consumer.recv().unwrap().release();
    producer.wait_until_drained_timeout(Duration::from_secs(10)).unwrap();
    assert!(producer.is_drained().unwrap());
}

#[test]
fn waiting_for_a_consumer_that_left_something_behind_fails() {
    let ring = Ring::create(&domain("left"), "ring", 4096).unwrap();
    let mut producer = ring.producer().unwrap();
    producer.send(b"one").unwrap();
    drop(ring.consumer().unwrap());
    let outcome = producer.wait_until_drained_timeout(Duration::from_secs(10));
    assert!(matches!(outcome, Err(PushError::Disconnected(Gone::Left))), "{outcome:?}");
}

#[test]
fn a_waiting_sender_is_woken_by_the_last_release() {
    let ring = Ring::create(&domain("woken"), "ring", 4096).unwrap();
    let mut producer = ring.producer().unwrap();
    producer.send(b"one").unwrap();
    let mut consumer = ring.consumer().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| producer.wait_until_drained_timeout(Duration::from_secs(60)).unwrap());
        consumer.recv().unwrap().release();
    });
}

#[test]
fn the_state_of_a_side_is_told_without_taking_it() {
    let ring = Ring::create(&domain("sides"), "ring", 4096).unwrap();
    assert_eq!(ring.producer_state().unwrap(), PeerState::Never);
    let producer = ring.producer().unwrap();
    let PeerState::Alive(Some(who)) = ring.producer_state().unwrap() else { panic!("the producer lives") };
    assert_eq!(who.pid, std::process::id());
    assert_eq!(ring.consumer_state().unwrap(), PeerState::Never);
    drop(producer);
    assert_eq!(ring.producer_state().unwrap(), PeerState::Left);
}
