//! The few things the operating system does for a measurement: cores, clocks, futexes, inherited memory.
//!
//! # Safety
//!
//! The unsafe code here is system calls on integers, borrowed references and structures on the stack, and the one mapping
//! whose words everybody reaches through atomics alone.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// The cores this process may run on, lowest first.
pub(crate) fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero `cpu_set_t` is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set outlives the call and its size is given.
    check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) })?;
    // SAFETY: the index stays below CPU_SETSIZE.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
}

/// Keeps the calling thread on one core. Async-signal-safe, so a forked child may call it before it execs.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    // SAFETY: an all-zero `cpu_set_t` is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` came from `allowed_cores`, so it is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set outlives the call and its size is given.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) }).map(drop)
}

/// Has `command` start pinned to one core.
pub(crate) fn start_on(command: &mut std::process::Command, core: usize) {
    use std::os::unix::process::CommandExt;
    // SAFETY: the closure makes one system call on memory of its own stack and allocates nothing.
    unsafe { command.pre_exec(move || pin(core)) };
}

/// Has the kernel kill this process when the one that started it ends, so that no measurement is left running.
pub(crate) fn die_with_parent() -> io::Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }).map(drop)
}

/// Nanoseconds of the monotonic clock, which all processes share.
pub(crate) fn now_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds that the threads of this process have run, in user space and in the kernel.
pub(crate) fn cpu_ns() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call; both clocks that are asked for always exist.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A cheap counter for one-message timings; `times` turns differences into nanoseconds.
#[inline]
pub(crate) fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the time stamp counter.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        now_ns()
    }
}

/// Sleeps while `word` holds `value`; returns on a wake, a signal, or at once if it holds something else.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32) {
    let none = std::ptr::null::<libc::timespec>();
    // SAFETY: `word` is a live, aligned futex word; no timeout is given.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, none) };
}

/// Wakes everyone who sleeps on `word`.
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: `word` is a live, aligned futex word.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// A nameless file of `bytes` zeros that child processes inherit.
pub(crate) fn inheritable_memory(bytes: usize) -> io::Result<RawFd> {
    // SAFETY: the name is a C literal. No CLOEXEC: the workers are to inherit it.
    let fd = check(unsafe { libc::memfd_create(c"compare".as_ptr(), 0) })?;
    // SAFETY: the descriptor was just made and nobody else owns it.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the descriptor is open.
    check(unsafe { libc::ftruncate(file.as_raw_fd(), bytes as libc::off_t) })?;
    Ok(file.into_raw_fd())
}

/// Maps a file's first `bytes` for the rest of the process, as words.
pub(crate) fn map_words(fd: RawFd, bytes: usize) -> io::Result<&'static [AtomicU64]> {
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, fd, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is page-aligned, `bytes` long, never unmapped, and reached through atomics alone.
    Ok(unsafe { std::slice::from_raw_parts(base.cast(), bytes / size_of::<AtomicU64>()) })
}

/// Closes a descriptor that [`inheritable_memory`] made.
pub(crate) fn close(fd: RawFd) -> io::Result<()> {
    // SAFETY: whoever made the descriptor calls this once, and uses it no more.
    check(unsafe { libc::close(fd) }).map(drop)
}

/// The lower half of a word of the arena, as a futex.
pub(crate) fn futex_of(word: &AtomicU64) -> &AtomicU32 {
    // SAFETY: an aligned u64 holds an aligned u32 at its start, and both are only reached atomically.
    unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) }
}

/// The bytes of some words.
pub(crate) fn bytes_of(words: &[u64]) -> &[u8] {
    // SAFETY: any byte of a u64 is a u8, and the length is theirs.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// The bytes of some words, to be written.
pub(crate) fn bytes_of_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: any eight bytes are a u64, and the length is theirs.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// A pipe with a name.
pub(crate) fn make_fifo(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is NUL-terminated and outlives the call.
    check(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }).map(drop)
}

/// Asks for a larger pipe; where that is refused it stays as it is.
pub(crate) fn enlarge_pipe(fd: RawFd, bytes: i32) {
    // SAFETY: integers only.
    unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, bytes) };
}

/// Bare creation of shared memory: `shm_open(O_CREAT | O_EXCL)`, `ftruncate`, `mmap`, `close`; a word written at the start.
/// If `open` is set the second half as well: `shm_open`, `mmap`, `close`, the word read, `munmap`. Then `munmap`, `shm_unlink`.
pub(crate) fn bare_shared_memory(name: &str, bytes: usize, open: bool) -> io::Result<u64> {
    let name = CString::new(name)?;
    // SAFETY: the name is NUL-terminated and outlives the call.
    let fd = check(unsafe { libc::shm_open(name.as_ptr(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600) })?;
    // SAFETY: the descriptor is open.
    check(unsafe { libc::ftruncate(fd, bytes as libc::off_t) })?;
    let made = map_and_close(fd, bytes)?;
    // SAFETY: the mapping is page-aligned and longer than a word.
    unsafe { made.write_volatile(42) };
    // SAFETY: as above.
    let mut word = unsafe { made.read_volatile() };
    if open {
        // SAFETY: the name is NUL-terminated and outlives the call.
        let fd = check(unsafe { libc::shm_open(name.as_ptr(), libc::O_RDWR, 0) })?;
        let opened = map_and_close(fd, bytes)?;
        // SAFETY: the mapping is page-aligned and longer than a word.
        word = unsafe { opened.read_volatile() };
        // SAFETY: the mapping is of this length and used no more.
        check(unsafe { libc::munmap(opened.cast(), bytes) })?;
    }
    // SAFETY: the mapping is of this length and used no more.
    check(unsafe { libc::munmap(made.cast(), bytes) })?;
    // SAFETY: the name is NUL-terminated and outlives the call.
    check(unsafe { libc::shm_unlink(name.as_ptr()) })?;
    Ok(word)
}

fn map_and_close(fd: RawFd, bytes: usize) -> io::Result<*mut u64> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd, 0) };
    // SAFETY: the descriptor is ours and used no more.
    check(unsafe { libc::close(fd) })?;
    if base == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(base.cast()) }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
