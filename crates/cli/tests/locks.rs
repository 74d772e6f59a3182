//! `locks`, and what `stat` and `dump` show of locks, with real processes that hold them, wait for them and die with them.

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sharedware::slot::Slots;
use sharedware::sync::{
    Barrier, Condvar, Event, Latch, LockError, Mutex, Once, RawMutex, ReentrantMutex, RwLock, Semaphore, SemaphoreSetup,
};
use sharedware::{Domain, Options, Segment};
use support::{PATIENCE, Ran, Room, Running, until};

const ROLE: &str = "SHAREDWARE_TEST_ROLE";

/// Starts this test program once more, as one who has the lock `first` and then wants `second`, if that is not empty.
fn locker(room: &Room, first: &str, second: &str) -> Running {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "be_a_locker", "--nocapture", "--test-threads=1"]).stdout(Stdio::null());
    command
        .env("SHAREDWARE_DOMAIN", "test")
        .env("SHAREDWARE_DIR", &room.directory)
        .env(ROLE, format!("{first} {second}"));
    Running::start(command)
}

/// What [`locker`] starts; otherwise no test.
#[test]
fn be_a_locker() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let domain = Domain::from_env().unwrap();
    let (first, second) = role.split_once(' ').unwrap();
    let open = |name: &str| Mutex::<u64>::open(&domain, name).unwrap();
    let first = open(first);
    let _first = first.lock().unwrap();
    if !second.is_empty() {
        let second = open(second);
        until("the other lock is held", || second.is_locked());
        let _second = second.lock_timeout(PATIENCE);
        std::thread::sleep(PATIENCE);
        return;
    }
    std::thread::sleep(PATIENCE);
}

fn locks(room: &Room, arguments: &[&str]) -> Value {
    let ran = room.run(&[&["locks", "--json"], arguments].concat());
    parse(&ran)
}

fn parse(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.output).unwrap()
}

fn pid(running: &Running) -> u32 {
    running.child.id()
}

#[test]
fn no_locks_are_no_failure() {
    let room = Room::new("no-locks");
    let ran = room.run(&["locks"]);
    assert_eq!((ran.status, ran.output.len()), (Some(0), 0));
    assert!(ran.error.contains("holds no locks"));
    assert_eq!(room.run(&["locks", "--json"]).json()["locks"], json!([]));
    room.run(&["locks", "nothing"]).fails(3, &["no such segment"]);
    room.run(&["locks", "no/slash"]).fails(2, &["segment name"]);
    let _slots = Slots::create(&room.domain(), "slots", 1, 1_u64).unwrap();
    room.run(&["locks", "slots"]).fails(3, &["no lock"]);
}

#[test]
fn a_lock_is_shown_with_who_has_it_and_who_waits() {
    let room = Room::new("owner");
    let domain = room.domain();
    let mutex = Mutex::create(&domain, "a", 7_u64).unwrap();
    let _other = Mutex::create(&domain, "b", 7_u64).unwrap();
    let guard = mutex.lock().unwrap();
    let shown = locks(&room, &["a"])["locks"][0].clone();
    assert_eq!((&shown["name"], &shown["kind"], &shown["offset"]), (&json!("a"), &json!("mutex"), &Value::Null));
    let holder = &shown["holders"][0];
    assert_eq!((&holder["pid"], &holder["role"]), (&json!(std::process::id()), &json!("owner")));
    assert_eq!((&holder["alive"], &holder["held_seconds"]), (&json!(true), &Value::Null));
    assert_eq!((&shown["waiters"], &shown["contended"]), (&json!([]), &json!(0)));

    let waiter = locker(&room, "b", "a");
    until("it waits", || locks(&room, &[])["locks"][0]["waiters"] != json!([]));
    let shown = locks(&room, &["a"])["locks"][0].clone();
    assert_eq!(shown["waiters"][0]["pid"], pid(&waiter));
    assert!(shown["waiters"][0]["waiting_seconds"].as_f64().unwrap() < PATIENCE.as_secs_f64());
    assert!(shown["holders"][0]["held_seconds"].is_number());

    let text = room.run(&["locks"]).text();
    assert!(text.starts_with("NAME") && text.contains("mutex") && text.contains(">= "), "{text}");
    let line = text.lines().find(|line| line.contains("has waited")).unwrap();
    for words in [&format!("pid {} (", pid(&waiter)), " for a, held by pid ", &format!("pid {} (", std::process::id())]
    {
        assert!(line.contains(words), "expected `{words}` in: {line}");
    }
    assert!(!text.contains("DEADLOCK"));
    // Only what is waited for; only what was asked for.
    assert_eq!(locks(&room, &["--waiting"])["locks"].as_array().unwrap().len(), 1);
    assert_eq!(locks(&room, &["b"])["locks"][0]["name"], "b");

    let stat = room.run(&["stat", "a", "--json"]).json();
    assert_eq!(stat["locks"][0]["waiters"][0]["pid"], pid(&waiter));
    let stat = room.run(&["stat", "a"]).text();
    for words in ["held by", "waiter ", "for at least", "contended", "recovered", "inconsistent"] {
        assert!(stat.contains(words), "expected `{words}` in: {stat}");
    }
    drop(guard);
    until("it has the lock", || locks(&room, &["a"])["locks"][0]["holders"][0]["pid"] == pid(&waiter));
    let shown = locks(&room, &["a"])["locks"][0].clone();
    assert_eq!((&shown["waiters"], &shown["contended"]), (&json!([]), &json!(1)));
}

/// What only a kind has, under the names that the text has, too.
#[test]
fn every_kind_is_shown() {
    let room = Room::new("kinds");
    let domain = room.domain();
    let mutex = ReentrantMutex::create(&domain, "reentrant", 7_u64).unwrap();
    let _held = mutex.lock().unwrap();
    let raw = RawMutex::create(&domain, "raw").unwrap();
    raw.lock().unwrap();
    let rwlock = RwLock::create(&domain, "rwlock", 7_u64).unwrap();
    let _reader = rwlock.read().unwrap();
    let _condvar = Condvar::create(&domain, "condvar").unwrap();
    let semaphore = Semaphore::create(&domain, "semaphore", SemaphoreSetup::bounded(2)).unwrap();
    let _permit = semaphore.permit().unwrap();
    let event = Event::create(&domain, "event").unwrap();
    event.set();
    let barrier = Barrier::create(&domain, "barrier", 3).unwrap();
    let _party = barrier.party().unwrap();
    let _once = Once::create(&domain, "once").unwrap();
    let latch = Latch::create(&domain, "latch", 2).unwrap();
    latch.count_down(1).unwrap();
    let shown = locks(&room, &[]);
    let expected = [
        ("barrier", "barrier", Some("expected"), json!({"parties": 3, "arrived": 0, "generation": 0, "broken": false})),
        ("condvar", "condition variable", None, json!({"waiting": 0})),
        ("event", "event", None, json!({"set": true, "sets": 1})),
        ("latch", "latch", None, json!({"count": 1, "open": false, "failed": false})),
        ("once", "once", None, json!({"stage": "not begun"})),
        ("raw", "raw mutex", Some("owner"), json!({})),
        ("reentrant", "reentrant mutex", Some("owner"), json!({})),
        ("rwlock", "reader-writer lock", Some("reader"), json!({"readers": 1, "reads that waited": 0})),
        ("semaphore", "semaphore", Some("permit"), json!({"permits": 1, "at most": 2})),
    ];
    let shown = shown["locks"].as_array().unwrap();
    assert_eq!(shown.len(), expected.len());
    let text = room.run(&["locks"]).text();
    for (lock, (name, kind, role, facts)) in shown.iter().zip(expected) {
        assert_eq!((&lock["name"], &lock["kind"], &lock["facts"]), (&json!(name), &json!(kind), &facts));
        let roles: Vec<_> = lock["holders"].as_array().unwrap().iter().map(|holder| &holder["role"]).collect();
        assert_eq!(roles, role.map(Value::from).iter().collect::<Vec<_>>(), "{name}");
        assert!(text.lines().any(|line| line.starts_with(name) && line.contains(kind)), "{text}");
    }
}

#[test]
fn an_owner_that_was_killed_is_named() {
    let room = Room::new("killed");
    let mutex = Mutex::create(&room.domain(), "m", 7_u64).unwrap();
    let mut owner = locker(&room, "m", "");
    until("it has the lock", || mutex.is_locked());
    owner.kill();
    let shown = locks(&room, &[])["locks"][0].clone();
    assert_eq!((&shown["holders"][0]["alive"], &shown["holders"][0]["pid"]), (&json!(false), &json!(pid(&owner))));
    let text = room.run(&["locks"]).text();
    assert!(text.contains("held by the dead") && text.contains("which is dead"), "{text}");
    drop(mutex.lock());
    let text = room.run(&["stat", "m"]).text();
    assert!(text.contains("free, inconsistent") && text.contains("1 time") && text.contains("nobody"), "{text}");
}

#[test]
fn two_processes_in_a_deadlock_are_pointed_out() {
    let room = Room::new("deadlock");
    let domain = room.domain();
    let _locks = ["left", "right", "other"].map(|name| Mutex::create(&domain, name, 7_u64).unwrap());
    let (one, two) = (locker(&room, "left", "right"), locker(&room, "right", "left"));
    until("the tool finds it", || room.run(&["locks"]).status == Some(5));
    let ran = room.run(&["locks"]);
    assert_eq!(ran.status, Some(5));
    assert!(ran.error.contains("found 1 deadlock"), "{}", ran.error);
    let text = ran.text();
    let [line] = text.lines().filter(|line| line.contains("DEADLOCK")).collect::<Vec<_>>().try_into().unwrap();
    for (waiter, lock) in [(&one, "right"), (&two, "left")] {
        assert!(line.contains(&format!("pid {} (", pid(waiter))), "{line}");
        assert!(line.contains(&format!("waits for {lock}, held by")), "{line}");
        assert!(line.contains(", which waits for"), "{line}");
    }
    let ran = room.run(&["locks", "--json", "left"]);
    assert_eq!(ran.status, Some(5));
    let shown = parse(&ran);
    let steps = shown["deadlocks"][0]["steps"].as_array().unwrap();
    assert_eq!((steps.len(), &shown["deadlocks"][0]["certain"]), (2, &json!(true)));
    assert_eq!(steps[0]["holder"]["thread"], steps[1]["waiter"]["thread"]);
    // It is none of this lock's business.
    assert_eq!(room.run(&["locks", "other"]).status, Some(0));
    drop(one);
    until("it is over", || room.run(&["locks"]).status == Some(0));
}

#[test]
fn locks_within_raw_segments_have_names_with_offsets() {
    let room = Room::new("raw");
    let domain = room.domain();
    let segment = Segment::create(&domain, "raw", 4096, &Options::new()).unwrap();
    let _locks = [64, 1024].map(|offset| Mutex::create_at(&domain, &segment, offset, 7_u64).unwrap());
    let text = room.run(&["locks"]).text();
    assert!(text.contains("raw+64") && text.contains("raw+1024"), "{text}");
    let shown = locks(&room, &["raw+1024"]);
    assert_eq!((shown["locks"].as_array().unwrap().len(), &shown["locks"][0]["offset"]), (1, &json!(1024)));
    room.run(&["locks", "raw+65"]).fails(3, &["raw+65"]);
    assert!(room.run(&["stat", "raw"]).text().contains("raw+64: mutex"));
}

#[test]
fn spoilt_words_are_shown_or_reported() {
    let room = Room::new("spoilt");
    let domain = room.domain();
    let segment = Segment::create(&domain, "raw", 4096, &Options::new()).unwrap();
    let _mutex = Mutex::create_at(&domain, &segment, 0, 7_u64).unwrap();
    segment.write(64, &[0xff; 256]).unwrap();
    let text = room.run(&["locks"]).text();
    assert!(text.contains("held by the dead, inconsistent"), "{text}");
    assert_eq!(locks(&room, &[])["locks"][0]["holders"][0]["pid"], Value::Null);
}

#[test]
fn dump_prints_what_a_lock_guards() {
    let room = Room::new("dump");
    let domain = room.domain();
    let mutex = Mutex::create(&domain, "m", [1.5_f64, 2.5]).unwrap();
    assert_eq!(room.run(&["dump", "m"]).text(), "[1.5, 2.5]\n");
    let dumped = room.run(&["dump", "m", "--json"]).json();
    assert_eq!((&dumped["whole"], &dumped["values"]), (&json!(true), &json!([{ "value": [1.5, 2.5] }])));
    let guard = match mutex.lock_timeout(Duration::ZERO) {
        Ok(guard) => guard,
        Err(error) => panic!("{:?}", LockError::drop_guard(error)),
    };
    assert!(room.run(&["dump", "m"]).text().contains("half changed"));
    drop(guard);
}
