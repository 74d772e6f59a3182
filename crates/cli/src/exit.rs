//! How the tool ends: a status that scripts can tell apart, and a message that says what to do.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use sharedware::ring::{AttachError, PopError, PushError};
use sharedware::{Error, Reason};
use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;

use crate::output;

/// What a command comes to.
pub(crate) type Outcome<T = ()> = Result<T, Exit>;

/// Exit statuses other than 0. They are an interface: `--help` and the README list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Failure = 1,
    Usage = 2,
    NotFound = 3,
    PeerDied = 4,
    Deadlock = 5,
}

/// An end other than a good one.
#[derive(Debug)]
pub(crate) enum Exit {
    /// With a status and a message.
    Failed(Status, String),
    /// By a signal, as if we had not caught it: what the shell reports is what it always reports.
    Signal(i32),
}

impl Exit {
    pub(crate) fn failure(message: impl Display) -> Self {
        Self::Failed(Status::Failure, message.to_string())
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Failed(Status::Usage, message.to_string())
    }

    pub(crate) fn not_found(message: impl Display) -> Self {
        Self::Failed(Status::NotFound, message.to_string())
    }

    pub(crate) fn peer_died(message: impl Display) -> Self {
        Self::Failed(Status::PeerDied, message.to_string())
    }

    pub(crate) fn deadlock(message: impl Display) -> Self {
        Self::Failed(Status::Deadlock, message.to_string())
    }

    /// The system's answer to something we wanted to do.
    pub(crate) fn os(doing: &str, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        match error.kind() {
            // Whoever reads our output has had enough: not worth a word.
            io::ErrorKind::BrokenPipe => Self::Signal(SIGPIPE),
            _ => Self::failure(format_args!("cannot {doing}: {error}")),
        }
    }

    /// Says it and ends.
    pub(crate) fn end(self) -> ExitCode {
        match self {
            Self::Failed(status, message) => {
                output::say(message);
                ExitCode::from(status as u8)
            }
            Self::Signal(signal) => {
                // Returns only for a signal that ends nobody.
                let _ = emulate_default_handler(signal);
                ExitCode::from(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
            }
        }
    }
}

impl From<Error> for Exit {
    fn from(error: Error) -> Self {
        match error.reason() {
            Reason::NotFound => Self::not_found(format_args!("{error}; `sharedware ls` shows what there is")),
            Reason::Name(_) => Self::usage(error),
            _ => Self::failure(error),
        }
    }
}

impl From<AttachError> for Exit {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Segment(error) => (*error).into(),
            other => Self::failure(other),
        }
    }
}

impl From<PushError> for Exit {
    fn from(error: PushError) -> Self {
        Self::failure(error)
    }
}

impl From<PopError> for Exit {
    fn from(error: PopError) -> Self {
        Self::failure(error)
    }
}
