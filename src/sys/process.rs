//! This process and its limits, as the kernel knows them; and processes as `/proc` tells of them, for people to read, never for decisions.
//!
//! # Safety
//!
//! The unsafe code here is system calls that fill a structure or a buffer on the stack, or take none.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::sync::OnceLock;

/// A process as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id, in the pid namespace of who asks.
    pub pid: u32,
    /// The command's name, at most 15 bytes (`/proc/<pid>/comm`).
    pub command: String,
}

/// This process's id in its own pid namespace.
pub(crate) fn id() -> u32 {
    std::process::id()
}

/// This thread's id in the pid namespace of the process; never 0.
#[cfg(not(loom))]
pub(crate) fn thread_id() -> u32 {
    // SAFETY: no arguments, never fails.
    let id = unsafe { libc::gettid() };
    u32::try_from(id).unwrap_or(u32::MAX)
}

/// How many threads can run at once here: of all processes, so whatever cores this one is bound to.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    // SAFETY: takes a number.
    *CORES.get_or_init(|| usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1))
}

/// The name of this process's command, at most 15 bytes.
pub(crate) fn command() -> String {
    command_of("self")
}

/// When this process started, in clock ticks since boot (`/proc/self/stat`, field 22); 0 if unknown.
pub(crate) fn start_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command, field 2, is in parentheses and may contain anything.
    let after_command = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_command.split_whitespace().nth(19).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Whether there is a process of this id in our pid namespace; for hints only, since ids are reused.
pub(crate) fn exists(pid: u64) -> bool {
    let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|&pid| pid > 0) else { return false };
    // SAFETY: integers; signal 0 is none.
    let result = unsafe { libc::kill(pid, 0) };
    result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// The effective user id.
pub(crate) fn user() -> u32 {
    // SAFETY: no arguments, never fails.
    unsafe { libc::geteuid() }
}

/// The effective group id.
pub(crate) fn group() -> u32 {
    // SAFETY: no arguments, never fails.
    unsafe { libc::getegid() }
}

/// Who maps the object with this device and inode number, as far as `/proc` lets us see.
pub(crate) fn mapping(device: u64, inode: u64) -> io::Result<Vec<Process>> {
    let device = format!("{:02x}:{:02x}", libc::major(device), libc::minor(device));
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Gone meanwhile, or not ours to see.
        let Ok(maps) = fs::read_to_string(entry.path().join("maps")) else { continue };
        let maps_it = maps.lines().any(|line| {
            let mut fields = line.split_ascii_whitespace().skip(3);
            fields.next() == Some(device.as_str())
                && fields.next().and_then(|field| field.parse::<u64>().ok()) == Some(inode)
        });
        if maps_it {
            found.push(Process { pid, command: command_of(&pid.to_string()) });
        }
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

/// The largest file this process may make; beyond it the kernel sends a deadly signal instead of an error.
pub(crate) fn file_size_limit() -> Option<u64> {
    limit(libc::RLIMIT_FSIZE)
}

/// How much this process may lock in memory.
pub(crate) fn locked_memory_limit() -> Option<u64> {
    limit(libc::RLIMIT_MEMLOCK)
}

/// How much this process may map.
pub(crate) fn address_space_limit() -> Option<u64> {
    limit(libc::RLIMIT_AS)
}

fn limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the result.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// 16 random bytes from the kernel.
pub(crate) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the buffer is valid for its length.
    let result = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // Up to 256 bytes arrive whole or not at all.
    if result == 16 { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}

fn command_of(process: &str) -> String {
    let comm = fs::read(format!("/proc/{process}/comm")).unwrap_or_default();
    printable(comm.strip_suffix(b"\n").unwrap_or(&comm))
}

/// The name that a process has given itself, harmless on a terminal.
pub(crate) fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace(char::is_control, "?")
}
