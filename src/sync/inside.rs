//! The lock that an object keeps for itself: a lock core that is held for some stores at a time, never while anybody waits.

use std::time::Duration;

use super::bell::Deadline;
use super::lock::{Asker, Core, LOCK_WORDS, Refused, Wait};
use super::part::Part;
use super::thread;
use crate::peer::Place;
use crate::segment::region::WordArray;
use crate::segment::{Error, Reason};

/// Whoever has held it for longer is stopped: who cannot wait for that does without.
const MOMENT: Duration = Duration::from_millis(100);

/// A lock core at the start of a part's state.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    words: WordArray<LOCK_WORDS>,
}

/// The way in: such a lock core anywhere in a part's state, for parts that have many. Borrowed, and made wherever it is needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Door<'a> {
    core: Core<'a>,
    part: &'a Part,
    /// At which word of the state it is.
    at: usize,
}

/// We are inside while this lives.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    core: Core<'a>,
}

/// We are not.
#[derive(Debug)]
pub(crate) enum Outside {
    /// Somebody else has been inside all the time.
    Busy,
    Segment(Error),
}

impl Inside {
    pub(crate) fn new(part: &Part) -> Result<Self, Reason> {
        Ok(Self { words: part.array::<LOCK_WORDS>(0)? })
    }

    /// As long as who lives and is not stopped can take.
    pub(crate) fn moment() -> Wait {
        Wait::Until(Deadline::after(MOMENT))
    }

    /// Goes in. If an owner died inside, what it was at is for the caller to settle, as it always is to look whether something is.
    #[inline]
    pub(crate) fn enter<'a>(&'a self, part: &'a Part, wait: Wait) -> Result<Entered<'a>, Outside> {
        Door { core: Core::new(self.words.as_array(), part.light), part, at: 0 }.enter(wait)
    }
}

impl<'a> Door<'a> {
    /// That of the lock at this word of the state; `None` if its words are not all there.
    #[cfg_attr(not(test), expect(dead_code, reason = "for what has many locks in one part"))]
    #[inline]
    pub(crate) fn at(part: &'a Part, at: usize) -> Option<Self> {
        Some(Self { core: Core::at(&part.state, at, part.light)?, part, at })
    }

    /// Goes in, as by [`Inside::enter`].
    #[inline]
    pub(crate) fn enter(self, wait: Wait) -> Result<Entered<'a>, Outside> {
        let Self { core, part, at } = self;
        let me = part.me().map_err(Outside::Segment)?;
        if !core.take(me.cookie, thread::id()) {
            enter_contended(core, part, at, wait)?;
        }
        Ok(Entered { core })
    }
}

// Of the door's parts, not of the door: what is usual keeps them in registers.
#[cold]
fn enter_contended(core: Core<'_>, part: &Part, at: usize, wait: Wait) -> Result<(), Outside> {
    let peer = part.member().and_then(crate::peer::Member::peer).map_err(Outside::Segment)?;
    let asker = Asker { peer: &peer, thread: thread::id(), place: place(part, at) };
    match core.take_contended(asker, wait) {
        Ok(_) => Ok(()),
        Err(Refused::Busy(_) | Refused::TimedOut(_)) => Err(Outside::Busy),
        Err(Refused::Segment(error)) => Err(Outside::Segment(error)),
        Err(Refused::Deadlock) => {
            // We never wait inside.
            let found = core.owner().load().cookie().map_or(0, crate::peer::Cookie::bits);
            let expected = "that of another thread".to_owned();
            Err(Outside::Segment(part.error(Reason::Spoilt { what: "the owner of its lock", expected, found })))
        }
    }
}

/// Where the lock at this word of the state is, for those who look who waits for what: at the start it is where the part is, elsewhere as far behind.
fn place(part: &Part, at: usize) -> Place {
    let Place { segment, offset } = part.place();
    Place { segment, offset: offset + 8 * at as u64 }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.core.give_back(false);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::path::PathBuf;
    use std::{fs, process, thread};

    use super::*;
    use crate::base::atomic::Ordering::Relaxed;
    use crate::peer::Census;
    use crate::segment::region::Words;
    use crate::segment::{Domain, Kind, Options};
    use crate::sync::part::{self, CONFIG_WORDS, Object, Shape};

    const LOCKS: usize = 3;

    /// Three locks in a row, and a few words too many.
    struct Locks(Part);

    impl Object for Locks {
        type Setup = ();
        const KIND: Kind = Kind::RAW_MUTEX;

        fn shape(_: &()) -> Result<Shape, Reason> {
            Ok(Shape { config: [0; CONFIG_WORDS], state: LOCKS * LOCK_WORDS + 8 })
        }

        fn shape_of(_: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
            Self::shape(&())
        }

        fn initialise(_: &Words, _: &()) {}

        fn over(part: Part) -> Result<Self, Reason> {
            Ok(Self(part))
        }
    }

    struct Room {
        path: PathBuf,
        domain: Domain,
    }

    impl Room {
        fn new(test: &str) -> Self {
            let path = PathBuf::from(format!("/dev/shm/sharedware-unit-{}-inside-{test}", process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self { domain: Domain::new("t").unwrap().in_directory(&path), path }
        }

        fn locks(&self) -> Part {
            part::create::<Locks>(&self.domain, "locks", &(), &Options::new()).unwrap().0
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.path);
        }
    }

    fn door(part: &Part, lock: usize) -> Door<'_> {
        Door::at(part, lock * LOCK_WORDS).unwrap()
    }

    #[test]
    fn a_door_is_where_all_its_words_are() {
        let room = Room::new("where");
        let part = room.locks();
        let last = part.state.len() - LOCK_WORDS;
        assert!(Door::at(&part, last).is_some());
        for beyond in [last + 1, part.state.len(), part.state.len() + 1, usize::MAX] {
            assert!(Door::at(&part, beyond).is_none(), "{beyond}");
        }
    }

    #[test]
    fn each_lock_of_many_is_one_of_its_own() {
        let room = Room::new("own");
        let part = room.locks();
        let inside = Inside::new(&part).unwrap();
        let first = inside.enter(&part, Wait::Not).unwrap();
        let second = door(&part, 1).enter(Wait::Not).unwrap();
        let stored: Vec<_> = (0..part.state.len()).filter(|&at| part.state[at].load(Relaxed) != 0).collect();
        assert_eq!(stored, [0, 1, LOCK_WORDS, LOCK_WORDS + 1]);
        let busy = |lock| matches!(door(&part, lock).enter(Wait::Not), Err(Outside::Busy));
        assert_eq!([0, 1, 2].map(busy), [true, true, false]);
        drop(second);
        assert_eq!([0, 1, 2].map(busy), [true, false, false]);
        drop(first);
        assert_eq!([0, 1, 2].map(busy), [false; 3]);
    }

    #[test]
    fn who_is_inside_already_is_told_so() {
        let room = Room::new("already");
        let part = room.locks();
        let _entered = door(&part, 2).enter(Wait::Not).unwrap();
        let Err(Outside::Segment(error)) = door(&part, 2).enter(Inside::moment()) else { panic!("entered twice") };
        assert!(matches!(error.reason(), Reason::Spoilt { what: "the owner of its lock", .. }), "{error}");
    }

    #[test]
    fn who_waits_is_found_at_the_lock() {
        let room = Room::new("waits");
        let part = room.locks();
        for lock in 0..LOCKS {
            let entered = door(&part, lock).enter(Wait::Not).unwrap();
            let place = thread::scope(|scope| {
                let waiter = scope.spawn(|| door(&part, lock).enter(Wait::Until(Deadline::NEVER)).map(drop));
                let place = loop {
                    if let [wait] = Census::take(&room.domain).unwrap().waits() {
                        break wait.place;
                    }
                    thread::yield_now();
                };
                drop(entered);
                waiter.join().unwrap().unwrap();
                place
            });
            let offset = part.place().offset + (8 * LOCK_WORDS * lock) as u64;
            assert_eq!(place, Place { offset, ..part.place() });
        }
    }
}
