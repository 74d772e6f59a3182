//! How long segments live, what is left of those that crashed, and races: of creators, of openers with sweepers, of whoever removes.

mod input;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Child as Process;
use std::time::{Duration, Instant};

use input::{Child, Room, domain_in, parents_room, role};
use sharedware::ring::{bytes, spsc};
use sharedware::segment::Fate;
use sharedware::slot::Slot;
use sharedware::{Domain, Lifetime, Options, ReadOnly, Segment};

fn until_removed() -> Options {
    Options::new().lifetime(Lifetime::UntilRemoved)
}

#[track_caller]
fn not_found<T: std::fmt::Debug>(result: Result<T, sharedware::Error>) {
    let error = result.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[test]
fn while_used_means_gone_with_the_last_user() {
    let room = Room::new();
    let domain = room.domain();
    let first = Segment::create(&domain, "x", 100, &Options::new()).unwrap();
    let second = Segment::open(&domain, "x", &Options::new()).unwrap();
    let reader = Segment::open_read_only(&domain, "x", &Options::new()).unwrap();
    assert!(domain.stat("x").unwrap().in_use);
    drop(first);
    drop(second);
    assert_eq!(room.names(), ["sharedware.t.x"]);
    assert_eq!(domain.clean().unwrap().objects[0].fate, Fate::InUse);
    assert_eq!(domain.clean_dry_run().unwrap().objects[0].fate, Fate::InUse);
    drop(reader);
    room.assert_empty();

    let slot = Slot::create(&domain, "slot", 1_u64).unwrap();
    let ring = spsc::Ring::<u64>::create(&domain, "ring", 4).unwrap();
    let producer = ring.producer().unwrap();
    drop((slot.clone(), slot, ring));
    assert!(room.file("ring").exists() && room.file("@peers").exists());
    drop(producer);
    room.assert_empty();
}

/// Starts a child in a role and waits until it says that it is ready.
fn ready(test: &str, role: &str, room: &Path) -> Process {
    let mut child = Child::new(test, role, room).start();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the child ended instead: {:?}", child.wait());
    }
    // Open until it ends: it has more to say.
    child.stdout = Some(output.into_inner());
    child
}

fn kill(mut child: Process) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn say_ready_and_stay() {
    println!("ready");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn what_a_crash_left_counts_as_gone() {
    const TEST: &str = "what_a_crash_left_counts_as_gone";
    if role().is_some() {
        let domain = domain_in(&parents_room());
        let _held = ["a", "b", "c", "d"].map(|name| Segment::create(&domain, name, 100, &Options::new()).unwrap());
        let _kept = Segment::create(&domain, "kept", 100, &until_removed()).unwrap();
        say_ready_and_stay();
        return;
    }
    let room = Room::new();
    let domain = room.domain();
    let child = ready(TEST, "creator", room.path());
    let before = room.names();
    assert_eq!(domain.clean().unwrap().removed().count(), 0);
    drop(Segment::open(&domain, "a", &Options::new()).unwrap());
    assert_eq!(room.names(), before);
    kill(child);
    assert_eq!(room.names(), before, "nobody has looked yet");

    // A reader may not remove it, but does not take it for living either.
    not_found(Segment::open_read_only(&domain, "a", &Options::new()));
    assert!(!domain.stat("a").unwrap().in_use);
    not_found(Segment::open(&domain, "b", &Options::new()));
    assert!(!room.file("b").exists());
    // In the way of nobody.
    let again = Segment::create(&domain, "c", 200, &Options::new()).unwrap();
    assert_eq!(again.capacity(), 200);
    let report = domain.clean().unwrap();
    assert!(report.objects.iter().any(|object| object.name == "kept" && object.fate == Fate::Persistent));
    assert_eq!(room.names(), ["sharedware.t.c", "sharedware.t.kept"]);
}

#[test]
fn until_removed_means_found_again() {
    const TEST: &str = "until_removed_means_found_again";
    if role().is_some() {
        let domain = domain_in(&parents_room());
        let segment = Segment::create(&domain, "raw", 100, &until_removed()).unwrap();
        segment.write(0, b"written by the dead").unwrap();
        let slot = Slot::create_with(&domain, "slot", 1_u64, &until_removed()).unwrap();
        slot.write(&2).unwrap();
        let ring = bytes::Ring::create_with(&domain, "ring", 1000, &until_removed()).unwrap();
        let mut producer = ring.producer().unwrap();
        producer.send(b"first").unwrap();
        producer.send(b"second").unwrap();
        say_ready_and_stay();
        return;
    }
    let room = Room::new();
    let domain = room.domain();
    kill(ready(TEST, "creator", room.path()));
    domain.clean().unwrap();
    let segment = Segment::open(&domain, "raw", &Options::new()).unwrap();
    let mut bytes = [0; 19];
    segment.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"written by the dead");
    assert_eq!(Slot::<u64, ReadOnly>::open_read_only(&domain, "slot").unwrap().read().unwrap(), 2);
    let ring = bytes::Ring::open(&domain, "ring").unwrap();
    let mut consumer = ring.consumer().unwrap();
    for expected in [&b"first"[..], b"second"] {
        let record = consumer.recv().unwrap();
        assert_eq!(&*record, expected);
        record.release();
    }
    for name in ["raw", "slot", "ring"] {
        domain.remove(name).unwrap();
        not_found(domain.remove(name));
    }
    drop((segment, ring, consumer));
    room.assert_empty();
}

#[test]
fn removed_while_others_use_it() {
    let room = Room::new();
    let domain = room.domain();
    let old = Segment::create_growing(&domain, "x", 100, 1 << 20, &Options::new()).unwrap();
    old.write(0, b"old").unwrap();
    domain.remove("x").unwrap();
    assert!(room.names().is_empty());
    not_found(Segment::open(&domain, "x", &Options::new()));
    // Who has it keeps it, but it cannot grow any more.
    old.write(8, b"still").unwrap();
    not_found(old.grow(1 << 19));
    // The name is free; the old one's end is not the new one's.
    let new = Segment::create(&domain, "x", 100, &Options::new()).unwrap();
    assert_ne!(new.identity(), old.identity());
    not_found(old.grow(1 << 19));
    let mut bytes = [0; 3];
    new.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 3]);
    drop(old);
    assert_eq!(domain.stat("x").unwrap().identity, new.identity());
}

/// Starts `count` children in a role, lets them go at the same time, and returns what each said.
fn race(test: &str, role: &str, room: &Path, count: usize) -> Vec<String> {
    let children: Vec<Process> = (0..count).map(|_| ready(test, role, room)).collect();
    fs::write(room.join("go"), "").unwrap();
    children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    let said = fs::read_dir(room).unwrap().map(|entry| entry.unwrap().path());
    said.filter(|path| path.extension().is_some_and(|extension| extension == "said"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

/// In a child: says that it is ready, and spins until all others are.
fn wait_for_go(room: &Path) {
    println!("ready");
    std::io::stdout().flush().unwrap();
    while !room.join("go").exists() {
        std::hint::spin_loop();
    }
}

fn say(room: &Path, text: &str) {
    fs::write(room.join(format!("{}.said", std::process::id())), text).unwrap();
}

#[test]
fn of_many_creators_exactly_one_creates() {
    const TEST: &str = "of_many_creators_exactly_one_creates";
    const PROCESSES: usize = 6;
    if let Some(role) = role() {
        let room = parents_room();
        let domain = domain_in(&room);
        let mut created = 0;
        wait_for_go(&room);
        let mut seen = String::new();
        for round in 0..50 {
            let name = format!("x{round}");
            let segment = if role == "create" {
                match Segment::create(&domain, &name, 100, &until_removed()) {
                    Ok(segment) => {
                        created += 1;
                        segment
                    }
                    Err(error) => {
                        assert!(error.is_already_exists(), "{error}");
                        Segment::open(&domain, &name, &Options::new()).unwrap()
                    }
                }
            } else {
                Segment::open_or_create(&domain, &name, 100, &until_removed()).unwrap()
            };
            seen.push_str(&format!("{:x?} ", segment.identity()));
        }
        say(&room, &format!("{created}|{seen}"));
        return;
    }
    for role in ["create", "open_or_create"] {
        let room = Room::new();
        let said = race(TEST, role, room.path(), PROCESSES);
        assert_eq!(said.len(), PROCESSES);
        let (created, seen): (Vec<_>, BTreeSet<_>) = said.iter().map(|text| text.split_once('|').unwrap()).unzip();
        assert_eq!(seen.len(), 1, "all have seen the same segments");
        let created: u32 = created.iter().map(|count| count.parse::<u32>().unwrap()).sum();
        assert_eq!(created, if role == "create" { 50 } else { 0 });
        assert_eq!(room.domain().list().unwrap().len(), 50);
    }
}

/// Processes that create, open, sweep and let go of the same few names, while others are killed: what somebody maps is always found under its
/// name, and in the end nothing is left.
#[test]
fn sweepers_never_take_what_is_mapped() {
    const TEST: &str = "sweepers_never_take_what_is_mapped";
    let names = ["a", "b", "c"];
    match role().as_deref() {
        Some("worker") => {
            let room = parents_room();
            let domain = domain_in(&room);
            wait_for_go(&room);
            let start = Instant::now();
            let mut random = u64::from(std::process::id());
            let mut rounds = 0;
            while start.elapsed() < Duration::from_millis(1500) {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let name = names[(random >> 33) as usize % 3];
                let segment = Segment::open_or_create(&domain, name, 100, &Options::new()).unwrap();
                check_mapped(&domain, name, &segment);
                let report = match random >> 60 & 3 {
                    0 => domain.clean().unwrap(),
                    _ => Default::default(),
                };
                assert!(report.removed().all(|removed| removed != name), "{report:?}");
                check_mapped(&domain, name, &segment);
                if random >> 59 & 1 == 0 {
                    match Segment::open_read_only(&domain, names[(random >> 35) as usize % 3], &Options::new()) {
                        Ok(reader) => drop(reader.read(0, &mut [0; 8])),
                        Err(error) => assert!(error.is_not_found(), "{error}"),
                    }
                }
                rounds += 1;
            }
            say(&room, &rounds.to_string());
        }
        Some(_) => {
            let domain = domain_in(&parents_room());
            let _held = names.map(|name| Segment::open_or_create(&domain, name, 100, &Options::new()).unwrap());
            say_ready_and_stay();
        }
        None => {
            let room = Room::new();
            let stop = Instant::now() + Duration::from_millis(1700);
            let said = std::thread::scope(|scope| {
                let workers = scope.spawn(|| race(TEST, "worker", room.path(), 4));
                while Instant::now() < stop {
                    kill(ready(TEST, "victim", room.path()));
                }
                workers.join().unwrap()
            });
            let rounds: u32 = said.iter().map(|rounds| rounds.parse::<u32>().unwrap()).sum();
            assert!(said.len() == 4 && rounds > 100, "{said:?}");
            let report = room.domain().clean().unwrap();
            assert!(report.objects.iter().all(|object| object.fate == Fate::Removed), "{report:?}");
            assert!(room.domain().list().unwrap().is_empty());
        }
    }
}

#[track_caller]
fn check_mapped(domain: &Domain, name: &str, segment: &Segment) {
    let entry = domain.stat(name).expect("what is mapped has its name");
    assert_eq!(entry.identity, segment.identity());
    assert!(entry.in_use);
}

/// Removal by name races with creation under that name: nobody's new segment is taken away by who meant the old one.
#[test]
fn removal_takes_one_segment_for_each_success() {
    const TEST: &str = "removal_takes_one_segment_for_each_success";
    if role().is_some() {
        let room = parents_room();
        let domain = domain_in(&room);
        wait_for_go(&room);
        let (mut created, mut removed) = (0_i64, 0_i64);
        for _ in 0..400 {
            match Segment::create(&domain, "x", 100, &until_removed()) {
                Ok(_) => created += 1,
                Err(error) => assert!(error.is_already_exists(), "{error}"),
            }
            match domain.remove("x") {
                Ok(()) => removed += 1,
                Err(error) => assert!(error.is_not_found(), "{error}"),
            }
        }
        say(&room, &format!("{created} {removed}"));
        return;
    }
    let room = Room::new();
    let said = race(TEST, "both", room.path(), 4);
    let sums = said.iter().map(|text| text.split_once(' ').unwrap());
    let (created, removed): (Vec<i64>, Vec<i64>) =
        sums.map(|(created, removed)| (created.parse::<i64>().unwrap(), removed.parse::<i64>().unwrap())).unzip();
    let left = i64::from(room.file("x").exists());
    assert_eq!(created.iter().sum::<i64>() - removed.iter().sum::<i64>(), left, "{said:?}");
}
