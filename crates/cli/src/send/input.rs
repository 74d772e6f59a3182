//! What is sent: bytes as they come, or lines.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::{Advice, FileType, fadvise, fstat};
use rustix::io::Errno;

use crate::args::Send;
use crate::exit::{Exit, Outcome};
use crate::signals::Signals;

/// The most that is read at once, and the longest record of a stream of bytes.
///
/// Measured (`pipe.1g`): what a read costs besides copying, and what a record costs, no longer matter at this size, and eight of them in a ring of 4 MiB
/// still lie in the cache.
pub(super) const CHUNK: usize = 512 << 10;

/// A file or standard input.
#[derive(Debug)]
pub(super) struct Input {
    /// `None`: standard input.
    file: Option<File>,
    length: Option<u64>,
    may_block: bool,
}

impl Input {
    pub(super) fn open(args: &Send) -> Outcome<Self> {
        let file = match &args.file {
            Some(path) => {
                let doing = format!("open {}", path.display());
                Some(File::open(path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => Exit::not_found(format_args!("cannot {doing}: {error}")),
                    _ => Exit::os(&doing, error),
                })?)
            }
            None => None,
        };
        let mut input = Self { file, length: None, may_block: true };
        let status = fstat(input.descriptor()).map_err(|error| Exit::os("look at the input", error))?;
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind == FileType::Directory {
            return Err(Exit::usage("the input is a directory: archive it first, say with tar"));
        }
        if kind == FileType::RegularFile {
            let at = rustix::fs::tell(input.descriptor()).unwrap_or(0);
            input.length = Some(u64::try_from(status.st_size).unwrap_or(0).saturating_sub(at));
            input.may_block = false;
            // Only advice.
            let _ = fadvise(input.descriptor(), at, None, Advice::Sequential);
        }
        Ok(input)
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.file {
            Some(file) => file.as_fd(),
            None => rustix::stdio::stdin(),
        }
    }

    /// How much there is, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether a read may have to wait.
    pub(super) fn may_block(&self) -> bool {
        self.may_block
    }

    /// Waits until there is something to read, or the end. `false`: not for all of the time.
    pub(super) fn wait(&self, signals: &mut Signals, time: Duration) -> Outcome<bool> {
        signals.ready(self.descriptor(), PollFlags::IN, time)
    }

    /// Reads what there is; 0 at the end.
    pub(super) fn read(&self, to: &mut [u8]) -> Outcome<usize> {
        loop {
            match rustix::io::read(self.descriptor(), &mut *to) {
                Err(Errno::INTR) => {}
                outcome => return outcome.map_err(|error| Exit::os("read the input", error)),
            }
        }
    }
}

/// Takes lines out of what was read. A line lies in one piece in its buffer, which holds the longest there can be.
#[derive(Debug)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// What was read and not yet taken.
    start: usize,
    end: usize,
    /// Up to where there is no newline.
    searched: usize,
    read_all: bool,
}

impl Lines {
    pub(super) fn new(longest: usize) -> Self {
        // One more than the longest line, for its newline; and room to read on behind the beginning of one.
        Self { buffer: vec![0; longest + 1 + CHUNK], start: 0, end: 0, searched: 0, read_all: false }
    }

    /// The next whole line, without its newline; at the end also one that has none.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let found = memchr::memchr(b'\n', &self.buffer[self.searched..self.end]);
        let line = match found {
            Some(length) => self.start..self.searched + length,
            None if self.read_all && self.start < self.end => self.start..self.end,
            None => {
                self.searched = self.end;
                return None;
            }
        };
        self.start = (line.end + 1).min(self.end);
        self.searched = self.start;
        Some(&self.buffer[line])
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.read_all && self.start == self.end
    }

    /// Whether there is no newline in more than the longest line can be.
    pub(super) fn is_full(&self) -> bool {
        self.end - self.start > self.buffer.len() - 1 - CHUNK
    }

    /// Reads more, and says how much.
    pub(super) fn fill(&mut self, input: &Input) -> Outcome<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.searched -= self.start;
        self.end -= self.start;
        self.start = 0;
        let room = self.end..(self.end + CHUNK).min(self.buffer.len());
        let length = input.read(&mut self.buffer[room])?;
        self.end += length;
        self.read_all = length == 0;
        Ok(length)
    }
}
