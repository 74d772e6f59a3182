//! The two words of a thread that waits. The protocol is in ARCHITECTURE.md, "Condition variable".

use crate::base::access::{Access, ReadWrite};
use crate::base::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::base::atomic::Word;
use crate::peer::Cookie;

const STATE: u64 = 3;
const WAITING: u64 = 1;
const NOTIFIED: u64 = 2;
const ASLEEP: u64 = 3;

/// The number of a wait, modulo 2^62: who began earlier has a smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Ticket {
    pub(super) fn new(number: u64) -> Self {
        Self(number & (u64::MAX >> 2))
    }

    /// How many tickets were given from this one until `limit`; `None` if it was given later.
    pub(super) fn age(self, limit: Self) -> Option<u64> {
        let age = limit.0.wrapping_sub(self.0) & (u64::MAX >> 2);
        (age <= u64::MAX >> 3).then_some(age)
    }
}

/// What a cell's second word holds: a ticket, or a limit, over two bits of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal(u64);

impl Signal {
    pub(super) fn of_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) fn waiting(ticket: Ticket) -> Self {
        Self(ticket.0 << 2 | WAITING)
    }

    /// About to sleep, or asleep.
    pub(super) fn asleep(ticket: Ticket) -> Self {
        Self(ticket.0 << 2 | ASLEEP)
    }

    /// Notified when tickets up to this one had been given.
    fn notified(limit: Ticket) -> Self {
        Self(limit.0 << 2 | NOTIFIED)
    }

    /// The ticket of who waits for a notification.
    pub(super) fn ticket(self) -> Option<Ticket> {
        // Waiting and asleep are the odd ones.
        (self.0 & WAITING != 0).then_some(Ticket(self.0 >> 2))
    }

    /// The limit of who was notified.
    pub(super) fn limit(self) -> Option<Ticket> {
        (self.0 & STATE == NOTIFIED).then_some(Ticket(self.0 >> 2))
    }

    pub(super) fn is_asleep(self) -> bool {
        self.0 & STATE == ASLEEP
    }

    /// The half that is slept on.
    pub(super) fn futex(self) -> u32 {
        self.0 as u32
    }
}

/// What a cell's first word holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner(u64);

/// Its process clears what a dead one left.
const CLEARING: u64 = 1 << 63;

impl Owner {
    pub(super) fn is_free(self) -> bool {
        self.0 == 0
    }

    pub(super) fn cookie(self) -> Option<Cookie> {
        Cookie::in_word(self.0)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a, A: Access = ReadWrite> {
    pub(super) owner: &'a Word<A>,
    /// Slept on.
    pub(super) signal: &'a Word<A>,
}

impl<A: Access> Cell<'_, A> {
    pub(super) fn owner(self) -> Owner {
        Owner(self.owner.load(Acquire))
    }

    /// Acquire: pairs with `notify`.
    pub(super) fn signal(self) -> Signal {
        Signal(self.signal.load(Acquire))
    }
}

impl Cell<'_> {
    pub(super) fn claim(self, me: Cookie) -> bool {
        // Acquire: pairs with `free`; the stores to the signal word are in order.
        self.owner.compare_exchange(0, me.bits(), Acquire, Relaxed).is_ok()
    }

    /// Begins to wait.
    pub(super) fn wait(self, ticket: Ticket) {
        // Release: who finds us waiting finds the cell claimed.
        self.signal.store(Signal::waiting(ticket).0, Release);
    }

    /// Says that who waits will sleep; `false` if it was notified.
    pub(super) fn fall_asleep(self, ticket: Ticket) -> bool {
        let (from, to) = (Signal::waiting(ticket), Signal::asleep(ticket));
        self.signal.compare_exchange(from.0, to.0, Relaxed, Acquire).is_ok()
    }

    /// Ends a wait that was found so; `false` if it was notified meanwhile.
    pub(super) fn give_up(self, found: Signal) -> bool {
        self.signal.compare_exchange(found.0, 0, Relaxed, Acquire).is_ok()
    }

    /// Notifies who was found to wait; the caller wakes it if it was asleep.
    pub(super) fn notify(self, found: Signal, limit: Ticket) -> bool {
        // Release: what the notifier did is before what the notified does.
        self.signal.compare_exchange(found.0, Signal::notified(limit).0, AcqRel, Relaxed).is_ok()
    }

    /// Frees the cell that this process has. It does not wait, so nobody else changes its signal.
    pub(super) fn free(self) {
        self.signal.store(0, Relaxed);
        // Release: pairs with `claim`.
        self.owner.store(0, Release);
    }

    /// Takes the cell of somebody dead, as found, to clear it.
    pub(super) fn take_over(self, found: Owner, me: Cookie) -> bool {
        self.owner.compare_exchange(found.0, me.bits() | CLEARING, Acquire, Relaxed).is_ok()
    }

    /// Keeps the cell that was cleared.
    pub(super) fn keep(self, me: Cookie) {
        self.signal.store(0, Relaxed);
        self.owner.store(me.bits(), Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn tickets_know_their_age_also_when_they_go_round() {
        let last = Ticket::new(u64::MAX);
        assert_eq!(last.age(last), Some(0));
        assert_eq!(last.age(Ticket::new(1)), Some(2));
        assert_eq!(Ticket::new(1).age(last), None);
        assert_eq!(Ticket::new(5).age(Ticket::new(3)), None);
        for ticket in [last, Ticket::new(7)] {
            for signal in [Signal::waiting(ticket), Signal::asleep(ticket)] {
                assert_eq!((signal.ticket(), signal.limit()), (Some(ticket), None));
            }
            let notified = Signal::notified(ticket);
            assert_eq!((notified.ticket(), notified.limit()), (None, Some(ticket)));
        }
    }
}
