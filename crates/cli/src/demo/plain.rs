//! The demo without a terminal: a line each second, and one for each event.

use std::time::Duration;

use super::story::{Story, time};
use super::{FRAME, Stage};
use crate::exit::Outcome;
use crate::output;
use crate::signals::Signals;

/// Lines on standard output.
#[derive(Debug)]
pub(super) struct Plain {
    next: Duration,
    events: usize,
}

impl Plain {
    pub(super) fn new(story: &Story) -> Outcome<Self> {
        let name = &story.name;
        output::write(
            format!(
                "sharedware demo: for {} seconds three processes share the ring `{name}.ticks` and the slots `{name}.quotes`;\n\
                 two of them are going to be killed with SIGKILL and replaced.\n",
                story.length.as_secs()
            )
            .as_bytes(),
        )?;
        Ok(Self { next: Duration::from_secs(1), events: 0 })
    }
}

impl Stage for Plain {
    fn show(&mut self, story: &Story, signals: &mut Signals) -> Outcome<bool> {
        let mut text = String::new();
        for (when, what) in &story.events[self.events..] {
            text.push_str(&format!("{:5.1} s  * {what}\n", when.as_secs_f64()));
        }
        self.events = story.events.len();
        let elapsed = story.elapsed();
        if elapsed >= self.next {
            self.next += Duration::from_secs(1);
            let book = &story.book;
            text.push_str(&format!(
                "{:5.1} s  {} messages, {:.0} M/s at full speed, one way p50 {} p99 {}, {:.1} ns a read, lost: {}\n",
                elapsed.as_secs_f64(),
                indicatif::HumanCount(book.next),
                story.full_speed / 1e6,
                time(book.p50_ns),
                time(book.p99_ns),
                story.read_ns,
                story.lost(),
            ));
        }
        if !text.is_empty() {
            output::write(text.as_bytes())?;
        }
        signals.sleep(FRAME)?;
        Ok(true)
    }
}
