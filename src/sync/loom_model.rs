//! The bell, as loom sees it: who waits for a store is woken by it, in every interleaving.
//!
//! loom's futex has no clock, so a lost wake-up is a deadlock. Both barriers are full fences here, which is what
//! `membarrier` and a compiler fence amount to together; that they do is the kernel's promise, not modelled.
//!
//! Mistakes that these models were seen to catch: see each.

use loom::thread;

use super::bell::{self, Deadline};
use super::spin::Spin;
use crate::base::atomic::Ordering::{Relaxed, Release};
use crate::base::atomic::Word;
use crate::sys::barrier::Light;
use std::sync::Arc;

struct Shared {
    bell: Word,
    count: Word,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { bell: Word::new(0), count: Word::new(0) })
    }

    fn wait_until(&self, count: u64) {
        let ready = |_| (self.count.load(Relaxed) >= count).then_some(());
        let outcome: Result<_, ()> = bell::wait(&self.bell, Deadline::NEVER, &mut Spin::new(), ready, || Ok(()));
        assert_eq!(outcome, Ok(Some(())));
    }

    fn announce(&self, count: u64) {
        self.count.store(count, Release);
        bell::ring(&self.bell, Light::register());
    }
}

#[test]
fn loom_a_sleeper_hears_every_store() {
    loom::model(|| {
        let shared = Shared::new();
        let sleeper = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.wait_until(1);
                shared.wait_until(2);
            })
        };
        shared.announce(1);
        shared.announce(2);
        sleeper.join().unwrap();
    });
}

#[test]
fn loom_two_sleepers_on_one_bell() {
    loom::model(|| {
        let shared = Shared::new();
        let sleepers = [1, 2].map(|count| {
            let shared = shared.clone();
            thread::spawn(move || shared.wait_until(count))
        });
        shared.announce(1);
        shared.announce(2);
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}

#[test]
fn loom_two_wakers_of_one_bell() {
    loom::model(|| {
        let bell = Arc::new(Word::new(0));
        let done = Arc::new([Word::new(0), Word::new(0)]);
        let wakers = [0, 1].map(|index| {
            let (bell, done) = (bell.clone(), done.clone());
            thread::spawn(move || {
                done[index].store(1, Release);
                bell::ring(&bell, Light::register());
            })
        });
        let ready = |_| done.iter().all(|word| word.load(Relaxed) == 1).then_some(());
        let outcome: Result<_, ()> = bell::wait(&bell, Deadline::NEVER, &mut Spin::new(), ready, || Ok(()));
        assert_eq!(outcome, Ok(Some(())));
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}
