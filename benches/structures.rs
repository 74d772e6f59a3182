//! One process, one thread: what each operation costs when nobody contends. Between processes: `cargo xtask bench`.
//!
//! Every benchmark checks what it got.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sharedware::ring::{bytes, spsc};
use sharedware::slot::Slot;
use sharedware::{Domain, Options, ReadOnly, Segment};

fn domain() -> Domain {
    Domain::new(&format!("bench{}", std::process::id())).expect("a valid name")
}

fn slots(c: &mut Criterion) {
    let domain = domain();
    let slot = Slot::create(&domain, "slot", [1_u64; 8]).expect("created");
    let reader: Slot<[u64; 8], ReadOnly> = Slot::open_read_only(&domain, "slot").expect("opened");
    c.bench_function("slot/read/64", |b| {
        b.iter(|| {
            let value = reader.read().expect("read");
            debug_assert_eq!(value, [1; 8]);
            value
        });
    });
    c.bench_function("slot/write/64/turns", |b| b.iter(|| slot.write(black_box(&[1; 8])).expect("written")));
    let mut writer = slot.writer().expect("alone");
    let mut count = 0_u64;
    c.bench_function("slot/write/64/exclusive", |b| {
        b.iter(|| {
            count += 1;
            writer.write(black_box(&[count; 8])).expect("written")
        });
    });
    assert_eq!(reader.read().expect("read"), [count; 8]);
}

fn typed_ring(c: &mut Criterion) {
    let domain = domain();
    let ring = spsc::Ring::<u64>::create(&domain, "spsc", 1024).expect("created");
    let mut producer = ring.producer().expect("free");
    let mut consumer = ring.consumer().expect("free");
    let mut group = c.benchmark_group("spsc");
    group.throughput(Throughput::Elements(1));
    let mut next = 0;
    group.bench_function("push_pop/8", |b| {
        b.iter(|| {
            producer.try_push(next).expect("room");
            assert_eq!(consumer.try_pop().expect("there"), next);
            next += 1;
        });
    });
    group.throughput(Throughput::Elements(256));
    let batch: Vec<u64> = (0..256).collect();
    let mut out = vec![0; 256];
    group.bench_function("push_pop/8/batch", |b| {
        b.iter(|| {
            assert_eq!(producer.push_slice(&batch).expect("room"), 256);
            assert_eq!(consumer.pop_slice(&mut out).expect("there"), 256);
            assert_eq!(out.last(), Some(&255));
        });
    });
    group.finish();
}

fn byte_ring(c: &mut Criterion) {
    let domain = domain();
    let ring = bytes::Ring::create(&domain, "bytes", 1 << 20).expect("created");
    let mut producer = ring.producer().expect("free");
    let mut consumer = ring.consumer().expect("free");
    let mut group = c.benchmark_group("bytes");
    for length in [64, 65_536] {
        let record = vec![7; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("send_recv/{length}"), |b| {
            b.iter(|| {
                producer.try_send(&record).expect("room");
                let received = consumer.try_recv().expect("there");
                assert_eq!(received.last(), Some(&7));
                received.release();
            });
        });
    }
    group.finish();
}

fn segments(c: &mut Criterion) {
    let domain = domain();
    c.bench_function("segment/create_drop/64k", |b| {
        b.iter_batched(
            || (),
            |()| Segment::create(&domain, "segment", 65_536, &Options::new()).expect("created"),
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, slots, typed_ring, byte_ring, segments);
criterion_main!(benches);
