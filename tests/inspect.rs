//! Locks looked at from outside: what is told of them, and that no bytes whatever make a look fail.

mod common {
    pub(crate) mod place;
}

use std::collections::HashSet;
use std::os::unix::fs::FileExt;

use common::place::{self, Place, SOON, eventually, sleep_until_killed};
use sharedware::segment::Kind;
use sharedware::sync::inspect::{self, Deadlock, Life, LockReport, Role, Survey, View};
use sharedware::sync::{Barrier, LockError, Mutex};
use sharedware::{Domain, Options, Segment};

fn survey(domain: &Domain) -> Survey {
    domain.locks(&Options::new()).unwrap()
}

/// The only lock of the domain.
fn only(domain: &Domain) -> LockReport {
    let survey = survey(domain);
    assert!(survey.errors.is_empty() && survey.partial.is_empty());
    let [lock] = survey.locks.try_into().unwrap();
    lock
}

fn bytes_of(segment: &Segment) -> Vec<u8> {
    let mut bytes = vec![0; segment.committed().unwrap() as usize];
    segment.read(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_empty_domain_has_no_locks() {
    let place = Place::new();
    let survey = survey(&place.domain());
    assert!(survey.locks.is_empty() && survey.deadlocks.is_empty());
    assert!(place.files().is_empty());
    assert!(place.domain().locks_in("x", &Options::new()).unwrap_err().is_not_found());
}

#[test]
fn the_owner_is_known_by_process_and_thread() {
    let place = Place::new();
    let domain = place.domain();
    let mutex = Mutex::create(&domain, "m", 7_u64).unwrap();
    let lock = only(&domain);
    assert_eq!((lock.label().as_str(), lock.kind, lock.offset), ("m", Kind::MUTEX, None));
    assert!(lock.holders.is_empty() && lock.waiters.is_empty() && lock.reserved.is_none() && !lock.inconsistent);
    assert_eq!((lock.contended, lock.recovered), (Some(0), Some(0)));
    let guard = mutex.lock().unwrap();
    let [holder] = only(&domain).holders.try_into().unwrap();
    assert_eq!((holder.role, holder.who.life, holder.held), (Role::Owner, Life::Alive, None));
    assert_eq!(holder.who.peer.as_ref().unwrap().pid, std::process::id());
    // A thread of this very process.
    assert!(std::fs::exists(format!("/proc/self/task/{}", holder.who.thread)).unwrap());
    let text = holder.who.to_string();
    assert!(text.starts_with("pid ") && text.ends_with(&format!("thread {}", holder.who.thread)), "{text}");
    drop(guard);
    assert!(only(&domain).holders.is_empty());
}

#[test]
fn locks_within_raw_segments_are_found() {
    let place = Place::new();
    let domain = place.domain();
    let size = inspect::SCANNED + 4096;
    let segment = Segment::create_growing(&domain, "raw", 8192, size, &Options::new()).unwrap();
    let at = [64, 4096, 8192 - Mutex::<u64>::SIZE];
    let locks = at.map(|offset| Mutex::create_at(&domain, &segment, offset, offset).unwrap());
    let guard = locks[1].lock().unwrap();
    let found = domain.locks_in("raw", &Options::new()).unwrap();
    assert_eq!(found.locks.iter().map(|lock| lock.offset.unwrap()).collect::<Vec<_>>(), at);
    assert_eq!(found.locks.iter().map(|lock| lock.holders.len()).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(found.locks[1].label(), "raw+4096");
    assert!(found.partial.is_empty());
    drop(guard);

    // Not at another alignment, not of another version, not where there is no room.
    let mut image = bytes_of(&segment);
    let part = image[4096..4096 + Mutex::<u64>::SIZE as usize].to_vec();
    image.fill(0);
    image[8..8 + part.len()].copy_from_slice(&part);
    image[1024..1024 + part.len()].copy_from_slice(&part);
    image[1024 + 4] = 99;
    image[8192 - 64..].copy_from_slice(&part[..64]);
    segment.write(0, &image).unwrap();
    assert!(survey(&domain).locks.is_empty());

    // What is beyond the limit is not looked at, and that is said.
    segment.write(0, &[0; 8192]).unwrap();
    segment.grow(size).unwrap();
    let beyond = Mutex::create_at(&domain, &segment, inspect::SCANNED, 1_u8).unwrap();
    let survey = survey(&domain);
    assert_eq!((survey.locks.len(), survey.partial.as_slice()), (0, ["raw".to_owned()].as_slice()));
    drop(beyond);
}

#[test]
fn a_segment_full_of_locks_is_looked_at_in_part() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "raw", 5000 * Mutex::<u8>::SIZE, &Options::new()).unwrap();
    let _mutex = Mutex::create_at(&domain, &segment, 0, 1_u8).unwrap();
    let mut part = vec![0; Mutex::<u8>::SIZE as usize];
    segment.read(0, &mut part).unwrap();
    let count = segment.committed().unwrap() / Mutex::<u8>::SIZE;
    segment.write(0, &part.repeat(count as usize)).unwrap();
    let survey = survey(&domain);
    assert_eq!((survey.locks.len(), survey.partial.len()), (4096, 1));
}

#[test]
fn who_waits_is_known_and_for_how_long() {
    let place = Place::new();
    let domain = place.domain();
    let mutex = Mutex::create(&domain, "m", 0_u64).unwrap();
    let guard = mutex.lock().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| drop(mutex.lock_timeout(SOON).unwrap()));
        // So long that the waiter has claimed the lock, too.
        let seen = eventually(|| {
            let lock = only(&domain);
            (lock.waiters.len() == 1 && lock.reserved.is_some()).then_some(lock)
        });
        let (waiter_is, holder) = (&seen.waiters[0], &seen.holders[0]);
        assert!(!waiter_is.who.is(&holder.who) && !waiter_is.waiting.is_zero());
        assert_eq!(waiter_is.who.peer, holder.who.peer);
        assert!(holder.held.is_some());
        let reserved = seen.reserved.unwrap();
        assert_eq!((reserved.thread, reserved.peer), (0, holder.who.peer.clone()));
        let steps: Vec<_> = inspect::waits(std::slice::from_ref(&only(&domain))).collect();
        assert_eq!(steps.len(), 1);
        assert!(survey(&domain).deadlocks.is_empty());
        drop(guard);
        waiter.join().unwrap();
    });
    let lock = only(&domain);
    assert!(lock.waiters.is_empty() && lock.holders.is_empty());
    assert_eq!(lock.contended, Some(1));
}

#[test]
fn a_dead_owner_is_shown_as_dead_until_somebody_takes_over() {
    const TEST: &str = "a_dead_owner_is_shown_as_dead_until_somebody_takes_over";
    if let Some((_, place)) = place::role() {
        let mutex = Mutex::<u64>::open(&place.domain(), "m").unwrap();
        let _guard = mutex.lock().unwrap();
        sleep_until_killed();
    }
    let place = Place::new();
    let domain = place.domain();
    let mutex = Mutex::create(&domain, "m", 0_u64).unwrap();
    let other = place.other_process(TEST, "owner");
    let pid = other.pid();
    let owner = eventually(|| only(&domain).holders.pop());
    assert_eq!((owner.who.life, owner.who.peer.as_ref().unwrap().pid), (Life::Alive, pid));
    other.kill();
    let dead = only(&domain).holders.pop().unwrap();
    assert_eq!((dead.who.life, dead.who.thread), (Life::Dead, owner.who.thread));
    // Nobody has moved into its place in the registry.
    assert_eq!(dead.who.peer, owner.who.peer);
    assert!(dead.who.to_string().ends_with("which is dead"));

    let LockError::OwnerDied(mut guard) = mutex.lock().unwrap_err() else { panic!("not told") };
    let lock = only(&domain);
    assert!(lock.inconsistent);
    assert_eq!((lock.recovered, lock.holders[0].who.life), (Some(1), Life::Alive));
    guard.mark_consistent();
    drop(guard);
    assert!(!only(&domain).inconsistent);
}

/// Two processes, each of which has one lock and wants that of the other.
#[test]
fn a_deadlock_of_two_processes_is_found() {
    const TEST: &str = "a_deadlock_of_two_processes_is_found";
    if let Some((role, place)) = place::role() {
        let domain = place.domain();
        let (first, second) = if role == "one" { ("a", "b") } else { ("b", "a") };
        let (first, second) =
            (Mutex::<u64>::open(&domain, first).unwrap(), Mutex::<u64>::open(&domain, second).unwrap());
        let _first = first.lock().unwrap();
        eventually(|| second.is_locked().then_some(()));
        let _ = second.lock();
        sleep_until_killed();
    }
    let place = Place::new();
    let domain = place.domain();
    let _locks = ["a", "b", "c"].map(|name| Mutex::create(&domain, name, 0_u64).unwrap());
    let (one, two) = (place.other_process(TEST, "one"), place.other_process(TEST, "two"));
    let deadlock: Deadlock = eventually(|| survey(&domain).deadlocks.pop());
    assert!(deadlock.is_certain() && deadlock.is_in(&survey(&domain).locks));
    let [first, second] = deadlock.steps.try_into().unwrap();
    assert!(first.holder.who.is(&second.waiter.who) && second.holder.who.is(&first.waiter.who));
    assert_eq!(HashSet::from([first.lock.as_str(), second.lock.as_str()]), HashSet::from(["a", "b"]));
    let pids = [&first, &second].map(|step| step.waiter.who.peer.as_ref().unwrap().pid);
    assert_eq!(HashSet::from(pids), HashSet::from([one.pid(), two.pid()]));
    // One dies, the other gets it.
    one.kill();
    eventually(|| survey(&domain).deadlocks.is_empty().then_some(()));
    two.kill();
}

/// Parties that have come are waited for by nobody, enlisted or not.
#[test]
fn an_enlisted_party_that_waits_is_in_nobodys_way() {
    let place = Place::new();
    let domain = place.domain();
    let barrier = Barrier::create(&domain, "barrier", 4).unwrap();
    let _absent = barrier.party().unwrap();
    std::thread::scope(|scope| {
        let waiters = [(); 2].map(|()| scope.spawn(|| barrier.party().unwrap().wait().is_err()));
        let lock = eventually(|| Some(only(&domain)).filter(|lock| lock.waiters.len() == 2));
        let (in_the_way, survey) = (inspect::waits(std::slice::from_ref(&lock)).count(), survey(&domain));
        barrier.abort().unwrap();
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        let (mut arrived, mut expected) = (Vec::new(), Vec::new());
        for holder in &lock.holders {
            if holder.role == Role::Arrived { &mut arrived } else { &mut expected }.push(holder.who.thread);
        }
        let mut waiting: Vec<u32> = lock.waiters.iter().map(|waiter| waiter.who.thread).collect();
        arrived.sort_unstable();
        waiting.sort_unstable();
        assert_eq!((arrived, expected.len()), (waiting, 1), "{:?}", lock.holders);
        assert!(survey.deadlocks.is_empty(), "{:?}", survey.deadlocks);
        assert_eq!(in_the_way, 2, "each waits for the one that has not come");
    });
}

#[test]
fn any_words_at_all_are_looked_at_in_peace() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "raw", 4096, &Options::new()).unwrap();
    let mutex = Mutex::create_at(&domain, &segment, 0, 7_u64).unwrap();
    let guard = mutex.lock().unwrap();
    let good = bytes_of(&segment);
    let owner = u64::from_le_bytes(good[64..72].try_into().unwrap());
    let words =
        [0, 1, owner, owner | 1 << 62, owner | 7 << 61, owner ^ 1 << 13, u64::MAX, 1 << 63, 0x5357_0001_0000_0006];
    for at in (0..Mutex::<u64>::SIZE as usize).step_by(8) {
        for word in words {
            let mut bad = good.clone();
            bad[at..at + 8].copy_from_slice(&word.to_le_bytes());
            segment.write(0, &bad).unwrap();
            for lock in survey(&domain).locks {
                assert!(lock.holders.iter().all(|holder| !holder.who.to_string().is_empty()));
            }
        }
    }
    // All of it noise.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..200 {
        let noise = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let mut bad: Vec<u8> = noise.take(512).flatten().collect();
        for line in 0..64 {
            // With tags of all kinds in it.
            bad[line * 64..][..8].copy_from_slice(&(0x5357_0001_0000_0000 + line as u64 % 20).to_le_bytes());
        }
        segment.write(0, &bad).unwrap();
        let _ = survey(&domain);
    }
    segment.write(0, &good).unwrap();
    drop(guard);
}

#[test]
fn a_cookie_of_nobody_is_held_by_the_dead() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "raw", 4096, &Options::new()).unwrap();
    let _mutex = Mutex::create_at(&domain, &segment, 0, 7_u64).unwrap();
    segment.write(64, &(123_u64 << 13 | 4000).to_le_bytes()).unwrap();
    let [holder] = only(&domain).holders.try_into().unwrap();
    assert_eq!((holder.who.life, holder.who.peer.clone()), (Life::Dead, None));
    assert_eq!(holder.who.to_string(), "a process, which is dead");
}

#[test]
fn looking_changes_nothing() {
    let place = Place::new();
    let domain = place.domain();
    let segment = Segment::create(&domain, "raw", 4096, &Options::new()).unwrap();
    let mutex = Mutex::create_at(&domain, &segment, 0, 7_u64).unwrap();
    let _guard = mutex.lock().unwrap();
    let (before, files) = (bytes_of(&segment), place.files());
    let registry = || std::fs::read(place.directory().join("sharedware.test.@peers")).unwrap();
    let peers = registry();
    only(&domain);
    assert_eq!((bytes_of(&segment), place.files(), registry()), (before, files, peers));
}

#[test]
fn what_cannot_be_looked_at_does_not_hide_the_others() {
    let place = Place::new();
    let domain = place.domain();
    let _good = Mutex::create(&domain, "good", 1_u64).unwrap();
    let _bad = Mutex::create(&domain, "bad", 1_u64).unwrap();
    let _slots = sharedware::slot::Slots::create(&domain, "slots", 1, 1_u64).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(domain.path_of("bad").unwrap()).unwrap();
    let mut size = [0; 8];
    file.read_exact_at(&mut size, 24).unwrap();
    file.write_all_at(&[0; 8], u64::from_le_bytes(size)).unwrap();
    std::fs::write(place.directory().join("sharedware.test.noise"), b"noise").unwrap();
    let survey = survey(&domain);
    assert_eq!(survey.locks.iter().map(LockReport::label).collect::<Vec<_>>(), ["good"]);
    let [(name, error)] = survey.errors.try_into().unwrap();
    assert!(name == "bad" && error.to_string().contains("mutex"), "{error}");
    assert!(domain.locks_in("bad", &Options::new()).is_err());
    assert!(domain.locks_in("slots", &Options::new()).unwrap().locks.is_empty());
}

#[test]
fn what_a_lock_guards_can_be_read() {
    let place = Place::new();
    let domain = place.domain();
    let mutex = Mutex::create(&domain, "m", [1.5_f64, 2.5]).unwrap();
    let view = View::open(&domain, "m", &Options::new()).unwrap();
    let read = || {
        let (bytes, whole) = view.read();
        (view.schema().value(&bytes).unwrap().to_string(), whole)
    };
    assert_eq!(read(), ("[1.5, 2.5]".to_owned(), true));
    let mut guard = mutex.lock().unwrap();
    guard[1] = 3.5;
    assert_eq!(read(), ("[1.5, 3.5]".to_owned(), false));
    drop(guard);
    assert_eq!(read(), ("[1.5, 3.5]".to_owned(), true));
    assert!(View::has_value(Kind::MUTEX) && !View::has_value(Kind::RAW_MUTEX) && !View::has_value(Kind::RAW));
    let _raw = Segment::create(&domain, "raw", 4096, &Options::new()).unwrap();
    assert!(View::open(&domain, "raw", &Options::new()).is_err());
}
