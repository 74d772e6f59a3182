//! Guards in thread-locals.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, LocalKey};

/// A guard that is dropped by the destructor of a thread-local, when it is told to.
pub(crate) struct Late<G> {
    guard: Option<G>,
    ends: Sender<()>,
    go: Receiver<()>,
}

impl<G> Drop for Late<G> {
    fn drop(&mut self) {
        self.ends.send(()).unwrap();
        self.go.recv().unwrap();
        drop(self.guard.take());
    }
}

pub(crate) type Place<G> = LocalKey<RefCell<Option<Late<G>>>>;

/// Has a thread of its own acquire a guard, and keep it there until it ends; `seen` is called while it ends. With the thread-local touched before the guard
/// was acquired, or after: they are destroyed in reverse.
pub(crate) fn outlives<G: 'static>(
    place: &'static Place<G>,
    touched_first: bool,
    acquire: impl FnOnce() -> Option<G> + Send + 'static,
    seen: impl FnOnce(),
) {
    let ((ends, ending), (goes, go)) = (channel(), channel());
    let thread = thread::spawn(move || {
        if touched_first {
            place.set(None);
        }
        let guard = acquire();
        assert!(guard.is_some());
        place.set(Some(Late { guard, ends, go }));
    });
    ending.recv().unwrap();
    seen();
    goes.send(()).unwrap();
    thread.join().unwrap();
}
