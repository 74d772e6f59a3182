//! Doing something once, as loom sees it.
//!
//! Seen to catch: the stage not set before the work; the bell not rung; the stage stored or read Relaxed; not looked at again with the lock.

use std::sync::Arc;

use loom::thread;

use super::lock::LOCK_WORDS;
use super::lock::contention::without_spinning;
use super::once::{FormerRun, Once};
use super::part::{Object, Part};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::base::explore::explore;
use crate::base::mortal;
use crate::peer;
use crate::segment::region::Words;

/// The words of it, and what is to be done: both to be 1.
struct Model {
    words: Words,
    work: [Word; 2],
}

impl Model {
    fn new() -> Arc<Self> {
        let words = Words::on_heap((0..LOCK_WORDS + 8).map(|_| Word::new(0)).collect());
        Arc::new(Self { words, work: [Word::new(0), Word::new(0)] })
    }

    fn open(&self, slot: u64) -> Once {
        Object::over(Part::model(self.words.clone(), slot)).unwrap()
    }

    fn assert_done(&self) {
        assert_eq!([0, 1].map(|index| self.work[index].load(Relaxed)), [1, 1]);
    }

    /// Does it if need be; how often, and what became of the former.
    fn call(&self, slot: u64) -> Option<Option<FormerRun>> {
        let mut ran = None;
        let outcome: Result<(), super::OnceError<()>> = self.open(slot).try_call_once(|state| {
            ran = Some(state.former());
            let begun = self.work[0].load(Relaxed) != 0;
            assert!(state.is_takeover() || !begun, "half done, and nobody is told");
            for word in &self.work {
                word.store(1, Relaxed);
            }
            Ok(())
        });
        outcome.unwrap();
        self.assert_done();
        ran
    }
}

#[test]
fn loom_one_of_two_does_it_and_a_third_waits() {
    without_spinning(|| {
        explore(1, || {
            let model = Model::new();
            let others = [1, 2].map(|slot| {
                let model = model.clone();
                thread::spawn(move || u32::from(model.call(slot).is_some()))
            });
            model.open(3).wait();
            model.assert_done();
            assert_eq!(others.map(|other| other.join().unwrap()).iter().sum::<u32>(), 1);
        });
    });
}

#[test]
fn loom_who_does_it_dies_at_every_store() {
    without_spinning(|| {
        mortal::at_every_store(2, |stores| {
            let model = Model::new();
            let victim = {
                let model = model.clone();
                thread::spawn(move || peer::model::run(1, stores, || drop(model.call(1))).is_some())
            };
            let former = model.call(2);
            let survived = victim.join().unwrap();
            assert!(matches!(former, None | Some(None)) || (!survived && former == Some(Some(FormerRun::Died))));
            model.open(2).wait();
            assert_eq!(model.call(2), None);
        });
    });
}
