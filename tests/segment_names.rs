//! What is asked for when creating: names, sizes, modes, groups. What cannot be is refused by name, and nothing is left behind.

mod input;

use input::{Child, Room, contains, domain_in, parents_room, role, root, says};
use sharedware::ring::{bytes, spsc};
use sharedware::segment::NameError;
use sharedware::slot::Slots;
use sharedware::{Domain, Options, Reason, Segment};

#[test]
fn names_of_segments() {
    let room = Room::new();
    let domain = room.domain();
    let long = "x".repeat(129);
    for (name, part) in [
        ("", "empty"),
        (long.as_str(), "129 bytes: at most 128"),
        ("/etc/passwd", "'/' at byte 0"),
        ("a/b", "'/' at byte 1"),
        ("../x", "'.' at byte 0"),
        (".", "'.' at byte 0"),
        ("..", "'.' at byte 0"),
        (".hidden", "do not start with '.'"),
        ("@peers", "'@' at byte 0"),
        ("@tmp-0", "'@' at byte 0"),
        ("a\0b", "'\\0' at byte 1"),
        ("a b", "' ' at byte 1"),
        ("a\nb", "'\\n' at byte 1"),
        ("\u{1b}[2J", "'\\u{1b}' at byte 0"),
        ("naïve", "'ï' at byte 2"),
        ("価格", "'価' at byte 0"),
        ("a\u{202e}b", "'\\u{202e}' at byte 1"),
    ] {
        let errors = [
            Segment::create(&domain, name, 100, &Options::new()).unwrap_err(),
            Segment::open(&domain, name, &Options::new()).unwrap_err(),
            Segment::open_read_only(&domain, name, &Options::new()).unwrap_err(),
            Segment::open_or_create(&domain, name, 100, &Options::new()).unwrap_err(),
            Slots::create(&domain, name, 1, 0_u64).unwrap_err(),
            spsc::Ring::<u64>::create(&domain, name, 1).unwrap_err(),
            bytes::Ring::open_or_create(&domain, name, 1).unwrap_err(),
            domain.remove(name).unwrap_err(),
            domain.path_of(name).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error.reason(), Reason::Name(_)), "{error}");
            contains(&error.to_string(), part);
            contains(&error.to_string(), "segment name");
        }
    }
    room.assert_empty();
    // The longest that goes.
    let longest = "x".repeat(128);
    let widest = Domain::new(&"d".repeat(64)).unwrap().in_directory(room.path());
    drop(Segment::create(&widest, &longest, 1, &Options::new()).unwrap());
}

#[test]
fn names_of_domains() {
    for (name, part) in [
        ("", "empty"),
        (&*"x".repeat(65), "65 bytes: at most 64"),
        ("a.b", "'.' at byte 1"),
        ("a/b", "'/' at byte 1"),
        ("/", "'/' at byte 0"),
        ("@a", "'@' at byte 0"),
        ("a\0", "'\\0' at byte 1"),
        ("é", "'é' at byte 0"),
    ] {
        let error = Domain::new(name).unwrap_err();
        assert!(matches!(error.reason(), Reason::Name(NameError::Empty { .. }) | Reason::Name(_)), "{error}");
        contains(&error.to_string(), part);
        contains(&error.to_string(), "domain name");
    }
}

#[test]
fn sizes() {
    let room = Room::new();
    let domain = room.domain();
    let path = room.file("x");
    let options = Options::new();
    for size in [0, isize::MAX as u64, isize::MAX as u64 - 8191, 1 << 63, u64::MAX - 4096, u64::MAX] {
        says(Segment::create(&domain, "x", size, &options), &path, &["capacity", "from 1 to", &size.to_string()]);
        says(Segment::create_growing(&domain, "x", 1, size, &options), &path, &["capacity", &size.to_string()]);
    }
    says(Slots::create(&domain, "x", 0, 0_u64), &path, &["number of slots", "from 1 to", "found 0"]);
    says(Slots::create(&domain, "x", usize::MAX, 0_u64), &path, &["number of slots", "18446744073709551615"]);
    says(Slots::create(&domain, "x", usize::MAX / 400, 0_u64), &path, &["expected a", "from 1 to"]);
    for capacity in [0, (1 << 32) + 1, 1 << 63, u64::MAX] {
        says(spsc::Ring::<u64>::create(&domain, "x", capacity), &path, &["ring capacity", &capacity.to_string()]);
    }
    says(spsc::Ring::<[u64; 7]>::create(&domain, "x", u64::MAX), &path, &["ring capacity"]);
    for capacity in [0, (1 << 46) + 1, 1 << 63, u64::MAX] {
        says(bytes::Ring::create(&domain, "x", capacity), &path, &["ring capacity", &capacity.to_string()]);
    }
    // More than is there, and more than can be mapped.
    let error = Segment::create(&domain, "x", 1 << 50, &options).unwrap_err();
    assert!(matches!(error.reason(), Reason::Full { asked, .. } if *asked > 1 << 50), "{error}");
    let error = Segment::create_growing(&domain, "x", 1, 1 << 60, &options).unwrap_err();
    assert!(matches!(error.reason(), Reason::Full { asked, .. } if *asked > 1 << 60), "{error}");
    contains(&error.to_string(), "address space");
    room.assert_empty();
}

#[test]
fn modes() {
    let room = Room::new();
    let domain = room.domain();
    for mode in [0, 0o400, 0o200, 0o777, 0o700, 0o1600, 0o4600, 0o2660, 0o100_600, 0o10_600, u32::MAX] {
        let path = room.file("x");
        let found = format!("found {mode:04o}");
        says(Segment::create(&domain, "x", 100, &Options::new().mode(mode)), &path, &["0600, 0640, 0660", &found]);
    }
    room.assert_empty();
    for mode in [0o600, 0o640, 0o644, 0o660, 0o666, 0o620] {
        let segment = Segment::create(&domain, "x", 100, &Options::new().mode(mode)).unwrap();
        assert_eq!(domain.stat("x").unwrap().owner.1, mode, "whatever the umask");
        drop(segment);
        room.assert_empty();
    }
}

#[test]
fn a_group_that_we_are_not_in() {
    const TEST: &str = "a_group_that_we_are_not_in";
    if role().is_some() {
        let domain = domain_in(&parents_room());
        let options = Options::new().mode(0o660).group(0);
        let path = domain.path_of("x").unwrap();
        says(Segment::create(&domain, "x", 100, &options), &path, &["permission denied", "group"]);
        let own = Options::new().mode(0o660).group(input::NOBODY);
        drop(Segment::create(&domain, "x", 100, &own).unwrap());
        return;
    }
    if root(TEST) {
        let room = Room::new();
        Child::new(TEST, "nobody", room.path()).by_nobody().run();
        room.assert_empty();
    }
}
