//! Opening a segment: from a name that may stand for anything to a mapping that is what it says. The protocol is in ARCHITECTURE.md,
//! "Segments".

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use memmap2::MmapRaw;

use super::Domain;
use super::error::{Error, FileKind, Limit, Reason};
use super::header::{HEADER_UNIT, Header, Kind, Lifetime};
use super::name::Name;
use super::options::{HugePages, Memory, Options, Owner};
use super::region::{Mapped, Words};
use super::schema::Schema;
use super::segment::Segment;
use super::sweep::{self, IN_USE_BYTE, Retire};
use crate::base::access::Access;
use crate::sys::{fork, lock, map, object, process};

/// What a segment must be for its opener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// Kind and version of that kind's layout; `None`: any.
    pub(crate) kind: Option<(Kind, u32)>,
    /// The element type; `None`: any.
    pub(crate) schema: Option<&'a Schema>,
}

impl Expected<'_> {
    fn check(&self, header: &Header) -> Result<(), Reason> {
        if let Some((expected, version)) = self.kind {
            if header.kind != expected {
                return Err(Reason::Kind { expected, found: header.kind });
            }
            if header.kind_version != version {
                return Err(Reason::KindVersion { kind: expected, expected: version, found: header.kind_version });
            }
        }
        if let Some(expected) = self.schema {
            let Some(found) = &header.schema else {
                return Err(Reason::Element(format!("expected {expected}, found a segment without an element type")));
            };
            if let Some(difference) = expected.difference(found) {
                return Err(Reason::Schema(Box::new(difference)));
            }
        }
        Ok(())
    }
}

/// How long to start over from the name while somebody removes what stands there.
pub(crate) struct Patience {
    until: Instant,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { until: Instant::now() + Duration::from_secs(1) }
    }

    /// Waits a moment; `false` when it has been long enough to tell the caller instead.
    pub(crate) fn wait(&mut self) -> bool {
        std::thread::sleep(Duration::from_micros(100));
        Instant::now() < self.until
    }
}

/// Opens the segment of this name and maps it with access `A`. `private`: forked children shall not inherit the mapping.
///
/// `claim` runs while the descriptor is still open, with the mapping made: for further locks on the same description.
pub(crate) fn attach<A: Access, R>(
    domain: &Domain,
    name: &Name,
    options: &Options,
    expected: Expected<'_>,
    private: bool,
    claim: impl FnOnce(&File, &Segment<A>) -> Result<R, Reason>,
) -> Result<(Segment<A>, R), Error> {
    let path = domain.path(name);
    let explain = |reason| domain.explain(&path, reason);
    let mut patience = Patience::new();
    loop {
        let gate = fork::gate();
        if let Some((file, header)) = attempt(&path, A::WRITABLE, options.owner, expected).map_err(explain)? {
            return adopt(&path, &file, header, options, private, claim).map_err(explain);
        }
        drop(gate);
        if !patience.wait() {
            return Err(explain(Reason::BeingRemoved));
        }
    }
}

/// One attempt to get the shared in-use lock on what the name stands for now; `None`: start over.
fn attempt(
    path: &Path,
    writable: bool,
    owner: Owner,
    expected: Expected<'_>,
) -> Result<Option<(File, Header)>, Reason> {
    let (file, metadata) = open_file(path, writable)?;
    check_owner(&metadata, owner)?;
    let header = read_header(&file, metadata.len())?;
    let locking = |error| Reason::os("lock it", error);
    if header.lifetime == Lifetime::WhileUsed && !lock::is_held(&file, IN_USE_BYTE).map_err(locking)? {
        // What a crash left counts as gone, whatever it was. (Who may only read, or not remove, leaves it to others.)
        let busy = writable && matches!(sweep::remove_unused(&file, path), Ok(sweep::Fate::InUse));
        return if busy { Ok(None) } else { Err(Reason::NotFound) };
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & !header.mode != 0 {
        return Err(Reason::Mode { expected: header.mode, found: mode });
    }
    expected.check(&header)?;
    if !lock::share(&file, IN_USE_BYTE).map_err(locking)? {
        return Ok(None);
    }
    // Unlinked before we had the lock?
    let metadata = file.metadata().map_err(|error| Reason::os("look at it", error))?;
    if metadata.nlink() == 0 {
        return Ok(None);
    }
    let allocated = metadata.blocks().saturating_mul(512);
    if allocated < header.committed {
        // Somebody punched a hole or copied the file sparsely: without its pages, touching it could be fatal.
        if !writable {
            return Err(Reason::Truncated { expected: header.committed, found: allocated });
        }
        allocate(&file, path, header.committed, allocated)?;
    }
    Ok(Some((file, header)))
}

/// Maps a locked object and lets `claim` have the descriptor.
pub(crate) fn adopt<A: Access, R>(
    path: &Path,
    file: &File,
    header: Header,
    options: &Options,
    private: bool,
    claim: impl FnOnce(&File, &Segment<A>) -> Result<R, Reason>,
) -> Result<(Segment<A>, R), Reason> {
    let (map, memory) = map_whole::<A>(file, &header, options)?;
    let stamp = if private {
        map::not_on_fork(&map).map_err(|error| Reason::os("keep it from children", error))?;
        Some(fork::Stamp::current().map_err(|error| Reason::os("make a page that children see wiped", error))?)
    } else {
        None
    };
    let retire = (header.lifetime == Lifetime::WhileUsed).then(|| Retire { path: path.to_owned() });
    let words = Words::of_mapping(Mapped::new(map, stamp, retire));
    let metadata = file.metadata().map_err(|error| Reason::os("look at it", error))?;
    let segment = Segment::new(path, words, header, memory, (metadata.dev(), metadata.ino()));
    let result = claim(file, &segment)?;
    Ok((segment, result))
}

fn map_whole<A: Access>(file: &File, header: &Header, options: &Options) -> Result<(MmapRaw, Memory), Reason> {
    let too_large = || {
        let left = process::address_space_limit().unwrap_or(isize::MAX as u64);
        Reason::Full { asked: header.capacity, left, limit: Limit::AddressSpace }
    };
    let length = usize::try_from(header.capacity).map_err(|_| too_large())?;
    let map = map::map(file, length, A::WRITABLE).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOMEM) => too_large(),
        _ => Reason::os("map it", error),
    })?;
    let mut memory = Memory::default();
    if options.huge_pages {
        memory.huge_pages = huge_pages(&map);
    }
    let committed = usize::try_from(header.committed).unwrap_or(length).min(length);
    if options.prefault {
        memory.prefaulted = match map::prefault(&map, committed, A::WRITABLE) {
            Ok(()) => true,
            // A kernel before 5.14: it stays a wish.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => false,
            Err(error) => return Err(Reason::os("fault its pages in", error)),
        };
    }
    if options.lock_memory {
        map::lock_in_memory(&map, committed).map_err(|error| match process::locked_memory_limit() {
            Some(left) if matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::EPERM | libc::EAGAIN)) => {
                Reason::Full { asked: header.committed, left, limit: Limit::LockedMemory }
            }
            _ => Reason::os("lock it in memory", error),
        })?;
        memory.locked = true;
    }
    Ok((map, memory))
}

/// Advises huge pages, and says what will come of it.
fn huge_pages(map: &MmapRaw) -> HugePages {
    let setting = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
    let chosen = setting.split(['[', ']']).nth(1).unwrap_or("unknown");
    match map::want_huge_pages(map) {
        Err(error) => HugePages::Refused(error.to_string()),
        Ok(()) if matches!(chosen, "never" | "deny") => HugePages::Disabled(chosen.to_owned()),
        Ok(()) => HugePages::Advised,
    }
}

/// Opens the file under a name, if it is a file.
pub(crate) fn open_file(path: &Path, writable: bool) -> Result<(File, Metadata), Reason> {
    let file = object::open(path, writable).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => Reason::NotAFile(FileKind::Symlink),
        Some(libc::EISDIR) => Reason::NotAFile(FileKind::Directory),
        Some(libc::ENXIO | libc::ENODEV) => Reason::NotAFile(kind_of(path)),
        _ => Reason::os("open it", error),
    })?;
    let metadata = file.metadata().map_err(|error| Reason::os("look at it", error))?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(Reason::NotAFile(kind_of(path))) }
}

fn kind_of(path: &Path) -> FileKind {
    let Ok(metadata) = path.symlink_metadata() else { return FileKind::Other };
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => FileKind::Directory,
        () if kind.is_symlink() => FileKind::Symlink,
        () if kind.is_socket() => FileKind::Socket,
        () if kind.is_fifo() => FileKind::Fifo,
        () if kind.is_block_device() || kind.is_char_device() => FileKind::Device,
        () => FileKind::Other,
    }
}

pub(crate) fn check_owner(metadata: &Metadata, owner: Owner) -> Result<(), Reason> {
    let found = metadata.uid();
    let trusted = match owner {
        Owner::Me => found == process::user(),
        Owner::User(user) => found == user || found == process::user(),
        Owner::Group(group) => metadata.gid() == group || found == process::user(),
        Owner::Anyone => true,
    };
    if trusted { Ok(()) } else { Err(Reason::Owner { expected: owner.to_string(), found }) }
}

/// Reads the header into private memory and checks it.
pub(crate) fn read_header(file: &File, file_length: u64) -> Result<Header, Reason> {
    let unit = HEADER_UNIT as usize;
    let mut bytes = vec![0; unit];
    read_exact(file, &mut bytes, 0, file_length)?;
    let size = usize::try_from(Header::size_from(&bytes)?).unwrap_or(unit);
    if size > unit {
        bytes.resize(size, 0);
        read_exact(file, bytes.get_mut(unit..).unwrap_or_default(), HEADER_UNIT, file_length)?;
    }
    Header::decode(&bytes, file_length)
}

fn read_exact(file: &File, to: &mut [u8], at: u64, file_length: u64) -> Result<(), Reason> {
    file.read_exact_at(to, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Reason::Truncated { expected: at + to.len() as u64, found: file_length },
        _ => Reason::os("read its header", error),
    })
}

/// `fallocate`, with the reasons for refusal spelled out. `have` bytes are there already.
pub(crate) fn allocate(file: &File, path: &Path, length: u64, have: u64) -> Result<(), Reason> {
    object::allocate(file, 0, length).map_err(|error| not_allocated(error, path, length.saturating_sub(have)))
}

/// Why `asked` more bytes of this file could not be had.
pub(crate) fn not_allocated(error: io::Error, path: &Path, asked: u64) -> Reason {
    match error.raw_os_error() {
        // `EFAULT`: what populating a mapping says.
        Some(libc::ENOSPC | libc::ENOMEM | libc::EDQUOT | libc::EFAULT) => {
            let left = path.parent().and_then(|directory| object::space_left(directory).ok()).unwrap_or(0);
            Reason::Full { asked, left, limit: Limit::FileSystem }
        }
        _ => Reason::os("allocate its pages", error),
    }
}
