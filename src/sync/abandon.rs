//! What becomes of guards that were leaked: with their thread's end, or with the last handle of their lock in this process, they count as held by
//! the dead.
//!
//! Their process lives, so nobody else could tell. (Models leave this out: it is a list of this process alone.)

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::peer::Place;
use crate::sys::fork;

/// Something that guards hold, as this process has it open.
pub(crate) trait Abandon: Send + Sync + 'static {
    fn place(&self) -> Place;

    /// Gives up what this process holds by this thread, or by any thread. Called with the list locked: it opens and drops no handles.
    fn abandon(&self, thread: Option<u32>);
}

/// All that is open. Locked only under the fork gate, so never in the middle of a fork.
static OPEN: Mutex<List> = Mutex::new(List { last: 0, opened: Vec::new() });

struct List {
    /// The number that was given last.
    last: u64,
    opened: Vec<Opened>,
}

struct Opened {
    number: u64,
    place: Place,
    what: Arc<dyn Abandon>,
}

/// Something is open for as long as clones of this live: every handle has one.
///
/// What is on the list is a matter of these alone, not of who else has the thing itself for a moment.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    _entry: Arc<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
}

/// To be called with what was just opened, and kept with each of its handles.
pub(crate) fn register<T: Abandon>(what: &Arc<T>) -> Open {
    // Models abandon by hand; what one has open is nothing to another.
    if cfg!(loom) {
        return Open { _entry: Arc::new(Entry { number: 0 }) };
    }
    let _gate = fork::gate();
    let mut list = list();
    list.last += 1;
    let number = list.last;
    list.opened.push(Opened { number, place: what.place(), what: what.clone() });
    Open { _entry: Arc::new(Entry { number }) }
}

/// To be called by a thread that ends.
pub(crate) fn thread_ended(thread: u32) {
    let _gate = fork::gate();
    for open in &list().opened {
        open.what.abandon(Some(thread));
    }
}

impl Drop for Entry {
    /// The last handle is being dropped. (Guards borrow handles, so those that are left were leaked; unless another handle of the same place lent
    /// them.)
    fn drop(&mut self) {
        if cfg!(loom) {
            return;
        }
        let _gate = fork::gate();
        let mut list = list();
        let Some(index) = list.opened.iter().position(|open| open.number == self.number) else { return };
        let closed = list.opened.swap_remove(index);
        if !list.opened.iter().any(|open| open.place == closed.place) {
            // Still under the lock: nobody can open it anew meanwhile, and lend guards that are not leaked.
            closed.what.abandon(None);
        }
        // What may take longer, letting go of the segment, not.
        drop(list);
        drop(closed);
    }
}

fn list() -> MutexGuard<'static, List> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{self, ThreadId};

    use super::*;

    /// Tells who had it given up, and for which thread.
    struct Fake {
        place: Place,
        told: Sender<(ThreadId, Option<u32>)>,
        /// Done when it is given up for a thread.
        at_the_end: Mutex<Box<dyn FnMut() + Send>>,
    }

    impl Abandon for Fake {
        fn place(&self) -> Place {
            self.place
        }

        fn abandon(&self, thread: Option<u32>) {
            // Threads of other tests end as well.
            if thread.is_none_or(|thread| thread == NOBODY) {
                let _ = self.told.send((thread::current().id(), thread));
            }
            if thread == Some(NOBODY) {
                (self.at_the_end.lock().unwrap())();
            }
        }
    }

    /// No thread's number.
    const NOBODY: u32 = u32::MAX;

    type Told = Receiver<(ThreadId, Option<u32>)>;

    fn fake(place: Place) -> (Arc<Fake>, Told) {
        let (told, tells) = channel();
        (Arc::new(Fake { place, told, at_the_end: Mutex::new(Box::new(|| {})) }), tells)
    }

    /// Where nothing real is.
    fn at(offset: u64) -> Place {
        Place { segment: u64::MAX, offset }
    }

    #[test]
    fn the_last_handle_of_a_place_gives_up() {
        let [(first, told_first), (second, told_second)] = [at(0); 2].map(fake);
        let [handle, other] = [&first, &second].map(register);
        let clone = handle.clone();
        drop(handle);
        drop(clone);
        drop(other);
        assert_eq!(told_first.try_recv().ok(), None, "there was another handle of the place");
        assert_eq!(told_second.try_recv(), Ok((thread::current().id(), None)));
        assert_eq!([first, second].map(|fake| Arc::strong_count(&fake)), [1, 1], "the list lets go of them");
    }

    /// The list kept what it looked through alive: who dropped the last handle of something meanwhile gave nothing up, until the other thread had looked
    /// through all, and then that one did.
    #[test]
    fn a_handle_dropped_while_another_thread_ends() {
        let (ending, _told) = fake(at(64));
        let _handle = register(&ending);
        let (dropped, told) = fake(at(128));
        let mut last_handle = Some((register(&dropped), dropped));
        let (dropper, drops) = channel();
        *ending.at_the_end.lock().unwrap() = Box::new(move || {
            let Some((handle, dropped)) = last_handle.take() else { return };
            let thread = thread::spawn(move || {
                drop(dropped);
                drop(handle);
                thread::current().id()
            });
            // Or else it cannot be dropped before we are through.
            let can_be_dropped = OPEN.try_lock().is_ok();
            while can_be_dropped && !thread.is_finished() {
                thread::yield_now();
            }
            dropper.send(thread).unwrap();
        });
        thread_ended(NOBODY);
        let dropper = drops.recv().unwrap().join().unwrap();
        let of_the_last_handle: Vec<_> = told.iter().filter(|(_, thread)| thread.is_none()).collect();
        assert_eq!(of_the_last_handle, [(dropper, None)], "it is given up by who dropped it, and gone");
    }
}
