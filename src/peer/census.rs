//! Who lives in a domain and who waits for what, for people: a look at the registry that changes nothing and owns nothing.

use std::fs::File;

use super::cookie::{Cookie, SLOTS};
use super::registry::{is_locked, options};
use super::table::{EXPECTED, INCARNATION, PID, PeerInfo, Table};
use super::waits::{self, Listed, Place, RECORD_WORDS};
use crate::base::access::{Access, ReadOnly};
use crate::base::atomic::Ordering::{Acquire, Relaxed};
use crate::base::atomic::fence;
use crate::segment::name::Name;
use crate::segment::{Domain, Error, Reason, Segment, open};

/// How often to look at a slot whose owner changes meanwhile, before giving it up.
const TRIES: usize = 4;

/// The live peers of a domain and those of their threads that wait, as they were at some moment each.
///
/// Words of the registry may be anything: a record that makes no sense is not shown, and nobody who is dead is.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// By slot.
    peers: Vec<(Cookie, PeerInfo)>,
    waits: Vec<Wait>,
}

/// A thread that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) cookie: Cookie,
    /// Who that is.
    pub(crate) peer: PeerInfo,
    /// The thread's id, in the pid namespace of its process.
    pub(crate) thread: u32,
    pub(crate) place: Place,
    /// Since when, by `CLOCK_BOOTTIME`.
    pub(crate) since_ns: u64,
}

impl Census {
    /// Looks at the domain's registry, read-only. Nobody lives where there is none.
    ///
    /// # Errors
    ///
    /// The registry cannot be read, or is none.
    pub(crate) fn take(domain: &Domain) -> Result<Self, Error> {
        let look = |file: &File, segment: &Segment<ReadOnly>| Self::look(file, &Table::of(segment)?);
        match open::attach(domain, &Name::peers(), &options(domain), EXPECTED, true, look) {
            Ok((_, census)) => Ok(census),
            Err(error) if error.is_not_found() => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn look<A: Access>(file: &File, table: &Table<A>) -> Result<Self, Reason> {
        let mut census = Self::default();
        for slot in 0..SLOTS {
            census.peers.extend(who_lives(file, table, slot)?);
        }
        let (records, _) = table.records().as_chunks::<RECORD_WORDS>();
        for Listed { cookie, thread, place, since_ns } in records.iter().filter_map(waits::read) {
            if let Some(peer) = census.peer(cookie).cloned() {
                census.waits.push(Wait { cookie, peer, thread, place, since_ns });
            }
        }
        Ok(census)
    }

    /// What people know of the peer of this cookie; `None`: it is dead, or was not born yet.
    pub(crate) fn peer(&self, cookie: Cookie) -> Option<&PeerInfo> {
        let at = self.peers.binary_search_by_key(&cookie.slot(), |(peer, _)| peer.slot()).ok()?;
        self.peers.get(at).filter(|(peer, _)| *peer == cookie).map(|(_, info)| info)
    }

    /// All threads that wait, in no order.
    #[cfg_attr(any(loom, not(test)), expect(dead_code, reason = "for what comes with `sync`"))]
    pub(crate) fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// Those that wait at this place.
    #[cfg_attr(any(loom, not(test)), expect(dead_code, reason = "for what comes with `sync`"))]
    pub(crate) fn waits_at(&self, place: Place) -> impl Iterator<Item = &Wait> {
        self.waits.iter().filter(move |wait| wait.place == place)
    }
}

/// The live peer that has the slot, and what the slot tells of it.
fn who_lives<A: Access>(file: &File, table: &Table<A>, slot: u64) -> Result<Option<(Cookie, PeerInfo)>, Reason> {
    for _ in 0..TRIES {
        let Some(words) = table.slot(slot) else { return Ok(None) };
        let raised = words.at::<INCARNATION>().load(Acquire);
        // Who lives has raised the one, which may have come round to 0, and stored the other.
        if raised == 0 && words.at::<PID>().load(Relaxed) == 0 {
            return Ok(None);
        }
        let incarnation = table.raised_to(raised);
        if incarnation == 0 || !is_locked(file, slot)? {
            return Ok(None);
        }
        let info = table.info(slot);
        fence(Acquire);
        // Otherwise a successor has moved in: the lock may have been its own already, and so may some of what we read.
        if words.at::<INCARNATION>().load(Relaxed) == raised {
            return Ok(info.map(|info| (Cookie::new(slot, incarnation), info)));
        }
    }
    Ok(None)
}

impl Domain {
    /// The live peers of this domain: processes that hold a handle which may own something. None if there is no registry.
    ///
    /// # Errors
    ///
    /// The registry cannot be read, or is none.
    pub fn peers(&self) -> Result<Vec<PeerInfo>, Error> {
        Ok(Census::take(self)?.peers.into_iter().map(|(_, info)| info).collect())
    }
}
