//! Looking at what a domain holds, without opening it.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::{Error, Reason};
use super::header::{Header, Kind, Lifetime};
use super::name::Name;
use super::schema::Schema;
use super::sweep::IN_USE_BYTE;
use super::{Domain, open};
use crate::sys::process::{self, Process};
use crate::sys::{fork, lock};

/// A segment as its header tells it, or why what stands there is none.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name; the library's own start with `@`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What sort of structure it holds.
    pub kind: Kind,
    /// Its capacity, header included, in bytes.
    pub size: u64,
    /// Memory it takes now, in bytes.
    pub allocated: u64,
    /// How many of its bytes are committed.
    pub committed: u64,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// When it was created.
    pub created: SystemTime,
    /// Random, made with the segment.
    pub identity: [u8; 16],
    /// Who created it: user and process ids, as the creator saw them.
    pub creator: (u32, u32),
    /// Owner's uid and permission bits.
    pub owner: (u32, u32),
    /// Whether any process maps it.
    pub in_use: bool,
    /// The type of its elements, if it has some.
    pub schema: Option<Schema>,
    /// The kind's own numbers; see docs/layout.md.
    pub geometry: [u64; 8],
}

impl Domain {
    /// What this domain holds, in order of names: each a segment, or a name and why what stands there is none.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    #[allow(clippy::type_complexity, reason = "an outcome for each name, and one for the whole")]
    pub fn list(&self) -> Result<Vec<(String, Result<Entry, Error>)>, Error> {
        let mut entries = Vec::new();
        for name in self.names()? {
            match self.look(&name) {
                Err(error) if error.is_not_found() => {} // gone meanwhile
                outcome => entries.push((name.to_string(), outcome)),
            }
        }
        Ok(entries)
    }

    /// Looks at one segment.
    ///
    /// # Errors
    ///
    /// There is no such segment, or what is there is none.
    pub fn stat(&self, name: &str) -> Result<Entry, Error> {
        let name = if name == Name::PEERS { Name::peers() } else { self.check(name)? };
        self.look(&name)
    }

    /// Who maps a segment, as far as `/proc` lets this user see.
    ///
    /// # Errors
    ///
    /// There is no such segment, or `/proc` cannot be read.
    pub fn users(&self, name: &str) -> Result<Vec<Process>, Error> {
        let path = self.stat(name)?.path;
        let os = |error| self.explain(&path, Reason::os("see who uses it", error));
        let metadata = path.symlink_metadata().map_err(os)?;
        process::mapping(metadata.dev(), metadata.ino()).map_err(os)
    }

    fn look(&self, name: &Name) -> Result<Entry, Error> {
        let path = self.path(name);
        let explain = |reason| self.explain(&path, reason);
        let os = |error| explain(Reason::os("look at it", error));
        let _gate = fork::gate();
        let (file, metadata) = open::open_file(&path, false).map_err(explain)?;
        let header: Header = open::read_header(&file, metadata.len()).map_err(explain)?;
        Ok(Entry {
            name: name.to_string(),
            kind: header.kind,
            size: header.capacity,
            allocated: metadata.blocks().saturating_mul(512),
            committed: header.committed,
            lifetime: header.lifetime,
            created: UNIX_EPOCH + Duration::from_nanos(header.created_ns),
            identity: header.identity,
            creator: (header.creator_user, header.creator_pid),
            owner: (metadata.uid(), metadata.mode() & 0o7777),
            in_use: lock::is_held(&file, IN_USE_BYTE).map_err(os)?,
            schema: header.schema,
            geometry: header.geometry,
            path,
        })
    }
}
