//! No memory left, by whatever limit: an error that says how much was asked for, what is left and what binds; never a signal, and nothing
//! left behind. And what became of the wishes about memory.

mod input;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use input::{Child, Room, contains, domain_in, parents_room, role, root, says};
use sharedware::ring::bytes;
use sharedware::segment::{HugePages, Limit};
use sharedware::slot::Slots;
use sharedware::{Error, Lifetime, Options, Reason, Segment};

/// A tmpfs of one mebibyte.
struct Small {
    room: Room,
    path: PathBuf,
}

impl Small {
    fn mount(what: &str) -> Option<Self> {
        if !root(what) {
            return None;
        }
        let room = Room::new();
        let path = room.path().join("small");
        fs::create_dir(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=1777", "none"]).arg(&path).output();
        if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: {what}: mounting is not permitted here ({mounted:?})");
            return None;
        }
        Some(Self { room, path })
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.path).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        let _ = fs::remove_dir_all(self.room.path());
    }
}

#[track_caller]
fn full<T>(result: Result<T, Error>, expected: Limit) -> (u64, u64) {
    let Err(error) = result else { panic!("there was room") };
    match error.reason() {
        Reason::Full { asked, left, limit } if *limit == expected => {
            contains(&error.to_string(), &format!("asked for {asked} bytes, {left} left; what binds is"));
            contains(&error.to_string(), &error.path().display().to_string());
            (*asked, *left)
        }
        _ => panic!("expected {expected:?}, found: {error}"),
    }
}

#[test]
fn a_full_file_system() {
    let Some(small) = Small::mount("a_full_file_system") else { return };
    let domain = domain_in(&small.path);
    let options = Options::new();
    // More than there is.
    let (asked, left) = full(Segment::create(&domain, "x", 2 << 20, &options), Limit::FileSystem);
    assert_eq!((asked, left), ((2 << 20) + 4096, 1 << 20));
    full(Slots::create(&domain, "x", 10_000, 0_u64), Limit::FileSystem);
    full(bytes::Ring::open_or_create(&domain, "x", 2 << 20), Limit::FileSystem);
    assert_eq!(small.names(), [""; 0]);

    // Growth up to the brim and not beyond.
    let segment = Segment::create_growing(&domain, "x", 1 << 16, 16 << 20, &options).unwrap();
    segment.write(0, &[7; 1 << 16]).unwrap();
    let (asked, left) = full(segment.grow(8 << 20), Limit::FileSystem);
    assert!(asked > 7 << 20 && left < 1 << 20, "{asked} {left}");
    assert_eq!(segment.committed().unwrap(), 1 << 16, "nothing has changed");
    says(segment.write(1 << 16, &[1; 8]), segment.path(), &["within 65536"]);
    segment.grow(1 << 19).unwrap();
    segment.write((1 << 19) - 8, &[1; 8]).unwrap();
    full(segment.grow(1 << 20), Limit::FileSystem);
    assert_eq!(segment.committed().unwrap(), 1 << 19);

    // Not a page left: neither for a segment nor for the registry.
    let mut filler = vec![0; 1 << 20];
    while !filler.is_empty() && fs::write(small.path.join(format!("filler{}", filler.len())), &filler).is_err() {
        filler.truncate(filler.len() / 2);
    }
    for number in 0.. {
        if fs::write(small.path.join(format!("page{number}")), [1; 4096]).is_err() {
            break;
        }
    }
    let before = small.names();
    full(Segment::create(&domain, "y", 100, &options), Limit::FileSystem);
    let error = Slots::create(&domain, "y", 1, 0_u64).unwrap_err();
    contains(&error.to_string(), "@peers");
    full::<()>(Err(error), Limit::FileSystem);
    assert_eq!(small.names(), before);
    // What is committed can be written to all the same.
    segment.write(0, &vec![9; 1 << 19]).unwrap();
}

/// A hole in the file: whoever may write fills it again, or is told that it cannot be; whoever may not is told.
#[test]
fn a_punched_hole() {
    let Some(small) = Small::mount("a_punched_hole") else { return };
    let domain = domain_in(&small.path);
    let options = Options::new().lifetime(Lifetime::UntilRemoved);
    let segment = Segment::create(&domain, "x", 1 << 19, &options).unwrap();
    let path = segment.path().to_owned();
    drop(segment);
    let punch = || {
        let command = Command::new("fallocate").args(["-p", "-o", "8192", "-l", "131072"]).arg(&path).status();
        command.is_ok_and(|status| status.success())
    };
    if !punch() {
        return eprintln!("SKIPPED: a_punched_hole: no `fallocate` command");
    }
    let allocated = || fs::metadata(&path).unwrap().blocks() * 512;
    let holed = allocated();
    let committed = ((1 << 19) + 4096).to_string();
    let found = format!("found {holed}");
    says(Segment::open_read_only(&domain, "x", &options), &path, &[&committed, &found, "cut off"]);
    assert_eq!(allocated(), holed);
    drop(Segment::open(&domain, "x", &options).unwrap());
    assert_eq!(allocated(), (1 << 19) + 4096);

    // And when there is nothing to fill it with.
    assert!(punch());
    fs::write(small.path.join("filler"), vec![1; (1 << 19) - 4096]).unwrap();
    for number in 0.. {
        if fs::write(small.path.join(format!("page{number}")), [1; 4096]).is_err() {
            break;
        }
    }
    full(Segment::open(&domain, "x", &options), Limit::FileSystem);
    says(Segment::open_read_only(&domain, "x", &options), &path, &[&found]);
}

#[test]
fn the_limit_of_a_files_size() {
    const TEST: &str = "the_limit_of_a_files_size";
    if role().is_some() {
        // Beyond the limit the kernel would rather send SIGXFSZ.
        let domain = domain_in(&parents_room());
        let (asked, left) = full(Segment::create(&domain, "y", 1 << 20, &Options::new()), Limit::FileSize);
        assert!(asked > left, "{asked} {left}");
        full(Slots::create(&domain, "y", 100_000, 0_u64), Limit::FileSize);
        let segment = Segment::open(&domain, "x", &Options::new()).unwrap();
        segment.grow(1 << 19).unwrap();
        segment.write((1 << 19) - 8, &[1; 8]).unwrap();
        return;
    }
    let room = Room::new();
    let segment = Segment::create_growing(&room.domain(), "x", 4096, 1 << 20, &Options::new()).unwrap();
    Child::after("ulimit -f 8", TEST, "limited", room.path()).run();
    assert_eq!(segment.committed().unwrap(), 1 << 19);
    assert_eq!(room.names(), ["sharedware.t.x"]);
}

#[test]
fn the_limit_of_the_address_space() {
    const TEST: &str = "the_limit_of_the_address_space";
    if role().is_some() {
        let domain = domain_in(&parents_room());
        let created = Segment::create_growing(&domain, "x", 4096, 8 << 30, &Options::new());
        let (asked, left) = full(created, Limit::AddressSpace);
        assert_eq!((asked, left), ((8 << 30) + 4096, 4_000_000 * 1024));
        full(Segment::open(&domain, "y", &Options::new()), Limit::AddressSpace);
        return;
    }
    let room = Room::new();
    let _segment = Segment::create_growing(&room.domain(), "y", 4096, 8 << 30, &Options::new()).unwrap();
    Child::after("ulimit -v 4000000", TEST, "limited", room.path()).run();
    assert_eq!(room.names(), ["sharedware.t.y"]);
}

#[test]
fn the_limit_of_locked_memory() {
    const TEST: &str = "the_limit_of_locked_memory";
    if role().is_some() {
        let domain = domain_in(&parents_room());
        let options = Options::new().lock_memory(true);
        let (asked, left) = full(Segment::create(&domain, "x", 1 << 20, &options), Limit::LockedMemory);
        assert_eq!((asked, left), ((1 << 20) + 4096, 64 << 10));
        let small = Segment::create(&domain, "x", 100, &options).unwrap();
        assert!(small.memory().locked);
        return;
    }
    if root(TEST) {
        let room = Room::new();
        Child::after("ulimit -l 64", TEST, "limited", room.path()).as_nobody().run();
        assert!(room.names().is_empty(), "{:?}", room.names());
    }
}

#[test]
fn wishes_about_memory_are_reported() {
    let room = Room::new();
    let domain = room.domain();
    let plain = Segment::create(&domain, "x", 1 << 20, &Options::new()).unwrap();
    assert_eq!((plain.memory().prefaulted, plain.memory().locked), (false, false));
    assert_eq!(plain.memory().huge_pages, HugePages::NotAsked);

    let options = Options::new().prefault(true).huge_pages(true);
    let wished = Segment::open(&domain, "x", &options).unwrap();
    assert!(wished.memory().prefaulted, "Linux 5.14 or later");
    match &wished.memory().huge_pages {
        HugePages::Advised => {}
        HugePages::Disabled(setting) => assert!(["never", "deny"].contains(&setting.as_str()), "{setting}"),
        other => eprintln!("huge pages: {other:?}"),
    }
    assert_eq!(resident(wished.path()).iter().max(), Some(&1028), "all of it is there without being touched");
    assert!(Segment::open_read_only(&domain, "x", &options).unwrap().memory().prefaulted);

    if root("locking memory without a limit") {
        let locked = Segment::open(&domain, "x", &Options::new().lock_memory(true)).unwrap();
        assert!(locked.memory().locked);
    }
}

/// How many kilobytes of each mapping of a file are there.
fn resident(path: &Path) -> Vec<u64> {
    let inode = fs::metadata(path).unwrap().ino().to_string();
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut sizes = Vec::new();
    let mut ours = false;
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if fields[0].contains('-') {
            ours = fields[4] == inode;
        } else if fields[0] == "Rss:" && ours {
            sizes.push(fields[1].parse().unwrap());
        }
    }
    sizes
}

#[test]
fn the_directory() {
    const TEST: &str = "the_directory";
    if role().is_some() {
        let domain = domain_in(&parents_room());
        let path = domain.path_of("x").unwrap();
        says(
            Segment::create(&domain, "x", 100, &Options::new()),
            &path,
            &["permission denied to create it", "another"],
        );
        let error = Slots::create(&domain, "x", 1, 0_u64).unwrap_err();
        contains(&error.to_string(), "permission denied to create it");
        return;
    }
    let room = Room::new();
    for (directory, found) in [
        (room.path().join("missing"), "No such file or directory"),
        (room.put("file", b"content"), "something that is no directory"),
        (room.path().join("missing/too"), "No such file or directory"),
    ] {
        let domain = domain_in(&directory);
        let path = domain.path_of("x").unwrap();
        let parts = ["expected the shared-memory directory", found, "SHAREDWARE_DIR", "mount a tmpfs"];
        let before = room.state();
        says(Segment::create(&domain, "x", 100, &Options::new()), &path, &parts);
        says(Segment::open(&domain, "x", &Options::new()), &path, &parts);
        says(Segment::open_or_create(&domain, "x", 100, &Options::new()), &path, &parts);
        says(domain.remove("x"), &path, &parts);
        says(domain.stat("x"), &path, &parts);
        says(domain.list(), &directory, &parts);
        says(domain.clean(), &directory, &parts);
        for error in [Slots::create(&domain, "x", 1, 0_u64).unwrap_err(), domain.peers().unwrap_err()] {
            parts.iter().for_each(|part| contains(&error.to_string(), part));
        }
        assert_eq!(room.state(), before);
    }
    if root("an unwritable directory") {
        fs::set_permissions(room.path(), fs::Permissions::from_mode(0o555)).unwrap();
        let before = room.state();
        Child::new(TEST, "nobody", room.path()).as_nobody().run();
        assert_eq!(room.state(), before);
    }
}
