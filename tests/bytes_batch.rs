//! Batches of records: the same records as one by one, released together or not at all.

use sharedware::Domain;
use sharedware::ring::bytes::Ring;

#[test]
fn a_batch_is_every_record_there_is_around_the_end_of_the_buffer_too() {
    let domain = Domain::new(&format!("batch-{}", std::process::id())).unwrap();
    let ring = Ring::create(&domain, "ring", 256).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let (mut sent, mut received) = (0_u32, 0_u32);
    for turn in 0..1000_usize {
        // Of all lengths, so that they meet the end of the buffer in all ways.
        let record = |number: u32| vec![number as u8; (number as usize * 7 + turn) % 100];
        let first = sent;
        while producer.try_send(&record(sent)).is_ok() {
            sent += 1;
        }
        assert!(sent > first);
        // Dropped: they come again.
        let mut seen = 0;
        let mut batch = consumer.batch().unwrap();
        while batch.take().is_some() {
            seen += 1;
        }
        assert_eq!(seen, sent - received);
        let mut batch = consumer.batch().unwrap();
        for number in received..sent {
            assert_eq!(batch.take(), Some(&record(number)[..]));
        }
        assert_eq!(batch.take(), None);
        batch.release();
        received = sent;
        assert!(producer.is_drained().unwrap());
    }
    producer.finish().unwrap();
    assert_eq!(consumer.batch().unwrap().take(), None);
}

#[test]
fn what_was_not_taken_stays() {
    let domain = Domain::new(&format!("batch-rest-{}", std::process::id())).unwrap();
    let ring = Ring::create(&domain, "ring", 256).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for record in [b"a", b"b", b"c"] {
        producer.send(record).unwrap();
    }
    let mut batch = consumer.batch().unwrap();
    batch.take().unwrap();
    batch.take().unwrap();
    batch.release();
    assert_eq!(&*consumer.recv().unwrap(), b"c");
}
