//! Named and nameless files in the shared-memory directory.
//!
//! # Safety
//!
//! The unsafe code here is system calls that take a borrowed descriptor, integers, and NUL-terminated paths or structures on the stack.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use crate::base::crash;

/// What new files are created with.
const CREATION_MODE: u32 = 0o600;

/// Opens what is there, without following a symbolic link, waiting for a FIFO's other end or becoming a terminal's child.
pub(crate) fn open(path: &Path, writable: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(writable)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

/// A new file without a name, for its creator alone; `None` where the file system has no `O_TMPFILE`.
pub(crate) fn create_nameless(directory: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).mode(CREATION_MODE).custom_flags(libc::O_TMPFILE).open(directory) {
        Ok(file) => Ok(Some(file)),
        // Kernels and file systems that do not know the flag see a directory opened for writing.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A new file under a name that nobody has, for its creator alone.
pub(crate) fn create_exclusive(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(CREATION_MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    crash::point();
    Ok(file)
}

/// Gives a nameless file its name; `EEXIST` if the name is taken.
pub(crate) fn link(file: &File, path: &Path) -> io::Result<()> {
    let target = c_path(path)?;
    // By descriptor alone, twice as fast; needs CAP_DAC_READ_SEARCH, or Linux 6.10, otherwise it says ENOENT.
    // SAFETY: the empty path is a C literal and the target outlives the call; the descriptor is open.
    let result =
        unsafe { libc::linkat(file.as_raw_fd(), c"".as_ptr(), libc::AT_FDCWD, target.as_ptr(), libc::AT_EMPTY_PATH) };
    let mut outcome = check(result);
    if matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::NotFound) {
        let source = c_path(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))?;
        // SAFETY: both paths are NUL-terminated and outlive the call.
        let result = unsafe {
            libc::linkat(libc::AT_FDCWD, source.as_ptr(), libc::AT_FDCWD, target.as_ptr(), libc::AT_SYMLINK_FOLLOW)
        };
        outcome = check(result).map_err(|error| match error.kind() {
            // The directory is there, or the file would not be.
            io::ErrorKind::NotFound => {
                io::Error::new(io::ErrorKind::Unsupported, "/proc is not mounted, which naming a file takes")
            }
            _ => error,
        });
    }
    outcome.inspect(|()| crash::point())
}

/// Renames a file to a name that must be free; `EEXIST` if it is taken.
pub(crate) fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    let source = c_path(from)?;
    let target = c_path(to)?;
    // SAFETY: both paths are NUL-terminated and outlive the call.
    let result = unsafe {
        libc::renameat2(libc::AT_FDCWD, source.as_ptr(), libc::AT_FDCWD, target.as_ptr(), libc::RENAME_NOREPLACE)
    };
    check(result).inspect(|()| crash::point())
}

/// Takes the name away; who maps the object keeps it.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path).inspect(|()| crash::point())
}

/// Sets the length; the pages are not there yet.
pub(crate) fn set_length(file: &File, length: u64) -> io::Result<()> {
    file.set_len(length).inspect(|()| crash::point())
}

/// Makes sure that the pages of a part of the file are there (`fallocate`): from then on touching them cannot fail.
pub(crate) fn allocate(file: &File, from: u64, length: u64) -> io::Result<()> {
    // All at once at first: what cannot be had at all the kernel then refuses before it takes the first page.
    match allocate_range(file, from, length) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => allocate_in_pieces(file, from, length)?,
        outcome => outcome?,
    }
    crash::point();
    Ok(())
}

/// Some kernels undo a whole call when a signal arrives; with a timer that would start over for ever.
#[cold]
fn allocate_in_pieces(file: &File, from: u64, length: u64) -> io::Result<()> {
    const PIECE: u64 = 64 << 20;
    let mut done = 0;
    while done < length {
        let piece = PIECE.min(length - done);
        match allocate_range(file, from + done, piece) {
            Ok(()) => done += piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn allocate_range(file: &File, from: u64, length: u64) -> io::Result<()> {
    let out_of_range = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let from = libc::off_t::try_from(from).map_err(out_of_range)?;
    let length = libc::off_t::try_from(length).map_err(out_of_range)?;
    // SAFETY: integers and an open descriptor.
    check(unsafe { libc::fallocate(file.as_raw_fd(), 0, from, length) })
}

/// Sets the permission bits, whatever the umask, and the group.
pub(crate) fn grant(file: &File, mode: u32, group: Option<u32>) -> io::Result<()> {
    if group.is_some() {
        fchown(file, None, group)?;
    }
    // Created with 0600, of which a umask may have taken something.
    if mode == CREATION_MODE && file.metadata()?.mode() & 0o7777 == CREATION_MODE {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// Bytes left on the file system that holds `path`.
pub(crate) fn space_left(path: &Path) -> io::Result<u64> {
    let path = c_path(path)?;
    let mut stat = core::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path is NUL-terminated and `stat` a valid place for the result.
    check(unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) })?;
    // SAFETY: all-zero is a valid statvfs, and the call has filled it.
    let stat = unsafe { stat.assume_init() };
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
