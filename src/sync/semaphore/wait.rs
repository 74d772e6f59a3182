//! Waiting for a permit.

use std::time::{Duration, Instant};

use super::super::bell::{self, Deadline};
use super::super::inside::{Inside, Outside};
use super::super::lock::contention::{Contest, Look};
use super::super::lock::{Asker, Wait};
use super::super::thread;
use super::count::{Count, Tally};
use super::error::AcquireError;
use super::ledger::Full;
use super::{Inner, SEATS, TALLY};
use crate::peer::WaitRecord;

/// How a permit is taken.
trait Way {
    /// What comes of it.
    type Prize;

    /// Takes a permit, if there still is one.
    fn take(&self, inner: &Inner, asker: Asker<'_>, wait: Wait) -> Result<Option<Self::Prize>, AcquireError>;
}

/// Just counted.
struct Plain;

impl Way for Plain {
    type Prize = ();

    fn take(&self, inner: &Inner, _: Asker<'_>, _: Wait) -> Result<Option<()>, AcquireError> {
        Ok(inner.take().then_some(()))
    }
}

/// With a seat.
struct Guarded;

impl Way for Guarded {
    type Prize = usize;

    fn take(&self, inner: &Inner, asker: Asker<'_>, wait: Wait) -> Result<Option<usize>, AcquireError> {
        loop {
            let entered = match inner.enter(wait) {
                Ok(entered) => entered,
                Err(Outside::Busy) => return Ok(None),
                Err(Outside::Segment(error)) => return Err(error.into()),
            };
            let taken = inner.ledger().take(asker.peer.cookie(), asker.thread);
            drop(entered);
            match taken {
                Ok(seat) => return Ok(seat),
                // While there are permits nobody waits, so nobody has looked for the dead.
                Err(Full) if inner.reap_all(asker.peer, wait)? => {}
                Err(Full) => return Err(AcquireError::TooManyPermits { most: SEATS }),
            }
        }
    }
}

impl Inner {
    /// Takes a plain permit, if there is one.
    #[inline(always)]
    fn take(&self) -> bool {
        self.count().change(Count::one_taken).is_ok()
    }

    /// The same unless somebody has waited long.
    #[inline(always)]
    pub(super) fn take_unreserved(&self) -> bool {
        !self.contention().is_reserved() && self.take()
    }

    #[cold]
    pub(super) fn acquire(&self, wait: Wait) -> Result<(), AcquireError> {
        self.contend(Plain, wait)
    }

    pub(super) fn acquire_seat(&self, wait: Wait) -> Result<usize, AcquireError> {
        self.contend(Guarded, wait)
    }

    fn contend<W: Way>(&self, way: W, wait: Wait) -> Result<W::Prize, AcquireError> {
        let peer = self.part.member()?.peer()?;
        let asker = Asker { peer: &peer, thread: thread::id(), place: self.part.place() };
        let deadline = match wait {
            Wait::Not => None,
            Wait::Until(deadline) => Some(deadline),
        };
        let patience = if deadline.is_some() { wait } else { Inside::moment() };
        let mut wish =
            Wish { inner: self, way, asker, patience, slept: false, asked: None, failed: None, _record: None };
        // Without a wait, reserved or not: whoever it is reserved for may be dead, which only those who wait find out.
        if (deadline.is_none() || !self.contention().is_reserved())
            && let Some(prize) = wish.take()?
        {
            return Ok(prize);
        }
        let Some(deadline) = deadline else {
            return wish.check()?.ok_or(AcquireError::WouldBlock);
        };
        wish.wait(deadline)
    }
}

/// A wish for a permit, by whichever way.
struct Wish<'a, W> {
    inner: &'a Inner,
    way: W,
    asker: Asker<'a>,
    /// How long to wait for the internal lock.
    patience: Wait,
    slept: bool,
    /// When those who hold permits were last asked about.
    asked: Option<Instant>,
    failed: Option<AcquireError>,
    /// Tells people who waits.
    _record: Option<WaitRecord<'a>>,
}

impl<W: Way> Wish<'_, W> {
    /// Takes a permit, if there is one.
    fn take(&self) -> Result<Option<W::Prize>, AcquireError> {
        if self.inner.count().load().permits() == 0 {
            return Ok(None);
        }
        if self.slept {
            // Before we take one, so that who gives one back after that sees it: who woke us took the mark of the others with ours.
            bell::set(self.inner.contention().bell);
        }
        self.way.take(self.inner, self.asker, self.patience)
    }

    fn wait(&mut self, deadline: Deadline) -> Result<W::Prize, AcquireError> {
        let (contention, light) = (self.inner.contention(), self.inner.part.light);
        let prize = contention.wait(self.asker.peer.cookie().bits(), deadline, light, self)?;
        let prize = prize.ok_or(AcquireError::TimedOut)?;
        Tally::add(self.inner.line.at::<TALLY>(), 1, 0);
        // Others may have slept on although there is more, because it was reserved, or because one wake-up was for two permits.
        light.pass();
        if self.inner.count().load().permits() > 0 {
            contention.ring(light);
        }
        Ok(prize)
    }
}

impl<W: Way> Contest for Wish<'_, W> {
    type Prize = W::Prize;
    type Error = AcquireError;

    #[inline]
    fn look(&mut self, may_take: bool) -> Look<W::Prize> {
        if self.inner.count().load().permits() == 0 {
            return Look::Busy;
        }
        if !may_take {
            return Look::Free;
        }
        // After an error there is only the check.
        if self.failed.is_some() {
            return Look::Busy;
        }
        match self.take() {
            Ok(taken) => taken.map_or(Look::Busy, Look::Ours),
            Err(error) => {
                self.failed = Some(error);
                Look::Busy
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    fn check(&mut self) -> Result<Option<W::Prize>, AcquireError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        // Who is woken often, and comes too late each time, need not ask as often.
        if !cfg!(loom) && self.asked.is_some_and(|at| at.elapsed() < bell::FIRST_SLICE) {
            return Ok(None);
        }
        self.asked = Some(Instant::now());
        let before = self.inner.count().load().permits();
        self.inner.reap(self.asker.peer)?;
        // What came back to a count of none, we were the first to wait for.
        if before == 0 { self.take() } else { Ok(None) }
    }

    fn first_slice(&self) -> Duration {
        bell::CALM_SLICE
    }

    fn falls_asleep(&mut self) {
        self.slept = true;
        self._record = self.asker.peer.wait_record(self.asker.thread, self.asker.place);
    }
}
