//! What the fuzz targets share.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, io, process};

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
