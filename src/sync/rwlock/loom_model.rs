//! The lock, as loom sees it: two cells for readers, and one for who was the writer.
//!
//! Seen to catch: no total order between a reader's claim and its look at the owner, or that look relaxed; no fence before the writer looks at the cells, or none
//! behind it; a cell left Relaxed; the owner not looked at behind the claim on the slow path; a nested read in a second cell of its own; a reader that is let in
//! and wakes no other; a reader that leaves, or backs out, without ringing; a writer that does not say that it changes the value, or whose word is not heeded; every dead
//! writer taken for one that did; `changing` taken back behind the owner; a writer that gives up and leaves the value inconsistent; a reader that takes over from the dead
//! and forgets to say so; a free cell that still names a thread; a cell taken out by a blind store; the owner given back before cell 0 is taken; cell 0 taken out by a
//! reader.
//!
//! Not: whoever takes out a dead reader's cell and does not ring for it, which costs those who wait a slice.
//!
//! # Safety
//!
//! The unsafe code here looks into loom's cell, which checks each access: that is the model.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::thread;

use super::super::bell::Deadline;
use super::super::lock::contention::without_spinning;
use super::super::lock::{Acquired, Asker, Refused, Wait};
use super::core::{Entered, RW_WORDS, RwCore};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::base::explore::{explore, without_light_fences};
use crate::base::mortal;
use crate::peer::{self, Cookie, Peer, Place};
use crate::segment::region::Words;
use crate::sys::barrier::Light;
use crate::sys::futex;

const THREAD: u32 = 1;
const FOREVER: Wait = Wait::Until(Deadline::NEVER);

/// The lock around a value of two words, and around one that loom watches.
struct Model {
    core: RwCore,
    value: [Word; 2],
    watched: UnsafeCell<u64>,
}

// SAFETY: all but the cell are words, and loom checks each access to that.
unsafe impl Sync for Model {}
// SAFETY: as above.
unsafe impl Send for Model {}

impl Model {
    fn new() -> Arc<Self> {
        let words = Words::on_heap((0..RW_WORDS).map(|_| Word::new(0)).collect());
        let core = RwCore::new(&words, Light::register()).unwrap();
        Arc::new(Self { core, value: [Word::new(0), Word::new(0)], watched: UnsafeCell::new(0) })
    }

    /// Gets in for reading as the process of this slot.
    fn read(&self, slot: u64, wait: Wait) -> Result<Entered, Refused> {
        let peer = Peer::model(slot);
        match self.core.read(peer.cookie(), THREAD) {
            Some(cell) => Ok(Entered { cell, inconsistent: false }),
            None => self.core.read_contended(asker(&peer), wait),
        }
    }

    fn write(&self, slot: u64, wait: Wait) -> Result<Acquired, Refused> {
        let peer = Peer::model(slot);
        match self.core.write(peer.cookie(), THREAD) {
            Some(true) => Ok(Acquired { inconsistent: false }),
            pending => self.core.write_contended(asker(&peer), wait, pending.is_some()),
        }
    }

    /// Reads both words while in; returns the value. They are the same, unless that was not promised.
    fn read_value(&self, slot: u64, wait: Wait) -> Result<u64, Refused> {
        let entered = self.read(slot, wait)?;
        let [first, second] = [0, 1].map(|word| self.value[word].load(Relaxed));
        assert!(entered.inconsistent || first == second, "torn: {first} and {second}");
        self.core.leave(entered.cell);
        Ok(first)
    }

    /// Adds 1 to both words; repairs them first if that is needed, and says so.
    fn write_value(&self, slot: u64, wait: Wait) -> Result<bool, Refused> {
        let acquired = self.write(slot, wait)?;
        let [first, second] = [0, 1].map(|word| self.value[word].load(Relaxed));
        assert!(acquired.inconsistent || first == second, "torn: {first} and {second}");
        if acquired.inconsistent {
            self.value[1].store(first, Relaxed);
            self.core.writer().declare(false);
        }
        self.value[0].store(first + 1, Relaxed);
        self.value[1].store(first + 1, Relaxed);
        self.core.end_write(false);
        Ok(acquired.inconsistent)
    }

    fn values(&self) -> [u64; 2] {
        [0, 1].map(|word| self.value[word].load(Relaxed))
    }

    /// What loom watches: nobody else is in while this one writes.
    fn touch(&self) {
        // SAFETY: loom checks it.
        self.watched.with_mut(|value| unsafe { *value += 1 });
    }

    fn look(&self) -> u64 {
        // SAFETY: loom checks it.
        self.watched.with(|value| unsafe { *value })
    }

    /// Nobody is in, and nobody is on the way.
    fn assert_free(&self) {
        assert!(self.core.readers() == 0 && self.core.writer().owner().load().is_free());
        assert!(self.core.free_cells_name_nobody());
        let entered = self.read(5, Wait::Not).unwrap();
        self.core.leave(entered.cell);
    }
}

fn asker(peer: &Peer) -> Asker<'_> {
    Asker { peer, thread: THREAD, place: Place { segment: 0, offset: 0 } }
}

fn cookie(slot: u64) -> Cookie {
    Peer::model(slot).cookie()
}

/// Nobody waits, so nothing but cells and the owner word order what they do. Fast paths only; the others have the same stores.
#[test]
fn loom_readers_and_writers_exclude_each_other() {
    fn write(model: &Model, slot: u64) {
        match model.core.write(cookie(slot), THREAD) {
            Some(true) => {
                model.touch();
                model.core.end_write(false);
            }
            Some(false) => model.core.writer().give_back(false),
            None => {}
        }
    }
    without_light_fences(|| {
        explore(2, || {
            let model = Model::new();
            let writer = {
                let model = model.clone();
                thread::spawn(move || write(&model, 1))
            };
            let reader = {
                let model = model.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        if let Some(cell) = model.core.read(cookie(2), THREAD) {
                            model.look();
                            model.core.leave(cell);
                        }
                    }
                })
            };
            write(&model, 3);
            writer.join().unwrap();
            reader.join().unwrap();
            model.assert_free();
        });
    });
}

/// The same where the reader does not take the fast path.
#[test]
fn loom_a_reader_looks_again_behind_its_claim() {
    without_light_fences(|| {
        explore(3, || {
            let model = Model::new();
            let writer = {
                let model = model.clone();
                thread::spawn(move || match model.core.write(cookie(1), THREAD) {
                    Some(true) => {
                        model.touch();
                        model.core.end_write(false);
                    }
                    pending => assert_eq!(pending, Some(false)),
                })
            };
            if let Ok(entered) = model.core.read_contended(asker(&Peer::model(2)), Wait::Not) {
                model.look();
                model.core.leave(entered.cell);
            }
            writer.join().unwrap();
        });
    });
}

/// Whoever has to wait is woken: nothing else ends a sleep here.
#[test]
fn loom_a_reader_and_a_writer_wait_for_each_other() {
    explore(3, || {
        let model = Model::new();
        let writer = {
            let model = model.clone();
            thread::spawn(move || {
                model.write(1, FOREVER).unwrap();
                model.touch();
                model.core.end_write(false);
            })
        };
        let entered = model.read(2, FOREVER).unwrap();
        model.look();
        model.core.leave(entered.cell);
        writer.join().unwrap();
        assert_eq!(model.look(), 1);
        model.assert_free();
    });
}

/// The writer's leaving wakes one, who wakes the next.
#[test]
fn loom_two_readers_wait_for_a_writer() {
    let two_wait = || {
        let model = Model::new();
        model.write(1, Wait::Not).unwrap();
        let readers = [2, 3].map(|slot| {
            let model = model.clone();
            thread::spawn(move || {
                let entered = model.read(slot, FOREVER).unwrap();
                assert_eq!(model.look(), 1);
                model.core.leave(entered.cell);
            })
        });
        model.touch();
        model.core.end_write(false);
        for reader in readers {
            reader.join().unwrap();
        }
        model.assert_free();
    };
    without_spinning(|| explore(2, two_wait));
}

/// As many as there are cells are in; another comes, and a writer.
#[test]
fn loom_a_reader_waits_for_a_cell() {
    explore(2, || {
        let model = Model::new();
        let first = [2, 3].map(|slot| model.read(slot, Wait::Not).unwrap());
        assert!(matches!(model.read(4, Wait::Not), Err(Refused::Busy(_))));
        let waiter = {
            let model = model.clone();
            thread::spawn(move || {
                let entered = model.read(4, FOREVER).unwrap();
                model.look();
                model.core.leave(entered.cell);
            })
        };
        let writer = {
            let model = model.clone();
            thread::spawn(move || {
                model.write(1, FOREVER).unwrap();
                model.touch();
                model.core.end_write(false);
            })
        };
        for entered in first {
            model.look();
            model.core.leave(entered.cell);
        }
        waiter.join().unwrap();
        writer.join().unwrap();
        model.assert_free();
    });
}

/// A thread that reads reads again, whoever is pending, and its guards go in any order.
#[test]
fn loom_who_reads_may_read_again() {
    explore(2, || {
        let model = Model::new();
        let writer = {
            let model = model.clone();
            thread::spawn(move || {
                model.write(1, FOREVER).unwrap();
                model.touch();
                model.core.end_write(false);
            })
        };
        let first = model.read(2, FOREVER).unwrap();
        let second = model.read(2, FOREVER).unwrap();
        assert!(matches!(model.write(2, FOREVER), Err(Refused::Deadlock)));
        let seen = model.look();
        model.core.leave(first.cell);
        let third = model.read(2, FOREVER).unwrap();
        model.core.leave(second.cell);
        assert_eq!(model.look(), seen);
        model.core.leave(third.cell);
        writer.join().unwrap();
        model.assert_free();
    });
}

#[test]
fn loom_nobody_writes_while_a_writer_becomes_a_reader() {
    explore(3, || {
        let model = Model::new();
        let other = {
            let model = model.clone();
            thread::spawn(move || {
                model.write(1, FOREVER).unwrap();
                model.touch();
                model.core.end_write(false);
            })
        };
        model.write(2, FOREVER).unwrap();
        model.touch();
        let seen = model.look();
        let cell = model.core.downgrade(cookie(2), THREAD, false);
        assert_eq!(model.look(), seen);
        model.core.leave(cell);
        other.join().unwrap();
        model.assert_free();
    });
}

/// Who gives up leaves nothing, and takes nobody's wake-up with it.
#[test]
fn loom_who_gives_up_leaves_nothing() {
    explore(2, || {
        let model = Model::new();
        let entered = model.read(2, Wait::Not).unwrap();
        let hasty = {
            let model = model.clone();
            thread::spawn(move || {
                let at_once = Wait::Until(Deadline::after(Duration::ZERO));
                if model.write(1, at_once).is_ok() {
                    model.touch();
                    model.core.end_write(false);
                }
            })
        };
        let reader = {
            let model = model.clone();
            thread::spawn(move || {
                let entered = model.read(3, FOREVER).unwrap();
                model.look();
                model.core.leave(entered.cell);
            })
        };
        model.look();
        model.core.leave(entered.cell);
        hasty.join().unwrap();
        reader.join().unwrap();
        model.assert_free();
    });
}

/// A reader dies anywhere, and a writer waits for it.
#[test]
fn loom_a_reader_dies_at_every_store() {
    mortal::at_every_store(2, |stores| {
        let model = Model::new();
        let victim = {
            let model = model.clone();
            thread::spawn(move || {
                peer::model::run(1, stores, || model.read_value(1, FOREVER).unwrap());
            })
        };
        assert!(!model.write_value(2, FOREVER).unwrap(), "a reader changes nothing");
        // The dead may have been the one that the free lock was left to.
        futex::let_time_pass();
        victim.join().unwrap();
        model.read_value(3, FOREVER).unwrap();
        // All cells can still be had.
        let again = [4, 5].map(|slot| model.read(slot, Wait::Not).unwrap().cell);
        again.into_iter().for_each(|cell| model.core.leave(cell));
        assert_eq!(model.values(), [1, 1]);
    });
}

/// A writer dies anywhere, pending or in; a reader was in when it came, and waits again afterwards.
#[test]
fn loom_a_writer_dies_at_every_store() {
    mortal::at_every_store(2, |stores| {
        let model = Model::new();
        let entered = model.read(2, Wait::Not).unwrap();
        let victim = {
            let model = model.clone();
            thread::spawn(move || peer::model::run(1, stores, || model.write_value(1, FOREVER).unwrap()).is_some())
        };
        assert_eq!(model.values(), [0, 0]);
        model.core.leave(entered.cell);
        model.read_value(2, FOREVER).unwrap();
        let survived = victim.join().unwrap();
        let [first, second] = model.values();
        let told = model.write_value(3, FOREVER).unwrap();
        assert!(told || first == second, "nobody was told");
        assert!(!told || !survived, "told for nothing");
        let repaired = first + 1;
        assert_eq!(model.values(), [repaired; 2]);
        assert!(!model.write_value(4, FOREVER).unwrap(), "it was marked consistent");
        model.assert_free();
    });
}

/// A writer dies anywhere, while another comes or goes.
#[test]
fn loom_a_writer_dies_beside_another() {
    let another_writes = |stores| {
        let model = Model::new();
        let victim = {
            let model = model.clone();
            let write = move || model.write_value(1, FOREVER).map(drop).unwrap();
            thread::spawn(move || peer::model::run(1, stores, write))
        };
        model.write_value(2, FOREVER).unwrap();
        victim.join().unwrap();
        let [first, second] = model.values();
        assert!(model.write_value(3, Wait::Not).unwrap() || first == second, "nobody was told");
        model.assert_free();
    };
    without_spinning(|| mortal::at_every_store(2, another_writes));
}

/// Two find the same dead readers; one of them is slow, and somebody who lives has the cell again.
#[test]
fn loom_a_cell_is_taken_from_the_dead_only() {
    explore(2, || {
        let model = Model::new();
        for slot in [6, 7] {
            model.read(slot, Wait::Not).unwrap();
            peer::model::bury(slot);
        }
        let slow = {
            let model = model.clone();
            thread::spawn(move || {
                if let Ok(entered) = model.read(1, Wait::Not) {
                    model.core.leave(entered.cell);
                }
            })
        };
        if model.write(2, Wait::Not).is_ok() {
            model.core.end_write(false);
        }
        let entered = model.read(3, Wait::Not);
        slow.join().unwrap();
        if let Ok(entered) = entered {
            assert!(matches!(model.write(4, Wait::Not), Err(Refused::Busy(Some(_)))));
            model.core.leave(entered.cell);
        }
        model.write(5, Wait::Not).unwrap();
        model.core.end_write(false);
        model.assert_free();
    });
}

/// A writer dies while it waits for a reader who stays in: nobody is told, whoever takes over.
#[test]
fn loom_a_pending_writer_dies_and_nobody_is_told() {
    mortal::at_every_store(2, |stores| {
        let model = Model::new();
        let entered = model.read(2, Wait::Not).unwrap();
        let victim = {
            let model = model.clone();
            let at_once = Wait::Until(Deadline::after(Duration::ZERO));
            thread::spawn(move || peer::model::run(1, stores, || model.write(1, at_once).is_err()))
        };
        let reader = {
            let model = model.clone();
            thread::spawn(move || {
                let entered = model.read(3, FOREVER).unwrap();
                assert!(!entered.inconsistent);
                model.core.leave(entered.cell);
            })
        };
        victim.join().unwrap();
        reader.join().unwrap();
        model.core.leave(entered.cell);
        assert!(!model.write_value(4, FOREVER).unwrap());
        model.assert_free();
    });
}

/// What a dead writer left is taken over by somebody who dies in turn, anywhere: the value stays inconsistent until somebody says otherwise.
#[test]
fn loom_who_recovers_dies_at_every_store() {
    for reads in [false, true] {
        mortal::at_every_store(1, move |stores| {
            let model = Model::new();
            // Dead in the middle of a change, beside a dead reader.
            model.read(6, Wait::Not).unwrap();
            peer::model::bury(6);
            model.write(1, FOREVER).unwrap();
            model.value[0].store(1, Relaxed);
            peer::model::bury(1);
            let victim = {
                let model = model.clone();
                let recover = move || {
                    if reads {
                        let _ = model.read_value(2, Wait::Not);
                    } else {
                        let _ = model.write_value(2, Wait::Not);
                    }
                };
                thread::spawn(move || peer::model::run(2, stores, recover).is_some())
            };
            let seen = model.read_value(3, Wait::Not).unwrap_or(0);
            let survived = victim.join().unwrap();
            let before = model.values();
            let told = model.write_value(4, Wait::Not).unwrap();
            let [first, second] = model.values();
            assert!(first == second && first > seen);
            assert!(told || before[0] == before[1], "nobody was told");
            assert!(told || !reads, "a reader has repaired nothing");
            assert!(!told || reads || !survived || before == [1, 0], "it was repaired");
            model.assert_free();
        });
    }
}

/// The cell that is kept for the writer was left by somebody dead, and who clears up is slow: a writer that goes on as a reader keeps it.
#[test]
fn loom_nobody_clears_the_cell_of_a_writer_that_goes_on_reading() {
    explore(3, || {
        let model = Model::new();
        model.write(6, Wait::Not).unwrap();
        model.core.downgrade(cookie(6), THREAD, false);
        peer::model::bury(6);
        let first = [2, 3].map(|slot| model.read(slot, Wait::Not).unwrap());
        let slow = {
            let model = model.clone();
            thread::spawn(move || {
                if let Ok(entered) = model.read(1, Wait::Not) {
                    model.core.leave(entered.cell);
                }
            })
        };
        first.into_iter().for_each(|entered| model.core.leave(entered.cell));
        if model.write(4, Wait::Not).is_ok() {
            let cell = model.core.downgrade(cookie(4), THREAD, false);
            slow.join().unwrap();
            assert!(model.core.reads_in(cell, cookie(4), THREAD), "a living reader lost its cell");
        } else {
            slow.join().unwrap();
        }
    });
}
