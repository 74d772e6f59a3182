//! The bytes of every structure, as `docs/layout.md` says: what the library writes is compared with constants, and what a second encoder
//! writes is opened. Whoever changes a byte changes that document, this test and a version.

mod input;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytemuck::{Pod, Zeroable};
use input::image::{self, Image, half_at, word_at};
use input::{Room, domain_in};
use sharedware::heap::Heap;
use sharedware::ring::{PeerState, PopError, bytes, spsc};
use sharedware::segment::Kind;
use sharedware::segment::schema::Schema;
use sharedware::slot::{Slot, Slots};
use sharedware::sync::{
    Barrier, Condvar, Event, FormerRun, Latch, LockError, Mutex, Once, RawMutex, ReentrantMutex, RwLock, Semaphore,
    SemaphoreSetup,
};
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
    // Eight copies of 64 bytes behind 128, so 80 words a slot.
    let (seq, rest) = (1, u64::from_le_bytes([0, 0, 0xc0, 0x3f, b'A', b'B', b'C', b'D']));
    let fresh = |slot: usize| {
        let at = 80 * slot;
        let never = (1..8).map(move |copy| (at + 16 + 8 * copy, u64::MAX));
        never.chain([(at + 17, seq), (at + 18, rest)]).collect::<Vec<_>>()
    };
    assert_body(&file, &[fresh(0), fresh(1)].concat());

    // The ninth write is version 9, in copy 1; copy 0 has version 8.
    for seq in 11..20 {
        slots.write(1, &Tick { seq, ..initial }).unwrap();
    }
    let file = fs::read(slots.segment().path()).unwrap();
    let mut written = vec![(80, 9)];
    for (copy, version) in [(0, 8), (1, 9), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7)] {
        let at = 80 + 16 + 8 * copy;
        written.extend([(at, version), (at + 1, 10 + version), (at + 2, rest)]);
    }
    assert_body(&file, &[fresh(0), written.clone()].concat());

    // While somebody writes, the word 8 is a cookie; of an exclusive writer with bit 63.
    let writer = slots.writer(0).unwrap();
    let owner = word_at(&fs::read(slots.segment().path()).unwrap(), 4096 + 64);
    assert_eq!(owner, my_cookie(&room) | 1 << 63);
    drop(writer);
    assert_body(&fs::read(slots.segment().path()).unwrap(), &[fresh(0), written].concat());
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
    // Who comes first gets the slot that its pid leads to.
    let slot = u64::from(std::process::id()) % 4096;
    let start = word_at(&file, 4096 + 64 * slot as usize + 16);
    let mut command = fs::read("/proc/self/comm").unwrap();
    command.pop();
    command.resize(16, 0);
    assert!(start > 0);
    let words = |pid| [1, pid, start, word_at(&command, 0), word_at(&command, 8)];
    let body = |pid| std::array::from_fn::<_, 5, _>(|word| (8 * slot as usize + word, words(pid)[word]));
    assert_body(&file, &body(std::process::id().into()));
    assert_eq!(my_cookie(&room), (first + 1) << 13 | slot);
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
    let ring = spsc::Ring::<Tick>::create_with(&room.domain(), "x", 4, &until_removed()).unwrap();
    let path = ring.segment().path().to_owned();
    // Three values of 16 bytes beside the mark, so three blocks.
    assert_header(&fs::read(&path).unwrap(), Image::spsc(TICK, 16, 8, 4, 3));
    assert_body(&fs::read(&path).unwrap(), &[]);

    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let tick = |seq| Tick { seq, price: 0.0, sym: *b"wxyz" };
    (100..104).for_each(|seq| producer.push(tick(seq)).unwrap());
    (100..104).for_each(|seq| assert_eq!(consumer.pop().unwrap().seq, seq));
    (104..108).for_each(|seq| producer.push(tick(seq)).unwrap());
    // Found empty would publish the position as well.
    let rest = u64::from(u32::from_le_bytes(*b"wxyz")) << 32;
    let cookie = my_cookie(&room);
    let file = fs::read(&path).unwrap();
    let released = word_at(&file, 4096 + 8 * 48);
    assert!(released <= 4);
    let mut body = vec![(0, cookie), (1, cookie), (32, 4), (48, released)];
    // Blocks of 8 words from word 64 on: the mark, then three values of seq and rest. Positions 3 to 5 are in block 1, 6 and 7 in block 2.
    for (block, mark, first) in [(0, 3, 0), (1, 6, 3), (2, 8, 6)] {
        let at = 64 + 8 * block;
        body.push((at, mark));
        for position in first..mark {
            let at = at + 1 + 2 * usize::try_from(position - first).unwrap();
            body.extend([(at, 100 + position), (at + 1, rest)]);
        }
    }
    assert_body(&file, &body);
    drop((producer, consumer));
    body[0].1 |= 1 << 63;
    body[1].1 |= 1 << 63;
    assert_body(&fs::read(&path).unwrap(), &body);
}

/// Where values are in their blocks, and how far blocks are apart, for sizes and alignments around a cache line.
#[test]
fn blocks_of_every_size() {
    /// A block of `values` values, the first at `first`, `step` apart, blocks `bytes` apart.
    fn check<T: Shared>(room: &Room, values: u64, first: u64, step: u64, bytes: u64) {
        let full: T = bytemuck::pod_read_unaligned(&vec![0xAB_u8; size_of::<T>()]);
        let ring = spsc::Ring::<T>::create(&room.domain(), "blocks", 2 * values).unwrap();
        let mut producer = ring.producer().unwrap();
        (0..2 * values).for_each(|_| producer.push(full).unwrap());
        let file = fs::read(ring.segment().path()).unwrap();
        assert_eq!(file.len() as u64, 4096 + 512 + 3 * bytes, "{}", T::schema());
        let mut expected = vec![0; usize::try_from(3 * bytes).unwrap()];
        for block in 0..2 {
            let at = usize::try_from(block * bytes).unwrap();
            expected[at..at + 8].copy_from_slice(&((block + 1) * values).to_le_bytes());
            for value in 0..values {
                let at = at + usize::try_from(first + value * step).unwrap();
                expected[at..at + size_of::<T>()].fill(0xAB);
            }
        }
        assert_eq!(file[4096 + 512..], expected, "{}", T::schema());
    }
    let room = Room::new();
    check::<u8>(&room, 7, 8, 8, 64);
    check::<u64>(&room, 7, 8, 8, 64);
    check::<[u8; 9]>(&room, 3, 8, 16, 64);
    check::<[u64; 3]>(&room, 2, 8, 24, 64);
    check::<[u64; 4]>(&room, 1, 8, 32, 64);
    check::<[u64; 7]>(&room, 1, 8, 56, 64);
    check::<[u64; 8]>(&room, 8, 64, 64, 576);
    check::<[u8; 100]>(&room, 8, 64, 104, 896);
    check::<[u64; 64]>(&room, 8, 64, 512, 4160);
    check::<[u64; 65]>(&room, 1, 64, 520, 640);
    check::<[u8; 0]>(&room, 7, 8, 8, 64);
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

/// The holder word of this thread's holding of that number.
fn held(number: u64) -> u64 {
    let thread = fs::read_link("/proc/thread-self").unwrap();
    thread.file_name().unwrap().to_str().unwrap().parse::<u64>().unwrap() << 32 | number
}

const INCONSISTENT: u64 = 1 << 63;

#[test]
fn mutex() {
    let room = Room::new();
    let first = Tick { seq: 3, price: 1.5, sym: *b"ABCD" };
    let mutex = Mutex::create_with(&room.domain(), "x", first, &until_removed()).unwrap();
    let file = fs::read(mutex.path()).unwrap();
    assert_eq!(file.len() as u64, 4096 + Mutex::<Tick>::SIZE);
    assert_header(&file, Image::part_of_value(image::MUTEX, 16, TICK, 16, 8));
    // Tag, config, then a state of a lock and the value.
    let rest = u64::from_le_bytes([0, 0, 0xc0, 0x3f, b'A', b'B', b'C', b'D']);
    let mut body = vec![(0, 0x5357_0001_0000_0006), (1, 16), (2, xxh3_64(TICK.as_bytes())), (24, 3), (25, rest)];
    assert_body(&file, &body);

    let mut guard = mutex.lock().unwrap();
    guard.seq = 4;
    body[3].1 = 4;
    let owned = |flags, number| [(8, my_cookie(&room) | flags), (9, held(number))];
    assert_body(&fs::read(mutex.path()).unwrap(), &[body.clone(), owned(0, 1).to_vec()].concat());
    drop(guard);
    assert_body(&fs::read(mutex.path()).unwrap(), &[body.clone(), vec![(9, 1)]].concat());

    // As one who panicked leaves it.
    let panicked = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _guard = mutex.lock();
            panic!("holding it (as it should)");
        });
        thread.join()
    });
    assert!(panicked.is_err());
    assert_body(&fs::read(mutex.path()).unwrap(), &[body.clone(), vec![(8, INCONSISTENT), (9, 2)]].concat());
    let Err(LockError::OwnerDied(mut guard)) = mutex.lock() else { panic!("not told") };
    let found = fs::read(mutex.path()).unwrap();
    assert_eq!(
        (word_at(&found, 4096 + 64), word_at(&found, 4096 + 72)),
        owned(INCONSISTENT, 3).map(|word| word.1).into()
    );
    guard.mark_consistent();
    let found = fs::read(mutex.path()).unwrap();
    assert_eq!(word_at(&found, 4096 + 64), my_cookie(&room));
}

#[test]
fn raw_mutex() {
    let room = Room::new();
    let mutex = RawMutex::create_with(&room.domain(), "x", &until_removed()).unwrap();
    let file = fs::read(mutex.path()).unwrap();
    assert_eq!(file.len() as u64, 4096 + RawMutex::SIZE);
    assert_header(&file, Image::part(image::RAW_MUTEX, 16));
    let tag = (0, 0x5357_0001_0000_0007);
    assert_body(&file, &[tag]);
    mutex.lock().unwrap();
    assert_body(&fs::read(mutex.path()).unwrap(), &[tag, (8, my_cookie(&room)), (9, held(1))]);
    mutex.unlock().unwrap();
    assert_body(&fs::read(mutex.path()).unwrap(), &[tag, (9, held(1))]);
}

#[test]
fn reentrant_mutex() {
    let room = Room::new();
    let mutex = ReentrantMutex::create_with(&room.domain(), "x", [7_u64; 9], &until_removed()).unwrap();
    let file = fs::read(mutex.path()).unwrap();
    assert_eq!(file.len() as u64, 4096 + ReentrantMutex::<[u64; 9]>::SIZE);
    assert_header(&file, Image::part_of_value(image::REENTRANT_MUTEX, 24, "(9)<Q", 72, 8));
    let mut body = vec![(0, 0x5357_0001_0000_0008), (1, 72), (2, xxh3_64(b"(9)<Q"))];
    body.extend((32..41).map(|at| (at, 7)));
    assert_body(&file, &body);
    let guards = [mutex.lock().unwrap(), mutex.lock().unwrap()];
    let owned = vec![(8, my_cookie(&room)), (9, held(1)), (24, 2)];
    assert_body(&fs::read(mutex.path()).unwrap(), &[body.clone(), owned].concat());
    drop(guards);
    assert_body(&fs::read(mutex.path()).unwrap(), &[body, vec![(9, 1)]].concat());
}

#[test]
fn once() {
    let room = Room::new();
    let once = Once::create_with(&room.domain(), "x", &until_removed()).unwrap();
    let file = fs::read(once.path()).unwrap();
    assert_eq!(file.len() as u64, 4096 + Once::SIZE);
    assert_header(&file, Image::part(image::ONCE, 24));
    let tag = (0, 0x5357_0001_0000_000e);
    assert_body(&file, &[tag]);
    let running = || {
        assert_body(&fs::read(once.path()).unwrap(), &[tag, (8, my_cookie(&room)), (9, held(1)), (24, 1)]);
        Err::<(), _>("failed")
    };
    once.try_call_once(|_| running()).unwrap_err();
    assert_body(&fs::read(once.path()).unwrap(), &[tag, (9, 1), (24, 2)]);
    once.call_once(|| {}).unwrap();
    assert_body(&fs::read(once.path()).unwrap(), &[tag, (9, 2), (24, 3)]);
}

/// What somebody else has made, and died holding, is opened and recovered; alone and within raw bytes.
#[test]
fn parts_made_by_hand_are_opened() {
    const DEAD: u64 = 77 << 13 | 5;
    let room = Room::new();
    let domain = room.domain();
    let lock = image::STATE;

    let mut mutex = Image::part_of_value(image::MUTEX, image::LOCK, TICK, 16, 8);
    mutex.word(lock, DEAD).word(lock + 1, 12 << 32 | 9).word(lock + image::LOCK, 99);
    room.put("mutex", &mutex.bytes());
    let mut raw = Image::new(image::RAW, 4096);
    for (at, byte) in mutex.body.iter().enumerate() {
        raw.body[1024 + at] = *byte;
    }
    room.put("raw", &raw.bytes());
    let segment = Segment::open(&domain, "raw", &Options::new()).unwrap();
    let mutexes = [Mutex::<Tick>::open(&domain, "mutex"), Mutex::<Tick>::open_at(&domain, &segment, 1024)];
    for mutex in mutexes.map(Result::unwrap) {
        let Err(LockError::OwnerDied(guard)) = mutex.lock() else { panic!("not told") };
        assert_eq!(guard.seq, 99);
        let found = fs::read(mutex.path()).unwrap();
        let at = if mutex.path() == segment.path() { 4096 + 1024 } else { 4096 };
        assert_eq!((word_at(&found, at + 64), word_at(&found, at + 72)), (my_cookie(&room) | INCONSISTENT, held(10)));
        assert_eq!(word_at(&found, at + 8 * 17), 1, "one owner was found dead");
    }

    let mut raw_mutex = Image::part(image::RAW_MUTEX, image::LOCK);
    raw_mutex.word(lock, DEAD | INCONSISTENT | 1 << 62);
    room.put("raw-mutex", &raw_mutex.bytes());
    let raw_mutex = RawMutex::open(&domain, "raw-mutex").unwrap();
    assert!(matches!(raw_mutex.lock(), Err(LockError::OwnerDied(()))));

    let mut reentrant = Image::part_of_value(image::REENTRANT_MUTEX, image::LOCK + 8, "<Q", 8, 8);
    reentrant.word(lock, INCONSISTENT).word(lock + image::LOCK, 50).word(lock + image::LOCK + 8, 4);
    room.put("reentrant", &reentrant.bytes());
    let reentrant = ReentrantMutex::<u64>::open(&domain, "reentrant").unwrap();
    let Err(LockError::OwnerDied(guard)) = reentrant.lock() else { panic!("not told") };
    assert_eq!(guard.get(), 4);
    assert_eq!(word_at(&fs::read(reentrant.path()).unwrap(), 4096 + 8 * 24), 1, "whatever the dead left there");

    for (stage, expected) in [(0, None), (1, Some(FormerRun::Died)), (2, Some(FormerRun::Failed))] {
        let mut once = Image::part(image::ONCE, image::LOCK + 8);
        once.word(lock + image::LOCK, stage).word(lock, if stage == 1 { DEAD } else { 0 });
        let name = format!("once-{stage}");
        room.put(&name, &once.bytes());
        let once = Once::open(&domain, &name).unwrap();
        let run = |state: &sharedware::sync::OnceState| if state.former() == expected { Ok(()) } else { Err("told") };
        once.try_call_once(run).unwrap();
    }
    let mut once = Image::part(image::ONCE, image::LOCK + 8);
    once.word(lock + image::LOCK, 3);
    room.put("done", &once.bytes());
    assert!(Once::open_read_only(&domain, "done").unwrap().is_completed());
}

/// The tag of a part of version 1.
fn tag(kind: u64) -> u64 {
    0x5357_0001_0000_0000 | kind
}

/// The words of a part's state that hold no hint; hints are 0 in what is returned.
fn without_hints(file: Vec<u8>, hints: &[usize]) -> Vec<u8> {
    let mut file = file;
    for hint in hints {
        let at = 4096 + 8 * (8 + hint);
        file[at..at + 8].fill(0);
    }
    file
}

#[test]
fn events() {
    let room = Room::new();
    let event = Event::create_with(&room.domain(), "x", &until_removed()).unwrap();
    let read = || without_hints(fs::read(event.path()).unwrap(), &[2]);
    assert_header(&read(), Image::new(12, 128));
    assert_body(&read(), &[(0, tag(12))]);
    event.set();
    assert_body(&read(), &[(0, tag(12)), (8, 3)]);
    event.clear();
    event.set();
    event.clear();
    assert!(event.wait_timeout(Duration::from_millis(1)).is_err());
    // The bell stays set, as nobody has rung it since.
    assert_body(&read(), &[(0, tag(12)), (8, 4), (9, 1)]);
    event.set();
    assert_body(&read(), &[(0, tag(12)), (8, 7), (9, 2)]);
}

#[test]
fn semaphores() {
    let room = Room::new();
    let setup = SemaphoreSetup::new(3).bound(5);
    let semaphore = Semaphore::create_with(&room.domain(), "x", setup, &until_removed()).unwrap();
    // Of the lock core only the number of holdings is left, and `next`, the spinner and hints.
    let read = || without_hints(fs::read(semaphore.path()).unwrap(), &[1, 20, 22]);
    let config = [(0, tag(11)), (1, 3), (2, 5), (3, 256)];
    assert_header(&read(), Image::new(11, 64 + 4288));
    assert_body(&read(), &[&config[..], &[(24, 3)]].concat());
    semaphore.acquire().unwrap();
    semaphore.release_many(3).unwrap();
    assert_body(&read(), &[&config[..], &[(24, 5)]].concat());
    let (first, second) = (semaphore.permit().unwrap(), semaphore.permit().unwrap());
    let thread = this_thread();
    let cookie = my_cookie(&room);
    let seats = [(32, cookie), (33, thread), (34, cookie), (35, thread)];
    assert_body(&read(), &[&config[..], &[(24, 2 << 32 | 3)], &seats].concat());
    drop(first);
    second.into_plain();
    let seats = [(33, thread), (35, thread)];
    assert_body(&read(), &[&config[..], &[(24, 3 << 32 | 4)], &seats].concat());
}

#[test]
fn barriers() {
    let room = Room::new();
    let barrier = Barrier::create_with(&room.domain(), "x", 2, &until_removed()).unwrap();
    let read = || without_hints(fs::read(barrier.path()).unwrap(), &[1, 18, 19, 20]);
    let config = [(0, tag(13)), (1, 2), (2, 66)];
    // 24 words, 66 places, 2 seats.
    assert_header(&read(), Image::new(13, (8 + 160) * 8));
    assert_body(&read(), &config);
    let party = barrier.party().unwrap();
    assert!(barrier.wait_timeout(Duration::ZERO).is_err());
    // Broken by time; the place is free again, its note is what it was: index 0 of generation 0.
    let seat = [(8 + 24 + 132, my_cookie(&room)), (8 + 24 + 133, this_thread())];
    let bell = word_at(&read(), 4096 + 8 * 25);
    assert!(bell <= 2, "{bell}");
    let body = |round: u64| [&config[..], &[(24, round), (25, bell)], &seat].concat();
    assert_body(&read(), &body(2 << 19 | 2 << 17));
    barrier.reset().unwrap();
    assert_body(&read(), &body(1 << 22));
    barrier.abort().unwrap();
    assert_body(&read(), &body(1 << 22 | 1 << 19 | 2 << 17));
    drop(party);
}

#[test]
fn latches() {
    let room = Room::new();
    let latch = Latch::create_with(&room.domain(), "x", 3, &until_removed()).unwrap();
    let read = || without_hints(fs::read(latch.path()).unwrap(), &[2, 3]);
    let config = [(0, tag(15)), (1, 3), (2, 3)];
    assert_header(&read(), Image::new(15, (8 + 16) * 8));
    assert_body(&read(), &[&config[..], &[(8, 3)]].concat());
    let party = latch.party().unwrap();
    latch.count_down(1).unwrap();
    let thread = (17, this_thread());
    assert_body(&read(), &[&config[..], &[(8, 1 << 32 | 1), (16, my_cookie(&room)), thread]].concat());
    party.count_down();
    assert_body(&read(), &[&config[..], &[(8, 1 << 32 | 1), thread]].concat());
    latch.count_down(1).unwrap();
    assert_body(&read(), &[&config[..], &[(8, 1 << 62), thread]].concat());
    let open = Latch::create(&room.domain(), "open", 0).unwrap();
    assert_body(&fs::read(open.path()).unwrap(), &[(0, tag(15)), (8, 1 << 62)]);
}

#[test]
fn heaps() {
    let room = Room::new();
    let heap = Heap::create(&room.domain(), "x", 1 << 20, &until_removed()).unwrap();
    let found = fs::read(heap.path()).unwrap();
    let mut image = Image::new(16, 1 << 20);
    // The control page, and the first of the table.
    image.u64(image::FIRST_COMMITTED, 4096 + 2 * 4096);
    image.u64(image::COMMITTED, 4096 + 2 * 4096);
    assert_header(&found, image);
    // The table is all there is before the first page; it tells that the first two pages are there.
    let there = 1 << 4;
    assert_body(&found, &[(80, 2), (81, 1), (82, 1), (512, there), (514, there)]);
    assert_eq!(heap.stats().unwrap().bookkeeping, 2 * 4096);
}

/// The number of this thread, as the kernel counts.
fn this_thread() -> u64 {
    let path = fs::read_link("/proc/thread-self").unwrap();
    path.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// Where in a file the words of a part's state are.
fn state(index: usize) -> usize {
    8 + index
}

#[test]
fn rwlock() {
    let room = Room::new();
    let initial = Tick { seq: 1, price: 1.5, sym: *b"ABCD" };
    let rest = u64::from_le_bytes([0, 0, 0xc0, 0x3f, b'A', b'B', b'C', b'D']);
    let lock = RwLock::create_with(&room.domain(), "x", initial, &until_removed()).unwrap();
    let bytes = || fs::read(room.file("x")).unwrap();
    assert_eq!(bytes().len(), 4096 + (8 + 536 + 8) * 8);
    assert_eq!(RwLock::<Tick>::SIZE, (8 + 536 + 8) * 8);
    let config = [(0, 0x5357_0001_0000_0009), (1, 16), (2, xxh3_64(TICK.as_bytes()))];
    let value = |seq| [(state(536), seq), (state(537), rest)];
    assert_body(&bytes(), &[&config[..], &value(1)].concat());

    // One that reads twice, in the cell that its numbers lead to.
    let me = my_cookie(&room);
    let task = fs::read_link("/proc/thread-self").unwrap();
    let thread: u64 = task.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let line = (me.wrapping_add(thread).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % 64;
    let cell = state(24 + 8 * line);
    let guards = [lock.read().unwrap(), lock.read().unwrap()];
    let reading = [(cell, me), (cell + 1, 1 << 32 | thread)];
    assert_body(&bytes(), &[&config[..], &value(1), &reading].concat());
    drop(guards);
    assert_body(&bytes(), &[&config[..], &value(1)].concat());

    // A writer, and then a reader in the cell that is kept for it.
    let mut guard = lock.write().unwrap();
    guard.seq = 2;
    let writing = [(state(0), me), (state(1), thread << 32 | 1), (state(17), 1)];
    assert_body(&bytes(), &[&config[..], &value(2), &writing].concat());
    let guard = guard.downgrade();
    let once = (state(1), 1);
    assert_body(&bytes(), &[&config[..], &value(2), &[once, (state(22), me), (state(23), thread)]].concat());
    drop(guard);
    assert_body(&bytes(), &[&config[..], &value(2), &[once]].concat());

    // Made by hand: a reader that never was, and a writer that died in the middle.
    let mut file = bytes();
    let mut put = |index: usize, value: u64| file[4096 + 8 * index..][..8].copy_from_slice(&value.to_le_bytes());
    put(state(0), 1 << 13 | 4000);
    put(state(17), 1);
    put(cell, 1 << 13 | 4001);
    put(cell + 1, thread);
    drop(lock);
    fs::remove_file(room.file("x")).unwrap();
    room.put("x", &file);
    let lock = RwLock::<Tick>::open(&room.domain(), "x").unwrap();
    assert!(lock.read().unwrap_err().into_guard().is_some_and(|guard| guard.seq == 2));
    drop(lock.write_or_repair(|value| value.seq = 3).unwrap());
    assert_eq!(word_at(&bytes(), 4096 + 8 * cell), 0);
    assert_eq!(word_at(&bytes(), 4096 + 8 * state(9)), 1, "one owner was found dead");
    assert_eq!(lock.read().unwrap().seq, 3);
}

#[test]
fn condvar() {
    let room = Room::new();
    let domain = room.domain();
    let condvar = Condvar::create_with(&domain, "x", &until_removed()).unwrap();
    let mutex = Mutex::create(&domain, "mutex", 0_u64).unwrap();
    let bytes = || fs::read(room.file("x")).unwrap();
    assert_eq!((bytes().len(), Condvar::SIZE), (4096 + (8 + 520) * 8, (8 + 520) * 8));
    let tag = (0, 0x5357_0001_0000_000a);
    assert_body(&bytes(), &[tag]);

    // The first ticket, in the first cell; then the second.
    drop(condvar.wait_timeout(mutex.lock().unwrap(), Duration::ZERO).unwrap());
    let after = |tickets| [tag, (state(0), tickets), (state(1), 1)];
    assert_body(&bytes(), &after(1));
    let me = my_cookie(&room);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| drop(condvar.wait(mutex.lock().unwrap()).unwrap()));
        while word_at(&bytes(), 4096 + 8 * state(9)) != 2 << 2 | 3 {
            std::thread::yield_now();
        }
        assert_body(&bytes(), &[&after(2)[..], &[(state(8), me), (state(9), 2 << 2 | 3)]].concat());
        // Notified, it needs the lock to go on.
        let guard = mutex.lock().unwrap();
        assert_eq!(condvar.notify_one(), 1);
        assert_body(&bytes(), &[&after(2)[..], &[(state(8), me), (state(9), 2 << 2 | 2)]].concat());
        drop(guard);
        waiter.join().unwrap();
    });
    assert_body(&bytes(), &after(2));

    // Made by hand: all cells taken by the dead, of whom the first was notified when two tickets had been given.
    let mut file = bytes();
    let mut put = |index: usize, value: u64| file[4096 + 8 * index..][..8].copy_from_slice(&value.to_le_bytes());
    put(state(1), 256);
    for cell in 0..256 {
        put(state(8 + 2 * cell), 1 << 13 | 4000);
        put(state(9 + 2 * cell), if cell == 0 { 2 << 2 | 2 } else { 2 << 2 | 1 });
    }
    drop(condvar);
    fs::remove_file(room.file("x")).unwrap();
    room.put("x", &file);
    let condvar = Condvar::open(&domain, "x").unwrap();
    assert_eq!(condvar.waiters(), 255);
    let (_guard, wake) = condvar.wait_timeout(mutex.lock().unwrap(), Duration::ZERO).unwrap();
    assert!(wake.timed_out(), "nobody has notified the third");
    let file = bytes();
    assert_eq!((word_at(&file, 4096 + 8 * state(8)), word_at(&file, 4096 + 8 * state(9))), (0, 0));
    assert_eq!(condvar.waiters(), 254, "what the first was notified of went to one that seems to wait");
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
    slots.word(80, 6).word(80 + 64, 6).word(80 + 65, 99).word(80 + 66, 0x3f80_0000);
    room.put("slots", &slots.bytes());
    let slots = Slots::<Tick>::open(&domain, "slots").unwrap();
    assert_eq!(slots.read_versioned(1).unwrap(), (Tick { seq: 99, price: 1.0, sym: [0; 4] }, 6));
    assert_eq!(slots.version(0).unwrap(), 0);
    slots.write(1, &Tick::zeroed()).unwrap();
    assert_eq!(slots.version(1).unwrap(), 7);

    // Positions far on, in the middle of a block: of its seven the first five have gone, two are there, and one in the next block, which is
    // the first, as there are three.
    let far = 21_000_000_000_000 + 14 + 5;
    let mut spsc = Image::spsc("<Q", 8, 8, 14, 7);
    spsc.word(32, far).word(48, far - 3);
    spsc.word(64 + 16, far + 2).word(64 + 16 + 6, 1).word(64 + 16 + 7, 2).word(64, far + 3).word(65, 3);
    room.put("spsc", &spsc.bytes());
    let ring = spsc::Ring::<u64>::open(&domain, "spsc").unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert_eq!((producer.position(), consumer.position()), (far + 3, far));
    producer.push(4).unwrap();
    assert_eq!([(); 4].map(|()| consumer.pop().unwrap()), [1, 2, 3, 4]);
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
