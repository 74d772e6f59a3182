//! Wait records in a real registry, and what a census makes of them.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use super::*;
use crate::peer::{Census, Peer};
use crate::segment::Domain;

/// A directory of its own for each test, and the peer that this process is there.
struct Room {
    path: PathBuf,
    domain: Domain,
    peer: Arc<Peer>,
}

impl Room {
    fn new() -> Self {
        static NEXT: Mutex<u32> = Mutex::new(0);
        let mut next = NEXT.lock().unwrap();
        *next += 1;
        let path = PathBuf::from(format!("/dev/shm/sharedware-unit-{}-{next}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        let domain = Domain::new("t").unwrap().in_directory(&path);
        Self { peer: Peer::join(&domain).unwrap(), path, domain }
    }

    fn census(&self) -> Census {
        Census::take(&self.domain).unwrap()
    }

    /// The registry's file, where record `number` is, from `docs/layout.md`.
    fn record(&self, number: usize) -> (File, u64) {
        let file = OpenOptions::new().read(true).write(true).open(self.path.join("sharedware.t.@peers")).unwrap();
        (file, 4096 + 64 * 4096 + 64 * number as u64)
    }

    fn spoil(&self, number: usize, words: [u64; 8]) {
        let (file, at) = self.record(number);
        file.write_all_at(&words.map(u64::to_le_bytes).concat(), at).unwrap();
    }

    fn words(&self, number: usize) -> [u64; 8] {
        let (file, at) = self.record(number);
        let mut bytes = [0; 64];
        file.read_exact_at(&mut bytes, at).unwrap();
        std::array::from_fn(|word| u64::from_le_bytes(bytes[8 * word..][..8].try_into().unwrap()))
    }

    /// The records that a thread may get.
    fn nearby(&self, thread: u32) -> [usize; 8] {
        std::array::from_fn(|step| (start(self.peer.cookie(), thread) + step) % 4096)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn place(number: u64) -> Place {
    Place { segment: number, offset: !number }
}

#[test]
fn a_wait_is_listed_while_it_lasts() {
    let room = Room::new();
    assert!(room.census().waits().is_empty());
    let before = clock::boot_ns();
    let record = room.peer.wait_record(7, place(1)).unwrap();
    let number = record.number;
    let census = room.census();
    let [wait] = census.waits() else { panic!("{census:?}") };
    assert_eq!((wait.cookie, wait.thread, wait.place), (room.peer.cookie(), 7, place(1)));
    assert_eq!((wait.peer.pid, Some(&wait.peer)), (process::id(), census.peer(room.peer.cookie())));
    assert!((before..=clock::boot_ns()).contains(&wait.since_ns));
    assert_eq!(room.words(number), [room.peer.cookie().bits(), 1, !1, 7, wait.since_ns, 0, 0, 0]);
    let _other = room.peer.wait_record(8, place(2)).unwrap();
    let census = room.census();
    assert_eq!(census.waits_at(place(1)).map(|wait| wait.thread).collect::<Vec<_>>(), [7]);
    assert_eq!(census.waits_at(place(2)).map(|wait| wait.thread).collect::<Vec<_>>(), [8]);
    assert_eq!(census.waits_at(place(3)).count(), 0);
    drop(record);
    assert_eq!(room.census().waits_at(place(1)).count(), 0);
    assert_eq!(room.words(number)[0], 0);
    let again = room.peer.wait_record(7, place(1)).unwrap();
    assert_eq!(again.number, number);
    assert!(room.words(number)[4] > wait.since_ns);
}

#[test]
fn a_place_is_in_a_segment() {
    let room = Room::new();
    let segment = Segment::create(&room.domain, "x", 64, &crate::Options::new()).unwrap();
    let first = u64::from_le_bytes(segment.identity()[..8].try_into().unwrap());
    assert_eq!(Place::new(&segment, 24), Place { segment: first, offset: 24 });
}

#[test]
fn no_two_have_the_same_record() {
    let room = Room::new();
    let held = Barrier::new(9);
    let numbers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for thread in 0..8 {
            let (room, held, numbers) = (&room, &held, &numbers);
            scope.spawn(move || {
                let threads = 100 * thread..100 * thread + 20;
                let records: Vec<_> =
                    threads.filter_map(|thread| room.peer.wait_record(thread, place(thread.into()))).collect();
                assert!(records.len() > 10);
                numbers.lock().unwrap().extend(records.iter().map(|record| record.number));
                held.wait();
                held.wait();
            });
        }
        held.wait();
        let mut numbers = numbers.lock().unwrap();
        let claimed = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), claimed, "two have the same record");
        let census = room.census();
        assert_eq!(census.waits().len(), claimed);
        assert!(census.waits().iter().all(|wait| wait.place == place(wait.thread.into())));
        held.wait();
    });
    assert!(room.census().waits().is_empty());
}

/// All want the same few records again and again, and whoever looks never sees one that is half another.
#[test]
fn what_is_listed_is_whole() {
    let room = Room::new();
    let rounds = 2000;
    thread::scope(|scope| {
        for first in 1..=3 {
            let room = &room;
            scope.spawn(move || {
                for round in 0..rounds {
                    drop(room.peer.wait_record(1, place(first * rounds + round)));
                }
            });
        }
        let records = Census::take(&room.domain).map(|_| room.peer.wait_record(1, place(0)).unwrap().records).unwrap();
        for _ in 0..rounds {
            for number in room.nearby(1) {
                let Some(found) = read(record(records, number).unwrap()) else { continue };
                assert_eq!((found.place.offset, found.thread), (!found.place.segment, 1));
            }
        }
    });
}

#[test]
fn where_all_is_taken_a_wait_is_not_listed() {
    let room = Room::new();
    let mut records: Vec<_> = (0..8).map(|number| room.peer.wait_record(1, place(number)).unwrap()).collect();
    assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), room.nearby(1));
    assert!(room.peer.wait_record(1, place(9)).is_none());
    let elsewhere = (2..).find(|&thread| room.nearby(thread).iter().all(|at| !room.nearby(1).contains(at))).unwrap();
    let _other = room.peer.wait_record(elsewhere, place(10)).unwrap();
    assert_eq!(room.census().waits().len(), 9);
    let freed = records.remove(5).number;
    assert_eq!(room.peer.wait_record(1, place(11)).map(|record| record.number), Some(freed));
}

#[test]
fn a_forked_child_leaves_its_parents_record_alone() {
    let room = Room::new();
    let mut record = room.peer.wait_record(1, place(1)).unwrap();
    record.stamp = record.stamp.inherited();
    drop(record);
    assert_eq!(room.census().waits_at(place(1)).count(), 1);
}

const CHILD: &str = "SHAREDWARE_UNIT_ROOM";

/// Another process that is a peer and waits, until it is killed or this one ends.
fn another(room: &Room, test: &str) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test]).env(CHILD, &room.path).stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn the_record_of_a_dead_process_is_taken() {
    if let Some(path) = env::var_os(CHILD) {
        let peer = Peer::join(&Domain::new("t").unwrap().in_directory(path)).unwrap();
        let _record = peer.wait_record(1, place(77)).unwrap();
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let room = Room::new();
    let mut child = another(&room, "peer::waits::tests::the_record_of_a_dead_process_is_taken");
    let patience = Instant::now() + Duration::from_secs(20);
    let other = loop {
        if let Some(wait) = room.census().waits_at(place(77)).next() {
            break wait.clone();
        }
        assert!(Instant::now() < patience, "the other process does not wait");
        thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(other.peer.pid, child.id());
    // As if all around were its own, one of them not finished.
    for (step, number) in room.nearby(1).into_iter().enumerate() {
        let filling = if step == 3 { FILLING } else { 0 };
        room.spoil(number, [other.cookie.bits() | filling, 5, !5, 5, 5, 0, 0, 0]);
    }
    assert_eq!(room.census().waits_at(place(5)).count(), 7);
    assert!(room.peer.wait_record(1, place(1)).is_none(), "a living process was robbed");
    child.kill().unwrap();
    child.wait().unwrap();
    let census = room.census();
    assert!(census.peer(other.cookie).is_none() && census.waits().is_empty(), "{census:?}");
    let records: Vec<_> = (0..8).map(|number| room.peer.wait_record(1, place(number)).unwrap()).collect();
    assert_eq!(room.census().waits().len(), records.len());
    assert!(room.peer.wait_record(1, place(9)).is_none());
}

#[test]
fn spoilt_records_are_not_shown_and_taken() {
    let room = Room::new();
    let mine = room.peer.cookie().bits();
    let rest = [1, 2, 3, 4, 0, 0, 0];
    let with = |word: u64, [a, b, c, d, e, f, g]: [u64; 7]| [word, a, b, c, d, e, f, g];
    for words in [
        [u64::MAX; 8],
        with(1 << 63, rest),
        with(1 << 61, rest),
        with(1, rest),
        with(4095, rest),
        with(mine + 1, rest),
        // Slots that are none, where records are.
        with(mine | 4096, rest),
        with((mine & !0xfff) | 8191, rest),
        with(mine + (1 << 13), rest),
        with(mine - (1 << 13), rest),
    ] {
        (0..4096).for_each(|number| room.spoil(number, words));
        assert_eq!(room.census().waits(), [], "{words:x?}");
        let record = room.peer.wait_record(1, place(1)).unwrap();
        let census = room.census();
        assert_eq!(census.waits().len(), 1, "{words:x?}");
        let late = clock::boot_ns();
        assert!((late - 60 * SECOND..=late).contains(&census.waits()[0].since_ns), "{words:x?}");
        drop(record);
    }
    // What bears our name is ours: shown if it makes sense, and nobody takes it.
    for (words, shown) in [
        (with(mine, rest), true),
        (with(mine | 1 << 63, rest), false),
        (with(mine | 1 << 61, rest), false),
        (with(mine, [u64::MAX; 7]), false),
        (with(mine, [u64::MAX, u64::MAX, 0, u64::MAX, 9, 9, 9]), true),
    ] {
        (0..4096).for_each(|number| room.spoil(number, words));
        assert_eq!(room.census().waits().len(), if shown { 4096 } else { 0 }, "{words:x?}");
        assert!(room.peer.wait_record(1, place(1)).is_none(), "{words:x?}");
    }
}

#[test]
fn spoilt_slots_are_nobodys() {
    let room = Room::new();
    let (file, records) = room.record(0);
    let own = 4096 + 64 * (room.peer.cookie().slot());
    let mut first = [0; 8];
    file.read_exact_at(&mut first, 120).unwrap();
    let first = u64::from_le_bytes(first);
    for word in [u64::MAX, 1, 0, first.wrapping_neg(), (1 << 48) - first] {
        for at in (4096..records).step_by(64).filter(|&at| at != own) {
            file.write_all_at(&[word.to_le_bytes(); 8].concat(), at).unwrap();
        }
        assert_eq!(room.domain.peers().unwrap().len(), 1, "{word:x}");
    }
    // Our own incarnation 0, of which there is no cookie.
    file.write_all_at(&first.wrapping_neg().to_le_bytes(), own).unwrap();
    assert_eq!(room.domain.peers().unwrap(), []);
    assert!(room.census().peer(room.peer.cookie()).is_none());
}
