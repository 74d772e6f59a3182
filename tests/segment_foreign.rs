//! What stands under a name and is no segment, not ours, not whole, or not what was expected: refused with an error that says so, and left
//! exactly as it was.

mod input;

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use bytemuck::{Pod, Zeroable};
use input::image::{self, Image};
use input::{Room, contains, root, says};
use sharedware::ring::{bytes, spsc};
use sharedware::segment::Fate;
use sharedware::slot::{self, Slot, Slots};
use sharedware::{Domain, Error, Lifetime, Options, ReadOnly, Reason, Segment, Shared};

/// Every way to open `x`.
fn open_all(domain: &Domain) -> Vec<Result<(), Error>> {
    let options = Options::new();
    vec![
        Segment::open(domain, "x", &options).map(drop),
        Segment::open_read_only(domain, "x", &options).map(drop),
        Segment::open_or_create(domain, "x", 100, &options).map(drop),
        Slots::<u64>::open(domain, "x").map(drop),
        Slots::<u64>::open_or_create(domain, "x", 1, 0).map(drop),
        Slot::<u64, ReadOnly>::open_read_only(domain, "x").map(drop),
        slot::View::open(domain, "x", &options).map(drop),
        spsc::Ring::<u64>::open(domain, "x").map(drop),
        spsc::Ring::<u64>::open_or_create(domain, "x", 8).map(drop),
        spsc::View::open(domain, "x", &options).map(drop),
        bytes::Ring::open(domain, "x").map(drop),
        bytes::Ring::open_or_create(domain, "x", 8).map(drop),
        bytes::View::open(domain, "x", &options).map(drop),
        domain.stat("x").map(drop),
        domain.users("x").map(drop),
    ]
}

/// Whatever stands there is refused by all, listed with its error, swept by nobody, and still there.
#[track_caller]
fn refused_by_all(room: &Room, parts: &[&str]) {
    let domain = room.domain();
    let path = room.file("x");
    let before = room.state();
    for result in open_all(&domain) {
        says(result, &path, parts);
    }
    let error = Segment::create(&domain, "x", 100, &Options::new()).unwrap_err();
    assert!(error.is_already_exists(), "{error}");
    says::<()>(Err(error), &path, &["the name is taken"]);
    let listed = domain.list().unwrap();
    let (_, entry) = listed.into_iter().find(|(name, _)| name == "x").unwrap();
    says(entry, &path, parts);
    let report = domain.clean().unwrap();
    let fate = &report.objects.iter().find(|object| object.name == "x").unwrap().fate;
    assert!(matches!(fate, Fate::Left(_)), "{fate:?}");
    assert_eq!(room.state(), before);
}

#[test]
fn files_that_are_no_segments() {
    let room = Room::new();
    room.put("x", b"");
    refused_by_all(&room, &["at least 4096 bytes, found 0"]);
    room.put("x", &[0; 4095]);
    refused_by_all(&room, &["at least 4096 bytes, found 4095"]);
    room.put("x", &[0; 8192]);
    refused_by_all(&room, &["\"SHRDWARE\"", "\\\\x00", "not made by sharedware"]);
    room.put("x", &b"random bytes of somebody else. ".repeat(500));
    refused_by_all(&room, &["\"SHRDWARE\"", "\"random b\""]);
    says(room.domain().remove("x"), &room.file("x"), &["\"random b\""]);
    room.put("x", &[0; 100]);
    says(room.domain().remove("x"), &room.file("x"), &["found 100"]);
    assert_eq!(room.names(), ["sharedware.t.x"]);
}

#[test]
fn truncated_and_extended_segments() {
    let room = Room::new();
    let image = Image::slots("<Q", 8, 8, 3).bytes();
    let whole = image.len();
    for length in [1, 8, 511, 512, 4095, 4096, 4097, 8191.min(whole - 1), whole - 8, whole - 1] {
        room.put("x", &image[..length]);
        let expected = if length < 4096 { 4096 } else { whole };
        refused_by_all(&room, &[&format!("{expected} bytes"), &format!("found {length}"), "cut off"]);
    }
    room.put("x", &[image.clone(), vec![0; 8]].concat());
    refused_by_all(&room, &["capacity", &format!("found {whole}"), &(whole + 8).to_string()]);
    // A header longer than the file.
    let mut long = Image::new(image::RAW, 100);
    long.u64(image::HEADER_SIZE, 65_536);
    room.put("x", &long.bytes());
    refused_by_all(&room, &["cut off"]);
}

#[test]
fn other_versions_and_other_machines() {
    let room = Room::new();
    let check = |change: &dyn Fn(&mut Image), parts: &[&str]| {
        let mut image = Image::new(image::RAW, 100);
        change(&mut image);
        room.put("x", &image.bytes());
        refused_by_all(&room, parts);
    };
    check(&|image| _ = image.u32(image::LAYOUT_VERSION, 2), &["layout version 1, found 2", "a newer version"]);
    check(&|image| _ = image.u32(image::LAYOUT_VERSION, 0), &["layout version 1, found 0", "an older version"]);
    check(&|image| image.header[12..14].copy_from_slice(&[2, 1]), &["little-endian", "0x0201", "0x0102"]);
    check(&|image| image.header[14] = 32, &["64-bit", "32-bit"]);
    // All of a big-endian header: its version is garbled too, and the byte order is what is told.
    check(&|image| image.header[8..16].copy_from_slice(&[0, 0, 0, 1, 2, 1, 0, 64]), &["little-endian", "0x0102"]);
}

/// Each byte of the header, changed in several ways, is noticed.
#[test]
fn a_header_with_any_byte_changed() {
    let room = Room::new();
    let domain = room.domain();
    let options = Options::new().lifetime(Lifetime::UntilRemoved);
    drop(Segment::create_growing(&domain, "x", 8192, 1 << 20, &options).unwrap());
    drop(Slot::create_with(&domain, "y", 5_u64, &options).unwrap());
    for name in ["x", "y"] {
        let path = room.file(name);
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let before = fs::read(&path).unwrap();
        for at in 0..4096 {
            for change in [0x01, 0x10, 0x80, 0xff] {
                file.write_all_at(&[before[at] ^ change], at as u64).unwrap();
                let open = |read_only: bool| match (name, read_only) {
                    ("x", false) => Segment::open(&domain, "x", &options).map(|segment| segment.committed().map(drop)),
                    ("x", true) => {
                        Segment::open_read_only(&domain, "x", &options).map(|segment| segment.committed().map(drop))
                    }
                    (_, false) => Slot::<u64>::open(&domain, name).map(|slot| slot.read().map(|_| ()).unwrap()).map(Ok),
                    (_, true) => Slot::<u64, ReadOnly>::open_read_only(&domain, name)
                        .map(|slot| slot.read().map(|_| ()).unwrap())
                        .map(Ok),
                };
                for read_only in [true, false] {
                    match open(read_only) {
                        Err(error) => {
                            let text = error.to_string();
                            contains(&text, &path.display().to_string());
                            assert!(text.contains("expected") && text.contains("found"), "byte {at}: {text}");
                        }
                        // More committed than there was: harmless, the pages are made.
                        Ok(outcome) => {
                            assert!((256..264).contains(&at) && name == "x", "byte {at} ^ {change:#x} of {name}");
                            outcome.unwrap();
                        }
                    }
                }
                file.write_all_at(&before[at..=at], at as u64).unwrap();
            }
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    drop(Segment::open(&domain, "x", &options).unwrap());
    assert_eq!(Slot::<u64>::open(&domain, "y").unwrap().read().unwrap(), 5);
}

/// The committed size of an open segment is looked at each time.
#[test]
fn a_spoilt_committed_size_of_an_open_segment() {
    let room = Room::new();
    let domain = room.domain();
    let segment = Segment::create_growing(&domain, "x", 8192, 1 << 20, &Options::new()).unwrap();
    let path = segment.path().to_owned();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for spoilt in [0, 1, 4096, 12_289, (1 << 20) + 8192, 1 << 63, u64::MAX] {
        file.write_all_at(&spoilt.to_le_bytes(), 256).unwrap();
        let parts = ["committed size", &spoilt.to_string()];
        says(segment.committed(), &path, &parts);
        says(segment.read(0, &mut [0; 8]), &path, &parts);
        says(segment.write(0, &[0; 8]), &path, &parts);
        says(segment.grow(100_000), &path, &parts);
    }
    file.write_all_at(&12_288_u64.to_le_bytes(), 256).unwrap();
    assert_eq!(segment.committed().unwrap(), 8192);
    says(segment.read(8192, &mut [0; 1]), &path, &["within 8192", "found 8192"]);
    says(segment.read(u64::MAX - 7, &mut [0; 8]), &path, &["an offset"]);
    says(segment.write(4, &[0; 8]), &path, &["multiple of 8", "found 4"]);
}

#[test]
fn directories_sockets_links_fifos() {
    let room = Room::new();
    let domain = room.domain();
    let path = room.file("x");
    let removal = |parts: &[&str]| {
        let before = room.state();
        says(domain.remove("x"), &path, parts);
        assert_eq!(room.state(), before);
    };

    fs::create_dir(&path).unwrap();
    refused_by_all(&room, &["expected a segment, found a directory"]);
    removal(&["found a directory"]);
    fs::remove_dir(&path).unwrap();

    let socket = UnixListener::bind(&path).unwrap();
    refused_by_all(&room, &["expected a segment, found a socket"]);
    removal(&["found a socket"]);
    drop(socket);
    fs::remove_file(&path).unwrap();

    symlink("/nowhere/at/all", &path).unwrap();
    refused_by_all(&room, &["expected a segment, found a symbolic link"]);
    removal(&["found a symbolic link"]);
    fs::remove_file(&path).unwrap();

    // To a segment that could be opened by its own name.
    drop(Segment::create(&domain, "real", 100, &Options::new().lifetime(Lifetime::UntilRemoved)).unwrap());
    symlink(room.file("real"), &path).unwrap();
    refused_by_all(&room, &["expected a segment, found a symbolic link"]);
    removal(&["found a symbolic link"]);
    fs::remove_file(&path).unwrap();

    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    refused_by_all(&room, &["expected a segment, found a FIFO"]);
    removal(&["found a FIFO"]);
    fs::remove_file(&path).unwrap();

    if root("devices under a name") {
        // /dev/null
        if Command::new("mknod").arg(&path).args(["c", "1", "3"]).status().unwrap().success() {
            refused_by_all(&room, &["expected a segment, found a device"]);
            removal(&["found a device"]);
        } else {
            eprintln!("SKIPPED: devices under a name: mknod is not permitted here");
        }
    }
}

#[test]
fn another_kind_or_version_of_it() {
    let room = Room::new();
    let domain = room.domain();
    let path = room.put("x", &Image::slots("<Q", 8, 8, 1).bytes());
    let options = Options::new();
    says(Segment::open(&domain, "x", &options), &path, &["expected raw segment, found slots"]);
    says(spsc::Ring::<u64>::open(&domain, "x"), &path, &["expected spsc ring, found slots"]);
    says(bytes::Ring::open_or_create(&domain, "x", 100), &path, &["expected byte ring, found slots"]);
    says(bytes::View::open(&domain, "x", &options), &path, &["expected byte ring, found slots"]);
    room.put("x", &Image::new(99, 104).bytes());
    says(Slots::<u64>::open(&domain, "x"), &path, &["expected slots, found structure of unknown kind 99"]);
    room.put("x", &Image::slots("<Q", 8, 8, 1).u32(image::KIND_VERSION, 7).bytes());
    says(Slots::<u64>::open(&domain, "x"), &path, &["version 1 of slots, found 7", "one version of sharedware"]);
    // They can be looked at and removed all the same.
    assert_eq!(domain.stat("x").unwrap().kind.number(), 3);
    domain.remove("x").unwrap();
    assert!(!path.exists());
}

#[test]
fn another_element_type() {
    #[derive(Debug, Clone, Copy, Pod, Zeroable, Shared)]
    #[repr(C)]
    struct Ours {
        seq: u64,
        price: f64,
    }
    #[derive(Debug, Clone, Copy, Pod, Zeroable, Shared)]
    #[repr(C)]
    struct Theirs {
        seq: u64,
        price: f32,
        size: u32,
    }
    let room = Room::new();
    let domain = room.domain();
    let theirs = Theirs { seq: 1, price: 2.0, size: 3 };
    let _slot = Slot::create(&domain, "slot", theirs).unwrap();
    let _ring = spsc::Ring::<Theirs>::create(&domain, "ring", 8).unwrap();
    let table = ["seq: u64", "price: f64     8 price: f32", "12 size: u32", "16 bytes"];
    says(Slot::<Ours>::open(&domain, "slot"), &room.file("slot"), &table);
    says(Slot::<Ours, ReadOnly>::open_read_only(&domain, "slot"), &room.file("slot"), &table);
    let text = says(spsc::Ring::<Ours>::open_or_create(&domain, "ring", 8), &room.file("ring"), &table);
    contains(&text, "use one type on both sides");
    let error = Slot::<[u8; 16]>::open(&domain, "slot").unwrap_err();
    assert!(matches!(error.reason(), Reason::Schema(_)), "{error}");
}
