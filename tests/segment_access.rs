//! Who may open what: other users, other modes, and what a read-only handle may do.
//!
//! # Safety
//!
//! The unsafe code here is one `fcntl` with a structure on the stack and a descriptor that is open, and stores to a mapping that is live.
#![allow(unsafe_code)]

mod input;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use input::{Child, NOBODY, Room, contains, domain_in, parents_room, role, root, says};
use sharedware::ring::{Gone, PopError, spsc};
use sharedware::segment::Fate;
use sharedware::slot::Slot;
use sharedware::{Lifetime, Options, Owner, ReadOnly, Segment};

/// The permissions of this process's mappings of an inode. (By their path those of its creator are not found: it had none then.)
fn mapped(inode: u64) -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let fields = maps.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[4] == inode.to_string()).map(|fields| fields[1].to_owned()).collect()
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn read_only_handles_really_map_read_only() {
    let room = Room::new();
    let domain = room.domain();
    let segment = Segment::create(&domain, "x", 100, &Options::new()).unwrap();
    let file = inode(segment.path());
    assert_eq!(mapped(file), ["rw-s"]);
    let reader = Segment::open_read_only(&domain, "x", &Options::new()).unwrap();
    drop(segment);
    assert_eq!(mapped(file), ["r--s"]);
    drop(reader);
    assert!(mapped(file).is_empty());

    let slot = Slot::create(&domain, "y", 7_u64).unwrap();
    let reader = Slot::<u64, ReadOnly>::open_read_only(&domain, "y").unwrap();
    let file = inode(slot.segment().path());
    drop(slot);
    assert_eq!(mapped(file), ["r--s"]);
    assert_eq!(reader.read().unwrap(), 7);
}

#[test]
fn segments_of_another_user() {
    const TEST: &str = "segments_of_another_user";
    if role().is_some() {
        let domain = domain_in(&parents_room());
        let path = |name: &str| domain.path_of(name).unwrap();
        let me = format!("uid {NOBODY} (you)");
        // Refused, though the mode would allow it.
        let parts = ["expected an object owned by", &me, "owned by uid 0", "Options::owner"];
        says(Segment::open_read_only(&domain, "public", &Options::new()), &path("public"), &parts);
        let other = Options::new().owner(Owner::User(1));
        says(Segment::open_read_only(&domain, "public", &other), &path("public"), &["or uid 1,", "owned by uid 0"]);
        says(domain.remove("all"), &path("all"), &parts);
        // Allowed, as far as the mode goes.
        for owner in [Owner::Anyone, Owner::User(0)] {
            let options = Options::new().owner(owner);
            let reader = Segment::open_read_only(&domain, "public", &options).unwrap();
            assert_eq!(mapped(inode(reader.path())), ["r--s"]);
            let mut bytes = [0; 5];
            reader.read(0, &mut bytes).unwrap();
            assert_eq!(&bytes, b"hello");
            says(Segment::open(&domain, "public", &options), &path("public"), &["permission denied to open it"]);
            let denied = ["permission denied to open it", "ask the owner"];
            says(Segment::open_read_only(&domain, "private", &options), &path("private"), &denied);
            let segment = Segment::open(&domain, "all", &options).unwrap();
            segment.write(0, b"nobody").unwrap();
        }
        // Neither swept nor in the way.
        let report = domain.clean().unwrap();
        assert_eq!(report.removed().count(), 0, "{report:?}");
        drop(Segment::create(&domain, "mine", 100, &Options::new().lifetime(Lifetime::UntilRemoved)).unwrap());
        return;
    }
    if !root(TEST) {
        return;
    }
    let room = Room::new();
    let domain = room.domain();
    let _held = [("public", 0o644), ("private", 0o600), ("all", 0o666)].map(|(name, mode)| {
        let segment = Segment::create(&domain, name, 100, &Options::new().mode(mode)).unwrap();
        segment.write(0, b"hello").unwrap();
        segment
    });
    Child::new(TEST, "nobody", room.path()).by_nobody().run();
    // root may do anything, so it is the more careful.
    let found = format!("owned by uid {NOBODY}");
    says(Segment::open(&domain, "mine", &Options::new()), &room.file("mine"), &["uid 0 (you)", &found]);
    says(Slot::<u64>::open(&domain, "mine"), &room.file("mine"), &[&found]);
    says(domain.remove("mine"), &room.file("mine"), &[&found]);
    let report = domain.clean().unwrap();
    let fate = &report.objects.iter().find(|object| object.name == "mine").unwrap().fate;
    assert_eq!(*fate, Fate::Left(format!("belongs to uid {NOBODY}")));
    drop(Segment::open(&domain, "mine", &Options::new().owner(Owner::User(NOBODY))).unwrap());
}

#[test]
fn a_mode_changed_afterwards() {
    let room = Room::new();
    let domain = room.domain();
    let segment = Segment::create(&domain, "x", 100, &Options::new().mode(0o640)).unwrap();
    let chmod = |mode| fs::set_permissions(segment.path(), fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o644, 0o660, 0o666, 0o4640, 0o1640, 0o740] {
        chmod(mode);
        let found = format!("found {mode:04o}");
        for result in [
            Segment::open(&domain, "x", &Options::new()).map(drop),
            Segment::open_read_only(&domain, "x", &Options::new().owner(Owner::Anyone)).map(drop),
        ] {
            says(result, segment.path(), &["expected access mode 0640", &found, "chmod"]);
        }
    }
    // Fewer are nobody's danger.
    for mode in [0o640, 0o600] {
        chmod(mode);
        drop(Segment::open(&domain, "x", &Options::new()).unwrap());
    }
}

/// Whoever may read the registry can lock its bytes, though not exclusively: that is no sign of life.
#[test]
fn a_reader_of_the_registry_cannot_keep_the_dead_alive() {
    const TEST: &str = "a_reader_of_the_registry_cannot_keep_the_dead_alive";
    if role().is_some() {
        let ring = spsc::Ring::<u64>::open(&domain_in(&parents_room()), "x").unwrap();
        let _producer = ring.producer().unwrap();
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let room = Room::new();
    let ring = spsc::Ring::<u64>::create(&room.domain(), "x", 8).unwrap();
    let mut consumer = ring.consumer().unwrap();
    let mut child = Child::new(TEST, "producer", room.path()).start();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    assert!(matches!(consumer.pop_timeout(Duration::from_millis(50)), Err(PopError::TimedOut)));

    // All of them at once, but for the byte that we ourselves hold exclusively.
    let registry = File::open(room.file("@peers")).unwrap();
    let slots = fs::read(room.file("@peers")).unwrap();
    let pid = u64::from(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    let slot = (0..4096).find(|slot| input::image::word_at(&slots, 4096 + 64 * slot + 8) == pid).unwrap();
    // SAFETY: all zero is a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_RDLCK as libc::c_short;
    lock.l_start = (1 << 32) + 2 * slot as i64 + 1;
    lock.l_len = 1;
    // SAFETY: the descriptor is open and the structure outlives the call.
    assert_eq!(unsafe { libc::fcntl(registry.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
    let outcome = consumer.pop_timeout(Duration::from_secs(5));
    assert!(matches!(outcome, Err(PopError::Disconnected(Gone::Died))), "{outcome:?}");
}

/// No descriptor left: every operation that needs one says so, and none takes the living for dead.
#[test]
fn descriptors_exhausted() {
    const TEST: &str = "descriptors_exhausted";
    if role().is_some() {
        let domain = domain_in(&parents_room());
        let path = |name: &str| domain.path_of(name).unwrap();
        let ring = spsc::Ring::<u64>::open(&domain, "ring").unwrap();
        let mut consumer = ring.consumer().unwrap();
        let slot = Slot::<u64>::open(&domain, "slot").unwrap();
        let mut held = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            held.push(file);
        }
        let parts = ["too many open files, cannot", "ulimit -n"];
        let options = Options::new();
        says(Segment::open(&domain, "x", &options), &path("x"), &parts);
        says(Segment::open_read_only(&domain, "x", &options), &path("x"), &parts);
        says(Segment::create(&domain, "y", 100, &options), &path("y"), &parts);
        says(Segment::open_or_create(&domain, "y", 100, &options), &path("y"), &parts);
        says(Slot::<u64>::open(&domain, "slot"), &path("slot"), &parts);
        says(domain.remove("x"), &path("x"), &parts);
        says(domain.stat("x"), &path("x"), &parts);
        for error in [domain.list().unwrap_err(), domain.clean().unwrap_err(), domain.peers().unwrap_err()] {
            parts.iter().for_each(|part| contains(&error.to_string(), part));
        }
        // The producer lives, but that cannot be found out.
        let error = consumer.pop().unwrap_err();
        assert!(matches!(error, PopError::Liveness(_)), "{error}");
        contains(&error.to_string(), "cannot tell whether the producer lives");
        parts.iter().for_each(|part| contains(&error.to_string(), part));
        contains(&consumer.peer().unwrap_err().to_string(), "too many open files");
        let error = slot.try_write(&1).unwrap_err();
        contains(&error.to_string(), "cannot tell whether the current writer lives");
        // What needs none goes on, and with descriptors everything does.
        assert_eq!(slot.read().unwrap(), 5);
        drop(held);
        assert!(matches!(consumer.pop_timeout(Duration::from_millis(30)), Err(PopError::TimedOut)));
        drop(Segment::open(&domain, "x", &options).unwrap());
        return;
    }
    let room = Room::new();
    let domain = room.domain();
    let segment = Segment::create(&domain, "x", 100, &Options::new()).unwrap();
    let ring = spsc::Ring::<u64>::create(&domain, "ring", 8).unwrap();
    let producer = ring.producer().unwrap();
    let slot = Slot::create(&domain, "slot", 5_u64).unwrap();
    let writer = slot.writer().unwrap();
    Child::after("ulimit -n 40", TEST, "limited", room.path()).run();
    assert_eq!(room.names(), ["@peers", "ring", "slot", "x"].map(|name| format!("sharedware.t.{name}")));
    drop((segment, producer, writer));
}

/// A process that never stops changing the word of its side: whoever asks about it gets an answer. (It used to start over whenever the word
/// had changed, by calling itself: the stack overflowed.)
#[test]
fn a_side_that_changes_all_the_time() {
    #![expect(clippy::disallowed_types, reason = "stops a thread of this process")]
    use std::sync::atomic::{AtomicBool, Ordering};

    let room = Room::new();
    let ring = spsc::Ring::<u64>::create(&room.domain(), "x", 8).unwrap();
    let mut consumer = ring.consumer().unwrap();
    let file = File::options().read(true).write(true).open(ring.segment().path()).unwrap();
    let map = memmap2::MmapOptions::new().map_raw(&file).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The producer's side: cookies of the dead, no two the same.
            let side = map.as_mut_ptr().wrapping_add(4096).cast::<u64>();
            for cookie in (1_u64..).map(|incarnation| incarnation << 13 | 4095) {
                // SAFETY: the word is within the live mapping and aligned; it is shared memory, which anybody may write.
                unsafe { side.write_volatile(cookie & !(1 << 63)) };
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            let _ = consumer.peer().unwrap();
            let _ = ring.producer();
        }
        let outcome = consumer.pop_timeout(Duration::from_millis(100));
        assert!(matches!(outcome, Err(PopError::Disconnected(_) | PopError::TimedOut)), "{outcome:?}");
        stop.store(true, Ordering::Relaxed);
    });
}
