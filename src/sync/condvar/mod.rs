//! Waiting until another says that something has changed; see [`Condvar`].

mod cell;
#[allow(clippy::module_inception, reason = "the object itself")]
mod condvar;
#[cfg(all(test, loom))]
mod loom_model;
mod relock;
mod waiters;

pub use condvar::Condvar;
pub(super) use waiters::inspect;

/// How a wait on a [`Condvar`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Somebody notified this thread.
    Notified,
    /// Nobody did within the time.
    TimedOut,
}

impl Wake {
    /// Whether nobody notified it within the time.
    pub fn timed_out(self) -> bool {
        self == Self::TimedOut
    }
}
