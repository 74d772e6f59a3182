//! Raw segments and domains from outside, in ordinary use. Bad input has tests of its own.

use std::time::{Duration, SystemTime};

use sharedware::segment::{HugePages, Kind, Limit};
use sharedware::slot::Slot;
use sharedware::{Domain, Lifetime, Options, Reason, Segment};

mod common {
    pub(crate) mod place;
}
use common::place::{self, Place, eventually};

fn options() -> Options {
    Options::new()
}

#[test]
fn bytes_are_read_as_they_were_written() {
    let place = Place::new();
    let segment = Segment::create(&place.domain(), "notes", 100, &options()).unwrap();
    assert_eq!((segment.capacity(), segment.committed().unwrap()), (104, 104), "whole words");
    segment.write(8, b"hello").unwrap();
    let other = Segment::open(&place.domain(), "notes", &options()).unwrap();
    other.write(8, b"J").unwrap();
    let reader = Segment::open_read_only(&place.domain(), "notes", &options()).unwrap();
    let mut bytes = [1; 16];
    reader.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"\0\0\0\0\0\0\0\0Jello\0\0\0");
    assert_eq!(segment.identity(), reader.identity());
    for (offset, length) in [(1, 1), (104, 1), (96, 9), (u64::MAX - 7, 1)] {
        let refused = reader.read(offset, &mut vec![0; length]).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Size { .. }), "{refused}");
        assert!(segment.write(offset, &vec![0; length]).is_err());
    }
    reader.read(104, &mut []).unwrap();
}

#[test]
fn a_segment_grows_up_to_its_capacity() {
    let place = Place::new();
    let capacity = 1 << 20;
    let segment = Segment::create_growing(&place.domain(), "growing", 1, capacity, &options()).unwrap();
    let reader = Segment::open_read_only(&place.domain(), "growing", &options()).unwrap();
    let first = segment.committed().unwrap();
    assert!((1..capacity).contains(&first));
    assert!(segment.write(capacity - 8, b"x").is_err());
    segment.grow(first + 1).unwrap();
    let second = reader.committed().unwrap();
    assert!(second > first, "the others learn of it");
    segment.grow(1).unwrap();
    assert_eq!(segment.committed().unwrap(), second, "never shrinks");
    segment.grow(capacity).unwrap();
    segment.write(capacity - 8, b"x").unwrap();
    let refused = segment.grow(capacity + 1).unwrap_err();
    assert!(matches!(refused.reason(), Reason::Full { limit: Limit::Capacity, .. }), "{refused}");
    assert!(place.domain().stat("growing").unwrap().allocated >= capacity);
}

#[test]
fn names_are_created_once_and_opened_by_all() {
    let place = Place::new();
    let domain = place.domain();
    assert!(Segment::open(&domain, "one", &options()).unwrap_err().is_not_found());
    let one = Segment::open_or_create(&domain, "one", 64, &options()).unwrap();
    let two = Segment::open_or_create(&domain, "one", 128, &options()).unwrap();
    assert_eq!((one.identity(), two.capacity()), (two.identity(), 64));
    assert!(Segment::create(&domain, "one", 64, &options()).unwrap_err().is_already_exists());
    assert!(Segment::open(&Domain::new("other").unwrap().in_directory(place.directory()), "one", &options()).is_err());
    drop((one, two));
    assert!(place.files().is_empty(), "gone with its last user: {:?}", place.files());
}

#[test]
fn what_lives_until_removed_is_found_again() {
    let place = Place::new();
    let lasting = options().lifetime(Lifetime::UntilRemoved);
    let segment = Segment::create(&place.domain(), "kept", 64, &lasting).unwrap();
    segment.write(0, b"kept").unwrap();
    drop(segment);
    assert_eq!(place.domain().clean().unwrap().removed().count(), 0);
    let segment = Segment::open(&place.domain(), "kept", &options()).unwrap();
    assert_eq!(segment.lifetime(), Lifetime::UntilRemoved);
    let mut bytes = [0; 4];
    segment.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    place.domain().remove("kept").unwrap();
    segment.write(0, b"still mapped").unwrap();
    assert!(Segment::open(&place.domain(), "kept", &options()).unwrap_err().is_not_found());
    assert!(place.domain().remove("kept").unwrap_err().is_not_found());
    assert!(segment.grow(64).is_ok(), "nothing to do");
}

#[test]
fn options_are_taken() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let wishes = options().mode(0o640).prefault(true).huge_pages(true);
    let segment = Segment::create(&place.domain(), "wishes", 1 << 16, &wishes).unwrap();
    assert!(segment.memory().prefaulted && !segment.memory().locked);
    assert_ne!(segment.memory().huge_pages, HugePages::NotAsked);
    let mode = std::fs::metadata(segment.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert_eq!(segment.kind(), Kind::RAW);
    assert!(segment.schema().is_none());
    for mode in [0o777, 0o066, 0o400, 0o1600] {
        let refused = Segment::create(&place.domain(), "mode", 64, &options().mode(mode)).unwrap_err();
        assert!(matches!(refused.reason(), Reason::ModeAskedFor { .. }), "{refused}");
    }
    let plain = Segment::create(&place.domain(), "plain", 64, &options()).unwrap();
    let mode = std::fs::metadata(plain.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "whatever the umask");
}

#[test]
fn a_domain_tells_what_it_holds() {
    let place = Place::new();
    let domain = place.domain();
    assert!(domain.list().unwrap().is_empty() && domain.peers().unwrap().is_empty());
    let before = SystemTime::now() - Duration::from_secs(1);
    let segment = Segment::create(&domain, "raw", 4096, &options()).unwrap();
    let slot = Slot::create(&domain, "slot", 7_u64).unwrap();
    let names: Vec<String> = domain.list().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["@peers", "raw", "slot"]);
    let entry = domain.stat("slot").unwrap();
    assert_eq!((entry.kind, entry.name.as_str(), entry.in_use), (Kind::SLOTS, "slot", true));
    assert_eq!(entry.schema.as_ref().map(ToString::to_string).as_deref(), Some("<Q"));
    assert_eq!((entry.creator.1, entry.owner.1), (std::process::id(), 0o600));
    assert_eq!((entry.identity, entry.path.as_path()), (slot.segment().identity(), slot.segment().path()));
    assert!(entry.created >= before && entry.created <= SystemTime::now() + Duration::from_secs(1));
    assert_eq!(domain.path_of("raw").unwrap(), segment.path());
    let users = domain.users("raw").unwrap();
    assert_eq!(users.iter().map(|user| user.pid).collect::<Vec<_>>(), [std::process::id()]);
    let peers = domain.peers().unwrap();
    assert_eq!(peers.iter().map(|peer| peer.pid).collect::<Vec<_>>(), [std::process::id()], "once per process");
    drop(slot);
    assert!(domain.peers().unwrap().is_empty(), "nobody who may own something");
}

#[test]
fn what_a_killed_process_leaves_is_swept() {
    if let Some((_, place)) = place::role() {
        let _segment = Segment::create(&place.domain(), "left", 64, &options()).unwrap();
        let _slot = Slot::create(&place.domain(), "slot", 1_u8).unwrap();
        place::die();
    }
    let place = Place::new();
    let domain = place.domain();
    place.other_process("what_a_killed_process_leaves_is_swept", "creator").end();
    assert!(domain.peers().unwrap().is_empty());
    assert!(!domain.stat("left").unwrap().in_use);
    assert_eq!(domain.clean_dry_run().unwrap().removed().count(), 3, "{:?}", place.files());
    eventually(|| Segment::open(&domain, "left", &options()).is_err().then_some(()));
    Segment::create(&domain, "left", 128, &options()).unwrap();
    domain.clean().unwrap();
    assert!(place.files().is_empty(), "{:?}", place.files());
}
