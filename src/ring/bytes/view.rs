//! A byte ring seen from outside: for tools that print it.

use super::header::{HEADER, Header, size_of_record};
use super::ring::{VERSION, buffer_of, check_geometry};
use crate::base::access::ReadOnly;
use crate::base::atomic::Ordering::{Acquire, Relaxed};
use crate::base::atomic::fence;
use crate::base::copy;
use crate::ring::control::Control;
use crate::segment::buffer::Buffer;
use crate::segment::open::Expected;
use crate::segment::{Domain, Error, Kind, Options, Reason, Segment};

/// A byte ring, mapped for reading. Takes nothing out and disturbs nobody.
#[derive(Debug)]
pub struct View {
    control: Control<ReadOnly>,
    buffer: Buffer<ReadOnly>,
}

/// What [`View::records`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Records {
    /// The records between consumer and producer, oldest first.
    pub records: Vec<Vec<u8>>,
    /// Whether the end of the stream comes after them.
    pub finished: bool,
}

impl View {
    /// Opens the ring of this name.
    ///
    /// # Errors
    ///
    /// There is none, or what is there is something else or not ours.
    pub fn open(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        let expected = Expected { kind: Some((Kind::BYTES, VERSION)), schema: None };
        let segment = Segment::<ReadOnly>::attach(domain, name, options, expected)?;
        let capacity = check_geometry(&segment)?;
        let body = segment.body();
        let parts = buffer_of(&body, capacity).zip(body.array(0));
        let (buffer, control) = parts.ok_or_else(|| {
            segment.error(Reason::Field { what: "ring capacity", expected: "one that fits".into(), found: capacity })
        })?;
        Ok(Self { control: Control(control), buffer })
    }

    /// How many bytes the buffer has.
    pub fn capacity(&self) -> u64 {
        self.buffer.capacity()
    }

    /// The positions of the consumer and the producer: bytes released and committed, ever. (The second may lag a little.)
    pub fn positions(&self) -> (u64, u64) {
        let head = self.control.head().load(Acquire);
        (head, self.control.tail().load(Acquire).max(head))
    }

    /// Copies of at most `most` records, oldest first. While the consumer is at work the oldest may be missing.
    pub fn records(&self, most: usize) -> Records {
        let mut found = Records { records: Vec::new(), finished: false };
        let mut at = self.control.head().load(Acquire);
        let end = at.wrapping_add(self.buffer.capacity());
        // How often the consumer may overtake us: each time a record was copied in vain.
        let mut overtaken = 0..1000;
        while found.records.len() < most && end.wrapping_sub(at) <= self.buffer.capacity() && end != at {
            let contiguous = self.buffer.contiguous(at);
            match Header::of(self.buffer.word(at).load(Acquire), contiguous) {
                Header::Data { length } => {
                    let mut bytes = vec![0; length as usize];
                    let words = self.buffer.words(at.wrapping_add(HEADER), bytes.len());
                    copy::load_bytes(words.unwrap_or_default(), &mut bytes);
                    fence(Acquire);
                    // Once the consumer has passed it, the producer may have written over it while we copied.
                    let head = self.control.head().load(Relaxed);
                    if head.wrapping_sub(at).wrapping_sub(1) < u64::MAX / 2 {
                        if overtaken.next().is_none() {
                            break;
                        }
                        at = head;
                        continue;
                    }
                    found.records.push(bytes);
                    at = at.wrapping_add(size_of_record(length));
                }
                Header::Skip => at = at.wrapping_add(contiguous),
                Header::End => {
                    found.finished = true;
                    break;
                }
                Header::Nothing | Header::Garbage => break,
            }
        }
        found
    }
}
