//! Death in loom models: a thread that stands for a process and is killed between two of its stores.
//!
//! What a killed process leaves is the effect of the shared stores that it made, and nothing of the later ones. So a model runs the
//! operation once for each number of stores that the victim lives to make:
//!
//! ```ignore
//! mortal::at_every_store(|stores| {
//!     let ring = Ring::<u64>::model(2);
//!     let victim = { let ring = ring.clone(); thread::spawn(move || peer::model::run(1, stores, || ring.producer())) };
//!     // ... and somebody who survives
//! });
//! ```
//!
//! Every [`Word::store`](super::atomic::Word::store) and `compare_exchange` counts one, as in the crash-point build ([`super::crash`]), whose kills
//! are real but whose interleavings are whatever the machine happens to do. The victim unwinds instead of returning; while it does, and for ever
//! after, nothing it does reaches shared memory.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[derive(Debug, Clone, Copy)]
enum Life {
    Immortal,
    /// That many stores from death.
    Left(u64),
    Dead,
}

loom::thread_local! {
    static LIFE: Cell<Life> = Cell::new(Life::Immortal);
}

thread_local! {
    /// Whether anybody died since [`at_every_store`] looked. All threads of a model are one thread of the system.
    static DIED: Cell<bool> = const { Cell::new(false) };
}

/// What a dying thread unwinds with.
struct Death;

/// Runs `act` in this thread, which dies instead of making store number `stores` (counted from 0); `None` if it did.
///
/// Whatever `act` owns is dropped without effect.
pub(crate) fn run<R>(stores: u64, act: impl FnOnce() -> R) -> Option<R> {
    LIFE.with(|life| life.set(Life::Left(stores)));
    let outcome = catch_unwind(AssertUnwindSafe(act));
    LIFE.with(|life| life.set(Life::Immortal));
    match outcome {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Death>() => {
            DIED.set(true);
            None
        }
        Err(payload) => resume_unwind(payload),
    }
}

/// Explores `model` for every number of stores after which its victim can die, up to the first that it survives in all interleavings.
pub(crate) fn at_every_store(model: impl Fn(u64) + Clone + Send + Sync + 'static) {
    for stores in 0.. {
        DIED.set(false);
        let model = model.clone();
        loom::model(move || model(stores));
        if !DIED.get() {
            assert!(stores > 0, "the victim makes no store");
            return;
        }
    }
}

/// Whether this thread is dead: then it must touch nothing that others see.
pub(crate) fn is_dead() -> bool {
    LIFE.with(|life| matches!(life.get(), Life::Dead))
}

/// To be asked before each store: `false` if it must not happen. Does not return to who has no store left.
pub(crate) fn may_store() -> bool {
    LIFE.with(|life| match life.get() {
        Life::Immortal => true,
        Life::Dead => false,
        Life::Left(0) => {
            life.set(Life::Dead);
            resume_unwind(Box::new(Death))
        }
        Life::Left(stores) => {
            life.set(Life::Left(stores - 1));
            true
        }
    })
}
