//! Each kind of lock looked at from outside: who holds it and in what way, who waits, and what only that kind has.

mod common {
    pub(crate) mod place;
}

use std::thread;

use common::place::{Place, SOON, eventually};
use sharedware::segment::Kind;
use sharedware::sync::inspect::{Fact, LockReport, Role};
use sharedware::sync::{
    Barrier, Condvar, Event, Latch, Mutex, Once, RawMutex, ReentrantMutex, RwLock, Semaphore, SemaphoreSetup,
};
use sharedware::{Domain, Options};

/// The lock of this name.
fn look(domain: &Domain, name: &str) -> LockReport {
    let [lock] = domain.locks_in(name, &Options::new()).unwrap().locks.try_into().unwrap();
    lock
}

/// The same, once so many threads of this process are seen to wait.
#[track_caller]
fn look_when_waiting(domain: &Domain, name: &str, waiters: usize) -> LockReport {
    let lock = eventually(|| Some(look(domain, name)).filter(|lock| lock.waiters.len() == waiters));
    for waiter in &lock.waiters {
        assert_eq!(waiter.who.peer.as_ref().unwrap().pid, std::process::id());
        assert_ne!(waiter.who.thread, 0);
    }
    lock
}

/// In what way each holder has a part in it, all of them threads of this process.
#[track_caller]
fn roles(lock: &LockReport) -> Vec<Role> {
    for holder in &lock.holders {
        assert_eq!(holder.who.peer.as_ref().unwrap().pid, std::process::id());
    }
    lock.holders.iter().map(|holder| holder.role).collect()
}

#[track_caller]
fn assert_unused(lock: &LockReport) {
    assert!(lock.holders.is_empty() && lock.waiters.is_empty() && !lock.inconsistent, "{lock:?}");
}

fn facts(lock: &LockReport) -> Vec<(&'static str, u64)> {
    let number = |fact: Fact| match fact {
        Fact::Count(count) => count,
        Fact::Flag(flag) => flag.into(),
        other => panic!("{other:?} is no number"),
    };
    lock.facts.iter().map(|(name, value)| (*name, number(*value))).collect()
}

#[test]
fn a_reentrant_mutex() {
    let place = Place::new();
    let domain = place.domain();
    let mutex = ReentrantMutex::create(&domain, "it", 7_u64).unwrap();
    assert_eq!(look(&domain, "it").kind, Kind::REENTRANT_MUTEX);
    assert_unused(&look(&domain, "it"));
    let outer = mutex.lock().unwrap();
    let inner = mutex.lock().unwrap();
    assert_eq!(roles(&look(&domain, "it")), [Role::Owner], "one, however many guards it has");
    thread::scope(|scope| {
        scope.spawn(|| drop(mutex.lock().unwrap()));
        let lock = look_when_waiting(&domain, "it", 1);
        assert!(!lock.holders[0].who.is(&lock.waiters[0].who) && lock.holders[0].held.is_some());
        drop(outer);
        assert_eq!(roles(&look(&domain, "it")), [Role::Owner]);
        drop(inner);
    });
    assert_unused(&look(&domain, "it"));
    assert_eq!((look(&domain, "it").contended, look(&domain, "it").recovered), (Some(1), Some(0)));
}

#[test]
fn a_raw_mutex() {
    let place = Place::new();
    let domain = place.domain();
    let mutex = RawMutex::create(&domain, "it").unwrap();
    assert_eq!(look(&domain, "it").kind, Kind::RAW_MUTEX);
    assert_unused(&look(&domain, "it"));
    mutex.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| mutex.lock().unwrap());
        let lock = look_when_waiting(&domain, "it", 1);
        assert_eq!(roles(&lock), [Role::Owner]);
        assert!(!lock.holders[0].who.is(&lock.waiters[0].who) && lock.holders[0].held.is_some());
        mutex.unlock().unwrap();
    });
    let lock = look(&domain, "it");
    assert_eq!((roles(&lock).as_slice(), lock.waiters.len(), lock.contended), ([Role::Owner].as_slice(), 0, Some(1)));
    mutex.unlock().unwrap();
    assert_unused(&look(&domain, "it"));
}

#[test]
fn a_reader_writer_lock() {
    let place = Place::new();
    let domain = place.domain();
    let rwlock = RwLock::create(&domain, "it", 7_u64).unwrap();
    let lock = look(&domain, "it");
    assert_eq!((lock.kind, facts(&lock)), (Kind::RW_LOCK, vec![("readers", 0), ("reads that waited", 0)]));
    assert_unused(&lock);

    let writer = rwlock.write().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| drop(rwlock.read().unwrap()));
        let lock = look_when_waiting(&domain, "it", 1);
        assert_eq!((roles(&lock).as_slice(), facts(&lock)[0]), ([Role::Owner].as_slice(), ("readers", 0)));
        drop(writer);
    });
    assert_eq!(facts(&look(&domain, "it")), [("readers", 0), ("reads that waited", 1)]);

    let reader = rwlock.read().unwrap();
    thread::scope(|scope| {
        let (go, told) = std::sync::mpsc::channel::<()>();
        let rwlock = &rwlock;
        scope.spawn(move || {
            let _other = rwlock.read().unwrap();
            told.recv().ok();
        });
        let lock = eventually(|| Some(look(&domain, "it")).filter(|lock| lock.holders.len() == 2));
        assert_eq!((roles(&lock).as_slice(), facts(&lock)[0]), ([Role::Reader; 2].as_slice(), ("readers", 2)));
        assert!(!lock.holders[0].who.is(&lock.holders[1].who));
        drop(go);
        eventually(|| (look(&domain, "it").holders.len() == 1).then_some(()));
        // A writer that waits for the readers to leave.
        scope.spawn(|| drop(rwlock.write().unwrap()));
        let lock = look_when_waiting(&domain, "it", 1);
        let mut found = roles(&lock);
        found.sort_by_key(|role| *role == Role::Reader);
        assert_eq!(found, [Role::Pending, Role::Reader]);
        drop(reader);
    });
    assert_unused(&look(&domain, "it"));
}

#[test]
fn a_condition_variable() {
    let place = Place::new();
    let domain = place.domain();
    let mutex = Mutex::create(&domain, "mutex", 7_u64).unwrap();
    let condvar = Condvar::create(&domain, "it").unwrap();
    let lock = look(&domain, "it");
    assert_eq!((lock.kind, facts(&lock), lock.contended), (Kind::CONDVAR, vec![("waiting", 0)], None));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| drop(condvar.wait(mutex.lock().unwrap()).unwrap()));
        }
        let lock = look_when_waiting(&domain, "it", 2);
        assert_eq!((facts(&lock), lock.holders.len()), (vec![("waiting", 2)], 0));
        assert_unused(&look(&domain, "mutex"));
        assert_eq!(condvar.notify_all(), 2);
    });
    assert_unused(&look(&domain, "it"));
    assert_eq!(facts(&look(&domain, "it")), [("waiting", 0)]);
}

#[test]
fn a_semaphore() {
    let place = Place::new();
    let domain = place.domain();
    for (name, setup, most) in
        [("plain", SemaphoreSetup::new(2), u64::from(i32::MAX as u32)), ("bounded", SemaphoreSetup::bounded(2), 2)]
    {
        let semaphore = Semaphore::create(&domain, name, setup).unwrap();
        let lock = look(&domain, name);
        assert_eq!(lock.kind, Kind::SEMAPHORE);
        assert_eq!(facts(&lock)[0], ("permits", 2));
        assert!(facts(&lock)[1].1 >= most, "{lock:?}");
        assert_eq!(facts(&lock)[1], ("at most", semaphore.bound().into()));
        // A plain permit is nobody's.
        semaphore.acquire().unwrap();
        let lock = look(&domain, name);
        assert_eq!((lock.holders.len(), facts(&lock)[0]), (0, ("permits", 1)));
        let permit = semaphore.permit().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| drop(semaphore.permit().unwrap()));
            let lock = look_when_waiting(&domain, name, 1);
            assert_eq!((roles(&lock).as_slice(), facts(&lock)[0]), ([Role::Permit].as_slice(), ("permits", 0)));
            assert_ne!(lock.holders[0].who.thread, 0);
            drop(permit);
        });
        assert_unused(&look(&domain, name));
        let lock = look(&domain, name);
        assert_eq!(facts(&lock)[0], ("permits", 1));
        assert_eq!((lock.contended, lock.recovered), (Some(1), Some(0)));
        thread::scope(|scope| scope.spawn(|| std::mem::forget(semaphore.permit().unwrap())).join().unwrap());
        drop(semaphore.permit().unwrap());
        assert_eq!(look(&domain, name).recovered, Some(1));
    }
}

#[test]
fn an_event() {
    let place = Place::new();
    let domain = place.domain();
    let event = Event::create(&domain, "it").unwrap();
    let lock = look(&domain, "it");
    assert_eq!((lock.kind, facts(&lock)), (Kind::EVENT, vec![("set", 0), ("sets", 0)]));
    thread::scope(|scope| {
        scope.spawn(|| event.wait().unwrap());
        assert_eq!(look_when_waiting(&domain, "it", 1).holders.len(), 0);
        event.set();
    });
    assert_unused(&look(&domain, "it"));
    assert_eq!(facts(&look(&domain, "it")), [("set", 1), ("sets", 1)]);
    event.clear();
    assert_eq!(facts(&look(&domain, "it")), [("set", 0), ("sets", 1)]);
}

#[test]
fn a_barrier() {
    let place = Place::new();
    let domain = place.domain();
    let barrier = Barrier::create(&domain, "it", 3).unwrap();
    let shown = |arrived, generation, broken| {
        vec![("parties", 3), ("arrived", arrived), ("generation", generation), ("broken", broken)]
    };
    let lock = look(&domain, "it");
    assert_eq!((lock.kind, facts(&lock)), (Kind::BARRIER, shown(0, 0, 0)));
    let party = barrier.party().unwrap();
    assert_eq!(roles(&look(&domain, "it")), [Role::Expected]);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| barrier.wait().unwrap());
        }
        let lock = look_when_waiting(&domain, "it", 2);
        assert_eq!(facts(&lock), shown(2, 0, 0));
        let mut found = roles(&lock);
        found.sort_by_key(|role| *role == Role::Expected);
        assert_eq!(found, [Role::Arrived, Role::Arrived, Role::Expected]);
        party.wait().unwrap();
    });
    drop(party);
    assert_unused(&look(&domain, "it"));
    assert_eq!(facts(&look(&domain, "it")), shown(0, 1, 0));
    barrier.abort().unwrap();
    assert_eq!(facts(&look(&domain, "it")).last(), Some(&("broken", 1)));
}

#[test]
fn a_once() {
    let place = Place::new();
    let domain = place.domain();
    let once = Once::create(&domain, "it").unwrap();
    let stage = || look(&domain, "it").facts;
    assert_eq!((look(&domain, "it").kind, stage()), (Kind::ONCE, vec![("stage", Fact::Text("not begun"))]));
    thread::scope(|scope| {
        once.call_once(|| {
            scope.spawn(|| assert!(once.wait_timeout(SOON)));
            let lock = look_when_waiting(&domain, "it", 1);
            assert_eq!((roles(&lock), lock.facts), (vec![Role::Owner], vec![("stage", Fact::Text("running"))]));
        })
        .unwrap();
    });
    assert_eq!(stage(), [("stage", Fact::Text("done"))]);
    assert_unused(&look(&domain, "it"));

    let failing = Once::create(&domain, "failing").unwrap();
    assert!(failing.try_call_once(|_| Err::<(), _>("no")).is_err());
    assert_eq!(look(&domain, "failing").facts, [("stage", Fact::Text("failed"))]);
}

#[test]
fn a_latch() {
    let place = Place::new();
    let domain = place.domain();
    let latch = Latch::create(&domain, "it", 3).unwrap();
    let lock = look(&domain, "it");
    assert_eq!((lock.kind, facts(&lock)), (Kind::LATCH, vec![("count", 3), ("open", 0), ("failed", 0)]));
    let party = latch.party().unwrap();
    let lock = look(&domain, "it");
    assert_eq!((roles(&lock).as_slice(), facts(&lock)[0]), ([Role::Expected].as_slice(), ("count", 2)));
    thread::scope(|scope| {
        scope.spawn(|| latch.wait_timeout(SOON).unwrap());
        latch.count_down(1).unwrap();
        let lock = look_when_waiting(&domain, "it", 1);
        assert_eq!((roles(&lock).as_slice(), facts(&lock)[0]), ([Role::Expected].as_slice(), ("count", 1)));
        latch.count_down(1).unwrap();
        party.count_down();
    });
    assert_unused(&look(&domain, "it"));
    assert_eq!(facts(&look(&domain, "it")), [("count", 0), ("open", 1), ("failed", 0)]);
}
