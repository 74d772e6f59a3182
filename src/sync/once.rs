//! Something that is to be done once by all processes together.

use crate::sync::inspect::Findings;
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use super::bell::{self, Deadline};
use super::error::{LockError, by};
use super::held::{Held, Lock};
use super::lock::{LOCK_WORDS, Wait};
use super::part::{self, CONFIG_WORDS, Object, Part, Shape};
use super::spin::Spin;
use super::thread;
use crate::base::access::{Access, ReadOnly, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::base::atomic::Word;
use crate::peer::PeerInfo;
use crate::segment::region::{WordArray, Words};
use crate::segment::{Error, Kind, Reason};
use crate::sys::barrier::Light;

/// Words behind the lock: the stage, and the bell of those who only wait.
const STAGE_WORDS: usize = 8;

/// Something that all processes together do once: the first to [`call_once`](Once::call_once) runs its closure, the others wait until that is done.
///
/// Cheap to clone: clones are handles of the same. `Once<ReadOnly>` can look and wait, and needs no right to write.
///
/// **If a process dies** running the closure, or the closure panics or fails, it is not done: the next caller runs its own, and can see that it is not the
/// first ([`OnceState`]). So it is if the closure forks: the child has not run anything. Who only waits goes on waiting: somebody may yet do it. Once done
/// it stays done, whoever dies.
///
/// **A call within the call** by the same thread is [`OnceError::Deadlock`].
///
/// # Example
///
/// ```
/// use sharedware::{Domain, sync::Once};
///
/// let domain = Domain::new("doc-once")?;
/// let tables = Once::create(&domain, "tables")?;
///
/// // In every process; one of them does it.
/// tables.try_call_once(|state| {
///     if state.is_takeover() {
///         // Somebody began and did not finish: remove what is left of that.
///     }
///     std::io::Result::Ok(()) // build the tables
/// })?;
/// assert!(tables.is_completed());
///
/// // Who has no part in it:
/// Once::open_read_only(&domain, "tables")?.wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Once<A: Access = ReadWrite> {
    words: WordArray<STAGE_WORDS, A>,
    path: std::path::PathBuf,
    /// For who may write.
    own: Option<Own>,
}

#[derive(Clone)]
struct Own {
    lock: Lock,
    words: WordArray<STAGE_WORDS>,
    light: Light,
}

/// How far it is; written by the owner of the lock only.
///
/// | value | meaning |
/// | --- | --- |
/// | 0 | nobody has begun |
/// | 1 | somebody runs, or died running |
/// | 2 | whoever ran last has failed |
/// | 3 | done |
///
/// Any other value counts as 1.
#[derive(Clone, Copy)]
struct Stage<'a, A: Access = ReadWrite>(&'a Word<A>);

const RUNNING: u64 = 1;
const FAILED: u64 = 2;
const DONE: u64 = 3;

impl<A: Access> Stage<'_, A> {
    /// Acquire: what was done is seen by who sees that it is done.
    #[inline(always)]
    fn is_done(self) -> bool {
        self.0.load(Acquire) == DONE
    }
}

impl Stage<'_> {
    fn former(self) -> Option<FormerRun> {
        match self.0.load(Relaxed) {
            0 => None,
            FAILED => Some(FormerRun::Failed),
            _ => Some(FormerRun::Died),
        }
    }

    fn set(self, stage: u64) {
        // Release: pairs with `is_done`.
        self.0.store(stage, Release);
    }
}

/// What became of the last one who ran, if it is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormerRun {
    /// Its process died, or its thread ended.
    Died,
    /// It returned an error, or panicked.
    Failed,
}

/// What the one who runs finds, see [`Once::try_call_once`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnceState {
    former: Option<FormerRun>,
}

impl OnceState {
    /// Whether somebody ran before, and did not finish: there may be something left of that.
    pub fn is_takeover(&self) -> bool {
        self.former.is_some()
    }

    /// What became of the last one who ran before, if anybody did.
    pub fn former(&self) -> Option<FormerRun> {
        self.former
    }
}

/// Why it is not done. `E` is what the closure fails with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnceError<E = Infallible> {
    /// It was our turn, and the closure failed.
    #[error("not done: {0}")]
    Failed(E),
    /// Somebody else was running all the time (`_timeout` only).
    #[error("not done yet: somebody is at it all the time{}", by(.owner.as_ref()))]
    TimedOut {
        /// Who at last, if the registry still tells.
        owner: Option<PeerInfo>,
    },
    /// This very thread is running: waiting would never end.
    #[error("a call within the call by the same thread: waiting for itself would never end")]
    Deadlock,
    /// The system refuses.
    #[error(transparent)]
    Segment(Box<Error>),
}

impl<E> From<LockError<Held>> for OnceError<E> {
    fn from(error: LockError<Held>) -> Self {
        match error {
            LockError::TimedOut { owner } | LockError::WouldBlock { owner } => Self::TimedOut { owner },
            LockError::Segment(error) => Self::Segment(error),
            // The others do not come here.
            _ => Self::Deadlock,
        }
    }
}

/// What people see of it, for [`KINDS`](crate::sync::inspect).
pub(in crate::sync) fn inspect(_: &[u64; CONFIG_WORDS], state: &Words<ReadOnly>, seen: &mut Findings) -> Option<()> {
    let stage = state.get(LOCK_WORDS)?.load(Acquire);
    let core = seen.lock(state)?;
    // Of an owner that died the stage tells.
    seen.is_consistent();
    let running = core.owner().load().cookie().is_some();
    seen.fact(
        "stage",
        match stage {
            0 => "not begun",
            FAILED => "failed",
            DONE => "done",
            _ if running => "running",
            _ => "died running",
        },
    );
    Some(())
}

fn shape() -> Shape {
    Shape { config: [0; CONFIG_WORDS], state: LOCK_WORDS + STAGE_WORDS }
}

impl Object for Once {
    type Setup = ();
    const KIND: Kind = Kind::ONCE;

    fn shape(_: &()) -> Result<Shape, Reason> {
        Ok(shape())
    }

    fn shape_of(_: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        Ok(shape())
    }

    fn initialise(_: &Words, _: &()) {}

    fn over(part: Part) -> Result<Self, Reason> {
        let words: WordArray<STAGE_WORDS> = part.array(LOCK_WORDS)?;
        let (path, light) = (part.path().to_owned(), part.light);
        let own = Own { lock: Lock::new(part)?, words: words.clone(), light };
        Ok(Self { words, path, own: Some(own) })
    }
}

impl Object<ReadOnly> for Once<ReadOnly> {
    type Setup = ();
    const KIND: Kind = Kind::ONCE;

    fn shape(_: &()) -> Result<Shape, Reason> {
        Ok(shape())
    }

    fn shape_of(_: [u64; CONFIG_WORDS]) -> Result<Shape, Reason> {
        Ok(shape())
    }

    fn initialise(_: &Words, _: &()) {}

    fn over(part: Part<ReadOnly>) -> Result<Self, Reason> {
        Ok(Self { words: part.array(LOCK_WORDS)?, path: part.path().to_owned(), own: None })
    }
}

impl Once {
    /// How many bytes it takes within a segment, see [`create_at`](Self::create_at).
    pub const SIZE: u64 = ((part::STATE + LOCK_WORDS + STAGE_WORDS) * 8) as u64;

    part::constructors!("a once", (), ());

    /// Runs `act` unless it is done; waits for who is running. When this returns well, it is done, by whomever.
    ///
    /// # Errors
    ///
    /// [`OnceError::Deadlock`] within the call; or the kernel could not be asked whether who is running lives.
    pub fn call_once(&self, act: impl FnOnce()) -> Result<(), OnceError> {
        self.call(Deadline::NEVER, |_| {
            act();
            Ok(())
        })
    }

    /// As [`call_once`](Self::call_once), if who is running is done, or has failed, within `timeout`. Our own running is not timed.
    ///
    /// # Errors
    ///
    /// As for [`call_once`](Self::call_once), or [`OnceError::TimedOut`].
    pub fn call_once_timeout(&self, timeout: Duration, act: impl FnOnce()) -> Result<(), OnceError> {
        self.call(Deadline::after(timeout), |_| {
            act();
            Ok(())
        })
    }

    /// As [`call_once`](Self::call_once), with something that may fail: then it is not done, and the next caller runs. `act` is told what became of who ran
    /// before.
    ///
    /// # Errors
    ///
    /// As for [`call_once`](Self::call_once), or [`OnceError::Failed`] with the error of `act`.
    pub fn try_call_once<E>(&self, act: impl FnOnce(&OnceState) -> Result<(), E>) -> Result<(), OnceError<E>> {
        self.call(Deadline::NEVER, act)
    }

    #[inline]
    fn call<E>(&self, deadline: Deadline, act: impl FnOnce(&OnceState) -> Result<(), E>) -> Result<(), OnceError<E>> {
        match &self.own {
            Some(own) if !self.is_completed() => own.call(deadline, act),
            _ => Ok(()),
        }
    }
}

impl Own {
    fn call<E>(&self, deadline: Deadline, act: impl FnOnce(&OnceState) -> Result<(), E>) -> Result<(), OnceError<E>> {
        let held = match self.lock.acquire(Wait::Until(deadline)) {
            Ok(held) => held,
            // The stage tells, more exactly.
            Err(LockError::OwnerDied(mut held)) => {
                self.lock.mark_consistent(&mut held);
                held
            }
            Err(refused) => return Err(refused.into()),
        };
        let mut run = Run { own: self, held, begun: false };
        let stage = self.stage();
        if stage.is_done() {
            return Ok(());
        }
        let former = stage.former();
        stage.set(RUNNING);
        run.begun = true;
        act(&OnceState { former }).map_err(OnceError::Failed)?;
        if !self.lock.is_current(&held) {
            // A child that was forked in the middle: what it did it did for itself.
            return Err(OnceError::Segment(Box::new(self.lock.part().error(Reason::Forked))));
        }
        run.begun = false;
        stage.set(DONE);
        bell::ring(self.bell(), self.light);
        Ok(())
    }

    fn stage(&self) -> Stage<'_> {
        Stage(self.words.at::<0>())
    }

    fn bell(&self) -> &Word {
        self.words.at::<1>()
    }
}

/// The call of who has the lock. Its end is the end of the call, however it comes.
struct Run<'a> {
    own: &'a Own,
    held: Held,
    begun: bool,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if self.begun && self.own.lock.is_current(&self.held) {
            self.own.stage().set(FAILED);
        }
        self.own.lock.release(&self.held);
    }
}

impl Once<ReadOnly> {
    part::read_only_constructors!("a once");
}

impl<A: Access> Once<A> {
    /// Whether it is done.
    #[inline]
    pub fn is_completed(&self) -> bool {
        Stage(self.words.at::<0>()).is_done()
    }

    /// Waits until it is done, for ever if need be: nobody need have begun, and who has begun may die.
    pub fn wait(&self) {
        self.wait_until(Deadline::NEVER);
    }

    /// Waits until it is done, no longer than `timeout`; whether it is.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> bool {
        let done = || self.is_completed().then_some(());
        let spin = &mut Spin::new();
        match &self.own {
            Some(_) if self.is_completed() => true,
            Some(own) => {
                // For people only: who waits where. It need not be anybody's, so nobody need be asked about.
                let part = own.lock.part();
                let peer = part.member().and_then(crate::peer::Member::peer).ok();
                let mut record = None;
                let list = || -> Result<(), Infallible> {
                    record = record.take().or_else(|| peer.as_ref()?.wait_record(thread::id(), part.place()));
                    Ok(())
                };
                let outcome = bell::wait(own.bell(), deadline, spin, |_| done(), list);
                matches!(outcome, Ok(Some(())))
            }
            None => bell::watch(self.words.at::<1>(), deadline, spin, done).is_some(),
        }
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl<A: Access> Clone for Once<A> {
    fn clone(&self) -> Self {
        Self { words: self.words.clone(), path: self.path.clone(), own: self.own.clone() }
    }
}

impl<A: Access> fmt::Debug for Once<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Once");
        text.field("path", &self.path()).field("completed", &self.is_completed()).finish_non_exhaustive()
    }
}
