//! A meeting point. The protocol is in ARCHITECTURE.md, "Barriers and latches".

mod arrive;
mod error;
#[cfg(all(test, loom))]
mod loom_model;
mod party;
mod places;
mod round;

use crate::base::access::ReadOnly;
use crate::base::atomic::Ordering::Acquire;
use crate::sync::inspect::Findings;
use crate::sync::inspect::Role;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::places::{PLACE_WORDS, Places, SPARE};
use self::round::{MOST, RoundWord, State};
use super::abandon::{self, Abandon, Open};
use super::bell::Deadline;
use super::inside::Inside;
use super::lock::LOCK_WORDS;
use super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use super::seats::{SEAT_WORDS, Seats};
use crate::peer::Place;
use crate::segment::region::{WordArray, Words};
use crate::segment::{Kind, Reason};

pub use error::{ActionError, BarrierError, BrokenBy};
pub use party::Party;

/// Where the line of words behind the lock begins, and where the places.
const LINE: usize = LOCK_WORDS;
const FIRST_PLACE: usize = LINE + 8;

/// A barrier: lets its parties go on once all of them have come, round after round; see [the module](super).
///
/// Each of them [waits](Self::wait); the last to come lets all go, and is their leader for this round. It is *broken* for all
/// who wait, and for who comes later until a [`reset`](Self::reset), if it is [aborted](Self::abort), if one of them has waited for as long as it wanted to, if the action fails,
/// **or if a party dies** that has arrived. If processes [enlist](Self::party) beforehand, also if one of those dies on its way. So nobody waits for the dead.
///
/// Cheap to clone: clones are handles of the same barrier. Who waits is a party, whatever thread of whatever process, by whichever handle.
///
/// **Progress.** Arriving takes a lock of the barrier's own for some stores; the rest is one compare-and-exchange each. A process that is stopped (SIGSTOP) amid those stores holds up
/// who arrives, not who waits, breaks or resets.
///
/// **If a process dies** that waits, or is enlisted, the others learn it within a slice of their sleep, 100 ms at most, as long as there are up to eight others for each who waits; each
/// further eight take one slice more. One that dies after having come last has let all go, or has broken it. What a
/// round came to is kept for everyone who waited in it, however late they look.
///
/// **Not for** counting down to a single event: a [`Latch`](super::Latch) does not need the same number of waiters.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, sync::Barrier};
///
/// let domain = Domain::new("doc-barrier")?;
/// let barrier = Barrier::create(&domain, "barrier", 2)?;
///
/// // In another process:
/// let other = Barrier::open(&domain, "barrier")?;
/// let thread = std::thread::spawn(move || other.wait());
///
/// let mine = barrier.wait()?;
/// let theirs = thread.join().unwrap()?;
/// assert!(mine.is_leader != theirs.is_leader);
/// assert_eq!(mine.index + theirs.index, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sources
///
/// What it means to be broken, aborted and reset is as in Python's `threading.Barrier`; a leader as in `std::sync::Barrier`.
#[derive(Clone)]
pub struct Barrier {
    inner: Arc<Inner>,
    _open: Open,
}

struct Inner {
    part: Part,
    inside: Inside,
    line: WordArray<8>,
    places: Places,
    seats: Seats,
    parties: u32,
}

/// One has come through a barrier, with all the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Arrival {
    /// How many had come before: from 0 to one less than there are parties, each once.
    pub index: u32,
    /// Whether we came last: true for one of them.
    pub is_leader: bool,
    /// The round: counts those that came to an end, broken ones too, once they were reset.
    pub generation: u64,
}

fn layout(parties: u64) -> Option<(u32, Shape)> {
    let parties = u32::try_from(parties).ok().filter(|parties| (1..=MOST).contains(parties))?;
    let mut config = [0; CONFIG_WORDS];
    let places = parties as usize + SPARE;
    config[..2].copy_from_slice(&[parties.into(), places as u64]);
    let state = FIRST_PLACE + places * PLACE_WORDS + parties as usize * SEAT_WORDS;
    Some((parties, Shape { config, state }))
}

/// What people see of it, for [`KINDS`](crate::sync::inspect).
pub(in crate::sync) fn inspect(
    config: &[u64; CONFIG_WORDS],
    state: &Words<ReadOnly>,
    seen: &mut Findings,
) -> Option<()> {
    let (parties, _) = layout(config[0])?;
    let parties = parties as usize;
    let round = round::Round::of_word(state.get(LINE)?.load(Acquire));
    let places = state.slice(FIRST_PLACE, (parties + SPARE) * PLACE_WORDS)?;
    for [who, _] in places.as_chunks::<PLACE_WORDS>().0 {
        seen.holder(who.load(Acquire), 0, Role::Arrived);
    }
    seen.seats(&state.slice(FIRST_PLACE + places.len(), parties * SEAT_WORDS)?, Role::Expected);
    seen.fact("parties", config[0]);
    seen.fact("arrived", u64::from(round.arrived()));
    seen.fact("generation", round.generation());
    seen.fact("broken", matches!(round.state(), State::Broken(_)));
    Some(())
}

impl Object for Barrier {
    type Setup = u32;
    const KIND: Kind = Kind::BARRIER;

    fn shape(parties: &u32) -> Result<Shape, Reason> {
        let (expected, found) = (format!("from 1 to {MOST}"), u64::from(*parties));
        let (_, shape) = layout(found).ok_or(Reason::Size { what: "a number of parties", expected, found })?;
        Ok(shape)
    }

    fn shape_of(config: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        let [parties, places, ..] = config;
        let spoilt = |what, expected, found| Reason::Spoilt { what, expected, found };
        let (_, shape) =
            layout(parties).ok_or_else(|| spoilt("number of parties", format!("from 1 to {MOST}"), parties))?;
        if places != shape.config[1] {
            return Err(spoilt("number of places", shape.config[1].to_string(), places));
        }
        Ok(shape)
    }

    fn initialise(_: &Words, _: &u32) {}

    fn over(part: Part) -> Result<Self, Reason> {
        let (parties, shape) = layout(part.config[0]).ok_or(Reason::NotFound)?;
        let seats = parties as usize * SEAT_WORDS;
        let places = shape.state - FIRST_PLACE - seats;
        let run = |from, length| part.state.slice(from, length).ok_or(Reason::NotFound);
        let inner = Arc::new(Inner {
            inside: Inside::new(&part)?,
            line: part.array::<8>(LINE)?,
            places: Places::new(run(FIRST_PLACE, places)?),
            seats: Seats::new(run(FIRST_PLACE + places, seats)?),
            parties,
            part,
        });
        let open = abandon::register(&inner);
        Ok(Self { inner, _open: open })
    }
}

impl Barrier {
    /// How many bytes one for so many parties takes within a segment, see [`create_at`](Self::create_at); `None` if there can be no such barrier.
    pub fn size_of_part(parties: u32) -> Option<u64> {
        part::size_of_part::<Self>(&parties).ok()
    }

    part::constructors!("a barrier", (parties: u32), parties);

    /// Waits until all parties have come.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`], or the system refuses.
    pub fn wait(&self) -> Result<Arrival, BarrierError> {
        self.inner.wait(Deadline::NEVER)
    }

    /// The same for at most `timeout`. When that is over it is broken: not only for us, since the others would wait in vain.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), or [`BarrierError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Arrival, BarrierError> {
        self.inner.wait(Deadline::after(timeout))
    }

    /// Waits until all parties have come, and somebody has run an action: whoever came last runs the one that it brought, before anybody goes on.
    ///
    /// If the action fails, panics, or its process dies, the barrier is broken for the others. It is also broken if one of them does not want to
    /// wait any longer for the action; then it has been run, but for nobody. In the action, one cannot wait at the same barrier ([`BarrierError::Deadlock`]).
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), or [`ActionError::Action`] for who ran it.
    pub fn wait_with<E>(&self, action: impl FnOnce() -> Result<(), E>) -> Result<Arrival, ActionError<E>> {
        self.inner.wait_with(Deadline::NEVER, action)
    }

    /// The same, but waits for the others for at most `timeout`. (Not for the action, if we run it.)
    ///
    /// # Errors
    ///
    /// As for [`wait_with`](Self::wait_with), or [`BarrierError::TimedOut`].
    pub fn wait_with_timeout<E>(
        &self,
        timeout: Duration,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<Arrival, ActionError<E>> {
        self.inner.wait_with(Deadline::after(timeout), action)
    }

    /// Enlists this thread as a party, until the guard is dropped: **if the process dies**, waiting or not, or the thread ends with the guard leaked, the barrier breaks for who waits.
    ///
    /// That changes nothing about how many have to come; who is not enlisted may come as well.
    ///
    /// # Errors
    ///
    /// As many as there are parties are enlisted, or the system refuses.
    pub fn party(&self) -> Result<Party<'_>, BarrierError> {
        let me = self.inner.part.me()?;
        let seat = self.inner.seats.claim(me.cookie, super::thread::id());
        let seat = seat.ok_or(BarrierError::TooManyParties(self.inner.parties))?;
        Ok(Party::new(self, me, seat))
    }

    /// Breaks it, for all who wait and who come, until a [`reset`](Self::reset).
    ///
    /// # Errors
    ///
    /// Somebody has been stopped for a while just when all were let go (then [`BarrierError::TimedOut`]), or the system refuses.
    pub fn abort(&self) -> Result<(), BarrierError> {
        self.inner.abort()
    }

    /// Makes it new. For those who wait now it is broken; the seats of enlisted parties that died are free.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn reset(&self) -> Result<(), BarrierError> {
        self.inner.reset()
    }

    /// Whether it is broken at this moment, so that who comes is turned away.
    pub fn is_broken(&self) -> bool {
        matches!(self.inner.round().load().state(), State::Broken(_))
    }

    /// How many parties it takes.
    pub fn parties(&self) -> u32 {
        self.inner.parties
    }

    /// How many wait at this moment.
    pub fn waiting(&self) -> u32 {
        let round = self.inner.round().load();
        if round.is_filling() { round.arrived().min(self.inner.parties) } else { 0 }
    }

    /// How many are enlisted at this moment, those that died included until a reset.
    pub fn enlisted(&self) -> usize {
        self.inner.seats.taken(usize::MAX)
    }

    /// The present round: see [`Arrival::generation`].
    pub fn generation(&self) -> u64 {
        self.inner.round().load().generation()
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &std::path::Path {
        self.inner.part.path()
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Barrier");
        debug.field("path", &self.path()).field("parties", &self.parties()).field("waiting", &self.waiting());
        debug.field("broken", &self.is_broken()).finish_non_exhaustive()
    }
}

impl Inner {
    fn round(&self) -> RoundWord<'_> {
        RoundWord(self.line.at::<0>())
    }
}

impl Abandon for Inner {
    fn place(&self) -> Place {
        self.part.place()
    }

    fn abandon(&self, thread: Option<u32>) {
        // Who waits finds lost seats as it finds those of the dead. A forked child has taken none before it is known.
        if let Some(me) = self.part.known_me() {
            self.seats.lose_all(me.cookie, thread);
        }
    }
}
