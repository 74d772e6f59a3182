//! What people are told of a lock.

use std::fmt;
use std::time::Duration;

use super::findings::{Findings, Found};
use crate::peer::{Census, Cookie, PeerInfo, Wait};
use crate::segment::Kind;

/// One object of [`sync`](crate::sync), as it was at some moments; see [the module](super).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LockReport {
    /// The name of its segment.
    pub name: String,
    /// Where it is within the contents of a raw segment, in bytes; `None`: it stands alone.
    pub offset: Option<u64>,
    /// What it is.
    pub kind: Kind,
    /// Whether an owner died, and nobody has said since that what it guards is whole.
    pub inconsistent: bool,
    /// Who holds it.
    pub holders: Vec<Holder>,
    /// Who waits for it, those who have waited longest first. Threads that wait only for moments, or are spinning, are not listed.
    pub waiters: Vec<Waiter>,
    /// Who is to have it next, having waited long: no thread known.
    pub reserved: Option<Who>,
    /// How often somebody had to wait for it and then got it; `None`: not counted for this kind.
    pub contended: Option<u64>,
    /// How often an owner was found dead; `None`: not counted for this kind.
    pub recovered: Option<u64>,
    /// What only this kind has: a semaphore's permits, for example.
    pub facts: Vec<(&'static str, Fact)>,
}

/// Somebody who holds a lock, or otherwise has a part in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Holder {
    /// Who.
    pub who: Who,
    /// In what way.
    pub role: Role,
    /// For how long at least: since a waiter saw it first. `None`: nobody has waited since, or it is not noted for this kind.
    pub held: Option<Duration>,
}

/// A thread that waits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Waiter {
    /// Who.
    pub who: Who,
    /// For how long so far.
    pub waiting: Duration,
    /// Tells this wait from others of the same thread.
    pub(super) since_ns: u64,
}

/// In what way somebody has a part in a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Has it alone.
    Owner,
    /// Is to have it alone as soon as the readers have left; until then it waits for them, and others for it.
    Pending,
    /// Has it together with other readers.
    Reader,
    /// Has a permit of it, which comes back when it dies.
    Permit,
    /// A party that has arrived and waits for the others.
    Arrived,
    /// A party that the others wait for.
    Expected,
}

impl Role {
    /// Whether who waits for the lock goes on only after this one: not so with permits, of which any one will do and which anybody may add.
    pub(super) fn bars(self) -> bool {
        matches!(self, Self::Owner | Self::Pending | Self::Reader | Self::Expected)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "owner",
            Self::Pending => "next owner",
            Self::Reader => "reader",
            Self::Permit => "permit",
            Self::Arrived => "arrived",
            Self::Expected => "expected",
        })
    }
}

/// A thread of a process, or a process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Who {
    /// The process, if the registry of the domain still tells.
    pub peer: Option<PeerInfo>,
    /// The thread's id, in the pid namespace of its process; 0: not known which of its threads.
    pub thread: u32,
    /// Whether the process lives.
    pub life: Life,
    pub(super) cookie: Cookie,
}

/// Whether a process lives. (A thread that ended while its process lives gives back what it held.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Life {
    /// It lived at the moment of the look.
    Alive,
    /// It was dead.
    Dead,
    /// It came or went during the look, or the word that names it is spoilt.
    Unknown,
}

impl Who {
    /// Whether this is the same thread of the same process, as far as is known.
    pub fn is(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    pub(super) fn key(&self) -> (Cookie, u32) {
        (self.cookie, self.thread)
    }
}

/// `pid 12 (worker) thread 13`.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Some(peer) => write!(f, "pid {} ({})", peer.pid, peer.command)?,
            None => f.write_str("a process")?,
        }
        if self.thread != 0 {
            write!(f, " thread {}", self.thread)?;
        }
        match self.life {
            Life::Alive => Ok(()),
            Life::Dead => f.write_str(", which is dead"),
            Life::Unknown => f.write_str(", of which nothing is known"),
        }
    }
}

/// The value of something that only one kind has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// A number.
    Count(u64),
    /// Yes or no.
    Flag(bool),
    /// One of a few words.
    Text(&'static str),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<u64> for Fact {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<bool> for Fact {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&'static str> for Fact {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

impl LockReport {
    /// What to call it: `name`, or `name+offset` within a raw segment.
    pub fn label(&self) -> String {
        match self.offset {
            None => self.name.clone(),
            Some(offset) => format!("{}+{offset}", self.name),
        }
    }
}

/// Parties of a barrier that are enlisted and wait for the others: nobody waits for them any more, though they keep their seats.
fn have_arrived(holders: &mut Vec<Holder>, waits: impl Fn(&Who) -> bool) {
    let mut known: Vec<Cookie> = Vec::new();
    for holder in holders.iter_mut().filter(|holder| holder.role == Role::Expected && waits(&holder.who)) {
        holder.role = Role::Arrived;
        known.push(holder.who.cookie);
    }
    // Of whom one word tells the thread, another tells that somebody has arrived.
    holders.retain(|holder| {
        let twice = known
            .iter()
            .position(|&cookie| holder.role == Role::Arrived && holder.who.thread == 0 && holder.who.cookie == cookie);
        twice.map(|at| known.swap_remove(at)).is_none()
    });
}

/// A look at one object: its words before the census and after it.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) before: Findings,
    pub(super) after: Findings,
}

impl Looked {
    /// In words for people. `waits`: those at this object; `now`: the time after all of it.
    pub(super) fn report<'a>(
        self,
        (name, offset, kind): (&str, Option<u64>, Kind),
        census: &Census,
        waits: impl Iterator<Item = &'a Wait>,
        now: u64,
    ) -> LockReport {
        let Self { before, after } = self;
        let ago = |then: u64| Duration::from_nanos(now.saturating_sub(then));
        // Whose cookie stood there before the census was born before it: if it is not among the living, it is dead.
        let was_there =
            |cookie| before.reserved == Some(cookie) || before.holders.iter().any(|holder| holder.cookie == cookie);
        let who = |cookie, thread| match census.peer(cookie) {
            Some(peer) => Who { peer: Some(peer.clone()), thread, life: Life::Alive, cookie },
            None if was_there(cookie) => Who { peer: census.dead(cookie).cloned(), thread, life: Life::Dead, cookie },
            None => Who { peer: None, thread, life: Life::Unknown, cookie },
        };
        let holder = |found: &Found| Holder {
            who: who(found.cookie, found.thread),
            role: found.role,
            held: found.seen_since.map(ago),
        };
        // Who has just got it takes a moment to say that it does not wait any more. One whose holding was seen by a waiter waits for itself.
        let has_got_it = |wait: &&Wait| {
            let mut holders = after.holders.iter().filter(|holder| holder.role == Role::Owner);
            holders.any(|it| (it.cookie, it.thread) == (wait.cookie, wait.thread) && it.seen_since.is_none())
        };
        let waiter = |wait: &Wait| Waiter {
            who: Who { peer: Some(wait.peer.clone()), thread: wait.thread, life: Life::Alive, cookie: wait.cookie },
            waiting: ago(wait.since_ns),
            since_ns: wait.since_ns,
        };
        let mut waiters: Vec<Waiter> = waits.filter(|wait| !has_got_it(wait)).map(waiter).collect();
        waiters.sort_by_key(|waiter| waiter.since_ns);
        let mut holders: Vec<Holder> = after.holders.iter().map(holder).collect();
        if kind == Kind::BARRIER {
            let waits = |who: &Who| waiters.iter().any(|waiter| waiter.who.is(who));
            have_arrived(&mut holders, waits);
        }
        LockReport {
            name: name.to_owned(),
            offset,
            kind,
            inconsistent: after.inconsistent,
            holders,
            waiters,
            reserved: after.reserved.map(|cookie| who(cookie, 0)),
            contended: after.counts.map(|(contended, _)| contended),
            recovered: after.counts.map(|(_, recovered)| recovered),
            facts: after.facts,
        }
    }
}
