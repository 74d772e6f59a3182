//! Signals that ask us to end: caught, so that we leave in good order, and then obeyed as if they had not been.
//!
//! What is ours in shared memory goes with our handles. A signal that killed us between two stores would leave the name behind
//! until the next sweep; so the loops of `send` and `recv` look here whenever they wait, and end by way of their destructors.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::exit::{Exit, Outcome};

/// The signals that asked us to end, since they are caught.
#[derive(Debug)]
pub(crate) struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// Catches them from now on; except those that our parent told us to ignore (`nohup`, a background job of a script).
    pub(crate) fn catch() -> Outcome<Self> {
        let ignored = ignored();
        let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let wanted: Vec<i32> = wanted.collect();
        let pipe = UnixStream::pair();
        let delivery = pipe.and_then(|(read, write)| SignalDelivery::with_pipe(read, write, SignalOnly, &wanted));
        Ok(Self { delivery: delivery.map_err(|error| Exit::os("catch signals", error))? })
    }

    /// An error if one came.
    pub(crate) fn check(&mut self) -> Outcome {
        self.delivery.pending().next().map_or(Ok(()), |signal| Err(Exit::Signal(signal)))
    }

    /// Waits this long, or less if a signal comes.
    pub(crate) fn sleep(&mut self, time: Duration) -> Outcome {
        self.wait(None, time).map(|_| ())
    }

    /// Waits until the descriptor is ready for what `flags` say (or broken), at most this long. Says whether it is.
    pub(crate) fn ready(&mut self, file: BorrowedFd<'_>, flags: PollFlags, time: Duration) -> Outcome<bool> {
        self.wait(Some((file, flags)), time)
    }

    fn wait(&mut self, file: Option<(BorrowedFd<'_>, PollFlags)>, time: Duration) -> Outcome<bool> {
        let mut both = vec![PollFd::from_borrowed_fd(self.delivery.get_read().as_fd(), PollFlags::IN)];
        both.extend(file.map(|(file, flags)| PollFd::from_borrowed_fd(file, flags)));
        let limit = Timespec::try_from(time).ok();
        match poll(&mut both, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Exit::os("wait", error)),
        }
        let ready = both.get(1).is_some_and(|file| !file.revents().is_empty());
        let asked = both.first().is_some_and(|pipe| !pipe.revents().is_empty());
        if asked {
            self.check()?;
        }
        Ok(ready)
    }
}

/// The signals that this process ignores, one bit each.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
