//! The registry `@peers` of a domain, and this process's place in it. The protocol is in ARCHITECTURE.md, "Peers".

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::cookie::{Cookie, SLOTS};
use super::table::{self, COMMAND, COMMAND_WORDS, EXPECTED, INCARNATION, PID, PeerInfo, START, Table};
use super::waits::{Place, WaitRecord};
use crate::base::atomic::Ordering::{Relaxed, Release};
use crate::base::copy;
use crate::segment::create::{self, Blueprint};
use crate::segment::name::Name;
use crate::segment::open;
use crate::segment::{Domain, Error, Kind, Options, Owner, Reason, Segment};
use crate::sys::fork::{self, Stamp};
use crate::sys::{lock, process};

/// Where the lock bytes of slot 0 are, far from those of the segment itself; two for each slot, side by side, so that the kernel keeps
/// them as one lock.
const FIRST_LOCK_BYTE: u64 = 1 << 32;

/// Held exclusively by who has the slot.
fn lock_byte(slot: u64) -> u64 {
    FIRST_LOCK_BYTE + 2 * slot
}

/// Held exclusively by who has the slot, from the moment on that the slot tells who that is.
fn life_byte(slot: u64) -> u64 {
    FIRST_LOCK_BYTE + 2 * slot + 1
}

/// This process as a peer of a domain, as long as any handle needs it.
pub(crate) struct Peer {
    registry: Option<Registry>,
    cookie: Cookie,
    stamp: Stamp,
}

struct Registry {
    segment: Segment,
    table: Table,
}

/// The peers this process is, one per domain. Locked only under the fork gate, so never in the middle of a fork.
static JOINED: Mutex<Vec<(PathBuf, Weak<Peer>)>> = Mutex::new(Vec::new());

impl Peer {
    /// This process's peer in the domain, registered if it is not yet.
    pub(crate) fn join(domain: &Domain) -> Result<Arc<Self>, Error> {
        let _gate = fork::gate();
        let mut joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
        let path = domain.path(&Name::peers());
        joined.retain(|(_, peer)| peer.strong_count() > 0);
        let known = joined.iter().filter(|(at, _)| *at == path).find_map(|(_, peer)| peer.upgrade());
        // A registry that was removed by hand while in use is no longer everybody's: others would not find us there.
        if let Some(peer) = known.filter(|peer| peer.is_current() && peer.is_known(&path)) {
            return Ok(peer);
        }
        let peer = Arc::new(Self::register(domain)?);
        joined.retain(|(at, _)| *at != path);
        joined.push((path, Arc::downgrade(&peer)));
        Ok(peer)
    }

    fn register(domain: &Domain) -> Result<Self, Error> {
        let name = Name::peers();
        let options = options(domain);
        let blueprint = Blueprint {
            kind: Kind::PEERS,
            kind_version: table::VERSION,
            geometry: table::geometry(),
            schema: None,
            body: table::BODY,
            committed: table::BODY,
        };
        let (segment, (table, cookie)) = create::open_or_create(
            domain,
            &name,
            || open::attach(domain, &name, &options, EXPECTED, true, take_slot),
            || create::create(domain, &name, blueprint.clone(), &options, true, |_| (), take_slot),
        )?;
        let stamp = Stamp::current()
            .map_err(|error| segment.error(Reason::os("make a page that children see wiped", error)))?;
        Ok(Self { registry: Some(Registry { segment, table }), cookie, stamp })
    }

    /// Whether the registry that we are in is the one that the path leads to.
    fn is_known(&self, path: &Path) -> bool {
        self.registry.as_ref().is_none_or(|registry| registry.segment.is_at(path))
    }

    /// A peer without a registry: to run protocols without a segment. The others live until [buried](super::model::bury).
    #[cfg(loom)]
    pub(crate) fn model(slot: u64) -> Arc<Self> {
        Arc::new(Self { registry: None, cookie: Cookie::new(slot, 1), stamp: Stamp::current().unwrap() })
    }

    #[inline]
    pub(crate) fn cookie(&self) -> Cookie {
        self.cookie
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Whether this is the process that registered, not a forked child of it.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.stamp.is_current()
    }

    /// Whether the peer of this cookie lives. Asks the kernel; some microseconds.
    ///
    /// # Errors
    ///
    /// The question cannot be asked: no descriptor left, the registry removed by hand, or asked in a forked child.
    pub(crate) fn is_alive(&self, cookie: Cookie) -> Result<bool, Error> {
        #[cfg(loom)]
        if self.registry.is_none() {
            return Ok(super::model::is_alive(cookie));
        }
        let Some(registry) = &self.registry else { return Ok(true) };
        if !self.is_current() {
            return Err(registry.segment.error(Reason::Forked));
        }
        if cookie == self.cookie {
            return Ok(true);
        }
        if registry.table.incarnation(cookie.slot()) != Some(cookie.incarnation()) {
            return Ok(false);
        }
        let _gate = fork::gate();
        let file = registry.segment.reopen(false)?;
        let locked = is_locked(&file, cookie.slot()).map_err(|reason| registry.segment.error(reason))?;
        // A successor that has locked the slot meanwhile raised the incarnation before that.
        Ok(locked && registry.table.incarnation(cookie.slot()) == Some(cookie.incarnation()))
    }

    /// What people know of the peer of this cookie: its process id and command, if its slot still tells.
    pub(crate) fn describe(&self, cookie: Cookie) -> Option<PeerInfo> {
        let registry = self.registry.as_ref().filter(|_| self.is_current())?;
        if registry.table.incarnation(cookie.slot()) != Some(cookie.incarnation()) {
            return None;
        }
        registry.table.info(cookie.slot())
    }

    /// Lists the calling thread, whose number it is, as waiting at `at`, until the record is dropped; see ARCHITECTURE.md, "Peers".
    ///
    /// `None`, and not listed: in a forked child, in a model, or where too many wait at once. A hint for people, on which nothing depends.
    pub(crate) fn wait_record(&self, thread: u32, at: Place) -> Option<WaitRecord<'_>> {
        // A forked child does not even have the mapping.
        let registry = self.registry.as_ref().filter(|_| self.is_current())?;
        // Who cannot be asked about is taken to live.
        let is_alive = |owner| self.is_alive(owner).unwrap_or(true);
        WaitRecord::claim(registry.table.records(), self.cookie, self.stamp, thread, at, is_alive)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let Some(registry) = self.registry.as_ref().filter(|_| self.stamp.is_current()) else { return };
        if let Some(words) = registry.table.slot(self.cookie.slot()) {
            // A hint for who looks for a free slot.
            words.at::<PID>().store(0, Relaxed);
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({:?})", self.cookie)
    }
}

/// How to create or open the registry of a domain: one that is shared must belong to the group it is shared with.
pub(super) fn options(domain: &Domain) -> Options {
    let (mode, group) = domain.registry_access();
    let owner = if mode & 0o066 == 0 { Owner::Me } else { Owner::Group(group.unwrap_or_else(process::group)) };
    let mut options = Options::new().mode(mode).owner(owner);
    options.group = group;
    options
}

/// Wins the lock of a slot and fills the slot in.
fn take_slot(file: &File, segment: &Segment) -> Result<(Table, Cookie), Reason> {
    let table = Table::of(segment)?;
    // Who was killed did not tidy up. Asking for a lock in vain costs many microseconds where thousands live, so what looks taken is tried
    // last. These are hints, in whatever pid namespace: the lock decides.
    let looks = |number: u64, like: Looks| {
        let pid = table.pid(number);
        match like {
            Looks::Free => pid == 0,
            Looks::Abandoned => pid != 0 && !process::exists(pid),
            Looks::Taken => pid != 0 && process::exists(pid),
        }
    };
    let rounds = [Looks::Free, Looks::Abandoned, Looks::Taken];
    // From anywhere, so that nobody has to walk past everybody else.
    let start = u64::from(process::id());
    let all = || (0..SLOTS).map(|offset| (start + offset) % SLOTS);
    let candidates = rounds.into_iter().flat_map(|round| all().filter(move |&number| looks(number, round)));
    for number in candidates {
        if !lock::exclude(file, lock_byte(number)).map_err(|error| Reason::os("lock a peer slot", error))? {
            continue;
        }
        let Some(words) = table.slot(number) else { continue };
        // Ours alone now. Whoever had it is gone, and with the next store all its cookies are dead.
        let mut raised = words.at::<INCARNATION>().load(Relaxed).wrapping_add(1);
        if table.raised_to(raised) == 0 {
            // Spoilt, or nine years old. A cookie of incarnation 0 in slot 0 would be nobody's.
            raised = raised.wrapping_add(1);
        }
        words.at::<INCARNATION>().store(raised, Release);
        words.at::<START>().store(process::start_ticks(), Relaxed);
        let mut command = process::command().into_bytes();
        command.resize(COMMAND_WORDS * 8, 0);
        copy::store_bytes(words.run(COMMAND, COMMAND_WORDS), &command);
        words.at::<PID>().store(process::id().into(), Relaxed);
        // From here on we live. Who asked before, for whoever lived here last, was told "dead".
        if !lock::exclude(file, life_byte(number)).map_err(|error| Reason::os("lock a peer slot", error))? {
            continue;
        }
        let cookie = Cookie::new(number, table.raised_to(raised));
        return Ok((table.clone(), cookie));
    }
    Err(Reason::TooManyPeers(SLOTS))
}

/// What a slot looks like to who wants one.
#[derive(Debug, Clone, Copy)]
enum Looks {
    Free,
    /// Its owner's pid is nobody's.
    Abandoned,
    Taken,
}

/// Whether somebody lives in the slot; one who is moving in does not yet.
pub(super) fn is_locked(file: &File, slot: u64) -> Result<bool, Reason> {
    // Exclusively: a shared lock may be held by anybody who can read the registry.
    lock::is_excluded(file, life_byte(slot)).map_err(|error| Reason::os("ask whether a peer lives", error))
}
