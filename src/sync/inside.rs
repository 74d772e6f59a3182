//! The lock that an object keeps for itself: a lock core that is held for some stores at a time, never while anybody waits.

use std::time::Duration;

use super::bell::Deadline;
use super::lock::{Asker, Core, LOCK_WORDS, Refused, Wait};
use super::part::Part;
use super::thread;
use crate::segment::region::WordArray;
use crate::segment::{Error, Reason};

/// Whoever has held it for longer is stopped: who cannot wait for that does without.
const MOMENT: Duration = Duration::from_millis(100);

/// A lock core at the start of a part's state.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    words: WordArray<LOCK_WORDS>,
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
    pub(crate) fn enter(&self, part: &Part, wait: Wait) -> Result<Entered<'_>, Outside> {
        let core = Core::new(self.words.as_array(), part.light);
        let me = part.me().map_err(Outside::Segment)?;
        if !core.take(me.cookie, thread::id()) {
            enter_contended(core, part, wait)?;
        }
        Ok(Entered { core })
    }
}

#[cold]
fn enter_contended(core: Core<'_>, part: &Part, wait: Wait) -> Result<(), Outside> {
    let peer = part.member().and_then(crate::peer::Member::peer).map_err(Outside::Segment)?;
    let asker = Asker { peer: &peer, thread: thread::id(), place: part.place() };
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

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.core.give_back(false);
    }
}
