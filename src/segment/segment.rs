//! An open segment: its header as read once, its words, and, for raw ones, bytes for the user to arrange.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::create::{self, Blueprint};
use super::error::{Error, Limit, Reason};
use super::header::{self, COMMITTED, GEOMETRY_WORDS, HEADER_UNIT, Header, Kind, Lifetime};
use super::open::{self, Expected};
use super::options::{Memory, Options};
use super::region::Words;
use super::schema::Schema;
use super::{Domain, access_bytes};
use crate::base::access::{Access, ReadOnly, ReadWrite};
use crate::base::atomic::Ordering::{Acquire, Release};
use crate::sys::{fork, map, object};

/// A segment of shared memory, open. As long as any process has it open (mapped), it is in use.
///
/// Opened directly, it is a run of bytes for you to arrange: see [`read`](Self::read) and [`write`](Self::write). Most will rather
/// want a structure: [`Slots`](crate::slot::Slots), [`ring::spsc`](crate::ring::spsc), [`ring::bytes`](crate::ring::bytes).
///
/// **If a process dies** with a segment open, the others do not notice; the kernel drops its hold on the segment.
///
/// # Example
///
/// ```
/// use sharedware::{Domain, Options, Segment};
///
/// let domain = Domain::new("doc-segment")?;
/// let segment = Segment::create(&domain, "notes", 1 << 20, &Options::new())?;
/// segment.write(0, b"hello")?;
///
/// let reader = Segment::open_read_only(&domain, "notes", &Options::new())?;
/// let mut bytes = [0; 5];
/// reader.read(0, &mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// # Ok::<(), sharedware::Error>(())
/// ```
pub struct Segment<A: Access = ReadWrite> {
    path: PathBuf,
    words: Words<A>,
    header: Header,
    memory: Memory,
    /// Device and inode, to know the object again.
    object: (u64, u64),
}

impl Segment {
    /// Creates a raw segment of `capacity` bytes, all of them there from the start, all zero.
    ///
    /// # Errors
    ///
    /// The name is taken or cannot be one, the capacity cannot be, memory is full, or the system refuses; nothing is left behind.
    pub fn create(domain: &Domain, name: &str, capacity: u64, options: &Options) -> Result<Self, Error> {
        Self::create_growing(domain, name, capacity, capacity, options)
    }

    /// Creates a raw segment that may grow to `capacity` bytes, of which `committed` (rounded up to a page) are there from the start.
    /// Capacity is address space, which is cheap.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub fn create_growing(
        domain: &Domain,
        name: &str,
        committed: u64,
        capacity: u64,
        options: &Options,
    ) -> Result<Self, Error> {
        let name = domain.check(name)?;
        let blueprint = Blueprint {
            kind: Kind::RAW,
            kind_version: RAW_VERSION,
            geometry: [0; GEOMETRY_WORDS],
            schema: None,
            body: capacity,
            committed,
        };
        create::create(domain, &name, blueprint, options, false, |_| (), |_, _| Ok(())).map(|(segment, ())| segment)
    }

    /// Opens a raw segment for reading and writing.
    ///
    /// # Errors
    ///
    /// There is no such segment, or what is there is not one or not ours; see [`Reason`].
    pub fn open(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        Self::attach_raw(domain, name, options)
    }

    /// Opens a raw segment, or creates it with `capacity` bytes if there is none.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(domain: &Domain, name: &str, capacity: u64, options: &Options) -> Result<Self, Error> {
        let checked = domain.check(name)?;
        create::open_or_create(
            domain,
            &checked,
            || Self::open(domain, name, options),
            || Self::create(domain, name, capacity, options),
        )
    }

    /// Makes sure that the first `length` bytes (rounded up to a page) are there; never shrinks.
    ///
    /// # Errors
    ///
    /// Beyond the capacity, memory is full, or the segment has been removed by name (then it cannot grow any more). Nothing has changed.
    pub fn grow(&self, length: u64) -> Result<(), Error> {
        let fail = |reason| Error::new(&self.path, reason);
        if length > self.capacity() {
            return Err(fail(Reason::Full { asked: length, left: self.capacity(), limit: Limit::Capacity }));
        }
        let whole = (self.header.header_size + length).next_multiple_of(HEADER_UNIT).min(self.header.capacity);
        let have = self.committed_whole()?;
        if whole <= have {
            return Ok(());
        }
        let _gate = fork::gate();
        let file = self.reopen(true)?;
        open::allocate(&file, &self.path, whole, have).map_err(fail)?;
        if let Some(committed) = self.words.get(COMMITTED) {
            committed.raise(whole, Release);
        }
        Ok(())
    }

    /// Has the memory of a part of the contents beyond what is committed, in whole pages: from then on touching it cannot fail.
    ///
    /// # Errors
    ///
    /// Memory is full; then none of it is there.
    pub(crate) fn back(&self, offset: u64, length: u64) -> Result<(), Reason> {
        let (map, from, size) = self.part(offset, length)?;
        let populated = match map::populate(map, from, size) {
            // A kernel before 5.14: by way of the file.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                let _gate = fork::gate();
                let file = self.reopen(true).map_err(Error::into_reason)?;
                object::allocate(&file, self.header.header_size + offset, length)
            }
            outcome => outcome,
        };
        populated.map_err(|error| {
            // Some of it may be there by now.
            let _ = map::punch(map, from, size);
            open::not_allocated(error, &self.path, length)
        })
    }

    /// Gives the memory of a part of the contents, in whole pages, back to the system. Nobody may go by what is there any more.
    pub(crate) fn let_go(&self, offset: u64, length: u64) -> Result<(), Reason> {
        let (map, from, size) = self.part(offset, length)?;
        match map::punch(map, from, size) {
            // Locked in memory: it stays.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            outcome => outcome.map_err(|error| Reason::os("give its pages back", error)),
        }
    }

    /// A part of the contents as a part of the mapping.
    fn part(&self, offset: u64, length: u64) -> Result<(&memmap2::MmapRaw, usize, usize), Reason> {
        let end = offset.checked_add(length).filter(|&end| end <= self.capacity());
        let outside = || Reason::Full { asked: length, left: self.capacity(), limit: Limit::Capacity };
        let from = end.and_then(|_| usize::try_from(self.header.header_size + offset).ok()).ok_or_else(outside)?;
        let size = usize::try_from(length).map_err(|_| outside())?;
        Ok((self.words.mapping().ok_or(Reason::NotFound)?, from, size))
    }

    /// Writes bytes, word by word: processes that read meanwhile may see some words old and some new, never half a word.
    ///
    /// # Errors
    ///
    /// `offset` is not a multiple of 8, or the bytes do not fit in what is committed.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let words = self.window(offset, bytes.len())?;
        access_bytes::write(&words, bytes);
        Ok(())
    }
}

impl Segment<ReadOnly> {
    /// Opens a raw segment for reading only: it is really mapped so.
    ///
    /// # Errors
    ///
    /// As for [`open`](Segment::open).
    pub fn open_read_only(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        Self::attach_raw(domain, name, options)
    }
}

const RAW_VERSION: u32 = 1;

impl<A: Access> Segment<A> {
    pub(crate) fn new(path: &Path, words: Words<A>, header: Header, memory: Memory, object: (u64, u64)) -> Self {
        Self { path: path.to_owned(), words, header, memory, object }
    }

    /// A segment that is none, around private memory, to run protocols on.
    #[cfg(loom)]
    pub(crate) fn model(words: Words<A>) -> Self {
        let header = Header {
            kind: Kind::RAW,
            kind_version: RAW_VERSION,
            header_size: 0,
            capacity: words.len() as u64 * 8,
            identity: [0; 16],
            created_ns: 0,
            creator_user: 0,
            creator_pid: 0,
            mode: 0o600,
            lifetime: Lifetime::UntilRemoved,
            first_committed: 0,
            geometry: [0; GEOMETRY_WORDS],
            schema: None,
            committed: 0,
        };
        Self { path: PathBuf::from("model"), words, header, memory: Memory::default(), object: (0, 0) }
    }

    fn attach_raw(domain: &Domain, name: &str, options: &Options) -> Result<Self, Error> {
        let expected = Expected { kind: Some((Kind::RAW, RAW_VERSION)), schema: None };
        Self::attach(domain, name, options, expected)
    }

    /// Opens a structure's segment.
    pub(crate) fn attach(
        domain: &Domain,
        name: &str,
        options: &Options,
        expected: Expected<'_>,
    ) -> Result<Self, Error> {
        let name = domain.check(name)?;
        open::attach(domain, &name, options, expected, false, |_, _| Ok(())).map(|(segment, ())| segment)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What sort of structure it holds.
    pub fn kind(&self) -> Kind {
        self.header.kind
    }

    /// The type of its elements, if it has some.
    pub fn schema(&self) -> Option<&Schema> {
        self.header.schema.as_ref()
    }

    /// The largest size of its contents, in bytes.
    pub fn capacity(&self) -> u64 {
        self.header.capacity - self.header.header_size
    }

    /// How many bytes of its contents are there.
    ///
    /// # Errors
    ///
    /// Some process has spoilt the word that says so.
    pub fn committed(&self) -> Result<u64, Error> {
        Ok(self.committed_whole()? - self.header.header_size)
    }

    /// What became of the wishes about memory that it was opened with.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// How long it lives.
    pub fn lifetime(&self) -> Lifetime {
        self.header.lifetime
    }

    /// Random, made with the segment: two segments that had the same name differ in it.
    pub fn identity(&self) -> [u8; 16] {
        self.header.identity
    }

    /// When it was created.
    pub fn created(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.header.created_ns)
    }

    /// Reads bytes, word by word, see [`write`](Segment::write).
    ///
    /// # Errors
    ///
    /// `offset` is not a multiple of 8, or fewer bytes are committed.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let words = self.window(offset, bytes.len())?;
        access_bytes::read(&words, bytes);
        Ok(())
    }

    /// The type of its elements; an error if it has none.
    pub(crate) fn element(&self) -> Result<&Schema, Error> {
        self.schema().ok_or_else(|| self.error(Reason::Element("the header names no element type".into())))
    }

    pub(crate) fn geometry(&self) -> &[u64; GEOMETRY_WORDS] {
        &self.header.geometry
    }

    /// The words behind the header. Only what is committed may be touched.
    pub(crate) fn body(&self) -> Words<A> {
        let start = usize::try_from(self.header.header_size / 8).unwrap_or(usize::MAX);
        let length = self.words.len().saturating_sub(start);
        self.words.slice(start, length).unwrap_or_else(|| self.words.empty())
    }

    /// Whether the path leads to the very object that is mapped.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.object)
    }

    /// A descriptor of the very object that is mapped, by way of its name. For a moment only, and under the fork gate.
    pub(crate) fn reopen(&self, writable: bool) -> Result<File, Error> {
        let (file, metadata) = open::open_file(&self.path, writable).map_err(|reason| self.error(reason))?;
        if (metadata.dev(), metadata.ino()) != self.object {
            return Err(self.error(Reason::NotFound));
        }
        Ok(file)
    }

    pub(crate) fn error(&self, reason: impl Into<Reason>) -> Error {
        Error::new(&self.path, reason)
    }

    fn committed_whole(&self) -> Result<u64, Error> {
        let committed = self.words.get(COMMITTED).map_or(0, |word| word.load(Acquire));
        let Header { first_committed, capacity, .. } = self.header;
        header::check_committed(committed, first_committed, capacity).map_err(|reason| self.error(reason))?;
        Ok(committed)
    }

    fn window(&self, offset: u64, length: usize) -> Result<Words<A>, Error> {
        let committed = self.committed()?;
        let end = offset.checked_add(length as u64).filter(|&end| end <= committed);
        let first = usize::try_from(offset / 8).ok().filter(|_| offset.is_multiple_of(8));
        end.zip(first).and_then(|(_, first)| self.body().slice(first, length.div_ceil(8))).ok_or_else(|| {
            let expected = format!("a multiple of 8 with {length} bytes behind it within {committed}");
            self.error(Reason::Size { what: "an offset", expected, found: offset })
        })
    }
}

impl<A: Access> fmt::Debug for Segment<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("path", &self.path).field("kind", &self.kind()).finish_non_exhaustive()
    }
}
