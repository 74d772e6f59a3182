//! The lock core, as loom sees it. Threads are processes of one thread, unless a model says otherwise. loom's futex has no clock, so a lost
//! wake-up is a deadlock; time passes only when somebody dies.
//!
//! Seen to catch, each seeded alone:
//!
//! - *Owner word*: taken, when it is free, by a load and a store, or Relaxed; given back Relaxed, or before the holder word; settled Relaxed; taken over by a store instead of
//!   an exact exchange, from somebody alive, or without SETTLING; a thread that ends gives up what another thread of its process has.
//! - *Raw mutex*: taken without SETTLING; unlocked while its owner settles, by a store, or Relaxed.
//! - *Waiting*: no ring, or without its light fence; no heavy fence before the sleep, or before who leaves looks again; no look after setting the bell; the bell not set again by who was
//!   woken and wins, lies down once more, or fails; who fails does not ring for what is free; a bell without a count; one woken where `next` is somebody in particular; `next` not
//!   given up by who wins, or leaves, or not taken back from the dead.
//!
//! Seen *not* to catch, since nothing but time depends on it: a spinner that does not give up its place. Nor, since whoever comes next is told by the guard that was given back, or by the
//! death: INCONSISTENT missing in the owner word *while it is owned*. (`tests/layout.rs` and `tests/reentrant.rs` catch that.)

mod dying;
mod living;

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::core::{Acquired, Asker, Core, LOCK_WORDS, Refused, Unlock, Wait};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::peer::{self, Peer, Place};
use crate::segment::region::{WordArray, Words};
use crate::sync::bell::Deadline;
use crate::sync::thread::model;
use crate::sys::barrier::Light;

const NEVER: Wait = Wait::Until(Deadline::NEVER);
const PLACE: Place = Place { segment: 0, offset: 0 };

/// A lock around two words, which are the same whenever the lock is free and consistent.
struct Guarded {
    words: WordArray<LOCK_WORDS>,
    light: Light,
    value: [Word; 2],
}

impl Guarded {
    fn new() -> Arc<Self> {
        let words = Words::on_heap((0..LOCK_WORDS).map(|_| Word::new(0)).collect());
        let words: WordArray<LOCK_WORDS> = words.array(0).unwrap();
        Arc::new(Self { words, light: Light::register(), value: [Word::new(0), Word::new(0)] })
    }

    fn core(&self) -> Core<'_> {
        Core::new(self.words.as_array(), self.light)
    }

    /// Held by the peer of this slot.
    fn held_by(slot: u64) -> Arc<Self> {
        let guarded = Self::new();
        assert!(!guarded.lock(slot));
        guarded
    }

    fn try_for(&self, slot: u64, wait: Wait) -> Result<Acquired, Refused> {
        let peer = Peer::model(slot);
        if self.core().take(peer.cookie(), model::id()) {
            return Ok(Acquired { inconsistent: false });
        }
        self.core().take_contended(Asker { peer: &peer, thread: model::id(), place: PLACE }, wait)
    }

    /// The same of a raw mutex.
    fn try_raw_for(&self, slot: u64, wait: Wait) -> Result<Acquired, Refused> {
        let peer = Peer::model(slot);
        if self.core().take_raw(peer.cookie(), model::id()) {
            return Ok(Acquired { inconsistent: false });
        }
        self.core().take_contended_raw(Asker { peer: &peer, thread: model::id(), place: PLACE }, wait)
    }

    fn unlock_raw(&self, slot: u64) -> bool {
        let unlocked = self.core().unlock_for_anyone(|owner| Peer::model(slot).is_alive(owner)).unwrap();
        assert!(!matches!(unlocked, Unlock::Settling(_)));
        unlocked == Unlock::Done
    }

    /// Waits for the lock as the peer of this slot; whether it is inconsistent.
    fn lock(&self, slot: u64) -> bool {
        self.try_for(slot, NEVER).unwrap().inconsistent
    }

    fn unlock(&self) {
        self.core().give_back(false);
    }

    /// What the owner does: whatever it does alone leaves both words the same.
    fn change(&self) -> u64 {
        let [first, second] = [0, 1].map(|index| {
            let value = self.value[index].load(Relaxed) + 1;
            self.value[index].store(value, Relaxed);
            value
        });
        assert_eq!(first, second, "two at once, or what the last one wrote is not seen");
        first
    }

    fn lock_and_change(&self, slot: u64) {
        assert!(!self.lock(slot), "nobody died");
        self.change();
        self.unlock();
    }

    /// Takes the lock after somebody may have died holding it; whether we are told.
    fn lock_and_repair(&self, slot: u64) -> bool {
        let told = self.lock(slot);
        let [first, second] = [0, 1].map(|index| self.value[index].load(Relaxed));
        if told {
            assert!(first == second || first == second + 1);
            self.value[1].store(first, Relaxed);
            self.core().declare(false);
        } else {
            assert_eq!(first, second, "half changed, and nobody is told");
        }
        self.change();
        self.unlock();
        told
    }

    fn changes(&self) -> u64 {
        self.value[0].load(Relaxed)
    }
}

fn spawn<R: 'static>(guarded: &Arc<Guarded>, act: impl FnOnce(&Guarded) -> R + 'static) -> JoinHandle<R> {
    let guarded = guarded.clone();
    thread::spawn(move || act(&guarded))
}

/// The peer of slot 1 does something, and dies instead of making store number `stores`; whether it survives.
fn victim(stores: u64, guarded: &Arc<Guarded>, act: impl FnOnce(&Guarded) + 'static) -> JoinHandle<bool> {
    spawn(guarded, move |guarded| peer::model::run(1, stores, || act(guarded)).is_some())
}

fn join<R>(threads: impl IntoIterator<Item = JoinHandle<R>>) -> Vec<R> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}
