//! A sender that filled the ring by the consumer's exact position was told "full" by a call that waits: the published position, which lags
//! behind, was then more than the ring behind the tail, and the difference wrapped around to "plenty of room". Found by `sharedware send --lines`.

use std::time::Duration;

use sharedware::Domain;
use sharedware::ring::PushError;
use sharedware::ring::bytes::Ring;

#[test]
fn a_full_ring_with_a_lagging_published_position_is_waited_for() {
    let domain = Domain::new(&format!("lagging-{}", std::process::id())).unwrap();
    let ring = Ring::create(&domain, "ring", 4096).unwrap();
    let mut producer = ring.producer().unwrap();
    let mut consumer = ring.consumer().unwrap();
    let fill = |producer: &mut sharedware::ring::bytes::Producer| {
        while producer.try_send(b"8 bytes.").is_ok() {}
    };
    fill(&mut producer);
    // Fewer bytes than the consumer lets come together before it publishes its position.
    for _ in 0..8 {
        consumer.recv().unwrap().release();
    }
    fill(&mut producer);
    let outcome = producer.send_timeout(b"8 bytes.", Duration::from_millis(1));
    assert!(matches!(outcome, Err(PushError::TimedOut)), "{outcome:?}");
}
