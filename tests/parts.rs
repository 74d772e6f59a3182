//! Synchronisation objects where they cannot be: over foreign bytes, beyond the end, of another kind or type. Each is refused with an error that
//! says what is there, and nothing is changed.

use sharedware::slot::Slot;
use sharedware::sync::{Barrier, Condvar, Event, Latch, Mutex, Once, RawMutex, ReentrantMutex, RwLock, Semaphore};
use sharedware::{Domain, Error, Options, Reason, Segment};

mod common {
    pub(crate) mod place;
}
use common::place::Place;

/// One kind of object: how it is made and opened.
struct Kind {
    name: &'static str,
    size: u64,
    create: fn(&Domain, &str) -> Result<(), Error>,
    open: fn(&Domain, &str) -> Result<(), Error>,
    create_at: fn(&Domain, &Segment, u64) -> Result<(), Error>,
    open_at: fn(&Domain, &Segment, u64) -> Result<(), Error>,
}

macro_rules! kind {
    ($name:literal, $type:ty, of $size:expr $(, $setup:expr)?) => {
        Kind {
            name: $name,
            size: $size,
            create: |domain, name| {
                let options = Options::new().lifetime(sharedware::Lifetime::UntilRemoved);
                <$type>::create_with(domain, name $(, $setup)?, &options).map(drop)
            },
            open: |domain, name| <$type>::open(domain, name).map(drop),
            create_at: |domain, segment, offset| <$type>::create_at(domain, segment, offset $(, $setup)?).map(drop),
            open_at: |domain, segment, offset| <$type>::open_at(domain, segment, offset).map(drop),
        }
    };
    ($name:literal, $type:ty $(, $setup:expr)?) => {
        kind!($name, $type, of <$type>::SIZE $(, $setup)?)
    };
}

fn kinds() -> Vec<Kind> {
    vec![
        kind!("mutex", Mutex<[u64; 3]>, [1, 2, 3]),
        kind!("raw mutex", RawMutex),
        kind!("reentrant mutex", ReentrantMutex<u64>, 1),
        kind!("reader-writer lock", RwLock<[u64; 3]>, [1, 2, 3]),
        kind!("condition variable", Condvar),
        kind!("semaphore", Semaphore, 3),
        kind!("event", Event),
        kind!("barrier", Barrier, of Barrier::size_of_part(3).unwrap(), 3),
        kind!("once", Once),
        kind!("latch", Latch, of Latch::size_of_part(3).unwrap(), 3),
    ]
}

const ROOM: u64 = 8192;

fn raw(place: &Place) -> Segment {
    Segment::create(&place.domain(), "own", ROOM, &Options::new()).unwrap()
}

fn bytes(segment: &Segment) -> Vec<u8> {
    let mut bytes = vec![0; ROOM as usize];
    segment.read(0, &mut bytes).unwrap();
    bytes
}

#[track_caller]
fn is_no_part(outcome: Result<(), Error>, found: &str) {
    let refused = outcome.unwrap_err();
    assert!(matches!(refused.reason(), Reason::Part { .. }), "{refused}");
    assert!(refused.to_string().contains(found), "expected {found:?} in: {refused}");
}

#[test]
fn over_zeros_and_over_anything() {
    for kind in kinds() {
        let place = Place::new();
        let (domain, segment) = (place.domain(), raw(&place));
        is_no_part((kind.open_at)(&domain, &segment, 0), "nothing");
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..100 {
            let random: Vec<u8> = (0..ROOM)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            segment.write(0, &random).unwrap();
            is_no_part((kind.open_at)(&domain, &segment, 0), "something else");
            assert_eq!(bytes(&segment), random);
        }
        // Made over it, it is as new.
        (kind.create_at)(&domain, &segment, 0).unwrap();
        (kind.open_at)(&domain, &segment, 0).unwrap();
        // Another version.
        let mut tag = [0; 8];
        segment.read(0, &mut tag).unwrap();
        segment.write(0, &(u64::from_ne_bytes(tag) + (1 << 32)).to_ne_bytes()).unwrap();
        is_no_part((kind.open_at)(&domain, &segment, 0), "version 2 of");
    }
}

#[test]
fn over_one_another() {
    for there in kinds() {
        let place = Place::new();
        let (domain, segment) = (place.domain(), raw(&place));
        (there.create_at)(&domain, &segment, 128).unwrap();
        (there.create)(&domain, "named").unwrap();
        (there.open)(&domain, "named").unwrap();
        let before = bytes(&segment);
        for kind in kinds().into_iter().filter(|kind| kind.name != there.name) {
            is_no_part((kind.open_at)(&domain, &segment, 128), there.name);
            let refused = (kind.open)(&domain, "named").unwrap_err();
            assert!(matches!(refused.reason(), Reason::Kind { .. }), "{refused}");
            let taken = (kind.create)(&domain, "named").unwrap_err();
            assert!(taken.is_already_exists(), "{taken}");
        }
        assert_eq!(bytes(&segment), before);
        assert!((there.open)(&domain, "none").unwrap_err().is_not_found());
    }
}

#[test]
fn where_there_is_no_room() {
    for kind in kinds() {
        let place = Place::new();
        let (domain, segment) = (place.domain(), raw(&place));
        let last = ROOM - kind.size;
        for offset in [1, 8, 32, 63, 65, last + 64, ROOM, ROOM + 64, 1 << 40, u64::MAX - 63, u64::MAX] {
            for outcome in [(kind.create_at)(&domain, &segment, offset), (kind.open_at)(&domain, &segment, offset)] {
                let refused = outcome.unwrap_err();
                // Its head may be there, for who opens it.
                let fine = matches!(refused.reason(), Reason::Size { .. } | Reason::Part { .. });
                assert!(fine, "{} at {offset}: {refused}", kind.name);
            }
        }
        assert!(bytes(&segment).iter().all(|byte| *byte == 0));
        (kind.create_at)(&domain, &segment, last).unwrap();
        (kind.open_at)(&domain, &segment, last).unwrap();

        // Its head stands at the end, the rest is beyond.
        let mut head = [0; 64];
        segment.read(last, &mut head).unwrap();
        segment.write(ROOM - 64, &head).unwrap();
        let refused = (kind.open_at)(&domain, &segment, ROOM - 64).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Size { .. }), "{refused}");
    }
}

#[test]
fn within_what_is_arranged_already() {
    for kind in kinds() {
        let place = Place::new();
        let domain = place.domain();
        let slot = Slot::create(&domain, "slot", [0_u64; 64]).unwrap();
        let segment = Segment::open(&domain, "slot", &Options::new());
        // Whether or not a slot may be opened as bytes, no part may be put there.
        for segment in segment.iter().chain([slot.segment()]) {
            let refused = (kind.create_at)(&domain, segment, 0).unwrap_err();
            assert!(matches!(refused.reason(), Reason::Kind { .. }), "{refused}");
            let refused = (kind.open_at)(&domain, segment, 0).unwrap_err();
            assert!(matches!(refused.reason(), Reason::Kind { .. }), "{refused}");
        }
        assert_eq!(slot.read().unwrap(), [0; 64]);
    }
}

/// Of what holds a value: a value of another type.
#[test]
fn of_another_type() {
    let place = Place::new();
    let (domain, segment) = (place.domain(), raw(&place));
    let _mutex = Mutex::create(&domain, "mutex", 1_u64).unwrap();
    let refused = Mutex::<i64>::open(&domain, "mutex").unwrap_err();
    assert!(matches!(refused.reason(), Reason::Schema(_)), "{refused}");
    let _reentrant = ReentrantMutex::create(&domain, "reentrant", [1_u32; 4]).unwrap();
    let refused = ReentrantMutex::<[u32; 5]>::open(&domain, "reentrant").unwrap_err();
    assert!(matches!(refused.reason(), Reason::Schema(_)), "{refused}");
    let _rwlock = RwLock::create(&domain, "rwlock", 1_u64).unwrap();
    let refused = RwLock::<i64>::open(&domain, "rwlock").unwrap_err();
    assert!(matches!(refused.reason(), Reason::Schema(_)), "{refused}");

    let _mutex = Mutex::create_at(&domain, &segment, 0, 1_u64).unwrap();
    let _reentrant = ReentrantMutex::create_at(&domain, &segment, 1024, 1_u64).unwrap();
    let spoilt = |outcome: Result<(), Error>, what: &str| {
        let refused = outcome.unwrap_err();
        assert!(matches!(refused.reason(), Reason::Spoilt { .. }), "{refused}");
        assert!(refused.to_string().contains(what), "{refused}");
    };
    spoilt(Mutex::<i64>::open_at(&domain, &segment, 0).map(drop), "schema of its value");
    spoilt(Mutex::<[u64; 2]>::open_at(&domain, &segment, 0).map(drop), "size of its value 16, found 8");
    spoilt(ReentrantMutex::<i64>::open_at(&domain, &segment, 1024).map(drop), "schema of its value");
    for garbage in [0, 7, u64::MAX] {
        segment.write(8, &garbage.to_ne_bytes()).unwrap();
        spoilt(Mutex::<u64>::open_at(&domain, &segment, 0).map(drop), "size of its value 8");
    }
}
