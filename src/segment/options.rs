//! How to create and open segments.

use std::fmt;

pub use super::header::Lifetime;

/// Whose segments to open. Anyone may put anything into a world-writable directory such as `/dev/shm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owner {
    /// Only those of this process's effective user.
    #[default]
    Me,
    /// Also those of the user with this id.
    User(u32),
    /// Also those of any user that belong to the group with this id: only its members can make such.
    Group(u32),
    /// Those of any user: whoever created it may spoil its contents and truncate it.
    Anyone,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Me => write!(f, "uid {} (you)", crate::sys::process::user()),
            Self::User(user) => write!(f, "uid {} (you) or uid {user}", crate::sys::process::user()),
            Self::Group(group) => write!(f, "uid {} (you) or belonging to gid {group}", crate::sys::process::user()),
            Self::Anyone => f.write_str("anyone"),
        }
    }
}

/// How to create or open a segment: access, memory, lifetime.
///
/// # Example
///
/// ```
/// use sharedware::{Lifetime, Options};
///
/// let options = Options::new().mode(0o640).lifetime(Lifetime::UntilRemoved).prefault(true);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub(crate) mode: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) lifetime: Lifetime,
    pub(crate) owner: Owner,
    pub(crate) prefault: bool,
    pub(crate) lock_memory: bool,
    pub(crate) huge_pages: bool,
}

impl Options {
    /// The defaults: mode 0600, lives while used, opens only one's own, nothing special about memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Permission bits of a segment to be created, whatever the umask; 0600 unless said otherwise. Only read and write bits, and
    /// the owner's both, are accepted.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Group id of a segment to be created; the process must be in it or be root.
    #[must_use]
    pub fn group(mut self, group: u32) -> Self {
        self.group = Some(group);
        self
    }

    /// How long a segment to be created lives.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Whose segments to open.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// Whether to fault all committed pages in at once, so that no later access pays for it: best effort, see [`Memory`] (from Linux
    /// 5.14 on).
    #[must_use]
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.prefault = prefault;
        self
    }

    /// Whether to keep the pages that are committed on opening in memory (`mlock`). An error if `RLIMIT_MEMLOCK` does not allow it.
    #[must_use]
    pub fn lock_memory(mut self, lock: bool) -> Self {
        self.lock_memory = lock;
        self
    }

    /// Whether to ask for huge pages: best effort, see [`Memory`].
    #[must_use]
    pub fn huge_pages(mut self, huge: bool) -> Self {
        self.huge_pages = huge;
        self
    }
}

/// What became of the wishes about memory in [`Options`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// Whether all pages were faulted in on opening.
    pub prefaulted: bool,
    /// Whether the pages are locked in memory.
    pub locked: bool,
    /// Whether huge pages were asked for, and what the system said.
    pub huge_pages: HugePages,
}

/// The system's answer to a wish for huge pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HugePages {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// The system accepted the advice; it uses them where it finds some.
    Advised,
    /// The system's settings for shared memory rule them out; holds the setting of `transparent_hugepage/shmem_enabled`.
    Disabled(String),
    /// The system refused the advice; holds its answer.
    Refused(String),
}
