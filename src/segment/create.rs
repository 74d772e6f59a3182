//! Creating a segment: nameless until it is finished. The protocol is in ARCHITECTURE.md, "Segments".

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Domain;
use super::error::{Error, Limit, Reason};
use super::header::{GEOMETRY_WORDS, HEADER_UNIT, Header, Kind, LARGEST_ELEMENT};
use super::name::Name;
use super::open::{self, Patience};
use super::options::Options;
use super::region::Words;
use super::schema::Schema;
use super::segment::Segment;
use super::sweep::{self, Fate, IN_USE_BYTE};
use crate::base::crash;
use crate::sys::{clock, fork, lock, object, process};

/// What a structure wants its segment to be.
#[derive(Debug, Clone)]
pub(crate) struct Blueprint {
    pub(crate) kind: Kind,
    pub(crate) kind_version: u32,
    pub(crate) geometry: [u64; GEOMETRY_WORDS],
    pub(crate) schema: Option<Schema>,
    /// Bytes behind the header.
    pub(crate) body: u64,
    /// How many of them are there from the start.
    pub(crate) committed: u64,
}

/// Creates the segment of this name; `init` writes the structure before anybody can see it.
///
/// `claim` is as for [`open::attach`].
pub(crate) fn create<R>(
    domain: &Domain,
    name: &Name,
    blueprint: Blueprint,
    options: &Options,
    private: bool,
    init: impl FnOnce(&Words),
    claim: impl FnOnce(&File, &Segment) -> Result<R, Reason>,
) -> Result<(Segment, R), Error> {
    let path = domain.path(name);
    let explain = |reason| domain.explain(&path, reason);
    let _gate = fork::gate();
    let header = plan(blueprint, options).map_err(explain)?;
    domain.sweep_some(header.created_ns);
    let mut fresh = Fresh::open(domain).map_err(explain)?;
    fill(&fresh.file, &path, &header, options).map_err(explain)?;
    let initialise = |file: &File, segment: &Segment| {
        init(&segment.body());
        claim(file, segment)
    };
    let made = open::adopt(&path, &fresh.file, header, options, private, initialise).map_err(explain)?;
    let mut patience = Patience::new();
    loop {
        match fresh.publish(&path) {
            Err(Reason::AlreadyExists) => {}
            outcome => break outcome.map_err(explain)?,
        }
        // What a crash left under this very name may be in the way, or somebody may be removing it just now.
        match sweep::sweep_one(&path, name, false) {
            Ok(Fate::Removed | Fate::Gone) => {}
            Ok(Fate::InUse) if sweep::is_being_removed(&path) => {}
            _ => return Err(explain(Reason::AlreadyExists)),
        }
        if !patience.wait() {
            return Err(explain(Reason::BeingRemoved));
        }
    }
    Ok(made)
}

/// Opens the segment if there is one, otherwise creates it; whoever loses the race opens what the winner made.
pub(crate) fn open_or_create<R>(
    domain: &Domain,
    name: &Name,
    open: impl Fn() -> Result<R, Error>,
    create: impl Fn() -> Result<R, Error>,
) -> Result<R, Error> {
    let mut patience = Patience::new();
    loop {
        match open() {
            Err(error) if error.is_not_found() => {}
            outcome => return outcome,
        }
        match create() {
            Err(error) if error.is_already_exists() => {}
            outcome => return outcome,
        }
        if !patience.wait() {
            return Err(Error::new(&domain.path(name), Reason::BeingRemoved));
        }
    }
}

/// Checks the wishes and turns them into a header.
fn plan(blueprint: Blueprint, options: &Options) -> Result<Header, Reason> {
    let mode = options.mode.unwrap_or(0o600);
    if mode & !0o666 != 0 || mode & 0o600 != 0o600 {
        return Err(Reason::ModeAskedFor { found: mode });
    }
    let header_size = Header::size_for(blueprint.schema.as_ref()).ok_or_else(|| {
        Reason::Element("its description is longer than the largest header: nest fewer fields".into())
    })?;
    if let Some(schema) = &blueprint.schema {
        Schema::parse(&schema.to_string()).map_err(|error| Reason::Element(error.to_string()))?;
        if schema.size() as u64 > LARGEST_ELEMENT {
            let text = format!("it has {} bytes, at most {LARGEST_ELEMENT} are possible", schema.size());
            return Err(Reason::Element(text));
        }
    }
    let largest = isize::MAX as u64 - header_size - HEADER_UNIT;
    if blueprint.body == 0 || blueprint.body > largest {
        let expected = format!("from 1 to {largest} bytes");
        return Err(Reason::Size { what: "a capacity", expected, found: blueprint.body });
    }
    let capacity = (header_size + blueprint.body).next_multiple_of(8);
    if let Some(left) = process::file_size_limit().filter(|&limit| limit < capacity) {
        return Err(Reason::Full { asked: capacity, left, limit: Limit::FileSize });
    }
    let committed = header_size.saturating_add(blueprint.committed).next_multiple_of(HEADER_UNIT).min(capacity);
    Ok(Header {
        kind: blueprint.kind,
        kind_version: blueprint.kind_version,
        header_size,
        capacity,
        identity: process::random().map_err(|error| Reason::os("get random bytes", error))?,
        created_ns: clock::wall_ns(),
        creator_user: process::user(),
        creator_pid: process::id(),
        mode,
        lifetime: options.lifetime,
        first_committed: committed,
        geometry: blueprint.geometry,
        schema: blueprint.schema,
        committed,
    })
}

/// Puts everything but the structure in place.
fn fill(file: &File, path: &Path, header: &Header, options: &Options) -> Result<(), Reason> {
    object::grant(file, header.mode, options.group).map_err(|error| Reason::os("set its mode and group", error))?;
    object::set_length(file, header.capacity).map_err(|error| Reason::os("set its length", error))?;
    open::allocate(file, path, header.committed, 0)?;
    file.write_all_at(&header.encode(), 0).map_err(|error| Reason::os("write its header", error))?;
    crash::point();
    Ok(())
}

/// A file in the making, in use by us: without a name, or with a temporary one that goes unless published.
struct Fresh {
    file: File,
    temporary: Option<PathBuf>,
}

impl Fresh {
    fn open(domain: &Domain) -> Result<Self, Reason> {
        let creating = |error| Reason::os("create it", error);
        let locking = |error| Reason::os("lock it", error);
        if let Some(file) = object::create_nameless(domain.directory()).map_err(creating)? {
            lock::share(&file, IN_USE_BYTE).map_err(locking)?;
            return Ok(Self { file, temporary: None });
        }
        let mut patience = Patience::new();
        loop {
            // Another name each time, so that taking the last one away never hits a new one.
            let random = process::random().map_err(|error| Reason::os("get random bytes", error))?;
            let path = domain.path(&Name::temporary(random));
            let fresh = Self { file: object::create_exclusive(&path).map_err(creating)?, temporary: Some(path) };
            let locked = lock::share(&fresh.file, IN_USE_BYTE).map_err(locking)?;
            let links = fresh.file.metadata().map_err(|error| Reason::os("look at it", error))?.nlink();
            if locked && links > 0 {
                return Ok(fresh);
            }
            // A sweep took it for abandoned before we had locked it.
            if !patience.wait() {
                return Err(Reason::BeingRemoved);
            }
        }
    }

    fn publish(&mut self, path: &Path) -> Result<(), Reason> {
        let naming = |error| Reason::os("give it its name", error);
        match &self.temporary {
            None => object::link(&self.file, path).map_err(naming),
            Some(temporary) => {
                object::rename_to_new(temporary, path).map_err(naming)?;
                self.temporary = None;
                Ok(())
            }
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary {
            // Best effort: the next sweep finds it unlocked.
            let _ = object::unlink(path);
        }
    }
}
