//! What can go wrong with a segment, each with what was expected, what was found and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::header::Kind;
use super::name::NameError;
use super::schema::Difference;

/// An operation on a segment failed and left everything as it was.
///
/// Its text names the segment (its path) and the [`Reason`].
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    reason: Box<Reason>,
}

impl Error {
    pub(crate) fn new(path: &Path, reason: impl Into<Reason>) -> Self {
        Self { path: path.to_owned(), reason: Box::new(reason.into()) }
    }

    /// Where the segment is or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What went wrong.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The same, to keep.
    pub fn into_reason(self) -> Reason {
        *self.reason
    }

    /// Whether there is no such segment.
    pub fn is_not_found(&self) -> bool {
        matches!(*self.reason, Reason::NotFound)
    }

    /// Whether the name is taken.
    pub fn is_already_exists(&self) -> bool {
        matches!(*self.reason, Reason::AlreadyExists)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.reason {
            Reason::Os { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What sort of thing stands under a name where a segment was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A symbolic link; we never follow one.
    Symlink,
    /// A socket.
    Socket,
    /// A FIFO.
    Fifo,
    /// A device.
    Device,
    /// Something else.
    Other,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Socket => "a socket",
            Self::Fifo => "a FIFO",
            Self::Device => "a device",
            Self::Other => "something that is not a file",
        })
    }
}

/// Which limit was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The space of the shared-memory file system.
    FileSystem,
    /// `RLIMIT_FSIZE`, the largest file the process may make.
    FileSize,
    /// `RLIMIT_MEMLOCK`, the memory the process may lock.
    LockedMemory,
    /// The address space.
    AddressSpace,
    /// The segment's own capacity.
    Capacity,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileSystem => "space on the file system: remove segments or mount it larger",
            Self::FileSize => "RLIMIT_FSIZE: raise it with `ulimit -f`",
            Self::LockedMemory => "RLIMIT_MEMLOCK: raise it with `ulimit -l`, or do without locking",
            Self::AddressSpace => "address space: create it smaller, or raise RLIMIT_AS with `ulimit -v`",
            Self::Capacity => "the segment's capacity: create it larger",
        })
    }
}

/// Why an operation on a segment failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The name of the segment or domain cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The shared-memory directory is missing or is no directory.
    #[error(
        "expected the shared-memory directory {directory}, found {found}: mount a tmpfs there or set SHAREDWARE_DIR"
    )]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// There is no such segment, or only what a crash left of one that lived while used.
    #[error("no such segment")]
    NotFound,
    /// The name is taken by a segment that lives.
    #[error("the name is taken: open it, or choose another")]
    AlreadyExists,
    /// Something else stands under the name.
    #[error("expected a segment, found {0}: remove it by hand if nobody needs it")]
    NotAFile(FileKind),
    /// The object belongs to a user we were not told to trust.
    #[error(
        "expected an object owned by {expected}, found one owned by uid {found}: refused, anyone could have put it there (Options::owner says whom to trust)"
    )]
    Owner {
        /// Whom the options trust.
        expected: String,
        /// The owner's uid.
        found: u32,
    },
    /// The object may be accessed by more users than its creator granted.
    #[error(
        "expected access mode {expected:04o} as its creator granted, found {found:04o}: refused, somebody widened it; narrow it again with chmod"
    )]
    Mode {
        /// The mode in the header.
        expected: u32,
        /// The mode of the file.
        found: u32,
    },
    /// The mode asked for is not one.
    #[error(
        "expected a mode of read and write permissions that lets the owner do both (such as 0600, 0640, 0660), found {found:04o}"
    )]
    ModeAskedFor {
        /// The mode asked for.
        found: u32,
    },
    /// Too short for a header, or cut off.
    #[error(
        "expected at least {expected} bytes, found {found}: cut off, or not a sharedware segment; remove it by hand if nobody needs it"
    )]
    Truncated {
        /// Bytes that should be there.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The first bytes are not ours.
    #[error(
        "expected a sharedware segment (magic {expected:?}), found {found:?}: not made by sharedware; remove it by hand if nobody needs it, or choose another name"
    )]
    Magic {
        /// What ours start with.
        expected: String,
        /// The first eight bytes.
        found: String,
    },
    /// Another version of the layout.
    #[error("expected layout version {expected}, found {found}: made by {} version of sharedware; use one version on both sides", if found > expected { "a newer" } else { "an older" })]
    LayoutVersion {
        /// Ours.
        expected: u32,
        /// The segment's.
        found: u32,
    },
    /// Made on a machine with another byte order.
    #[error(
        "expected little-endian byte order (0x0201), found {found:#06x}: made on another kind of machine; remove it and create it here"
    )]
    ByteOrder {
        /// The mark found.
        found: u16,
    },
    /// Made by a program with another word size.
    #[error(
        "expected a segment of 64-bit processes, found one of {found}-bit processes: use 64-bit programs on both sides"
    )]
    WordSize {
        /// Bits of a word.
        found: u16,
    },
    /// The header was changed after it was made.
    #[error(
        "expected header checksum {expected:#018x}, found {found:#018x}: the header was damaged; remove the segment and create it anew"
    )]
    Checksum {
        /// Computed over the header as it is.
        expected: u64,
        /// As stored.
        found: u64,
    },
    /// A field of the header holds what it cannot.
    #[error("expected {what} {expected}, found {found}: the header was damaged; remove the segment and create it anew")]
    Field {
        /// Which field.
        what: &'static str,
        /// What it can hold.
        expected: String,
        /// What it holds.
        found: u64,
    },
    /// Another kind of structure.
    #[error("expected {expected}, found {found}: open it as what it is, or choose another name")]
    Kind {
        /// What was to be opened.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
    /// The structure's own layout has another version.
    #[error("expected layout version {expected} of {kind}, found {found}: use one version of sharedware on both sides")]
    KindVersion {
        /// The structure.
        kind: Kind,
        /// Ours.
        expected: u32,
        /// The segment's.
        found: u32,
    },
    /// What stands at an offset of a raw segment is not the part that was to be opened there.
    #[error("expected {expected} at offset {offset}, found {found}: create it there first, or open it where it is")]
    Part {
        /// What was to be opened.
        expected: String,
        /// Where, in bytes.
        offset: u64,
        /// What is there.
        found: String,
    },
    /// A part's own words hold what they cannot.
    #[error("expected {what} {expected}, found {found}: it was spoilt; remove the segment and create it anew")]
    Spoilt {
        /// Which of its words.
        what: &'static str,
        /// What it can hold.
        expected: String,
        /// What it holds.
        found: u64,
    },
    /// Another element type.
    #[error("expected another element type; use one type on both sides, or choose another name:\n{0}")]
    Schema(Box<Difference>),
    /// An element type whose description does not fit in a header, or that this structure cannot hold.
    #[error("cannot hold this element type: {0}")]
    Element(String),
    /// A size or count that cannot be.
    #[error("expected {what} {expected}, found {found}: ask for one that fits")]
    Size {
        /// Which size.
        what: &'static str,
        /// What is allowed.
        expected: String,
        /// What was asked for.
        found: u64,
    },
    /// No memory left for it.
    #[error("asked for {asked} bytes, {left} left; what binds is {limit}")]
    Full {
        /// Bytes asked for.
        asked: u64,
        /// Bytes left.
        left: u64,
        /// What binds.
        limit: Limit,
    },
    /// A sweeper holds the segment's exclusive lock and does not go on: probably stopped.
    #[error("is being removed by a process that does not go on (stopped?): end or continue that process")]
    BeingRemoved,
    /// The system refuses access.
    #[error("permission denied to {doing}: ask the owner for access, or choose another domain or directory")]
    Permission {
        /// What we tried.
        doing: &'static str,
    },
    /// No descriptor left.
    #[error("too many open files, cannot {doing}: close some, or raise the limit with `ulimit -n`")]
    Descriptors {
        /// What we tried.
        doing: &'static str,
    },
    /// All peer slots of the domain are taken by live processes.
    #[error("all {0} peer slots of the domain are taken by live processes: use another domain")]
    TooManyPeers(u64),
    /// The handle was opened before this process was forked off.
    #[error("the handle belongs to the process that this one was forked from: open it again here")]
    Forked,
    /// Any other refusal of the system.
    #[error("cannot {doing}: {source}")]
    Os {
        /// What we tried.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl Reason {
    /// The system's answer, put in our words where we have some.
    pub(crate) fn os(doing: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOENT) => Self::NotFound,
            Some(libc::EEXIST) => Self::AlreadyExists,
            Some(libc::EACCES | libc::EPERM | libc::EROFS) => Self::Permission { doing },
            Some(libc::EMFILE | libc::ENFILE) => Self::Descriptors { doing },
            _ => Self::Os { doing, source },
        }
    }
}
