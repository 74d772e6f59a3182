//! Arriving, waiting, breaking, and what comes after. The protocol is in ARCHITECTURE.md, "Barriers and latches".

use std::cell::RefCell;

use super::error::{ActionError, BarrierError, BrokenBy};
use super::round::{Outcome, Round, State};
use super::{Arrival, Inner};
use crate::base::atomic::Word;
use crate::peer::{Cookie, Peer, Place, WaitRecord};
use crate::segment::Error;
use crate::sync::bell::{self, Deadline, LONGEST_SLICE, Look};
use crate::sync::inside::{Entered, Inside, Outside};
use crate::sync::lock::Wait;
use crate::sync::spin::Spin;
use crate::sync::thread;

/// Actions that run: at which barrier, in which generation, as which process.
type Actions = RefCell<Vec<(Place, u64, Cookie)>>;

#[cfg(not(loom))]
thread_local! {
    /// Those that this thread runs.
    static ACTIONS: Actions = const { RefCell::new(Vec::new()) };
}
#[cfg(loom)]
loom::thread_local! {
    static ACTIONS: Actions = RefCell::new(Vec::new());
}

/// One who has arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    pub(super) round: Round,
    pub(super) index: u32,
    pub(super) role: Role,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// Has let all go.
    Done,
    /// Waits in this place.
    Waits(usize),
    /// Came last, with an action to run before all are let go; in this place.
    Acts(usize),
}

/// What to do about an arrival that cannot be yet.
enum NotYet {
    /// All have come, and an action is running: wait for the next round.
    Full(Round),
    /// Those of earlier rounds have not looked yet.
    NoPlace(Round),
}

impl Inner {
    fn bell(&self) -> &Word {
        self.line.at::<1>()
    }

    fn ring(&self) {
        bell::ring(self.bell(), self.part.light);
    }

    pub(super) fn wait(&self, deadline: Deadline) -> Result<Arrival, BarrierError> {
        let peer = self.part.member()?.peer()?;
        let arrived = self.arrive(&peer, deadline, false)?;
        match arrived.role {
            Role::Waits(at) | Role::Acts(at) => self.await_outcome(&peer, arrived, at, deadline)?,
            Role::Done => {}
        }
        Ok(self.arrival(arrived))
    }

    pub(super) fn wait_with<E>(
        &self,
        deadline: Deadline,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<Arrival, ActionError<E>> {
        let peer = self.part.member().and_then(crate::peer::Member::peer).map_err(BarrierError::from)?;
        let arrived = self.arrive(&peer, deadline, true)?;
        match arrived.role {
            Role::Waits(at) => self.await_outcome(&peer, arrived, at, deadline)?,
            Role::Acts(at) => {
                let mut acting = Acting::begin(self, arrived.round, at, peer.cookie());
                action().map_err(ActionError::Action)?;
                acting.succeeded = true;
                drop(acting);
                self.release(arrived, at)?;
            }
            Role::Done => {}
        }
        Ok(self.arrival(arrived))
    }

    fn arrival(&self, arrived: Arrived) -> Arrival {
        Arrival {
            index: arrived.index,
            is_leader: arrived.index + 1 == self.parties,
            generation: arrived.round.generation(),
        }
    }

    /// Arrives, and lets all go if we are the last and have no action to run.
    pub(super) fn arrive(&self, peer: &Peer, deadline: Deadline, acts: bool) -> Result<Arrived, BarrierError> {
        loop {
            let entered = match self.enter(Wait::Until(deadline)) {
                Ok(entered) => entered,
                Err(Outside::Segment(error)) => return Err(error.into()),
                Err(Outside::Busy) => {
                    // We do not come: the others need not wait for us.
                    self.break_round(self.round().load(), BrokenBy::Timeout);
                    return Err(BarrierError::TimedOut);
                }
            };
            let round = self.round().load();
            match round.state() {
                State::Broken(why) => return Err(BarrierError::Broken(why)),
                // Reset just now.
                State::Releasing | State::Resetting(_) => continue,
                State::Filling => {}
            }
            match self.arrive_inside(peer, round, acts)? {
                Ok(Some(arrived)) => {
                    drop(entered);
                    if matches!(arrived.role, Role::Done) {
                        self.ring();
                    }
                    return Ok(arrived);
                }
                // Broken meanwhile, or reset.
                Ok(None) => {}
                Err(not_yet) => {
                    drop(entered);
                    self.await_room(peer, &not_yet, deadline)?;
                }
            }
        }
    }

    /// Arrives in a round that is filling, under the internal lock. `None` if that is no longer so.
    fn arrive_inside(
        &self,
        peer: &Peer,
        round: Round,
        acts: bool,
    ) -> Result<Result<Option<Arrived>, NotYet>, BarrierError> {
        let index = round.arrived();
        let is_last = index + 1 == self.parties;
        if index > self.parties {
            self.break_round(round, BrokenBy::Spoilt);
            return Ok(Ok(None));
        }
        if index == self.parties {
            return Ok(Err(NotYet::Full(round)));
        }
        if is_last && !acts {
            if !self.round().change(round, round.to(State::Releasing)) {
                return Ok(Ok(None));
            }
            self.settle();
            return Ok(Ok(Some(Arrived { round, index, role: Role::Done })));
        }
        let take = || self.places.take(peer.cookie(), round.generation(), index);
        let Some(at) = take()
            .map_or_else(|| self.places.clear_dead(round.generation(), peer).map(|()| take()), |at| Ok(Some(at)))?
        else {
            return Ok(Err(NotYet::NoPlace(round)));
        };
        if !self.round().change(round, round.one_more()) {
            self.places.leave(at);
            return Ok(Ok(None));
        }
        let role = if is_last { Role::Acts(at) } else { Role::Waits(at) };
        Ok(Ok(Some(Arrived { round, index, role })))
    }

    /// Waits until an arrival can be tried once more.
    fn await_room(&self, peer: &Peer, not_yet: &NotYet, deadline: Deadline) -> Result<(), BarrierError> {
        let (round, limit, is_full) = match not_yet {
            NotYet::Full(round) if self.is_acting(*round, peer) => return Err(BarrierError::Deadlock),
            NotYet::Full(round) => (*round, deadline, true),
            // Nobody rings for that.
            NotYet::NoPlace(round) => (*round, Deadline::after(LONGEST_SLICE / 4), false),
        };
        let over = |_| {
            let now = self.round().load();
            (now.generation() != round.generation() || !now.is_filling()).then_some(())
        };
        let mut record: Option<WaitRecord> = None;
        let check = || {
            record = record.take().or_else(|| peer.wait_record(thread::id(), self.part.place()));
            self.check(peer, round).map_err(BarrierError::from)
        };
        match bell::wait_in_slices(
            bell::CALM_SLICE,
            self.bell(),
            limit,
            &mut Spin::recall(self.line.at::<2>()),
            over,
            check,
        )? {
            None if is_full => Err(BarrierError::TimedOut),
            None if deadline.has_passed() => {
                self.break_round(round, BrokenBy::Timeout);
                Err(BarrierError::TimedOut)
            }
            _ => Ok(()),
        }
    }

    /// Whether this thread runs the action of that round.
    fn is_acting(&self, round: Round, peer: &Peer) -> bool {
        let action = (self.part.place(), round.generation(), peer.cookie());
        // Of a thread that ends it cannot be asked any more; it runs none.
        ACTIONS.try_with(|actions| actions.borrow().contains(&action)).unwrap_or(false)
    }

    /// Waits for what becomes of one who has arrived, and leaves the place.
    pub(super) fn await_outcome(
        &self,
        peer: &Peer,
        arrived: Arrived,
        at: usize,
        deadline: Deadline,
    ) -> Result<(), BarrierError> {
        let place = Leaving { inner: self, at };
        let spins = self.line.at::<2>();
        let mut spin = Spin::recall(spins);
        let mut record: Option<WaitRecord> = None;
        let ready = |_: Look| self.outcome(arrived.round, at);
        let check = || -> Result<(), BarrierError> {
            record = record.take().or_else(|| peer.wait_record(thread::id(), self.part.place()));
            Ok(self.check(peer, arrived.round)?)
        };
        let outcome = bell::wait_in_slices(bell::CALM_SLICE, self.bell(), deadline, &mut spin, ready, check);
        spin.keep(spins);
        let outcome = outcome.inspect_err(|_| {
            // We give up: so the others need not wait for us.
            self.break_round(arrived.round, BrokenBy::Abort);
        })?;
        if outcome.is_none() && self.break_round(arrived.round, BrokenBy::Timeout) {
            return Err(BarrierError::TimedOut);
        }
        // If it was not ours to break, it has come to something else.
        let outcome = outcome.or_else(|| self.outcome(arrived.round, at)).unwrap_or(Outcome::Broken(BrokenBy::Spoilt));
        drop(place);
        match outcome {
            Outcome::Released => Ok(()),
            Outcome::Broken(why) => Err(BarrierError::Broken(why)),
        }
    }

    /// What became of one who arrived in that round, and waits in that place.
    pub(super) fn outcome(&self, round: Round, at: usize) -> Option<Outcome> {
        let now = self.round().load();
        if now.generation() == round.generation() {
            return now.outcome();
        }
        // All places were told before the generation changed.
        Some(self.places.outcome(at).unwrap_or(Outcome::Broken(BrokenBy::Spoilt)))
    }

    /// After the action: lets all go, unless it was broken meanwhile.
    fn release(&self, arrived: Arrived, at: usize) -> Result<(), BarrierError> {
        let place = Leaving { inner: self, at };
        let full = arrived.round.one_more();
        if !self.round().change(full, full.to(State::Releasing)) {
            return match self.outcome(arrived.round, at) {
                Some(Outcome::Broken(why)) => Err(BarrierError::Broken(why)),
                Some(Outcome::Released) | None => Err(BarrierError::Broken(BrokenBy::Spoilt)),
            };
        }
        self.ring();
        drop(place);
        // If this does not get in, the next to arrive does it.
        drop(self.enter(Inside::moment()));
        Ok(())
    }

    /// Breaks a round, if it is still the present one and nothing has become of it; whether we did.
    pub(super) fn break_round(&self, round: Round, why: BrokenBy) -> bool {
        loop {
            let now = self.round().load();
            if now.generation() != round.generation() || !now.is_filling() {
                return false;
            }
            if self.round().change(now, now.to(State::Broken(why))) {
                self.ring();
                return true;
            }
            #[cfg(loom)]
            if crate::base::mortal::is_dead() {
                return false;
            }
        }
    }

    /// Breaks the round if a party has died.
    fn check(&self, peer: &Peer, round: Round) -> Result<(), Error> {
        let mut dead = self.places.has_dead(round.generation(), peer, self.line.at::<3>())?;
        if !dead {
            self.seats.find_lost(peer, self.line.at::<4>(), |_, _| {
                dead = true;
                false
            })?;
        }
        if dead {
            self.break_round(round, BrokenBy::Death);
        }
        Ok(())
    }

    /// Goes where arrivals are accounted for, and finishes what somebody died over.
    fn enter(&self, wait: Wait) -> Result<Entered<'_>, Outside> {
        let entered = self.inside.enter(&self.part, wait)?;
        self.settle();
        Ok(entered)
    }

    /// Finishes a round that has come to something, if that is known for good. Under the internal lock.
    fn settle(&self) {
        let round = self.round().load();
        let outcome = match round.state() {
            State::Releasing => Outcome::Released,
            State::Resetting(why) => Outcome::Broken(why),
            State::Filling | State::Broken(_) => return,
        };
        self.places.tell(round.generation(), outcome);
        self.round().turn(round.next());
    }

    pub(super) fn abort(&self) -> Result<(), BarrierError> {
        loop {
            let round = self.round().load();
            match round.state() {
                State::Filling if self.break_round(round, BrokenBy::Abort) => return Ok(()),
                State::Filling => {}
                State::Broken(_) => return Ok(()),
                // Those are let go, or turned away: it is the next round that is to be broken.
                State::Releasing | State::Resetting(_) => match self.enter(Inside::moment()) {
                    Ok(_) => {}
                    Err(Outside::Busy) => return Err(BarrierError::TimedOut),
                    Err(Outside::Segment(error)) => return Err(error.into()),
                },
            }
        }
    }

    pub(super) fn reset(&self) -> Result<(), BarrierError> {
        let peer = self.part.member()?.peer()?;
        self.seats.free_lost(&peer)?;
        loop {
            let round = self.round().load();
            let why = match round.state() {
                State::Filling => BrokenBy::Reset,
                State::Broken(why) => why,
                // Already on its way to a new round.
                State::Releasing | State::Resetting(_) => break,
            };
            if self.round().change(round, round.to(State::Resetting(why))) {
                self.ring();
                break;
            }
        }
        // If this does not get in, the next to arrive does it.
        drop(self.enter(Inside::moment()));
        Ok(())
    }
}

/// Leaves the place at the end, however that comes.
struct Leaving<'a> {
    inner: &'a Inner,
    at: usize,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.inner.places.leave(self.at);
    }
}

/// The action runs while this lives; if it does not succeed, the round is broken.
struct Acting<'a> {
    inner: &'a Inner,
    round: Round,
    at: usize,
    succeeded: bool,
}

impl<'a> Acting<'a> {
    fn begin(inner: &'a Inner, round: Round, at: usize, me: Cookie) -> Self {
        let action = (inner.part.place(), round.generation(), me);
        let _ = ACTIONS.try_with(|actions| actions.borrow_mut().push(action));
        Self { inner, round, at, succeeded: false }
    }
}

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        let _ = ACTIONS.try_with(|actions| actions.borrow_mut().pop());
        if !self.succeeded {
            self.inner.break_round(self.round, BrokenBy::Action);
            self.inner.places.leave(self.at);
        }
    }
}
