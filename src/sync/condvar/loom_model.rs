//! Condition variables, as loom sees them: two cells. The lock around is loom's own, which a dying thread gives back.
//!
//! Seen to catch: waiting that begins after the lock was given back; falling asleep, giving up or notifying by a blind store; nobody woken who sleeps; all
//! notified but who fell asleep meanwhile; the youngest notified first; a notification of the dead not looked for, not passed on, passed on to who came
//! later, or only after the cell was freed; a cell cleared although it was notified meanwhile; a dead one's cell taken by a blind store.

use std::sync::Arc;
use std::time::Duration;

use loom::sync::Mutex;
use loom::thread;

use super::super::bell::Deadline;
use super::Wake;
use super::waiters::{WAITERS_WORDS, Waiter, Waiters};
use crate::base::atomic::Word;
use crate::base::explore::explore;
use crate::base::mortal;
use crate::peer::{self, Peer};
use crate::segment::region::Words;
use crate::sys::futex;

struct Model {
    waiters: Waiters,
    flag: Mutex<bool>,
}

impl Model {
    fn new() -> Arc<Self> {
        let words = Words::on_heap((0..WAITERS_WORDS).map(|_| Word::new(0)).collect());
        Arc::new(Self { waiters: Waiters::new(&words).unwrap(), flag: Mutex::new(false) })
    }

    fn enter(&self, slot: u64) -> Waiter {
        self.waiters.enter(&Peer::model(slot)).unwrap()
    }

    fn sleep(&self, slot: u64, waiter: Waiter, deadline: Deadline) -> Wake {
        self.waiters.sleep(waiter, deadline, &Peer::model(slot))
    }

    /// From sleeping on, until it was notified.
    fn finish(&self, slot: u64, waiter: Waiter) {
        assert_eq!(self.sleep(slot, waiter, Deadline::NEVER), Wake::Notified);
        self.waiters.leave(waiter);
    }

    /// As a user waits for the flag.
    fn wait_for_flag(&self, slot: u64) {
        loop {
            let guard = self.flag.lock().unwrap();
            if *guard {
                return;
            }
            let waiter = self.enter(slot);
            drop(guard);
            assert_eq!(self.sleep(slot, waiter, Deadline::NEVER), Wake::Notified);
            let guard = self.flag.lock().unwrap();
            self.waiters.leave(waiter);
            assert!(*guard, "spurious: nobody else takes the flag back");
        }
    }

    /// All cells can be had.
    fn assert_room(&self) {
        assert_eq!(self.waiters.count(), 0);
        for waiter in [4, 5].map(|slot| self.enter(slot)) {
            self.waiters.leave(waiter);
        }
    }
}

#[test]
fn loom_no_notification_is_missed() {
    for notifies_locked in [false, true] {
        explore(3, move || {
            let model = Model::new();
            let waiter = {
                let model = model.clone();
                thread::spawn(move || model.wait_for_flag(1))
            };
            let mut guard = model.flag.lock().unwrap();
            *guard = true;
            if notifies_locked {
                model.waiters.notify(1);
            }
            drop(guard);
            if !notifies_locked {
                model.waiters.notify(1);
            }
            waiter.join().unwrap();
            model.assert_room();
        });
    }
}

#[test]
fn loom_all_are_notified() {
    explore(2, || {
        let model = Model::new();
        let waiters = [1, 2].map(|slot| {
            let model = model.clone();
            thread::spawn(move || model.wait_for_flag(slot))
        });
        *model.flag.lock().unwrap() = true;
        model.waiters.notify(usize::MAX);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        model.assert_room();
    });
}

/// Who began first is notified first, wherever its cell is, and nobody else is.
#[test]
fn loom_the_oldest_is_notified() {
    explore(2, || {
        let model = Model::new();
        let cell = model.enter(3);
        let first = model.enter(1);
        model.waiters.leave(cell);
        let second = model.enter(2);
        let sleepers = [(1, first), (2, second)].map(|(slot, waiter)| {
            let model = model.clone();
            Some(thread::spawn(move || model.finish(slot, waiter)))
        });
        for (sleeper, left) in sleepers.into_iter().zip([1, 0]) {
            assert_eq!(model.waiters.notify(1), 1);
            sleeper.unwrap().join().unwrap();
            assert_eq!(model.waiters.count(), left);
        }
        assert_eq!(model.waiters.notify(1), 0);
        model.assert_room();
    });
}

/// Two notifiers notify two, whichever of them is faster.
#[test]
fn loom_two_notifiers() {
    explore(2, || {
        let model = Model::new();
        let [first, second] = [1, 2].map(|slot| model.enter(slot));
        let other = {
            let model = model.clone();
            thread::spawn(move || model.waiters.notify(1))
        };
        let sleeper = {
            let model = model.clone();
            thread::spawn(move || model.finish(1, first))
        };
        assert_eq!(model.waiters.notify(1), 1);
        assert_eq!(other.join().unwrap(), 1);
        sleeper.join().unwrap();
        model.finish(2, second);
        model.assert_room();
    });
}

/// At the time-out it was notified, or it was not; the notifier knows the same.
#[test]
fn loom_a_notification_and_a_time_out() {
    explore(3, || {
        let model = Model::new();
        let waiter = model.enter(1);
        let hasty = {
            let model = model.clone();
            thread::spawn(move || {
                let wake = model.sleep(1, waiter, Deadline::after(Duration::ZERO));
                model.waiters.leave(waiter);
                wake
            })
        };
        let notified = model.waiters.notify(1);
        assert_eq!(notified == 1, hasty.join().unwrap() == Wake::Notified);
        model.assert_room();
    });
}

/// Who has begun to wait dies anywhere, notified or not: the notification goes to who waited already, not to who comes later.
#[test]
fn loom_a_waiter_dies_at_every_store() {
    mortal::at_every_store(2, |stores| {
        let model = Model::new();
        let [first, second] = [1, 2].map(|slot| model.enter(slot));
        let victim = {
            let model = model.clone();
            thread::spawn(move || peer::model::run(1, stores, || model.finish(1, first)).is_some())
        };
        let survivor = {
            let model = model.clone();
            thread::spawn(move || model.finish(2, second))
        };
        assert_eq!(model.waiters.notify(1), 1);
        // Its first store says that it sleeps, the second that it has received the notification.
        if victim.join().unwrap() || stores >= 2 {
            assert_eq!(model.waiters.notify(1), 1);
        }
        // It may have died before it was notified.
        futex::let_time_pass();
        survivor.join().unwrap();
        model.assert_room();
    });
}

/// Somebody dies while it begins to wait, and is notified nevertheless.
#[test]
fn loom_who_begins_to_wait_dies_at_every_store() {
    mortal::at_every_store(3, |stores| {
        let model = Model::new();
        let victim = {
            let model = model.clone();
            thread::spawn(move || peer::model::run(1, stores, || model.enter(1)).is_some())
        };
        // Either of them may be the older one.
        let waiter = model.enter(2);
        let late = victim.join().unwrap();
        assert!(model.waiters.notify(1) == 1);
        if late {
            peer::model::bury(1);
        }
        model.finish(2, waiter);
        // The dead one's cell, too, even though it may wait still.
        for waiter in [4, 5].map(|slot| model.enter(slot)) {
            model.waiters.leave(waiter);
        }
    });
}

/// Who finds, once it waits, that it has no lock to give back keeps no notification from who waits in earnest.
#[test]
fn loom_who_cannot_wait_passes_on() {
    explore(3, || {
        let model = Model::new();
        let [first, second] = [1, 2].map(|slot| model.enter(slot));
        let other = {
            let model = model.clone();
            thread::spawn(move || model.waiters.leave_unreceived(first))
        };
        let sleeper = {
            let model = model.clone();
            thread::spawn(move || model.finish(2, second))
        };
        assert_eq!(model.waiters.notify(1), 1);
        other.join().unwrap();
        sleeper.join().unwrap();
        model.assert_room();
    });
}

#[test]
fn loom_a_notifier_dies_at_every_store() {
    mortal::at_every_store(2, |stores| {
        let model = Model::new();
        let [first, second] = [1, 2].map(|slot| model.enter(slot));
        let victim = {
            let model = model.clone();
            thread::spawn(move || peer::model::run(3, stores, || model.waiters.notify(usize::MAX)))
        };
        let sleeper = {
            let model = model.clone();
            thread::spawn(move || model.finish(1, first))
        };
        if victim.join().unwrap().is_none() {
            model.waiters.notify(usize::MAX);
        }
        sleeper.join().unwrap();
        model.finish(2, second);
        model.assert_room();
    });
}

/// Two find what a dead one was notified of, and one of them dies while it passes that on.
#[test]
fn loom_who_passes_on_dies_at_every_store() {
    mortal::at_every_store(2, |stores| {
        let model = Model::new();
        let [_, second] = [6, 2].map(|slot| model.enter(slot));
        assert_eq!(model.waiters.notify(1), 1);
        peer::model::bury(6);
        let victim = {
            let model = model.clone();
            let pass_on = move || model.waiters.recover(&Peer::model(3)).unwrap();
            thread::spawn(move || peer::model::run(3, stores, pass_on))
        };
        model.finish(2, second);
        victim.join().unwrap();
        // What was left in between is nobody's notification any more.
        model.waiters.recover(&Peer::model(4)).unwrap();
        let late = model.enter(5);
        futex::let_time_pass();
        assert_eq!(model.sleep(5, late, Deadline::after(Duration::ZERO)), Wake::TimedOut);
        model.waiters.leave(late);
        model.assert_room();
    });
}

/// A waiter dies when nobody else waits: who comes later, before it is cleared up or afterwards, gets nothing of it, although one of those who clear up
/// is slow.
#[test]
fn loom_who_comes_later_is_not_notified() {
    for clears_first in [false, true] {
        explore(2, move || {
            let model = Model::new();
            model.enter(6);
            assert_eq!(model.waiters.notify(1), 1);
            peer::model::bury(6);
            let slow = {
                let model = model.clone();
                thread::spawn(move || model.waiters.recover(&Peer::model(2)).unwrap())
            };
            if clears_first {
                model.waiters.recover(&Peer::model(4)).unwrap();
            }
            let late = model.enter(1);
            if !clears_first {
                model.waiters.recover(&Peer::model(4)).unwrap();
            }
            assert_eq!(model.sleep(1, late, Deadline::after(Duration::ZERO)), Wake::TimedOut);
            model.waiters.leave(late);
            slow.join().unwrap();
            model.assert_room();
        });
    }
}

/// The dead one's cell is needed by another, while it is notified.
#[test]
fn loom_a_cell_is_cleared_while_it_is_notified() {
    explore(2, || {
        let model = Model::new();
        model.enter(6);
        let waiter = model.enter(1);
        assert!(model.waiters.enter(&Peer::model(1)).is_none(), "both live");
        peer::model::bury(6);
        let notifier = {
            let model = model.clone();
            thread::spawn(move || assert_eq!(model.waiters.notify(1), 1))
        };
        let late = model.enter(2);
        model.finish(1, waiter);
        notifier.join().unwrap();
        assert_eq!(model.sleep(2, late, Deadline::after(Duration::ZERO)), Wake::TimedOut);
        model.waiters.leave(late);
        model.assert_room();
    });
}

/// One look passes a notification on through all the dead, wherever their cells are.
#[test]
fn loom_no_notification_stays_with_another_of_the_dead() {
    explore(0, || {
        let model = Model::new();
        let cell = model.enter(3);
        model.enter(1);
        model.waiters.leave(cell);
        // In the first cell, and younger.
        model.enter(2);
        [1, 2].into_iter().for_each(peer::model::bury);
        assert_eq!(model.waiters.notify(1), 1);
        model.waiters.recover(&Peer::model(3)).unwrap();
        assert!(model.waiters.used().all(|cell| cell.owner().is_free()));
    });
}
