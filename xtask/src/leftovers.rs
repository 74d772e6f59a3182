//! What a run leaves behind: shared-memory objects of ours, and processes that should have ended.
//!
//! Other people may work on the same machine. An object that only processes of theirs map is theirs, and is named but not
//! held against us; everything that we start carries [`MARKER`] in its environment, which tells the
//! two apart.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use anyhow::{Context, Result, bail};

use crate::run::MARKER;

/// Objects that appear in [`directory`] under one of these prefixes are ours.
const PREFIXES: [&str; 2] = ["sharedware.", "sharedware-"];
/// A process that is being killed may take a moment to go.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state before a run.
pub(crate) struct Leftovers {
    before: BTreeSet<String>,
    /// Processes that run a program from here are tests, unlike servers that compilers start and leave running.
    programs: PathBuf,
}

impl Leftovers {
    /// Remembers what is there now.
    pub(crate) fn before(target_directory: &Path) -> Result<Leftovers> {
        Ok(Leftovers { before: objects()?, programs: target_directory.to_owned() })
    }

    /// An error that names what has appeared since and is not in use by somebody else.
    pub(crate) fn check(&self) -> Result<()> {
        if self.complaints()?.is_empty() {
            return Ok(());
        }
        thread::sleep(PATIENCE);
        let complaints = self.complaints()?;
        if complaints.is_empty() {
            return Ok(());
        }
        bail!("the run left something behind:\n  {}", complaints.join("\n  "))
    }

    fn complaints(&self) -> Result<Vec<String>> {
        let ours = std::process::id().to_string();
        let processes = processes();
        let offspring = |process: &Process| process.marker.as_deref() == Some(&ours);
        let mut complaints = Vec::new();

        for name in objects()?.difference(&self.before) {
            let path = directory().join(name);
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let users: Vec<&Process> = processes.iter().filter(|process| process.maps(&metadata)).collect();
            if users.is_empty() {
                complaints.push(format!("{} (no process maps it)", path.display()));
            } else if let Some(user) = users.iter().find(|user| offspring(user)) {
                complaints.push(format!(
                    "{} (mapped by process {}, {})",
                    path.display(),
                    user.pid,
                    user.program.display()
                ));
            } else {
                println!("note: {} appeared meanwhile, but only processes of somebody else map it", path.display());
            }
        }
        for process in &processes {
            if process.pid != std::process::id() && offspring(process) && process.program.starts_with(&self.programs) {
                complaints.push(format!("process {} still runs {}", process.pid, process.program.display()));
            }
        }
        Ok(complaints)
    }
}

/// Where tests make their objects.
fn directory() -> PathBuf {
    std::env::var_os("SHAREDWARE_DIR").map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from)
}

fn objects() -> Result<BTreeSet<String>> {
    let directory = directory();
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", directory.display())),
    };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    Ok(names.filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix))).collect())
}

struct Process {
    pid: u32,
    program: PathBuf,
    marker: Option<String>,
    maps: String,
}

impl Process {
    /// By device and inode: the creator of a segment shows a path without its name, since it mapped the file before it had one.
    fn maps(&self, object: &fs::Metadata) -> bool {
        let device = object.dev();
        let major = (device >> 32) & 0xffff_f000 | (device >> 8) & 0xfff;
        let minor = (device >> 12) & 0xffff_ff00 | device & 0xff;
        let (device, inode) = (format!("{major:02x}:{minor:02x}"), object.ino().to_string());
        self.maps.lines().any(|line| line.split_ascii_whitespace().skip(3).take(2).eq([&*device, &*inode]))
    }
}

/// The processes that we may look into; one that ends while we look is none.
fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let environment = fs::read(proc.join("environ")).ok()?;
        Some(Process {
            pid,
            program: fs::read_link(proc.join("exe")).ok()?,
            marker: variable(&environment, MARKER),
            maps: String::from_utf8_lossy(&fs::read(proc.join("maps")).ok()?).into_owned(),
        })
    })
    .collect()
}

/// A variable's value in the bytes of `/proc/PID/environ`.
fn variable(environment: &[u8], name: &str) -> Option<String> {
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = std::str::from_utf8(entry).ok()?.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let environment = b"HOME=/\0SHAREDWARE_XTASK_2=9\0SHAREDWARE_XTASK=71\0";
        assert_eq!(variable(environment, "SHAREDWARE_XTASK").as_deref(), Some("71"));
        assert_eq!(variable(environment, "SHAREDWARE"), None);
    }
}
