//! `send`: standard input or a file, into a ring.
//!
//! Who sends makes the ring, so that `--capacity` is one side's word and a receiver that waits has nothing that it could leave behind. The ring
//! lives while used: the sender stays until a receiver has released the last record.

mod attach;
mod input;

use std::time::{Duration, Instant};

use sharedware::Domain;
use sharedware::ring::bytes::Producer;
use sharedware::ring::{Gone, PeerState, PushError, WhenPeerGone};

use crate::args::Send;
use crate::exit::{Exit, Outcome};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::size;
use input::Input;

/// How often to look whether a signal came or the receiver went, in the midst of things.
const PULSE: Duration = Duration::from_millis(50);
/// How long the receiver may be in coming before we say that we wait for it.
const GRACE: Duration = Duration::from_millis(150);

pub(crate) fn run(domain: &Domain, args: &Send) -> Outcome {
    let mut input = Input::open(args)?;
    let mut signals = Signals::catch()?;
    let mut producer = attach::attach(domain, args, &mut signals)?;
    if args.wait {
        producer.when_peer_gone(WhenPeerGone::Wait);
    }
    let progress = Progress::new("sent", input.length(), true);
    let mut sender = Sender {
        name: &args.name,
        wait: args.wait,
        first: producer.position(),
        producer,
        signals,
        progress,
        started: Instant::now(),
        looked: Instant::now(),
        told: None,
    };
    if args.lines {
        sender.send_lines(&mut input)?;
    } else {
        sender.send_bytes(&mut input)?;
    }
    sender.finish()
}

struct Sender<'a> {
    name: &'a str,
    wait: bool,
    /// Where in the stream we began.
    first: u64,
    producer: Producer,
    signals: Signals,
    progress: Progress,
    started: Instant,
    looked: Instant,
    /// What was last said about the receiver.
    told: Option<Told>,
}

#[derive(Debug, PartialEq)]
enum Told {
    Nobody,
    Gone,
}

impl Sender<'_> {
    /// Reads straight into the ring, as much at a time as comes, up to [`input::CHUNK`].
    fn send_bytes(&mut self, input: &mut Input) -> Outcome {
        let most = self.producer.longest().min(input::CHUNK);
        loop {
            self.wait_for_input(input)?;
            self.wait_for_room(most)?;
            let mut claim = self.producer.try_claim(most)?;
            let length = input.read(&mut claim)?;
            if length == 0 {
                return Ok(());
            }
            claim.commit_first(length);
            self.progress.advance(length as u64);
            self.pulse()?;
        }
    }

    fn send_lines(&mut self, input: &mut Input) -> Outcome {
        let longest = self.producer.longest();
        let mut number = 0_u64;
        let mut lines = input::Lines::new(longest);
        loop {
            while let Some(line) = lines.next() {
                number += 1;
                match self.producer.try_send(line) {
                    Ok(()) => {}
                    Err(PushError::Full) => {
                        self.wait_for_room(line.len())?;
                        self.producer.try_send(line)?;
                    }
                    Err(PushError::TooLong { .. }) => return Err(too_long(number, longest)),
                    Err(other) => return Err(other.into()),
                }
            }
            if lines.is_at_end() {
                return Ok(());
            }
            if lines.is_full() {
                return Err(too_long(number + 1, longest));
            }
            self.wait_for_input(input)?;
            self.progress.advance(lines.fill(input)? as u64);
            self.pulse()?;
        }
    }

    fn wait_for_input(&mut self, input: &Input) -> Outcome {
        while input.may_block() && !input.wait(&mut self.signals, PULSE)? {
            self.look()?;
        }
        Ok(())
    }

    /// Waits until a claim of this length succeeds.
    fn wait_for_room(&mut self, length: usize) -> Outcome {
        loop {
            match self.producer.claim_timeout(length, PULSE) {
                Ok(_) => return Ok(()),
                Err(PushError::TimedOut) => self.look()?,
                Err(PushError::Disconnected(how)) => return Err(self.gone(how)),
                Err(other) => return Err(other.into()),
            }
        }
    }

    #[inline]
    fn pulse(&mut self) -> Outcome {
        if self.looked.elapsed() < PULSE { Ok(()) } else { self.look() }
    }

    /// Looks whether a signal came, and who is on the other side.
    #[cold]
    fn look(&mut self) -> Outcome {
        self.looked = Instant::now();
        self.progress.tick();
        self.signals.check()?;
        match self.peer()? {
            PeerState::Never if self.started.elapsed() < GRACE => {}
            PeerState::Never => self.tell(Told::Nobody, "waiting for a receiver: run"),
            PeerState::Dead if self.wait => self.tell(Told::Gone, "the receiver died: waiting for another, run"),
            PeerState::Left if self.wait => self.tell(Told::Gone, "the receiver left: waiting for another, run"),
            PeerState::Dead => return Err(self.gone(Gone::Died)),
            PeerState::Left => return Err(self.gone(Gone::Left)),
            _ => self.told = None,
        }
        Ok(())
    }

    /// Says it once.
    fn tell(&mut self, what: Told, message: &str) {
        if self.told.as_ref() != Some(&what) {
            self.progress.say(&format!("{message} `sharedware recv {}`", self.name));
            self.told = Some(what);
        }
    }

    fn peer(&self) -> Outcome<PeerState> {
        Ok(self.producer.peer()?)
    }

    /// Ends the stream and waits until somebody has received all of it.
    fn finish(&mut self) -> Outcome {
        self.producer.finish()?;
        loop {
            self.signals.check()?;
            match self.producer.wait_until_drained_timeout(PULSE) {
                Ok(()) => match self.peer()? {
                    // Who is there sees the end, or has; even of a stream of nothing.
                    PeerState::Alive(_) | PeerState::Left => return Ok(()),
                    // Nobody can tell whether it knew that this was all.
                    PeerState::Dead => self.look()?,
                    _ => {
                        self.look()?;
                        self.signals.sleep(Duration::from_millis(2))?;
                    }
                },
                Err(PushError::TimedOut) => self.look()?,
                Err(PushError::Disconnected(how)) => return Err(self.gone(how)),
                Err(other) => return Err(other.into()),
            }
        }
    }

    fn gone(&self, how: Gone) -> Exit {
        let sent = self.producer.position() - self.first;
        let name = self.name;
        Exit::peer_died(format_args!(
            "the receiver of `{name}` {how} before the end, {} (with their headers) after the start: with --wait, send waits for another",
            size::show(sent)
        ))
    }
}

fn too_long(number: u64, longest: usize) -> Exit {
    Exit::failure(format_args!(
        "line {number} is longer than {longest} bytes, the longest record of this ring: make the ring larger with --capacity, or send without --lines"
    ))
}
