//! The progress bar of `send` and `recv`: on standard error, when that is a terminal that we are in the foreground of.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use crate::output;

const UNKNOWN: &str = "{msg} {bytes} in {elapsed}, {binary_bytes_per_sec} {spinner}";
const KNOWN: &str = "{msg} {bytes} of {total_bytes} [{wide_bar}] {binary_bytes_per_sec}, {eta} left";

/// A bar, or nothing.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// `free`: whether the terminal, if there is one, shows nothing else.
    pub(crate) fn new(doing: &'static str, total: Option<u64>, free: bool) -> Self {
        let bar = (free && in_foreground()).then(|| {
            // Ten times a second is enough; in between it costs a look at the clock.
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(total, target).with_message(doing);
            let style = ProgressStyle::with_template(if total.is_some() { KNOWN } else { UNKNOWN });
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
    }

    #[inline]
    pub(crate) fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// Shows that time passes, though nothing else does.
    pub(crate) fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    /// Says something on standard error, above the bar if there is one.
    pub(crate) fn say(&self, message: &str) {
        let say = || output::say(message);
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// Whether standard error is a terminal that listens to us: in the background two bars would fight for one line.
fn in_foreground() -> bool {
    stderr().is_terminal() && tcgetpgrp(stderr()).is_ok_and(|group| group == getpgrp())
}
