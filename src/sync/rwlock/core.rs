//! Getting in and out, as a reader and as a writer. The protocol is in ARCHITECTURE.md, "Reader-writer lock".

use super::super::bell::{self, Deadline};
use super::super::lock::contention::{Contest, Look};
use super::super::lock::owner::Owner;
use super::super::lock::{Acquired, Asker, Core, LOCK_WORDS, Refused, Wait};
use super::super::questions::Questions;
use super::super::spin::Spin;
use super::cell::Cell;
use crate::base::access::ReadOnly;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::base::atomic::{Word, fence, light_fence};
use crate::peer::{Cookie, Peer, WaitRecord};
use crate::segment::Error;
use crate::segment::region::{WordArray, Words};
use crate::sync::inspect::Findings;
use crate::sync::inspect::Role;
use crate::sync::part::CONFIG_WORDS;
use crate::sys::barrier::Light;

/// Cells that readers claim; a power of two.
#[cfg(not(loom))]
const CELLS: usize = 256;
#[cfg(loom)]
const CELLS: usize = 2;
/// With the one for who was the writer, which comes first.
const ALL_CELLS: usize = 1 + CELLS;
const CELLS_OF_A_LINE: usize = 4;
/// That of a guard which does nothing.
pub(super) const NO_CELL: usize = ALL_CELLS;

/// The last two words of this line are the first cell, so that the others start on a line.
const HEAD: usize = LOCK_WORDS;
const FIRST_CELL: usize = HEAD + 6;

/// How many reads had to wait.
const WAITED: usize = HEAD + 2;

/// Words of the lock, without the value.
pub(in crate::sync) const RW_WORDS: usize = FIRST_CELL + 2 * ALL_CELLS;

/// The words of a reader-writer lock.
///
/// ```text
/// words 0..16   the lock core: its owner is the writer
/// word 16       drained: the bell of those who wait for readers to leave
/// word 17       changing: 1 while a writer may be changing the value
/// word 18       waited: reads that had to wait
/// words 22, 23  the reader that was the writer
/// words 24...   the other readers, two words each
/// ```
#[derive(Debug, Clone)]
pub(super) struct RwCore<A: Access = ReadWrite> {
    words: WordArray<LOCK_WORDS, A>,
    head: WordArray<6, A>,
    cells: Words<A>,
    light: Light,
}

/// What people see of it, for [`KINDS`](crate::sync::inspect).
pub(in crate::sync) fn inspect(_: &[u64; CONFIG_WORDS], state: &Words<ReadOnly>, seen: &mut Findings) -> Option<()> {
    let cells = state.slice(FIRST_CELL, 2 * ALL_CELLS)?;
    let (cells, _) = cells.as_chunks::<2>();
    let readers = cells.iter().map(|[who, thread]| (who.load(Acquire), thread.load(Relaxed) as u32));
    let readers: Vec<_> = readers.filter(|(who, _)| *who != 0 && who & !Cookie::MASK == 0).collect();
    // A writer that waits for readers to leave owns the core as well.
    seen.lock_as(state, 0, |_| if readers.is_empty() { Role::Owner } else { Role::Pending })?;
    for &(who, thread) in &readers {
        seen.holder(who, thread, Role::Reader);
    }
    seen.fact("readers", readers.len() as u64);
    seen.fact("reads that waited", state.get(WAITED)?.load(Relaxed));
    Some(())
}

/// How a reader got in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entered {
    pub(super) cell: usize,
    /// A writer died, and nobody has said since that the value is whole.
    pub(super) inconsistent: bool,
}

/// What became of a reader who found no writer.
#[derive(Debug, Clone, Copy)]
enum Entry {
    In(Entered),
    /// All cells are taken.
    NoRoom,
}

impl<A: Access> RwCore<A> {
    /// Over the first [`RW_WORDS`] of these, if there are so many.
    pub(super) fn new(words: &Words<A>, light: Light) -> Option<Self> {
        let cells = words.slice(FIRST_CELL, 2 * ALL_CELLS)?;
        Some(Self { words: words.array(0)?, head: words.array(HEAD)?, cells, light })
    }

    /// The lock core, whose owner is the writer.
    #[inline(always)]
    pub(super) fn writer(&self) -> Core<'_, A> {
        Core::new(self.words.as_array(), self.light)
    }

    #[inline(always)]
    fn cell(&self, index: usize) -> Option<Cell<'_, A>> {
        match self.cells.get(2 * index..2 * index + 2) {
            Some([occupant, thread]) => Some(Cell { occupant, thread }),
            _ => None,
        }
    }

    fn cells(&self) -> impl Iterator<Item = Cell<'_, A>> {
        (0..ALL_CELLS).filter_map(|index| self.cell(index))
    }

    /// How many cells have a reader.
    pub(super) fn readers(&self) -> usize {
        self.cells().filter(|cell| cell.occupant().reader().is_some()).count()
    }

    /// For models: the thread word of each free cell is 0.
    #[cfg(all(test, loom))]
    pub(super) fn free_cells_name_nobody(&self) -> bool {
        self.cells().filter(|cell| cell.occupant().is_free()).all(|cell| cell.thread.load(Relaxed) == 0)
    }

    /// How many reads had to wait.
    pub(super) fn waited(&self) -> u64 {
        self.head.at::<2>().load(Relaxed)
    }
}

impl RwCore {
    fn drained(&self) -> &Word {
        self.head.at::<0>()
    }

    fn changing(&self) -> &Word {
        self.head.at::<1>()
    }

    /// Where this thread looks first for a free cell.
    #[inline(always)]
    fn start(me: Cookie, thread: u32) -> usize {
        const LINES: usize = CELLS.div_ceil(CELLS_OF_A_LINE);
        // Fibonacci hashing: threads with neighbouring numbers are far apart.
        let mixed = me.bits().wrapping_add(thread.into()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        1 + CELLS_OF_A_LINE * ((mixed >> 32) as usize % LINES)
    }

    // Reading.

    /// Gets in if there is no writer, the value is consistent and the first cell tried is free.
    #[inline(always)]
    pub(super) fn read(&self, me: Cookie, thread: u32) -> Option<usize> {
        let start = Self::start(me, thread);
        let cell = self.cell(start)?;
        if !cell.claim(me) {
            return None;
        }
        if self.writer().owner().load_in_order() != Owner::FREE {
            self.back_out(cell);
            return None;
        }
        cell.name(thread);
        Some(start)
    }

    #[cold]
    fn back_out(&self, cell: Cell<'_>) {
        cell.leave();
        bell::ring(self.drained(), self.light);
    }

    /// Gets in, also when that is not so simple.
    #[cold]
    pub(super) fn read_contended(&self, asker: Asker<'_>, wait: Wait) -> Result<Entered, Refused> {
        let (me, thread) = (asker.peer.cookie(), asker.thread);
        if let Some(entered) = self.read_again(me, thread) {
            return Ok(entered);
        }
        if let Look::Ours(Entry::In(entered)) = self.enter(me, thread) {
            return Ok(entered);
        }
        match wait {
            Wait::Not => self.read_at_once(asker),
            Wait::Until(_) if self.writer().is_held_by(me, thread) => Err(Refused::Deadlock),
            Wait::Until(deadline) => {
                let entered = self.wait_to_read(asker, deadline)?;
                let waited = self.head.at::<2>();
                let seen = waited.load(Relaxed);
                // For people; if another is faster, one is missing.
                let _ = waited.compare_exchange(seen, seen.wrapping_add(1), Relaxed, Relaxed);
                Ok(entered)
            }
        }
    }

    /// One more guard of a thread that reads already: whoever is pending waits for its cell as it is.
    fn read_again(&self, me: Cookie, thread: u32) -> Option<Entered> {
        let own = |index: &usize| self.cell(*index).is_some_and(|cell| cell.is_of(me, thread) && cell.add_guard());
        let cell = (0..ALL_CELLS).find(own)?;
        // Nobody has written since we came.
        Some(Entered { cell, inconsistent: self.writer().owner().load().is_inconsistent() })
    }

    /// Gets in if there is no writer: claims a cell first, then looks.
    fn enter(&self, me: Cookie, thread: u32) -> Look<Entry> {
        if !self.writer().owner().load().is_free() {
            return Look::Busy;
        }
        let start = Self::start(me, thread) - 1;
        for index in (0..CELLS).map(|step| 1 + (start + step) % CELLS) {
            let Some(cell) = self.cell(index) else { break };
            if !cell.occupant().is_free() || !cell.claim(me) {
                continue;
            }
            let owner = self.writer().owner().load_in_order();
            if !owner.is_free() {
                self.back_out(cell);
                return Look::Busy;
            }
            cell.name(thread);
            return Look::Ours(Entry::In(Entered { cell: index, inconsistent: owner.is_inconsistent() }));
        }
        Look::Ours(Entry::NoRoom)
    }

    fn read_at_once(&self, asker: Asker<'_>) -> Result<Entered, Refused> {
        self.recover_owner(asker.peer).map_err(Refused::Segment)?;
        let (me, thread) = (asker.peer.cookie(), asker.thread);
        let mut entry = self.enter(me, thread);
        if matches!(entry, Look::Ours(Entry::NoRoom)) {
            self.recover_claimed(asker.peer).map_err(Refused::Segment)?;
            entry = self.enter(me, thread);
        }
        match entry {
            Look::Ours(Entry::In(entered)) => Ok(entered),
            _ => Err(Refused::Busy(self.writer().owner().load().cookie())),
        }
    }

    fn wait_to_read(&self, asker: Asker<'_>, deadline: Deadline) -> Result<Entered, Refused> {
        loop {
            let mut reading = Reading { core: self, asker, record: None };
            let contention = self.writer().contention();
            let entry = contention.wait(asker.peer.cookie().bits(), deadline, self.light, &mut reading);
            // A reader's leaving wakes none of those who wait for the writer's: so the next one is woken now.
            contention.ring(self.light);
            match entry.map_err(Refused::Segment)? {
                Some(Entry::In(entered)) => return Ok(entered),
                Some(Entry::NoRoom) => match self.wait_for_room(asker, deadline).map_err(Refused::Segment)? {
                    Some(Look::Ours(Entry::In(entered))) => return Ok(entered),
                    // A writer has come.
                    Some(_) => {}
                    None => return Err(Refused::TimedOut(None)),
                },
                None => return Err(Refused::TimedOut(self.writer().owner().load().cookie())),
            }
        }
    }

    /// Waits for a free cell, or a writer.
    fn wait_for_room(&self, asker: Asker<'_>, deadline: Deadline) -> Result<Option<Look<Entry>>, Error> {
        let _record = asker.peer.wait_record(asker.thread, asker.place);
        let ready = |_| match self.enter(asker.peer.cookie(), asker.thread) {
            Look::Ours(Entry::NoRoom) => None,
            found => Some(found),
        };
        bell::wait(self.drained(), deadline, &mut Spin::brief(), ready, || self.recover_claimed(asker.peer))
    }

    /// Whether this thread reads in this cell; not after that was given up for lost.
    #[inline(always)]
    pub(super) fn reads_in(&self, cell: usize, me: Cookie, thread: u32) -> bool {
        self.cell(cell).is_some_and(|cell| cell.is_still_of(me, thread))
    }

    /// Ends a guard of the reader in this cell.
    #[inline(always)]
    pub(super) fn leave(&self, cell: usize) {
        let Some(cell) = self.cell(cell) else { return };
        if !cell.drop_guard() {
            cell.leave();
            bell::ring(self.drained(), self.light);
        }
    }

    /// Ends all guards that this process reads with, those of one thread or all.
    pub(super) fn abandon(&self, me: Cookie, thread: Option<u32>) {
        for cell in self.cells() {
            if thread.map_or_else(|| cell.occupant().reader() == Some(me), |thread| cell.is_of(me, thread)) {
                cell.leave();
                bell::ring(self.drained(), self.light);
            }
        }
        self.writer().abandon(me, thread);
    }

    // Writing.

    /// Gets in if there is nobody and the value is consistent. `None`: not even pending; `Some(false)`: pending.
    #[inline(always)]
    pub(super) fn write(&self, me: Cookie, thread: u32) -> Option<bool> {
        if !self.writer().take(me, thread) {
            return None;
        }
        let drained = self.close() == ALL_CELLS;
        if drained {
            self.begin_change();
        }
        Some(drained)
    }

    /// Gets in, also when that is not so simple; `pending` already or not.
    #[cold]
    pub(super) fn write_contended(&self, asker: Asker<'_>, wait: Wait, pending: bool) -> Result<Acquired, Refused> {
        if !pending && matches!(wait, Wait::Until(_)) && self.reads(asker) {
            return Err(Refused::Deadlock);
        }
        let acquired = if pending {
            self.writer().count_contended();
            Acquired { inconsistent: false }
        } else {
            self.writer().take_contended_judging(asker, wait, &|| self.is_changing())?
        };
        if let Err(refused) = self.wait_to_write(asker, wait) {
            self.writer().give_back(acquired.inconsistent);
            return Err(refused);
        }
        self.begin_change();
        Ok(acquired)
    }

    fn reads(&self, asker: Asker<'_>) -> bool {
        self.cells().any(|cell| cell.is_of(asker.peer.cookie(), asker.thread))
    }

    /// From here on no reader gets in. Returns the first cell that has one.
    #[inline(always)]
    fn close(&self) -> usize {
        // The writer's half of Dekker's pattern: the store to the owner word is before all loads of cells.
        fence(SeqCst);
        self.first_reader(0)
    }

    /// The first cell, from this one on, that has a reader.
    #[inline]
    fn first_reader(&self, from: usize) -> usize {
        let cells = self.cells.get(2 * from..).unwrap_or_default();
        // As a rule there is nobody: then a glance at each line is enough.
        for (line, words) in cells.chunks(2 * CELLS_OF_A_LINE).enumerate() {
            if words.iter().step_by(2).fold(0, |seen, word| seen | word.load(Relaxed)) == 0 {
                continue;
            }
            let mut readers = words.chunks_exact(2).map(|cell| match cell {
                [occupant, thread] => Cell { occupant, thread }.occupant().reader(),
                _ => None,
            });
            if let Some(cell) = readers.position(|reader| reader.is_some()) {
                return from + line * CELLS_OF_A_LINE + cell;
            }
        }
        // Acquire: pairs with each reader's `leave`; what it read, it read before we write.
        fence(Acquire);
        ALL_CELLS
    }

    /// The owner, pending, waits until the last reader has left.
    fn wait_to_write(&self, asker: Asker<'_>, wait: Wait) -> Result<(), Refused> {
        // Cells before it were seen without a reader once, which is for good.
        let mut from = self.close();
        let mut ready = |_| {
            from = self.first_reader(from);
            (from == ALL_CELLS).then_some(())
        };
        if ready(bell::Look::Glance).is_some() {
            return Ok(());
        }
        match wait {
            Wait::Not => {
                self.recover_cells(asker.peer).map_err(Refused::Segment)?;
                ready(bell::Look::Thorough).ok_or_else(|| Refused::Busy(self.a_reader()))
            }
            Wait::Until(_) if self.reads(asker) => Err(Refused::Deadlock),
            Wait::Until(deadline) => {
                let _record = asker.peer.wait_record(asker.thread, asker.place);
                let check = || self.recover_cells(asker.peer);
                let drained = bell::wait(self.drained(), deadline, &mut Spin::brief(), ready, check);
                drained.map_err(Refused::Segment)?.ok_or_else(|| Refused::TimedOut(self.a_reader()))
            }
        }
    }

    /// Somebody who reads.
    fn a_reader(&self) -> Option<Cookie> {
        self.cells().find_map(|cell| cell.occupant().reader())
    }

    /// The value may now be changed, by the owner, who is alone.
    #[inline(always)]
    fn begin_change(&self) {
        self.changing().store(1, Relaxed);
        // No change before it, in the order in which this process makes its stores, which is what counts when it dies.
        light_fence();
    }

    /// The writer leaves; `inconsistent`: it has not finished what it, or another before it, began.
    #[inline(always)]
    pub(super) fn end_write(&self, inconsistent: bool) {
        if !inconsistent {
            // Release: no change behind it.
            self.changing().store(0, Release);
        }
        self.writer().give_back(inconsistent);
    }

    /// The writer becomes a reader; returns its cell.
    pub(super) fn downgrade(&self, me: Cookie, thread: u32, inconsistent: bool) -> usize {
        if let Some(cell) = self.cell(0) {
            cell.become_reader(me, thread);
        }
        self.end_write(inconsistent);
        0
    }

    fn is_changing(&self) -> bool {
        self.changing().load(Relaxed) != 0
    }

    /// Gives the lock back for a writer that is dead.
    fn recover_owner(&self, peer: &Peer) -> Result<(), Error> {
        self.writer().give_back_for_dead(peer, &|| self.is_changing()).map(drop)
    }

    /// Frees the cells of the dead. For the owner, who is pending.
    fn recover_cells(&self, peer: &Peer) -> Result<(), Error> {
        self.recover_cells_from(0, peer)
    }

    /// The same for anyone, of the cells that are claimed. (The first one a writer takes without asking, and who clears it may be slow.)
    fn recover_claimed(&self, peer: &Peer) -> Result<(), Error> {
        self.recover_cells_from(1, peer)
    }

    fn recover_cells_from(&self, first: usize, peer: &Peer) -> Result<(), Error> {
        let mut questions = Questions::all(peer);
        for cell in self.cells().skip(first) {
            let found = cell.occupant();
            if found.is_free() {
                continue;
            }
            // Of nobody's cells nobody could ask for mercy.
            let dead = found.cookie().map_or(Ok(true), |cookie| questions.is_dead(cookie))?;
            if dead && cell.take_out(found, peer.cookie()) {
                bell::ring(self.drained(), self.light);
            }
        }
        Ok(())
    }
}

/// A reader that waits for the writer to leave.
struct Reading<'a> {
    core: &'a RwCore,
    asker: Asker<'a>,
    record: Option<WaitRecord<'a>>,
}

impl Contest for Reading<'_> {
    type Prize = Entry;
    type Error = Error;

    fn look(&mut self, may_take: bool) -> Look<Entry> {
        if may_take {
            self.core.enter(self.asker.peer.cookie(), self.asker.thread)
        } else if self.core.writer().owner().load().is_free() {
            Look::Free
        } else {
            Look::Busy
        }
    }

    fn check(&mut self) -> Result<Option<Entry>, Error> {
        self.core.writer().note_holding();
        self.core.recover_owner(self.asker.peer)?;
        Ok(match self.look(true) {
            Look::Ours(entry) => Some(entry),
            Look::Free | Look::Busy => None,
        })
    }

    fn falls_asleep(&mut self) {
        self.core.writer().note_holding();
        self.record = self.asker.peer.wait_record(self.asker.thread, self.asker.place);
    }
}
