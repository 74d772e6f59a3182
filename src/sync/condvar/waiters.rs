//! Who waits, and who is notified. The protocol is in ARCHITECTURE.md, "Condition variable".

use std::time::Instant;

use super::super::bell::{self, Deadline, LONG_SLICE, LONGEST_SLICE};
use super::super::questions::Questions;
use super::Wake;
use super::cell::{Cell, Signal, Ticket};
use crate::base::access::ReadOnly;
use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::Relaxed;
use crate::base::atomic::Word;
use crate::peer::Cookie;
use crate::peer::Peer;
use crate::segment::Error;
use crate::segment::region::{WordArray, Words};
use crate::sync::inspect::Findings;
use crate::sync::part::CONFIG_WORDS;
use crate::sys::futex::{self, Woken};

/// How many may wait.
#[cfg(not(loom))]
pub(super) const CELLS: usize = 256;
#[cfg(loom)]
pub(super) const CELLS: usize = 2;

const HEAD_WORDS: usize = 8;

/// Words of the state.
pub(super) const WAITERS_WORDS: usize = HEAD_WORDS + 2 * CELLS;

/// The words of a condition variable.
///
/// ```text
/// word 0      ticket: how many were given
/// word 1      reach: how many cells, from the first on, were ever used
/// words 8...  cells, two words each
/// ```
#[derive(Debug, Clone)]
pub(super) struct Waiters<A: Access = ReadWrite> {
    head: WordArray<HEAD_WORDS, A>,
    cells: Words<A>,
}

/// What people see of it, for [`KINDS`](crate::sync::inspect).
pub(in crate::sync) fn inspect(_: &[u64; CONFIG_WORDS], state: &Words<ReadOnly>, seen: &mut Findings) -> Option<()> {
    let cells = state.slice(HEAD_WORDS, 2 * CELLS)?;
    let (cells, _) = cells.as_chunks::<2>();
    let waiting = cells.iter().filter(|[owner, signal]| {
        owner.load(Relaxed) & Cookie::MASK != 0 && Signal::of_word(signal.load(Relaxed)).ticket().is_some()
    });
    seen.fact("waiting", waiting.count() as u64);
    Some(())
}

/// One that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    cell: usize,
    ticket: Ticket,
}

impl<A: Access> Waiters<A> {
    /// Over the first [`WAITERS_WORDS`] of these, if there are so many.
    pub(super) fn new(words: &Words<A>) -> Option<Self> {
        Some(Self { head: words.array(0)?, cells: words.slice(HEAD_WORDS, 2 * CELLS)? })
    }

    fn cell(&self, index: usize) -> Option<Cell<'_, A>> {
        match self.cells.get(2 * index..2 * index + 2) {
            Some([owner, signal]) => Some(Cell { owner, signal }),
            _ => None,
        }
    }

    /// The cells that were ever used.
    pub(super) fn used(&self) -> impl Iterator<Item = Cell<'_, A>> {
        let reach = usize::try_from(self.head.at::<1>().load(Relaxed)).map_or(CELLS, |reach| reach.min(CELLS));
        (0..reach).filter_map(|index| self.cell(index))
    }

    /// Those that wait, dead or alive, if their tickets go up to `limit`.
    fn waiting(&self, limit: Ticket) -> impl Iterator<Item = (Cell<'_, A>, Signal, u64)> {
        self.used().filter_map(move |cell| {
            let signal = cell.signal();
            let age = signal.ticket()?.age(limit)?;
            Some((cell, signal, age))
        })
    }

    fn last_ticket(&self) -> Ticket {
        Ticket::new(self.head.at::<0>().load(Relaxed))
    }

    /// How many wait, dead or alive.
    pub(super) fn count(&self) -> usize {
        self.waiting(self.last_ticket()).count()
    }
}

impl Waiters {
    /// Begins to wait: who notifies from now on finds it. `None`: all cells are taken by the living.
    pub(super) fn enter(&self, peer: &Peer) -> Option<Waiter> {
        let free = |index: &usize| {
            let cell = self.cell(*index);
            cell.is_some_and(|cell| cell.owner().is_free() && cell.claim(peer.cookie()))
        };
        let index = (0..CELLS).find(free).or_else(|| self.clear_one(peer))?;
        let cell = self.cell(index)?;
        self.reach().raise(index as u64 + 1, Relaxed);
        let ticket = self.next_ticket();
        cell.wait(ticket);
        Some(Waiter { cell: index, ticket })
    }

    fn reach(&self) -> &Word {
        self.head.at::<1>()
    }

    fn next_ticket(&self) -> Ticket {
        let word = self.head.at::<0>();
        let mut seen = word.load(Relaxed);
        loop {
            match word.compare_exchange(seen, seen.wrapping_add(1), Relaxed, Relaxed) {
                Ok(_) => return Ticket::new(seen.wrapping_add(1)),
                Err(found) => seen = found,
            }
        }
    }

    /// Sleeps until it is notified, or the time is up; then it no longer waits, and [leaves](Self::leave).
    pub(super) fn sleep(&self, waiter: Waiter, deadline: Deadline, peer: &Peer) -> Wake {
        let Some(cell) = self.cell(waiter.cell) else { return Wake::TimedOut };
        if !cell.fall_asleep(waiter.ticket) {
            return Wake::Notified;
        }
        let asleep = Signal::asleep(waiter.ticket);
        // Long slices at once: a timer that is due sooner than the kernel's own costs a fifth of a hand-over between processors.
        let mut slice = LONG_SLICE;
        let mut begun = Instant::now();
        loop {
            let Some(nap) = deadline.left(slice) else {
                return if cell.give_up(asleep) { Wake::TimedOut } else { Wake::Notified };
            };
            let woken = futex::wait(cell.signal, asleep.futex(), nap);
            // If it is not what a notifier writes, the word was spoilt: then we do not wait either.
            if cell.signal() != asleep {
                return Wake::Notified;
            }
            // By the clock: signals may come more often than a slice ends.
            if woken == Woken::ByTime || (!cfg!(loom) && begun.elapsed() >= slice) {
                // If the kernel cannot be asked now, then at the end of the next slice.
                let _ = self.recover(peer);
                begun = Instant::now();
                slice = bell::longer(slice, LONGEST_SLICE);
            }
        }
    }

    /// Gives the cell back: the notification, if there was one, is received.
    pub(super) fn leave(&self, waiter: Waiter) {
        if let Some(cell) = self.cell(waiter.cell) {
            cell.free();
        }
    }

    /// Gives the cell back, waiting or not, without having received the notification, if there was one: it is passed on.
    pub(super) fn leave_unreceived(&self, waiter: Waiter) {
        if let Some(cell) = self.cell(waiter.cell) {
            self.clear(cell);
            cell.free();
        }
    }

    /// Notifies so many of those that wait, the oldest first; returns how many there were.
    pub(super) fn notify(&self, count: usize) -> usize {
        let limit = self.last_ticket();
        if count < CELLS {
            return (0..count).take_while(|_| self.notify_oldest(limit)).count();
        }
        let mut notified = 0;
        for cell in self.used() {
            let mut signal = cell.signal();
            // Again if it has fallen asleep meanwhile.
            while signal.ticket().is_some_and(|ticket| ticket.age(limit).is_some()) {
                if notify(cell, signal, limit) {
                    notified += 1;
                    break;
                }
                signal = cell.signal();
            }
        }
        notified
    }

    /// Notifies the oldest of those that waited when tickets up to `limit` had been given; `false` if none is left.
    fn notify_oldest(&self, limit: Ticket) -> bool {
        while let Some((cell, signal, _)) = self.waiting(limit).max_by_key(|(_, _, age)| *age) {
            if notify(cell, signal, limit) {
                return true;
            }
        }
        false
    }

    /// Passes on the notifications of the dead.
    pub(super) fn recover(&self, peer: &Peer) -> Result<(), Error> {
        let mut questions = Questions::all(peer);
        // What is passed on may reach another of the dead, in a cell that was looked at before. Each time one cell less is theirs.
        for _ in 0..CELLS {
            if !self.recover_once(&mut questions, peer.cookie())? {
                break;
            }
        }
        Ok(())
    }

    /// The same of one look at all cells; whether there were any.
    fn recover_once(&self, questions: &mut Questions<'_>, me: Cookie) -> Result<bool, Error> {
        let mut any = false;
        for cell in self.used() {
            let found = cell.owner();
            let Some(owner) = found.cookie() else { continue };
            if cell.signal().limit().is_some() && questions.is_dead(owner)? && cell.take_over(found, me) {
                self.clear(cell);
                cell.free();
                any = true;
            }
        }
        Ok(any)
    }

    /// Takes the cell of somebody dead, when all are taken.
    #[cold]
    fn clear_one(&self, peer: &Peer) -> Option<usize> {
        let mut questions = Questions::all(peer);
        (0..CELLS).find(|&index| {
            let Some(cell) = self.cell(index) else { return false };
            let found = cell.owner();
            if found.is_free() {
                return cell.claim(peer.cookie());
            }
            // If the kernel cannot be asked, it counts as living.
            if found.cookie().is_some_and(|cookie| !questions.is_dead(cookie).unwrap_or(false)) {
                return false;
            }
            let taken = cell.take_over(found, peer.cookie());
            if taken {
                self.clear(cell);
                cell.keep(peer.cookie());
            }
            taken
        })
    }

    /// Passes on what the owner of a cell was notified of, who is dead or us, and sees to it that nobody notifies it any more.
    fn clear(&self, cell: Cell<'_>) {
        loop {
            let signal = cell.signal();
            if let Some(limit) = signal.limit() {
                self.notify_oldest(limit);
                return;
            }
            if signal.ticket().is_none() || cell.give_up(signal) {
                return;
            }
        }
    }
}

fn notify(cell: Cell<'_>, found: Signal, limit: Ticket) -> bool {
    let notified = cell.notify(found, limit);
    if notified && found.is_asleep() {
        futex::wake_all(cell.signal);
    }
    notified
}
