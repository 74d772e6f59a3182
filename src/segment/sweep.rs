//! Removing what nobody uses any more. The protocol is in ARCHITECTURE.md, "Segments".
//!
//! Every unlink of a segment's name, here and in `remove`, happens under the exclusive lock on [`UNLINK_BYTE`] of the very object and
//! after comparing the object with the name: so a name that meanwhile went to a new segment is never taken from it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::error::{Error, Reason};
use super::header::{HEADER_UNIT, Header, Lifetime};
use super::name::Name;
use super::{Domain, open};
use crate::sys::{fork, lock, object, process};

/// Lock byte held shared by every mapping of a segment, and exclusively by who removes an unused one.
pub(crate) const IN_USE_BYTE: u64 = 0;
/// Lock byte held exclusively by who takes a segment's name away.
pub(crate) const UNLINK_BYTE: u64 = 1;

/// What became of an object that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Removed (or, in a dry run, would be): nobody uses it and it lives while used, or its creator died while making it.
    Removed,
    /// Somebody maps it.
    InUse,
    /// Stays until removed by name.
    Persistent,
    /// Not ours to touch; holds why.
    Left(String),
    /// Gone before we looked.
    Gone,
}

/// One object that a sweep looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// The segment's name.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
}

/// What `Domain::clean` found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CleanReport {
    /// Every object of the domain, in order of names.
    pub objects: Vec<Swept>,
}

impl CleanReport {
    /// The names of those that were (or would be) removed.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        self.objects.iter().filter(|object| object.fate == Fate::Removed).map(|object| object.name.as_str())
    }
}

/// What a mapping does when it goes: sees whether the segment goes with it. Only for segments that live while used.
#[derive(Debug)]
pub(crate) struct Retire {
    pub(crate) path: PathBuf,
}

impl Retire {
    /// Best effort: what fails here is left for the next sweep.
    pub(crate) fn run(&self) {
        let _gate = fork::gate();
        if let Ok(file) = object::open(&self.path, true) {
            // If the name has gone to another segment, or somebody maps ours, this finds out and leaves it.
            let _ = sweep_open(&file, &self.path, false, false);
        }
    }
}

/// Looks at one object and removes it if nobody uses it and it does not outlive its users.
pub(crate) fn sweep_one(path: &Path, name: &Name, dry: bool) -> io::Result<Fate> {
    let _gate = fork::gate();
    match object::open(path, true) {
        Ok(file) => sweep_open(&file, path, name.is_temporary(), dry),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Fate::Gone),
        Err(error) => Ok(Fate::Left(error.to_string())),
    }
}

fn sweep_open(file: &File, path: &Path, temporary: bool, dry: bool) -> io::Result<Fate> {
    // The usual answer first.
    if lock::is_held(file, IN_USE_BYTE)? {
        return Ok(Fate::InUse);
    }
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Fate::Left("not a file".into()));
    }
    if metadata.uid() != process::user() {
        return Ok(Fate::Left(format!("belongs to uid {}", metadata.uid())));
    }
    if !temporary {
        match open::read_header(file, metadata.len()) {
            Ok(Header { lifetime: Lifetime::WhileUsed, .. }) => {}
            Ok(Header { lifetime: Lifetime::UntilRemoved, .. }) => return Ok(Fate::Persistent),
            Err(reason) => return Ok(Fate::Left(reason.to_string())),
        }
    }
    if dry { Ok(Fate::Removed) } else { remove_unused(file, path) }
}

/// Whether somebody holds the exclusive lock of who removes an unused segment.
pub(crate) fn is_being_removed(path: &Path) -> bool {
    object::open(path, false).and_then(|file| lock::is_excluded(&file, IN_USE_BYTE)).unwrap_or(false)
}

/// Removes the object if nobody maps it. Its lifetime is the caller's business.
pub(crate) fn remove_unused(file: &File, path: &Path) -> io::Result<Fate> {
    if !lock::exclude(file, IN_USE_BYTE)? {
        return Ok(Fate::InUse);
    }
    // Nobody maps it, and from here on nobody can.
    match unlink_this(file, path)? {
        true => Ok(Fate::Removed),
        false => Ok(Fate::Gone),
    }
}

/// Takes the name away from exactly this object; `false` if it does not have that name (any more), or somebody else is at it.
fn unlink_this(file: &File, path: &Path) -> io::Result<bool> {
    if !lock::exclude(file, UNLINK_BYTE)? || !is_named(file, path)? {
        return Ok(false);
    }
    object::unlink(path)?;
    Ok(true)
}

/// Whether the path leads to this very object.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match path.symlink_metadata() {
        Ok(named) => Ok(named.dev() == ours.dev() && named.ino() == ours.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// How many objects each creation looks at, so that its cost stays bounded in a domain of thousands.
const LOOKED_AT_ON_CREATE: usize = 32;

impl Domain {
    /// Removes every unused segment of this domain that lives while used, and what creators killed in the making left. Never
    /// removes what somebody maps, nor what is not ours. Any number of processes may do so at once.
    ///
    /// # Errors
    ///
    /// The directory cannot be read. What cannot be removed is in the report instead.
    pub fn clean(&self) -> Result<CleanReport, Error> {
        self.sweep(false)
    }

    /// What [`clean`](Self::clean) would do, done to nothing.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn clean_dry_run(&self) -> Result<CleanReport, Error> {
        self.sweep(true)
    }

    fn sweep(&self, dry: bool) -> Result<CleanReport, Error> {
        let mut report = CleanReport::default();
        for name in self.names()? {
            let fate = sweep_one(&self.path(&name), &name, dry).unwrap_or_else(|error| Fate::Left(error.to_string()));
            report.objects.push(Swept { name: name.to_string(), fate });
        }
        Ok(report)
    }

    /// The sweep that goes with every creation: up to [`LOOKED_AT_ON_CREATE`] objects, from a random one on.
    pub(crate) fn sweep_some(&self, random: u64) {
        let Ok(names) = self.names() else { return };
        let start = usize::try_from(random % (names.len() as u64).max(1)).unwrap_or(0);
        for name in names.iter().cycle().skip(start).take(names.len().min(LOOKED_AT_ON_CREATE)) {
            let _ = sweep_one(&self.path(name), name, false);
        }
    }

    /// The names of all objects of this domain, ours or not, sorted.
    pub(crate) fn names(&self) -> Result<Vec<Name>, Error> {
        let prefix = self.prefix();
        let failed = |error| self.explain(self.directory(), Reason::os("read the directory", error));
        let _gate = fork::gate();
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.directory()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_prefix(&prefix)) {
                names.push(Name::found(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Takes a segment's name away. Who maps it keeps it until they let go; the name is free at once.
    ///
    /// Works on damaged segments too, but not on objects that are no segments at all, or another user's.
    ///
    /// # Errors
    ///
    /// There is no such segment, it is not a segment, or the system refuses.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let name = self.check(name)?;
        let path = self.path(&name);
        let explain = |reason| self.explain(&path, reason);
        let os = |error| explain(Reason::os("remove it", error));
        let mut patience = open::Patience::new();
        loop {
            let gate = fork::gate();
            let (file, metadata) = open::open_file(&path, true).map_err(explain)?;
            open::check_owner(&metadata, super::Owner::Me).map_err(explain)?;
            let mut first = vec![0; HEADER_UNIT as usize];
            match file.read_exact_at(&mut first, 0) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(explain(Reason::Truncated { expected: HEADER_UNIT, found: metadata.len() }));
                }
                Err(error) => return Err(os(error)),
            }
            if let Err(reason @ Reason::Magic { .. }) = Header::size_from(&first) {
                return Err(explain(reason));
            }
            if unlink_this(&file, &path).map_err(os)? {
                return Ok(());
            }
            drop((file, gate));
            if !patience.wait() {
                return Err(explain(Reason::BeingRemoved));
            }
        }
    }
}
