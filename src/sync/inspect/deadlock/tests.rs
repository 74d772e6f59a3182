//! Circles in made-up reports.

use std::time::Duration;

use super::*;
use crate::peer::PeerInfo;
use crate::segment::Kind;
use crate::sync::inspect::report::{Life, Who};

fn who(process: u64, thread: u32) -> Who {
    let pid = u32::try_from(process).unwrap();
    let peer = Some(PeerInfo { pid, command: "test".to_owned(), started: 0 });
    Who { peer, thread, life: Life::Alive, cookie: Cookie::new(process, 1) }
}

/// A lock that these hold and these wait for.
fn lock(name: &str, holders: &[(u64, u32, Role)], waiters: &[(u64, u32)]) -> LockReport {
    let holder = |&(process, thread, role)| Holder { who: who(process, thread), role, held: None };
    let waiter =
        |&(process, thread)| Waiter { who: who(process, thread), waiting: Duration::ZERO, since_ns: u64::from(thread) };
    LockReport {
        name: name.to_owned(),
        offset: None,
        kind: Kind::MUTEX,
        inconsistent: false,
        holders: holders.iter().map(holder).collect(),
        waiters: waiters.iter().map(waiter).collect(),
        reserved: None,
        contended: None,
        recovered: None,
        facts: Vec::new(),
    }
}

fn owned(name: &str, (process, thread): (u64, u32), waiters: &[(u64, u32)]) -> LockReport {
    lock(name, &[(process, thread, Role::Owner)], waiters)
}

/// Each circle as `lock: waiter thread -> holder thread` steps.
fn circles(locks: &[LockReport]) -> Vec<Vec<String>> {
    let show = |step: &Step| format!("{}: {} -> {}", step.lock, step.waiter.who.thread, step.holder.who.thread);
    let found = deadlocks(locks);
    for circle in &found {
        assert!(circle.is_in(locks));
        for (step, next) in circle.steps.iter().zip(circle.steps.iter().cycle().skip(1)) {
            let (holder, waiter) = (&step.holder.who, &next.waiter.who);
            assert!(holder.is(waiter) || (holder.thread == 0 && holder.cookie == waiter.cookie));
        }
    }
    found.iter().map(|circle| circle.steps.iter().map(show).collect()).collect()
}

const A: (u64, u32) = (1, 11);
const B: (u64, u32) = (2, 12);
const C: (u64, u32) = (3, 13);
const D: (u64, u32) = (4, 14);

#[test]
fn a_chain_is_no_circle() {
    assert!(circles(&[]).is_empty());
    assert!(circles(&[owned("a", A, &[B]), owned("b", B, &[C]), owned("c", C, &[D])]).is_empty());
    // Nor are threads of one process each other.
    assert!(circles(&[owned("a", (1, 1), &[(1, 2)]), owned("b", (1, 2), &[(1, 3)])]).is_empty());
}

#[test]
fn circles_of_one_two_and_three() {
    assert_eq!(circles(&[owned("a", A, &[A])]), [["a: 11 -> 11"]]);
    assert_eq!(circles(&[owned("a", A, &[B]), owned("b", B, &[A])]), [["a: 12 -> 11", "b: 11 -> 12"]]);
    let three = [owned("a", A, &[B]), owned("b", B, &[C]), owned("c", C, &[A])];
    assert_eq!(circles(&three), [["a: 12 -> 11", "c: 11 -> 13", "b: 13 -> 12"]]);
}

#[test]
fn each_circle_is_told_once_without_those_who_only_wait_for_it() {
    let two = [
        owned("a", A, &[B, (5, 15)]),
        owned("b", B, &[A]),
        owned("c", C, &[D]),
        owned("d", D, &[C, (6, 16)]),
        owned("e", (6, 16), &[(7, 17)]),
    ];
    assert_eq!(circles(&two), [["a: 12 -> 11", "b: 11 -> 12"], ["c: 14 -> 13", "d: 13 -> 14"]]);
}

#[test]
fn a_writer_waits_for_all_readers() {
    let reader = |(process, thread)| (process, thread, Role::Reader);
    let many: Vec<_> =
        (0..200).map(|n| (100 + n, 1000 + n as u32, Role::Reader)).chain([reader(B), reader(C)]).collect();
    // B and C read and wait for what the writer A has; both are stuck, and so in a circle each.
    let locks = [lock("rw", &many, &[A]), owned("m", A, &[B, C])];
    assert_eq!(circles(&locks), [["rw: 11 -> 12", "m: 12 -> 11"], ["m: 13 -> 11", "rw: 11 -> 13"]]);
    // Who reads and wants to write waits for itself.
    assert_eq!(circles(&[lock("rw", &[reader(A), reader(B)], &[A])]), [["rw: 11 -> 11"]]);
}

#[test]
fn who_is_next_does_not_wait_for_itself() {
    let pending = (A.0, A.1, Role::Pending);
    let reader = (B.0, B.1, Role::Reader);
    assert!(circles(&[lock("rw", &[pending, reader], &[A, C])]).is_empty());
    assert_eq!(waits(&[lock("rw", &[pending, reader], &[A, C])]).count(), 3);
    // But a reader that wants to read once more behind it waits for it, and it for the reader.
    let stuck = [lock("rw", &[pending, reader], &[A, B])];
    let circle = circles(&stuck);
    assert!(circle.contains(&vec!["rw: 11 -> 12".to_owned(), "rw: 12 -> 11".to_owned()]), "{circle:?}");
}

#[test]
fn permits_make_no_circle_and_the_arrived_are_waited_for_by_nobody() {
    let permit = [lock("s", &[(A.0, A.1, Role::Permit)], &[B]), owned("b", B, &[A])];
    assert!(circles(&permit).is_empty());
    assert_eq!(waits(&permit).count(), 2);
    let barrier = [lock("b", &[(A.0, A.1, Role::Arrived), (B.0, 0, Role::Expected)], &[A]), owned("m", A, &[B])];
    assert_eq!(waits(&barrier).count(), 2);
    assert_eq!(circles(&barrier), [["b: 11 -> 0", "m: 12 -> 11"]]);
}

#[test]
fn a_holder_of_unknown_thread_stands_for_its_process() {
    let locks = [owned("a", (1, 0), &[B]), owned("b", B, &[A])];
    assert_eq!(circles(&locks), [["a: 12 -> 0", "b: 11 -> 12"]]);
    assert!(!deadlocks(&locks)[0].is_certain());
    assert!(deadlocks(&[owned("a", A, &[A])])[0].is_certain());
}

#[test]
fn who_moved_between_two_looks_is_not_stuck() {
    let [circle] = deadlocks(&[owned("a", A, &[B]), owned("b", B, &[A])]).try_into().unwrap();
    assert!(!circle.is_in(&[]));
    assert!(!circle.is_in(&[owned("a", A, &[B]), owned("b", C, &[A])]));
    let mut again = owned("b", B, &[A]);
    again.waiters[0].since_ns += 1;
    assert!(!circle.is_in(&[owned("a", A, &[B]), again]));
}

#[test]
fn a_spoilt_registry_is_no_endless_loop() {
    // Everybody holds and waits for everything, several times.
    let all: Vec<(u64, u32)> = (1..40).map(|n| (n, n as u32 % 7)).collect();
    let holders: Vec<_> = all.iter().chain(&all).map(|&(process, thread)| (process, thread, Role::Reader)).collect();
    let locks: Vec<_> = (0..30).map(|n| lock(&n.to_string(), &holders, &all)).collect();
    let found = circles(&locks);
    assert!(!found.is_empty() && found.len() <= all.len());
    // A long circle.
    let ring = |n: u32| {
        owned(&n.to_string(), (u64::from(n % 4000), n + 1), &[(u64::from((n + 1) % 4000), (n + 1) % 4000 + 1)])
    };
    let long: Vec<_> = (0..4000).map(ring).collect();
    assert_eq!(circles(&long)[0].len(), 4000);
}
