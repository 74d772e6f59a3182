//! What the fuzz targets share.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, io, process};

use arbitrary::Arbitrary;

/// A directory in shared memory that belongs to this process, so that targets which run at the same time do not meet.
///
/// It goes when it is dropped. A target that fails aborts without dropping anything; its directory starts with
/// `sharedware-`, by which `cargo xtask` finds and names it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the directory, or empties the one that a process with our number has left.
    pub fn new() -> io::Result<Scratch> {
        static PARENT: OnceLock<PathBuf> = OnceLock::new();
        let parent =
            PARENT.get_or_init(|| env::var_os("SHAREDWARE_DIR").map_or_else(|| "/dev/shm".into(), PathBuf::from));
        let path = parent.join(format!("sharedware-fuzz.{}", process::id()));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&path)?,
        }
        Ok(Scratch { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody could be told.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A word of which the interesting values are not one in 2^64.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Word {
    Any(u64),
    Small(u8),
    Nearly(u8),
    Power(u8, i8),
    Record { flags: u8, kind: u8, length: u16 },
    Mine { flags: u8 },
    Somebodys { slot: u16, incarnation: u8, flags: u8 },
}

impl Word {
    /// Its value, for a process with this cookie.
    pub fn value(self, mine: u64) -> u64 {
        let flags = |flags: u8| u64::from(flags & 0b111) << 61;
        match self {
            Self::Any(value) => value,
            Self::Small(value) => value.into(),
            Self::Nearly(value) => u64::MAX - u64::from(value),
            Self::Power(power, by) => (1_u64 << (power % 64)).wrapping_add_signed(by.into()),
            Self::Record { flags: bits, kind, length } => {
                flags(bits | 0b100) | u64::from(kind % 5) << 48 | u64::from(length)
            }
            Self::Mine { flags: bits } => mine | flags(bits),
            Self::Somebodys { slot, incarnation, flags: bits } => {
                u64::from(incarnation) << 13 | u64::from(slot % 8192) | flags(bits)
            }
        }
    }
}

/// The cookie by which others know this process, by what its domain's registry holds; 0 if it is not in there.
pub fn my_cookie(registry: &[u8]) -> u64 {
    const FIRST_INCARNATION: usize = 112 + 8;
    let word = |at: usize| registry.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes);
    if registry.len() < 4096 + 4096 * 64 {
        return 0;
    }
    let slot = (0..4096).find(|slot| word(4096 + 64 * slot + 8) == u64::from(process::id()));
    slot.map_or(0, |slot| {
        let incarnation = word(FIRST_INCARNATION).wrapping_add(word(4096 + 64 * slot)) & ((1 << 48) - 1);
        incarnation << 13 | slot as u64
    })
}
