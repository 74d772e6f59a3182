//! What the kernel offers: a pipe (a FIFO, so that both processes find it by name) and a Unix stream socket.
//!
//! The pipe is enlarged to 1 MiB, the most an unprivileged process may have; both are used with plain blocking calls, one
//! for each record.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::message::{Link, Rx, Tx, fill, mismatch};
use crate::process::{Context, Fallible};
use crate::sys;

/// A record in private memory, and the stream it goes through.
pub(crate) struct Stream<F> {
    file: F,
    record: Vec<u64>,
}

impl<F: Write> Tx for Stream<F> {
    fn send(&mut self, number: u64) {
        fill(&mut self.record, number);
        self.file.write_all(sys::bytes_of(&self.record)).expect("the other side to read");
    }
}

impl<F: Read> Rx for Stream<F> {
    fn recv(&mut self, number: u64) -> u64 {
        self.file.read_exact(sys::bytes_of_mut(&mut self.record)).expect("the other side to write");
        mismatch(&self.record, number)
    }
}

pub(crate) struct Pipe;

fn pipe(context: &Context, lane: usize) -> Fallible<Stream<File>> {
    let path = path(context, lane);
    if context.role == 0 {
        sys::make_fifo(&path)?;
    }
    // Opened for both, which on Linux waits for nobody.
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    sys::enlarge_pipe(file.as_raw_fd(), 1 << 20);
    if context.role == 1 {
        std::fs::remove_file(&path)?;
    }
    Ok(Stream { file, record: vec![0; context.job.bytes / 8] })
}

impl Link for Pipe {
    type Tx = Stream<File>;
    type Rx = Stream<File>;

    fn tx(context: &Context, lane: usize) -> Fallible<Self::Tx> {
        pipe(context, lane)
    }

    fn rx(context: &Context, lane: usize) -> Fallible<Self::Rx> {
        pipe(context, lane)
    }
}

pub(crate) struct Socket;

fn socket(context: &Context, lane: usize) -> Fallible<Stream<UnixStream>> {
    let path = path(context, lane);
    let file = if context.role == 0 {
        let listener = UnixListener::bind(&path)?;
        context.created();
        let (stream, _) = listener.accept()?;
        std::fs::remove_file(&path)?;
        stream
    } else {
        loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                // The second lane is bound only after the first one is accepted.
                Err(_) => std::thread::sleep(Duration::from_micros(100)),
            }
        }
    };
    Ok(Stream { file, record: vec![0; context.job.bytes / 8] })
}

impl Link for Socket {
    type Tx = Stream<UnixStream>;
    type Rx = Stream<UnixStream>;

    fn tx(context: &Context, lane: usize) -> Fallible<Self::Tx> {
        socket(context, lane)
    }

    fn rx(context: &Context, lane: usize) -> Fallible<Self::Rx> {
        socket(context, lane)
    }
}

fn path(context: &Context, lane: usize) -> PathBuf {
    std::env::temp_dir().join(context.name(lane))
}
