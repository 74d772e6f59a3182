//! Events, as loom sees them.
//!
//! Seen to catch:

use loom::thread;

use super::bell::Deadline;
use super::event::Event;
use super::part::model::Heap;
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::base::explore::{explore, without_light_fences};
use crate::base::mortal;
use crate::peer;
use std::sync::Arc;

#[test]
fn loom_setting_wakes_all_who_wait() {
    explore(2, || {
        let heap = Heap::new::<Event>(&());
        let waiters = [1, 2].map(|slot| {
            let event: Event = heap.open(slot);
            thread::spawn(move || event.wait().unwrap())
        });
        heap.open::<Event>(0).set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

/// A pulse: who has begun to wait before it is let go, however short it was.
#[test]
fn loom_no_pulse_is_lost() {
    explore(3, || {
        let heap = Heap::new::<Event>(&());
        let event: Event = heap.open(0);
        let waiter = {
            let (event, before) = (heap.open::<Event>(1), event.state());
            thread::spawn(move || event.wait_since(before, Deadline::NEVER).unwrap())
        };
        event.set();
        event.clear();
        waiter.join().unwrap();
        assert!(!event.is_set());
    });
}

#[test]
fn loom_who_sees_it_set_sees_what_was_written_before() {
    without_light_fences(|| {
        explore(3, || {
            let heap = Heap::new::<Event>(&());
            let work = Arc::new(Word::new(0));
            let setter = {
                let (event, work) = (heap.open::<Event>(1), work.clone());
                thread::spawn(move || {
                    work.store(1, Relaxed);
                    event.set();
                    event.clear();
                })
            };
            let event: Event = heap.open(0);
            let before = event.state();
            if before.is_set() || event.state().was_set_since(before) {
                assert_eq!(work.load(Relaxed), 1, "told of nothing");
            }
            setter.join().unwrap();
        });
    });
}

/// It is set when another sets it: who clears it sees what that one did before, or finds it set again.
#[test]
fn loom_who_clears_sees_what_was_set_or_is_told_again() {
    without_light_fences(|| {
        explore(3, || {
            let heap = Heap::new::<Event>(&());
            let work = Arc::new(Word::new(0));
            let event: Event = heap.open(0);
            event.set();
            let setter = {
                let (event, work) = (heap.open::<Event>(1), work.clone());
                thread::spawn(move || {
                    work.store(1, Relaxed);
                    event.set();
                })
            };
            event.clear();
            let seen = work.load(Relaxed) == 1;
            setter.join().unwrap();
            assert!(seen || event.is_set(), "work that nobody is told of");
        });
    });
}

/// The setter dies at every store: whoever waits finds out, or it was not set at all.
#[test]
fn loom_a_setter_dies_at_every_store() {
    mortal::at_every_store(3, |stores| {
        let heap = Heap::new::<Event>(&());
        let victim = {
            let event: Event = heap.open(1);
            thread::spawn(move || peer::model::run(1, stores, || event.set()).is_some())
        };
        let waiter = {
            let event: Event = heap.open(2);
            thread::spawn(move || event.wait().unwrap())
        };
        let survived = victim.join().unwrap();
        let event: Event = heap.open(0);
        if event.is_set() {
            waiter.join().unwrap();
        } else {
            assert!(!survived, "what was set is set");
            event.set();
            waiter.join().unwrap();
        }
    });
}
