//! The bytes of every structure, as `docs/layout.md` says: what the library writes is compared with constants, and what a second encoder
//! writes is opened. Whoever changes a byte changes that document, this test and a version.

mod input;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytemuck::{Pod, Zeroable};
use input::image::{self, Image, half_at, word_at};
use input::{Room, domain_in};
use sharedware::ring::{PeerState, PopError, bytes, spsc};
use sharedware::segment::Kind;
use sharedware::segment::schema::Schema;
use sharedware::slot::{Slot, Slots};
use sharedware::{Lifetime, Options, Segment, Shared};
use xxhash_rust::xxh3::xxh3_64;

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Shared)]
#[repr(C)]
struct Tick {
    seq: u64,
    price: f32,
    sym: [u8; 4],
}

const TICK: &str = "T{<Q:seq:<f:price:(4)<B:sym:}";

fn until_removed() -> Options {
    Options::new().lifetime(Lifetime::UntilRemoved)
}

/// The header as it must be, with what is random or the clock's taken over from what was `found`.
#[track_caller]
fn assert_header(found: &[u8], mut expected: Image) {
    expected.header[image::IDENTITY..image::CREATED].copy_from_slice(&found[image::IDENTITY..image::CREATED]);
    let created = word_at(found, image::CREATED);
    expected.u64(image::CREATED, created);
    expected.u32(image::CREATOR_USER, fs::metadata("/proc/self").unwrap().uid());
    expected.u32(image::CREATOR_PID, std::process::id());
    let expected = expected.bytes();
    for at in (0..4096).step_by(8) {
        assert_eq!(word_at(found, at), word_at(&expected, at), "word at offset {at} of the header");
    }
    let age = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_nanos(created)).unwrap();
    assert!(age < Duration::from_secs(60), "{age:?}");
}

/// All words of a body: those listed, and 0.
#[track_caller]
fn assert_body(found: &[u8], expected: &[(usize, u64)]) {
    let body = &found[4096..];
    for at in 0..body.len() / 8 {
        let value = expected.iter().find(|(index, _)| *index == at).map_or(0, |(_, value)| *value);
        assert_eq!(word_at(body, 8 * at), value, "word {at} of the body");
    }
}

/// The constants of the document once more as literals, so that a slip in the encoder does not go unnoticed.
#[test]
fn the_header_of_raw_bytes() {
    let room = Room::new();
    let options = until_removed().mode(0o640);
    let segment = Segment::create_growing(&room.domain(), "a.b", 5000, 100_001, &options).unwrap();
    segment.write(8, b"hello").unwrap();
    let file = fs::read(room.path().join("sharedware.t.a.b")).unwrap();

    assert_eq!(&file[..16], b"SHRDWARE\x01\0\0\0\x01\x02\x40\0");
    assert_eq!(file.len(), 104_104);
    assert_eq!((half_at(&file, 16), half_at(&file, 20)), (1, 1)); // kind and version
    assert_eq!((word_at(&file, 24), word_at(&file, 32)), (4096, 104_104)); // header size, capacity
    assert_eq!(file[40..56], segment.identity());
    assert_eq!((half_at(&file, 72), half_at(&file, 76)), (0o640, 2)); // mode, lifetime
    assert_eq!(word_at(&file, 80), 12_288); // first committed
    assert!(file[88..248].iter().all(|&byte| byte == 0));
    assert_eq!(word_at(&file, 256), 12_288); // committed
    assert!(file[264..4096].iter().all(|&byte| byte == 0));
    assert_body(&file, &[(1, u64::from_le_bytes(*b"hello\0\0\0"))]);

    segment.grow(10_000).unwrap();
    let grown = fs::read(segment.path()).unwrap();
    assert_eq!(word_at(&grown, 256), 16_384);
    assert_eq!(grown[..256], file[..256]);
    segment.grow(100_001).unwrap();
    assert_eq!(word_at(&fs::read(segment.path()).unwrap(), 256), 102_400 + 1_704);

    let mut expected = Image::new(image::RAW, 100_008);
    expected.u32(image::MODE, 0o640).u64(image::FIRST_COMMITTED, 12_288).u64(image::COMMITTED, 12_288);
    assert_header(&file, expected);

    let short = Segment::create(&room.domain(), "short", 8, &Options::new()).unwrap();
    let mut expected = Image::new(image::RAW, 8);
    expected.u32(image::LIFETIME, 1);
    assert_header(&fs::read(short.path()).unwrap(), expected);
}

#[test]
fn a_long_schema_makes_a_longer_header() {
    #[derive(Debug, Clone, Copy, Pod, Zeroable)]
    #[repr(C)]
    struct Long([u64; 40]);
    impl Shared for Long {
        fn schema() -> Schema {
            let fields: String = (0..40).map(|field| format!("<Q:{field:0>110}:")).collect();
            Schema::parse(&format!("T{{{fields}}}")).unwrap()
        }
    }
    let text = Long::schema().to_string();
    assert_eq!(text.len(), 3 + 40 * 114);
    let room = Room::new();
    let slot = Slot::create_with(&room.domain(), "x", Long([7; 40]), &until_removed()).unwrap();
    let file = fs::read(slot.segment().path()).unwrap();
    assert_eq!(word_at(&file, 24), 8192);
    assert_eq!(&file[512..512 + text.len()], text.as_bytes());
    assert!(file[512 + text.len()..8192].iter().all(|&byte| byte == 0));
    assert_eq!((half_at(&file, 88), half_at(&file, 92), half_at(&file, 104)), (320, 8, 4563));
    let parts = [xxh3_64(&file[..248]).to_le_bytes(), xxh3_64(&file[512..8192]).to_le_bytes()];
    assert_eq!(word_at(&file, 248), xxh3_64(&parts.concat()));
    assert_eq!(word_at(&file, 96), xxh3_64(text.as_bytes()));
    assert_eq!(word_at(&file, 8192 + 8 * 17), 7);
    let again = Slot::<Long>::open(&room.domain(), "x").unwrap();
    assert_eq!(again.read().unwrap().0, [7; 40]);
}

#[test]
fn slots() {
    let room = Room::new();
    let initial = Tick { seq: 1, price: 1.5, sym: *b"ABCD" };
    let slots = Slots::create_with(&room.domain(), "x", 2, initial, &until_removed()).unwrap();
    let file = fs::read(slots.segment().path()).unwrap();
    assert_header(&file, Image::slots(TICK, 16, 8, 2));
    // Four copies of 64 bytes behind 128, so 48 words a slot.
    let (seq, rest) = (1, u64::from_le_bytes([0, 0, 0xc0, 0x3f, b'A', b'B', b'C', b'D']));
    let fresh = |slot: usize| {
        let at = 48 * slot;
        [(at + 17, seq), (at + 18, rest), (at + 24, u64::MAX), (at + 32, u64::MAX), (at + 40, u64::MAX)]
    };
    assert_body(&file, &[fresh(0), fresh(1)].concat());

    // The fifth write is version 5, in copy 1; copy 0 has version 4.
    for seq in 11..16 {
        slots.write(1, &Tick { seq, ..initial }).unwrap();
    }
    let file = fs::read(slots.segment().path()).unwrap();
    let mut written = vec![(48, 5)];
    for (copy, version) in [(0, 4), (1, 5), (2, 2), (3, 3)] {
        let at = 48 + 16 + 8 * copy;
        written.extend([(at, version), (at + 1, 10 + version), (at + 2, rest)]);
    }
    assert_body(&file, &[fresh(0).to_vec(), written.clone()].concat());

    // While somebody writes, the word 8 is a cookie; of an exclusive writer with bit 63.
    let writer = slots.writer(0).unwrap();
    let owner = word_at(&fs::read(slots.segment().path()).unwrap(), 4096 + 64);
    assert_eq!(owner, my_cookie(&room) | 1 << 63);
    drop(writer);
    assert_body(&fs::read(slots.segment().path()).unwrap(), &[fresh(0).to_vec(), written].concat());
}

/// The cookie of this process, computed from the registry's bytes.
fn my_cookie(room: &Room) -> u64 {
    let registry = fs::read(room.file("@peers")).unwrap();
    let slot =
        (0..4096).find(|slot| word_at(&registry, 4096 + 64 * slot + 8) == u64::from(std::process::id())).unwrap();
    (word_at(&registry, 120) + word_at(&registry, 4096 + 64 * slot)) << 13 | slot as u64
}

#[test]
fn peer_registry() {
    let room = Room::new();
    let domain = domain_in(room.path()).shared_with(0o660, None);
    let ring = bytes::Ring::create(&domain, "x", 64).unwrap();
    let file = fs::read(room.file("@peers")).unwrap();
    let first = word_at(&file, 120);
    // Minutes to years after the start of the machine.
    assert!((1 << 20..1 << 50).contains(&first), "{first}");
    let mut expected = Image::peers(first);
    expected.u32(image::MODE, 0o660).u32(image::LIFETIME, 1);
    assert_header(&file, expected);
    let start = word_at(&file, 4096 + 16);
    let mut command = fs::read("/proc/self/comm").unwrap();
    command.pop();
    command.resize(16, 0);
    assert!(start > 0);
    let body = |pid| [(0, 1), (1, pid), (2, start), (3, word_at(&command, 0)), (4, word_at(&command, 8))];
    assert_body(&file, &body(std::process::id().into()));
    assert_eq!(my_cookie(&room), (first + 1) << 13);
    drop(ring);
    assert!(!room.file("@peers").exists(), "gone with its last user");

    // Left in good order: the pid is 0, the incarnation stays.
    room.put("@peers", &Image::peers(77).bytes());
    drop(bytes::Ring::create(&room.domain(), "x", 64).unwrap());
    assert_body(&fs::read(room.file("@peers")).unwrap(), &body(0));
}

#[test]
fn spsc_ring() {
    let room = Room::new();
    let ring = spsc::Ring::<Tick>::create_with(&room.domain(), "x", 3, &until_removed()).unwrap();
    let path = ring.segment().path().to_owned();
    let empty = Image::spsc(TICK, 16, 8, 4, 32);
    assert_header(&fs::read(&path).unwrap(), empty.clone());
    assert_body(&fs::read(&path).unwrap(), &[]);

    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for seq in 100..104 {
        producer.push(Tick { seq, price: 0.0, sym: *b"wxyz" }).unwrap();
    }
    assert_eq!(consumer.pop().unwrap().seq, 100);
    producer.push(Tick { seq: 104, price: 0.0, sym: *b"wxyz" }).unwrap();
    let rest = u64::from(u32::from_le_bytes(*b"wxyz")) << 32;
    let cookie = my_cookie(&room);
    let mut body = vec![(0, cookie), (1, cookie), (16, 5), (32, 1), (48, 1)];
    // Cells of 4 words from word 64 on: mark, seq, rest.
    for (cell, position) in [(0, 4), (1, 1), (2, 2), (3, 3)] {
        let at = 64 + 4 * cell;
        body.extend([(at, position + 1), (at + 1, 100 + position), (at + 2, rest)]);
    }
    assert_body(&fs::read(&path).unwrap(), &body);
    drop((producer, consumer));
    body[0].1 |= 1 << 63;
    body[1].1 |= 1 << 63;
    assert_body(&fs::read(&path).unwrap(), &body);
}

/// Where values are in their cells, and how far cells are apart, for sizes and alignments around a cache line.
#[test]
fn cells_of_every_size() {
    fn check<T: Shared>(room: &Room, value: u64, stride: u64) {
        let mut bytes = vec![0xAB_u8; size_of::<T>()];
        bytes.resize(size_of::<T>().next_multiple_of(8), 0);
        let full: T = bytemuck::pod_read_unaligned(&bytes[..size_of::<T>()]);
        let ring = spsc::Ring::<T>::create(&room.domain(), "cells", 2).unwrap();
        let mut producer = ring.producer().unwrap();
        producer.push(full).unwrap();
        producer.push(full).unwrap();
        let file = fs::read(ring.segment().path()).unwrap();
        assert_eq!(file.len() as u64, 4096 + 512 + 2 * stride, "{}", T::schema());
        for cell in 0..2 {
            let at = usize::try_from(4096 + 512 + cell * stride).unwrap();
            assert_eq!(word_at(&file, at), cell + 1);
            let at = at + usize::try_from(value).unwrap();
            assert_eq!(file[at..at + bytes.len()], bytes, "{}", T::schema());
        }
    }
    let room = Room::new();
    check::<u8>(&room, 8, 16);
    check::<u64>(&room, 8, 16);
    check::<[u8; 9]>(&room, 8, 32);
    check::<[u64; 3]>(&room, 8, 32);
    check::<[u64; 4]>(&room, 8, 64);
    check::<[u64; 7]>(&room, 8, 64);
    check::<[u64; 8]>(&room, 8, 72);
    check::<[u8; 100]>(&room, 8, 112);
    check::<[u8; 0]>(&room, 8, 8);
}

#[test]
fn byte_ring() {
    let room = Room::new();
    let ring = bytes::Ring::create_with(&room.domain(), "x", 100, &until_removed()).unwrap();
    let path = ring.segment().path().to_owned();
    assert_header(&fs::read(&path).unwrap(), Image::byte_ring(128));
    assert_body(&fs::read(&path).unwrap(), &[]);

    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let word = |byte: u8| u64::from_le_bytes([byte; 8]);
    producer.send(&[1; 48]).unwrap(); // at 0, takes 56
    producer.send(&[2; 48]).unwrap(); // at 56, takes 56
    let cookie = my_cookie(&room);
    let mut body = vec![(0, cookie), (1, cookie), (16, 112), (64, 0x8001_0000_0000_0030), (71, 0x8001_0000_0000_0030)];
    body.extend((65..71).map(|at| (at, word(1))));
    body.extend((72..78).map(|at| (at, word(2))));
    assert_body(&fs::read(&path).unwrap(), &body);

    // 16 bytes are left at the end: skipped. 5 bytes of payload take 16 with the header, then comes 0.
    consumer.recv().unwrap().release();
    producer.send(&[3; 13]).unwrap();
    producer.finish().unwrap();
    let mut body = vec![(0, cookie), (1, cookie), (16, 152), (32, 56), (48, 56)];
    body.extend([(78, 0x8002 << 48), (64, 0x8001_0000_0000_000d), (65, word(3))]);
    // The padding is what was there.
    body.extend([(66, u64::from_le_bytes([3, 3, 3, 3, 3, 1, 1, 1])), (67, 0x8003 << 48)]);
    body.extend((68..71).map(|at| (at, word(1))));
    body.push((71, 0x8001_0000_0000_0030));
    body.extend((72..78).map(|at| (at, word(2))));
    assert_body(&fs::read(&path).unwrap(), &body);
    assert_eq!(*consumer.recv().unwrap(), [2; 48]);
}

/// The other way round: what somebody else writes by the document is what the library reads.
#[test]
fn segments_made_by_hand_are_read() {
    let room = Room::new();
    let domain = room.domain();

    let mut raw = Image::new(image::RAW, 8192);
    raw.word(2, 0x1122_3344);
    room.put("raw", &raw.bytes());
    let segment = Segment::open(&domain, "raw", &Options::new()).unwrap();
    let mut word = [0; 8];
    segment.read(16, &mut word).unwrap();
    assert_eq!(u64::from_le_bytes(word), 0x1122_3344);
    assert_eq!((segment.capacity(), segment.committed().unwrap()), (8192, 8192));
    assert_eq!((&segment.identity(), segment.lifetime()), (b"made by hand....", Lifetime::UntilRemoved));
    assert_eq!(segment.created(), UNIX_EPOCH + Duration::from_secs(1_700_000_000));

    let mut slots = Image::slots(TICK, 16, 8, 2);
    slots.word(48, 6).word(48 + 32, 6).word(48 + 33, 99).word(48 + 34, 0x3f80_0000);
    room.put("slots", &slots.bytes());
    let slots = Slots::<Tick>::open(&domain, "slots").unwrap();
    assert_eq!(slots.read_versioned(1).unwrap(), (Tick { seq: 99, price: 1.0, sym: [0; 4] }, 6));
    assert_eq!(slots.version(0).unwrap(), 0);
    slots.write(1, &Tick::zeroed()).unwrap();
    assert_eq!(slots.version(1).unwrap(), 7);

    // Positions far on; the producer's hint lags behind by two marks.
    let far = (1 << 63) - 2;
    let mut spsc = Image::spsc("<Q", 8, 8, 4, 16);
    spsc.word(16, far).word(32, far).word(48, far - 3);
    for (position, value) in [(far, 1), (far + 1, 2)] {
        let at = 64 + 2 * usize::try_from(position % 4).unwrap();
        spsc.word(at, position + 1).word(at + 1, value);
    }
    room.put("spsc", &spsc.bytes());
    let ring = spsc::Ring::<u64>::open(&domain, "spsc").unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert_eq!((producer.position(), consumer.position()), (far + 2, far));
    producer.push(3).unwrap();
    assert_eq!([consumer.pop().unwrap(), consumer.pop().unwrap(), consumer.pop().unwrap()], [1, 2, 3]);
    assert!(matches!(consumer.try_pop(), Err(PopError::Empty)));

    // A skip, a record behind it, the end; the last producer has left in good order, the consumer never came.
    let mut bytes = Image::byte_ring(64);
    bytes.word(0, 1 << 63 | 5 << 13).word(16, 56).word(32, 56).word(48, 56);
    bytes.word(64 + 7, 0x8002 << 48).word(64, 0x8001_0000_0000_0003).word(65, u64::from_le_bytes(*b"abcdefgh"));
    bytes.word(66, 0x8003 << 48);
    room.put("bytes", &bytes.bytes());
    let ring = bytes::Ring::open(&domain, "bytes").unwrap();
    let mut consumer = ring.consumer().unwrap();
    assert_eq!(consumer.peer().unwrap(), PeerState::Left);
    let record = consumer.recv().unwrap();
    assert_eq!(&*record, b"abc");
    record.release();
    assert!(matches!(consumer.recv(), Err(PopError::Finished)));

    let kinds: Vec<Kind> = domain.list().unwrap().into_iter().map(|(_, entry)| entry.unwrap().kind).collect();
    assert_eq!(kinds, [Kind::PEERS, Kind::BYTES, Kind::RAW, Kind::SLOTS, Kind::SPSC]);
}
