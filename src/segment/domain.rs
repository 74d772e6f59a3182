//! Domains: namespaces of segment names in a directory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Error, Reason};
use super::name::{Name, PREFIX, check_domain};
use crate::sys::process;

/// Where shared memory lives unless `SHAREDWARE_DIR` says otherwise.
const DEFAULT_DIRECTORY: &str = "/dev/shm";

/// A namespace of segment names. Two domains share nothing.
///
/// A segment `name` of the domain `d` is the file `<directory>/sharedware.<d>.<name>`. Cheap to clone.
///
/// # Example
///
/// ```
/// use sharedware::Domain;
///
/// let domain = Domain::new("trading")?;
/// assert_eq!(domain.name(), "trading");
/// assert!(Domain::new("no/slashes").is_err());
/// # Ok::<(), sharedware::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Domain {
    inner: Arc<Inner>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Inner {
    name: String,
    directory: PathBuf,
    registry_mode: u32,
    registry_group: Option<u32>,
}

impl Domain {
    /// The domain that `SHAREDWARE_DOMAIN` names, otherwise this user's own, `u<uid>`; in the directory that `SHAREDWARE_DIR` names,
    /// otherwise `/dev/shm`.
    ///
    /// # Errors
    ///
    /// The environment holds a name that cannot be one.
    pub fn from_env() -> Result<Self, Error> {
        match std::env::var_os("SHAREDWARE_DOMAIN") {
            Some(name) => Self::new(&name.to_string_lossy()),
            None => Self::new(&format!("u{}", process::user())),
        }
    }

    /// The domain of this name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    ///
    /// # Errors
    ///
    /// The name cannot be one.
    pub fn new(name: &str) -> Result<Self, Error> {
        let directory = match std::env::var_os("SHAREDWARE_DIR") {
            Some(directory) if !directory.is_empty() => PathBuf::from(directory),
            _ => PathBuf::from(DEFAULT_DIRECTORY),
        };
        check_domain(name).map_err(|reason| Error::new(&directory.join(name), reason))?;
        let name = name.to_owned();
        Ok(Self { inner: Arc::new(Inner { name, directory, registry_mode: 0o600, registry_group: None }) })
    }

    /// The same domain name in another directory, which should be a tmpfs.
    #[must_use]
    pub fn in_directory(self, directory: impl Into<PathBuf>) -> Self {
        self.with(|inner| inner.directory = directory.into())
    }

    /// The same domain, shared with other users: mode and group of its registry of processes, `@peers`, if this process is the one to create
    /// it. Whoever writes structures of the domain needs write access to it. A registry made by another user is trusted if it belongs to that
    /// group. 0600 and the process's own group unless said otherwise.
    #[must_use]
    pub fn shared_with(self, mode: u32, group: Option<u32>) -> Self {
        self.with(|inner| {
            inner.registry_mode = mode;
            inner.registry_group = group;
        })
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.inner);
        change(&mut inner);
        Self { inner: Arc::new(inner) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The directory its segments are in.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    pub(crate) fn registry_access(&self) -> (u32, Option<u32>) {
        (self.inner.registry_mode, self.inner.registry_group)
    }

    /// The path of a segment of this domain, for messages and for looking at it with other tools.
    ///
    /// # Errors
    ///
    /// The name cannot be one.
    pub fn path_of(&self, name: &str) -> Result<PathBuf, Error> {
        Ok(self.path(&self.check(name)?))
    }

    /// A user's segment name, checked.
    pub(crate) fn check(&self, name: &str) -> Result<Name, Error> {
        Name::new(name).map_err(|reason| Error::new(&self.directory().join(format!("{}{name}", self.prefix())), reason))
    }

    /// What the file names of this domain start with.
    pub(crate) fn prefix(&self) -> String {
        format!("{PREFIX}{}.", self.inner.name)
    }

    pub(crate) fn path(&self, name: &Name) -> PathBuf {
        self.directory().join(format!("{}{name}", self.prefix()))
    }

    /// Tells a missing directory from a missing segment.
    pub(crate) fn explain(&self, path: &Path, reason: Reason) -> Error {
        if !matches!(reason, Reason::NotFound | Reason::Os { .. }) {
            return Error::new(path, reason);
        }
        let directory = self.directory();
        let found = match std::fs::metadata(directory) {
            Ok(found) if found.is_dir() => return Error::new(path, reason),
            Ok(_) => "something that is no directory".to_owned(),
            Err(error) => error.to_string(),
        };
        Error::new(path, Reason::Directory { directory: directory.to_owned(), found })
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({} in {})", self.name(), self.directory().display())
    }
}
