//! The words of a registry: where slots and wait records are, checked when it is opened. The bytes are in `docs/layout.md`.

use super::cookie::{Cookie, SLOTS};
use super::waits::{RECORD_WORDS, RECORDS};
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Relaxed};
use crate::base::copy;
use crate::segment::header::GEOMETRY_WORDS;
use crate::segment::open::Expected;
use crate::segment::region::{WordArray, Words};
use crate::segment::{Kind, Reason, Segment};
use crate::sys::{clock, process};

pub(super) const VERSION: u32 = 2;
pub(super) const EXPECTED: Expected<'_> = Expected { kind: Some((Kind::PEERS, VERSION)), schema: None };

/// Words of a slot, and what is where.
pub(super) const SLOT_WORDS: usize = 8;
pub(super) const INCARNATION: usize = 0;
pub(super) const PID: usize = 1;
pub(super) const START: usize = 2;
pub(super) const COMMAND: usize = 3;
pub(super) const COMMAND_WORDS: usize = 2;

/// Bytes of all slots, and of all wait records behind them.
pub(super) const BODY: u64 = SLOTS_LENGTH as u64 * 8 + RECORDS_LENGTH as u64 * 8;
const SLOTS_LENGTH: usize = SLOTS as usize * SLOT_WORDS;
const RECORDS_LENGTH: usize = RECORDS as usize * RECORD_WORDS;

/// What a registry made now says of itself.
pub(super) fn geometry() -> [u64; GEOMETRY_WORDS] {
    // In units of 1.024 us, so that a registry made later starts above every incarnation of an earlier one.
    let first_incarnation = clock::boot_ns() >> 10;
    [SLOTS, first_incarnation, RECORDS, 0, 0, 0, 0, 0]
}

/// A registry's body, of which all is there.
#[derive(Clone)]
pub(super) struct Table<A: Access = ReadWrite> {
    slots: Words<A>,
    records: Words<A>,
    first_incarnation: u64,
}

impl<A: Access> Table<A> {
    /// The table of a segment of this kind and version; refused unless it is as large as every registry.
    pub(super) fn of(segment: &Segment<A>) -> Result<Self, Reason> {
        let body = segment.body();
        let [slots, first_incarnation, records, ..] = *segment.geometry();
        // What is not committed may not be touched.
        let committed = segment.committed().is_ok_and(|committed| committed == segment.capacity());
        let words = if committed { body.len() } else { 0 };
        let room = (words / SLOT_WORDS) as u64;
        if slots != SLOTS || room < SLOTS {
            let expected = format!("{SLOTS}, and room for them");
            return Err(Reason::Field { what: "number of peer slots", expected, found: slots.min(room) });
        }
        let room = (words.saturating_sub(SLOTS_LENGTH) / RECORD_WORDS) as u64;
        let table = body.slice(0, SLOTS_LENGTH).zip(body.slice(SLOTS_LENGTH, RECORDS_LENGTH));
        let Some((slots, records)) = table.filter(|_| records == RECORDS && room >= RECORDS) else {
            let expected = format!("{RECORDS}, and room for them");
            return Err(Reason::Field { what: "number of wait records", expected, found: records.min(room) });
        };
        if first_incarnation == 0 {
            let expected = "one above 0".to_owned();
            return Err(Reason::Field { what: "first incarnation", expected, found: first_incarnation });
        }
        Ok(Self { slots, records, first_incarnation })
    }

    pub(super) fn slot(&self, number: u64) -> Option<WordArray<SLOT_WORDS, A>> {
        self.slots.array(usize::try_from(number).ok()?.checked_mul(SLOT_WORDS)?)
    }

    /// The wait records, one after the other.
    pub(super) fn records(&self) -> &Words<A> {
        &self.records
    }

    /// The incarnation that a slot has when its word says that it was raised so often.
    pub(super) fn raised_to(&self, raised: u64) -> u64 {
        Cookie::trim(self.first_incarnation.wrapping_add(raised))
    }

    pub(super) fn incarnation(&self, slot: u64) -> Option<u64> {
        Some(self.raised_to(self.slot(slot)?.at::<INCARNATION>().load(Acquire)))
    }

    /// The pid in a slot: a hint.
    pub(super) fn pid(&self, slot: u64) -> u64 {
        self.slots.get(slot as usize * SLOT_WORDS + PID).map_or(0, |word| word.load(Relaxed))
    }

    /// What a slot tells people.
    pub(super) fn info(&self, slot: u64) -> Option<PeerInfo> {
        let words = self.slot(slot)?;
        let mut command = [0; COMMAND_WORDS * 8];
        copy::load_bytes(words.run(COMMAND, COMMAND_WORDS), &mut command);
        let end = command.iter().position(|&byte| byte == 0).unwrap_or(command.len());
        Some(PeerInfo {
            pid: u32::try_from(words.at::<PID>().load(Relaxed)).unwrap_or(0),
            command: process::printable(command.get(..end)?),
            started: words.at::<START>().load(Relaxed),
        })
    }
}

/// A live peer of a domain, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Process id, in its own pid namespace.
    pub pid: u32,
    /// Command name, at most 15 bytes.
    pub command: String,
    /// When the process started, in clock ticks since boot.
    pub started: u64,
}
