//! A blocking `send` on a byte ring once returned `Full`, which only `try_send` may say.
//!
//! The consumer publishes its position now and then; the producer had learnt the exact one and filled the ring behind it. Then
//! the published position lags by more than a ring behind the producer's, and `room = published + capacity - tail` came
//! out negative, that is, huge: the wait was over at once, and nothing fitted.

use std::time::{Duration, Instant};

use sharedware::Domain;
use sharedware::ring::PushError;
use sharedware::ring::bytes::Ring;

#[test]
fn a_blocked_send_waits_although_the_published_position_lags() -> Result<(), Box<dyn std::error::Error>> {
    let domain = Domain::new(&format!("blocked-send-{}", std::process::id()))?;
    let ring = Ring::create(&domain, "ring", 1024)?;
    let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
    let fill = |producer: &mut sharedware::ring::bytes::Producer| loop {
        match producer.try_send(&[7; 8]) {
            Ok(()) => {}
            Err(full) => break assert!(matches!(full, PushError::Full), "{full}"),
        }
    };
    fill(&mut producer);
    // Less than an eighth of the ring, so the consumer publishes nothing.
    for _ in 0..5 {
        consumer.try_recv()?.release();
    }
    fill(&mut producer);

    let timeout = Duration::from_millis(30);
    let start = Instant::now();
    let refused = producer.send_timeout(&[7; 8], timeout).expect_err("the ring is full");
    assert!(matches!(refused, PushError::TimedOut), "{refused}");
    assert!(start.elapsed() >= timeout);
    Ok(())
}
