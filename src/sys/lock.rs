//! Open file description locks (`F_OFD_SETLK`), one byte each.
//!
//! Such a lock belongs to the open file description, not to the process or the descriptor: a mapping made from the description keeps
//! it after `close`, until the address space lets go of the mapping. Bytes need not exist in the file.
//!
//! # Safety
//!
//! The unsafe code here is `fcntl` with a `flock` structure on the stack and a descriptor borrowed from a live `File`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::base::crash;

/// Takes a shared lock on the byte; `false` if somebody holds it exclusively. The file must be open for reading.
pub(crate) fn share(file: &File, byte: u64) -> io::Result<bool> {
    set(file, byte, libc::F_RDLCK)
}

/// Takes the exclusive lock on the byte; `false` if anybody else holds any lock on it. The file must be open for writing.
pub(crate) fn exclude(file: &File, byte: u64) -> io::Result<bool> {
    set(file, byte, libc::F_WRLCK)
}

/// Whether any other description holds a lock on the byte. Takes nothing.
pub(crate) fn is_held(file: &File, byte: u64) -> io::Result<bool> {
    conflicts(file, byte, libc::F_WRLCK)
}

/// Whether any other description holds the exclusive lock on the byte, for which it must be open for writing. Takes nothing.
pub(crate) fn is_excluded(file: &File, byte: u64) -> io::Result<bool> {
    conflicts(file, byte, libc::F_RDLCK)
}

fn conflicts(file: &File, byte: u64, kind: libc::c_int) -> io::Result<bool> {
    let mut lock = describe(byte, kind)?;
    // SAFETY: `lock` is a valid flock for the kernel to fill in; the descriptor is open.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

fn set(file: &File, byte: u64, kind: libc::c_int) -> io::Result<bool> {
    let lock = describe(byte, kind)?;
    // SAFETY: `lock` is a valid flock that the kernel only reads; the descriptor is open.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if result == 0 {
        crash::point();
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

fn describe(byte: u64, kind: libc::c_int) -> io::Result<libc::flock> {
    let out_of_range = |_| io::Error::from(io::ErrorKind::InvalidInput);
    Ok(libc::flock {
        l_type: libc::c_short::try_from(kind).map_err(out_of_range)?,
        l_whence: 0, // SEEK_SET
        l_start: libc::off_t::try_from(byte).map_err(out_of_range)?,
        l_len: 1,
        l_pid: 0, // must be 0 for OFD locks
    })
}
