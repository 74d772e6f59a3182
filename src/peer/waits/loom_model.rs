//! Wait records, as loom sees them.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::base::explore::explore;
use crate::base::mortal;
use crate::peer::model;

/// One record, so that all want the same.
fn pool() -> Arc<[Word]> {
    (0..RECORD_WORDS).map(|_| Word::new(0)).collect()
}

fn cookie(slot: u64) -> Cookie {
    Cookie::new(slot, 1)
}

/// Claims the record if it can and fills it in with three times the same. The clock stands still.
fn wait(pool: &[Word], owner: u64, number: u32) -> bool {
    let claimed = claim(pool, cookie(owner), number, model::is_alive);
    if let Some(record) = claimed.and_then(|at| record(pool, at)) {
        let place = Place { segment: number.into(), offset: number.into() };
        fill_in(record, cookie(owner), number, place, 5);
    }
    claimed.is_some()
}

fn release(pool: &[Word]) {
    pool[COOKIE].store(0, Release);
}

/// Reads the record, checks that it is whole, and returns who waits with which number.
fn look(pool: &[Word]) -> Option<(Cookie, u32)> {
    let found = read(record(pool, 0).unwrap())?;
    let number = u64::from(found.thread);
    assert_eq!((found.place.segment, found.place.offset), (number, number), "torn");
    Some((found.cookie, found.thread))
}

/// The same process all the time, so that its cookie tells nothing apart.
#[test]
fn loom_a_record_that_changes_hands_is_whole() {
    explore(2, || {
        let pool = pool();
        let waiter = {
            let pool = pool.clone();
            thread::spawn(move || {
                for number in [1, 2, 3] {
                    assert!(wait(&pool, 0, number));
                    release(&pool);
                }
                assert!(wait(&pool, 0, 4));
            })
        };
        look(&pool);
        waiter.join().unwrap();
        assert_eq!(look(&pool), Some((cookie(0), 4)));
    });
}

#[test]
fn loom_one_of_two_gets_a_record() {
    explore(3, || {
        let pool = pool();
        let waiters = [1, 2].map(|owner| {
            let pool = pool.clone();
            thread::spawn(move || {
                let claimed = wait(&pool, owner, owner as u32);
                if claimed {
                    assert_eq!(look(&pool), Some((cookie(owner), owner as u32)), "robbed");
                }
                claimed
            })
        });
        look(&pool);
        let claimed = waiters.map(|waiter| waiter.join().unwrap());
        assert!(claimed[0] != claimed[1], "{claimed:?}");
    });
}

/// Two threads of a process take turns at it, while somebody looks.
#[test]
fn loom_a_record_of_two_is_whole() {
    explore(2, || {
        let pool = pool();
        let waiters = [1, 2].map(|number| {
            let pool = pool.clone();
            thread::spawn(move || {
                if wait(&pool, 0, number) {
                    release(&pool);
                }
            })
        });
        look(&pool);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(look(&pool), None);
    });
}

/// Whatever a waiter has stored when it dies, the record is another's to take, and was never seen half filled in.
#[test]
fn loom_a_waiter_dies_at_every_store() {
    mortal::at_every_store(2, |stores| {
        let pool = pool();
        let victim = {
            let pool = pool.clone();
            thread::spawn(move || {
                model::run(1, stores, || {
                    if wait(&pool, 1, 1) {
                        release(&pool);
                    }
                })
                .is_some()
            })
        };
        let successor = {
            let pool = pool.clone();
            thread::spawn(move || wait(&pool, 2, 2))
        };
        look(&pool);
        victim.join().unwrap();
        let taken = successor.join().unwrap() || wait(&pool, 2, 2);
        assert!(taken && look(&pool) == Some((cookie(2), 2)));
    });
}
