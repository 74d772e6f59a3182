//! `recv`: out of a ring, to standard output.
//!
//! A record is released after it has been written, so a receiver that takes over from one that died writes everything that the other had not
//! written, and possibly once more what it was writing at that moment.

use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::stdio;
use sharedware::Domain;
use sharedware::ring::bytes::{Batch, Consumer, Ring};
use sharedware::ring::{Gone, PeerState, PopError, WhenPeerGone};

use crate::args::Recv;
use crate::exit::{Exit, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::size;

/// How many bytes of lines are written at once.
const TOGETHER: usize = 64 << 10;
const PULSE: Duration = Duration::from_millis(50);
/// How long the sender may be in coming before we say that we wait for it.
const GRACE: Duration = Duration::from_millis(150);

pub(crate) fn run(domain: &Domain, args: &Recv) -> Outcome {
    let mut signals = Signals::catch()?;
    let mut consumer = attach(domain, &args.name, &mut signals)?;
    if args.wait {
        consumer.when_peer_gone(WhenPeerGone::Wait);
    }
    let mut output = Output::new();
    let progress = Progress::new("received", None, !stdout().is_terminal());
    let mut told = false;
    loop {
        match consumer.recv_timeout(PULSE) {
            Ok(_) if args.lines => progress.advance(output.write_lines(consumer.batch()?, &mut signals)?),
            Ok(record) => {
                let length = output.write(&record, &mut signals)?;
                output.records += 1;
                record.release();
                progress.advance(length);
            }
            Err(PopError::TimedOut) => {
                signals.check()?;
                output.check(&mut signals)?;
                progress.tick();
                let gone = args.wait && matches!(consumer.peer()?, PeerState::Dead | PeerState::Left);
                if gone && !told {
                    progress.say(&format!(
                        "the sender is gone: waiting for another, run `sharedware send {} --resume`",
                        args.name
                    ));
                }
                told = gone;
            }
            Err(PopError::Finished) => return Ok(()),
            Err(PopError::Disconnected(how)) => return Err(gone(&args.name, how, &output)),
            Err(other) => return Err(other.into()),
        }
    }
}

/// Waits for a sender to make the ring, and takes the side. A stream that somebody else has received to the end is none of ours.
fn attach(domain: &Domain, name: &str, signals: &mut Signals) -> Outcome<Consumer> {
    let started = Instant::now();
    let (mut pause, mut told) = (Duration::from_millis(1), false);
    loop {
        match Ring::open(domain, name) {
            Ok(ring) => {
                let left = ring.consumer_state()? == PeerState::Left;
                let mut consumer = ring.consumer()?;
                if !left || !matches!(consumer.try_recv(), Err(PopError::Finished)) {
                    return Ok(consumer);
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        if !told && started.elapsed() > GRACE {
            output::say(format_args!("waiting for a sender: run `sharedware send {name}`"));
            told = true;
        }
        signals.sleep(pause)?;
        pause = (pause * 21 / 20).min(Duration::from_millis(20));
    }
}

fn gone(name: &str, how: Gone, output: &Output) -> Exit {
    let received = size::count(output.records, "record");
    let bytes = size::show(output.bytes);
    Exit::peer_died(format_args!(
        "the sender of `{name}` {how} before the end of its stream: {received} ({bytes}) received, all that it had sent"
    ))
}

/// Standard output.
#[derive(Debug)]
struct Output {
    /// For lines that are written together; kept from one time to the next.
    buffer: Vec<u8>,
    may_block: bool,
    records: u64,
    bytes: u64,
}

impl Output {
    fn new() -> Self {
        let kind = fstat(stdio::stdout()).map(|status| FileType::from_raw_mode(status.st_mode));
        let may_block = match kind {
            Ok(FileType::RegularFile) => false,
            // Of the devices, terminals may.
            Ok(FileType::CharacterDevice) => stdout().is_terminal(),
            _ => true,
        };
        Self { buffer: Vec::new(), may_block, records: 0, bytes: 0 }
    }

    /// Writes what lines there are, up to a good length, in one go; releases them then, and says how many bytes that came to.
    fn write_lines(&mut self, mut records: Batch<'_>, signals: &mut Signals) -> Outcome<u64> {
        let mut lines = std::mem::take(&mut self.buffer);
        lines.clear();
        while lines.len() < TOGETHER
            && let Some(record) = records.take()
        {
            lines.extend_from_slice(record);
            lines.push(b'\n');
            self.records += 1;
        }
        let length = self.write(&lines, signals)?;
        records.release();
        self.buffer = lines;
        Ok(length)
    }

    /// Writes it all, and says how many bytes that were.
    fn write(&mut self, bytes: &[u8], signals: &mut Signals) -> Outcome<u64> {
        let mut rest = bytes;
        while !rest.is_empty() {
            while self.may_block && !signals.ready(stdio::stdout(), PollFlags::OUT, PULSE)? {}
            match rustix::io::write(stdio::stdout(), rest) {
                Ok(count) => rest = &rest[count..],
                // A signal that asks us to end is seen by `ready`.
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(Exit::os("write to standard output", error)),
            }
        }
        self.bytes += bytes.len() as u64;
        Ok(bytes.len() as u64)
    }

    /// Ends us if whoever read our output has gone, though there is nothing to write.
    fn check(&self, signals: &mut Signals) -> Outcome {
        if self.may_block && signals.ready(stdio::stdout(), PollFlags::empty(), Duration::ZERO)? {
            return Err(Exit::os("write to standard output", Errno::PIPE));
        }
        Ok(())
    }
}
