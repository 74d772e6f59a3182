//! Many locks in one part, as loom sees them.
//!
//! Seen to catch: a lock over the words of another; what the dead had entered not taken from them.

use std::sync::Arc;

use loom::thread;

use super::inside::{Door, Outside};
use super::lock::contention::without_spinning;
use super::lock::{LOCK_WORDS, Wait};
use super::part::Part;
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::base::mortal;
use crate::peer;
use crate::segment::region::Words;
use crate::sync::bell::Deadline;

const NEVER: Wait = Wait::Until(Deadline::NEVER);
const SECOND: usize = LOCK_WORDS;

/// The words of two locks, and what the second one guards: the same twice whenever nobody is inside.
struct Model {
    words: Words,
    value: [Word; 2],
}

impl Model {
    fn new() -> Arc<Self> {
        let words = Words::on_heap((0..2 * LOCK_WORDS).map(|_| Word::new(0)).collect());
        Arc::new(Self { words, value: [Word::new(0), Word::new(0)] })
    }

    fn open(&self, slot: u64) -> Part {
        Part::model(self.words.clone(), slot)
    }

    /// Enters the second lock, settles what it finds half done, and adds one.
    fn add(&self, slot: u64) {
        let part = self.open(slot);
        let entered = Door::at(&part, SECOND).unwrap().enter(NEVER).unwrap();
        let [first, second] = &self.value;
        second.store(first.load(Relaxed), Relaxed);
        let sum = first.load(Relaxed) + 1;
        first.store(sum, Relaxed);
        second.store(sum, Relaxed);
        drop(entered);
    }
}

/// While somebody is inside the first lock, two want the second, and one of them dies wherever it may.
#[test]
fn loom_one_of_two_locks_goes_from_the_dead_to_the_next() {
    without_spinning(|| {
        mortal::at_every_store(2, |stores| {
            let model = Model::new();
            let held = model.open(3);
            let entered = Door::at(&held, 0).unwrap().enter(NEVER).unwrap();
            let victim = {
                let model = model.clone();
                thread::spawn(move || peer::model::run(1, stores, || model.add(1)).is_some())
            };
            model.add(2);
            let survived = victim.join().unwrap();
            model.add(2);
            let sums = [0, 1].map(|index| model.value[index].load(Relaxed));
            assert!(sums[0] == sums[1] && (2 + u64::from(survived)..=3).contains(&sums[0]), "{sums:?}");
            let part = model.open(2);
            assert!(matches!(Door::at(&part, 0).unwrap().enter(Wait::Not), Err(Outside::Busy)));
            drop(entered);
            assert!(Door::at(&part, 0).unwrap().enter(Wait::Not).is_ok());
        });
    });
}
